// A virtual node with its TAP and the two threads that serve it: one reads the TAP and sends into tunnels, one writes to
// the TAP what the underlay's reader has left in the ring.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "core/epoch.h"
#include "core/node.h"
#include "core/packet_ring.h"
#include "os/emitter.h"
#include "os/event_queue.h"
#include "os/tap.h"

namespace p2pxbone {

// Every Node that a data plane's workers meet is one of these.
class NodeRuntime final : public Node {
 public:
  struct Surroundings {
    const UnderlaySlot& underlay;
    EpochDomain& epochs;
    EventQueue& events;
    uint64_t seed;
  };

  // The handle doubles as serial number.
  NodeRuntime(NodeHandle handle, NodeConfig settings, std::unique_ptr<TapDevice> tap, const Surroundings& around);
  // Stops; removes the TAP.
  ~NodeRuntime();
  NodeRuntime(const NodeRuntime&) = delete;
  NodeRuntime& operator=(const NodeRuntime&) = delete;

  // Control side, once. 0, or an errno if the system has no thread left.
  [[nodiscard]] int start();
  // Control side, once no worker can find the node any more. Stops and joins the threads.
  void stop();

  // Underlay's reader: hands a frame to the writer thread; false if the ring is full. wakeWriter() at the batch's end.
  [[nodiscard]] bool offer(std::span<const uint8_t> frame) { return ring_.push(frame); }
  void wakeWriter() { ring_.wake(); }
  // Any thread: straight to the TAP.
  void writeFrame(Lane lane, std::span<const uint8_t> frame, DropCounters& drops);

  void addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const;

  // The underlay's reader's own: set while the node is on its list of those to wake.
  bool awaitsWake = false;

 private:
  class TapSink;
  void readLoop();
  void writeLoop();
  // Tells JavaScript once that the device is gone.
  void fail(int error, DropCounters& drops);

  const UnderlaySlot& underlay_;
  EpochDomain& epochs_;
  EventQueue& events_;
  const uint64_t seed_;
  std::unique_ptr<TapDevice> tap_;
  EpochDomain::Worker& worker_;
  PacketRing ring_;
  DropCounters readerDrops_;
  DropCounters writerDrops_;
  std::atomic<bool> failed_{false};
  std::thread reader_;
  std::thread writer_;
};

}  // namespace p2pxbone
