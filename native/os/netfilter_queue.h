// Packets that a rule of the firewall hands to us, and what we say about them (NFQUEUE). One thread's.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace p2pxbone {

class NetfilterQueue {
 public:
  struct Settings {
    uint16_t number = 0;
    // Packets that wait for our word, those that are held for a verdict included.
    uint32_t packetsMax = 16'384;
    // When so many wait, further packets go on unseen. Otherwise they are dropped.
    bool failOpen = false;
  };
  // The bytes begin with the IP header, may be a super-packet of up to 64 KB, may be changed in place, and die with the
  // next receive().
  struct Arrival {
    uint32_t id = 0;
    std::span<uint8_t> bytes;
    uint32_t mark = 0;
    // The transport checksum holds the sum of the pseudo-header only.
    bool needsChecksum = false;
  };
  struct Counters {
    uint64_t packets = 0;
    // Packets that the kernel could not hand over, because our socket or the queue was full.
    uint64_t overruns = 0;
    // Words on packets that the kernel did not know any more.
    uint64_t unknown = 0;
    // Packets that came longer than we can take, and were dropped.
    uint64_t cut = 0;
  };

  // Throws std::system_error: EPERM without CAP_NET_ADMIN, EBUSY if another process serves that queue.
  explicit NetfilterQueue(const Settings& settings);
  ~NetfilterQueue();
  NetfilterQueue(const NetfilterQueue&) = delete;
  NetfilterQueue& operator=(const NetfilterQueue&) = delete;

  // To be polled for reading.
  [[nodiscard]] int fd() const;

  // Hands over the packets that are there now, at most kBatch; how many.
  size_t receive(const std::function<void(const Arrival&)>& take);

  // One of these for every packet, in any order. What is said leaves with flush(), or when there is much of it. A mark of 0
  // leaves the packet's mark as it is.
  void accept(uint32_t id, uint32_t mark);
  // With these bytes in the packet's place.
  void accept(uint32_t id, uint32_t mark, std::span<const uint8_t> bytes);
  void drop(uint32_t id);
  void flush();

  [[nodiscard]] const Counters& counters() const { return counters_; }

  static constexpr size_t kBatch = 32;

 private:
  struct Socket;
  void configure(const Settings& settings);
  void say(uint32_t id, int verdict, uint32_t mark, std::span<const uint8_t> bytes);
  void read(std::span<uint8_t> message, const std::function<void(const Arrival&)>& take);

  const uint16_t number_;
  std::unique_ptr<Socket> socket_;
  std::unique_ptr<uint8_t[]> arrivals_;
  std::vector<uint8_t> words_;
  Counters counters_;
};

}  // namespace p2pxbone
