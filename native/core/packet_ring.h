// A bounded queue of packets from one producer thread to one consumer thread: variable-length records in one block of
// memory, so that small packets and 64 KB ones use it equally well.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

namespace p2pxbone {

class PacketRing {
 public:
  // Room for about 1,300 packets of 1,500 bytes, or 31 of 64 KB.
  static constexpr size_t kBytes = size_t{2} << 20;

  PacketRing();

  // Producer. Copies the packet, which is the pieces one after another; false if there is no room.
  [[nodiscard]] bool push(std::span<const std::span<const uint8_t>> pieces);
  [[nodiscard]] bool push(std::span<const uint8_t> packet) { return push({&packet, 1}); }
  // Producer, after a run of pushes: wakes the consumer if it sleeps.
  void wake();
  // Producer. A run may be larger than the ring: from here on its end is too late to wake the consumer.
  [[nodiscard]] bool isFilling() const {
    return written_.load(std::memory_order_relaxed) - read_.load(std::memory_order_relaxed) > kBytes / 4;
  }

  // Consumer. The oldest packet, valid until pop(); empty if there is none.
  [[nodiscard]] std::span<const uint8_t> front();
  void pop();
  // Consumer, before it sleeps by other means than wait(): sequentially consistent with push().
  [[nodiscard]] bool empty() const { return read_.load(std::memory_order_relaxed) == written_.load(); }
  // Consumer. Sleeps until there is a packet (true), or there is none and the ring has been closed (false).
  [[nodiscard]] bool wait();

  // Any thread.
  void close();

 private:
  static constexpr size_t kHeaderBytes = 4;
  static constexpr uint32_t kWrap = 0xffffffff;

  [[nodiscard]] static size_t recordBytes(size_t packetBytes) { return (kHeaderBytes + packetBytes + 7) / 8 * 8; }

  std::unique_ptr<uint8_t[]> memory_;
  // Positions grow for ever; the place in memory is the position modulo kBytes. Each is written by one side.
  alignas(64) std::atomic<uint64_t> written_{0};
  alignas(64) std::atomic<uint64_t> read_{0};
  alignas(64) std::atomic<uint32_t> sleeping_{0};
  std::atomic<bool> closed_{false};
};

}  // namespace p2pxbone
