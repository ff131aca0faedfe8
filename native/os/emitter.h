// Where one thread's forwarder leaves its packets: tunnels' datagrams are gathered and sent together.
#pragma once

#include <array>
#include <atomic>

#include "core/forward.h"
#include "os/underlay.h"

namespace p2pxbone {

// Set once, when the data plane is bound; null before. Outlives all threads that read it.
using UnderlaySlot = std::atomic<UnderlaySocket*>;

[[nodiscard]] DropReason dropReasonOfSend(int error);

class Emitter : public Sink {
 public:
  static constexpr size_t kPendingMax = 64;

  Emitter(const UnderlaySlot& underlay, DropCounters& drops) : underlay_(underlay), drops_(drops) {}

  void toTunnel(const Tunnel& tunnel, std::span<const uint8_t> datagram) final;
  void flush() override;

 protected:
  [[nodiscard]] DropCounters& drops() { return drops_; }

 private:
  const UnderlaySlot& underlay_;
  DropCounters& drops_;
  std::array<DatagramOut, kPendingMax> pending_;
  size_t pendingCount_ = 0;
};

}  // namespace p2pxbone
