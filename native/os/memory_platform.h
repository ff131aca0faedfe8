// In-memory twins of the TAP and the UDP socket, and a base network that joins the latter.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "os/fd.h"
#include "os/platform.h"

namespace p2pxbone {

// The kernel's side of a MemoryTap. Any thread.
class MemoryHost {
 public:
  static constexpr size_t kFramesMax = 4096;

  struct Frame {
    std::vector<uint8_t> bytes;
    Offload offload;
  };

  // The kernel sends a frame, which may be a super-packet. False if the device's transmit queue is full.
  bool inject(std::span<const uint8_t> frame, const Offload& offload = {});
  // The next packet for the kernel in its frame, super-packets cut up and checksums completed; nullopt if none comes in
  // time.
  [[nodiscard]] std::optional<std::vector<uint8_t>> receive(int timeoutMs);
  // The next frame as the data plane wrote it. Not to be mixed with receive().
  [[nodiscard]] std::optional<Frame> receiveAsWritten(int timeoutMs);
  // The device disappears, as when somebody deletes the interface.
  void remove();
  // While held, writes to the device wait: a kernel that does not keep up.
  void hold();
  void release();

 private:
  friend class MemoryTap;
  std::mutex writing_;  // held by hold()
  std::mutex mutex_;    // guards all below
  std::deque<Frame> toPlane_;
  std::deque<Frame> toHost_;
  std::deque<std::vector<uint8_t>> cut_;  // of what receive() took last
  bool removed_ = false;
  Wakeup planeReadable_;
  Wakeup hostReadable_;
};

// Datagrams between the sockets of one MemoryPlatform, without loss up to the limits.
class MemoryNetwork {
 public:
  static constexpr size_t kDatagramsMax = 4096;  // waiting in one socket

  struct Mailbox {
    std::mutex mutex;  // guards the queue
    std::deque<std::pair<Endpoint, std::vector<uint8_t>>> datagrams;
    Wakeup readable;
  };

  // Null if the endpoint is taken.
  [[nodiscard]] std::shared_ptr<Mailbox> open(Endpoint& local);
  void close(const Endpoint& local);
  // 0 or an errno.
  [[nodiscard]] int deliver(const Endpoint& from, const Endpoint& to, std::span<const uint8_t> bytes);
  // Whether a socket gives datagrams of one sender and size joined, as UDP_GRO does.
  void joinDatagrams(bool joins);
  // Largest payload that passes, bytes; more is refused as a socket that may not fragment does.
  void limitPayload(size_t bytes);
  // Sees every datagram that is delivered, one at a time; empty ends that.
  using Watcher = std::function<void(const Endpoint& from, const Endpoint& to, std::span<const uint8_t> bytes)>;
  void watch(Watcher watcher);

 private:
  friend class MemoryUnderlay;
  std::mutex mutex_;  // guards all below but the last
  std::map<std::pair<std::array<uint8_t, 16>, uint16_t>, std::shared_ptr<Mailbox>> mailboxes_;
  uint16_t nextPort_ = 49152;
  size_t payloadMax_ = 65507;
  std::atomic<bool> joins_{true};
  Watcher watcher_;
};

class MemoryPlatform final : public Platform {
 public:
  // `features`: of the TAPs.
  explicit MemoryPlatform(MemoryNetwork& network, OffloadFeatures features = {true, true, true})
      : network_(network), features_(features) {}

  TapOutcome openTap(const TapOptions& options) override;
  UnderlayOutcome openUnderlay(const Endpoint& local, uint64_t seed) override;

  // The kernel's side of the TAP last opened under that name; null if there was none.
  [[nodiscard]] std::shared_ptr<MemoryHost> host(const std::string& name);

 private:
  MemoryNetwork& network_;
  const OffloadFeatures features_;
  std::map<std::string, std::shared_ptr<MemoryHost>> hosts_;
};

}  // namespace p2pxbone
