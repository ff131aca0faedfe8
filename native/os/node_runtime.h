// A virtual node with its TAP, the thread that reads it and sends into tunnels, and the writer that brings into it what
// the underlay's reader has for it.
#pragma once

#include <atomic>
#include <memory>
#include <thread>

#include "core/epoch.h"
#include "core/node.h"
#include "os/bell.h"
#include "os/emitter.h"
#include "os/event_queue.h"
#include "os/shaper_loop.h"
#include "os/tap_writer.h"

namespace p2pxbone {

// Every Node that a data plane's workers meet is one of these.
class NodeRuntime final : public Node, private TapWriteReport {
 public:
  struct Surroundings {
    const UnderlaySlot& underlay;
    EpochDomain& epochs;
    EventQueue& events;
    ShaperLoop& shaper;
    uint64_t seed;
    ReceivePath receive;
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

  // Wakes the thread that reads the TAP.
  [[nodiscard]] const std::shared_ptr<Bell>& bell() const { return bell_; }

  // Underlay's reader.
  [[nodiscard]] TapWriter& writer() { return *writer_; }
  [[nodiscard]] OffloadFeatures tapFeatures() const { return features_; }
  // Any thread: straight to the TAP.
  void writeDirectly(Lane lane, const ToTap& packet, DropCounters& drops);

  void addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const;

  // The underlay's reader's own: set while the node is on its list of those to flush.
  bool awaitsFlush = false;

 private:
  class TapSink;
  void readLoop();
  void written(size_t packets, int error) override;
  void count(Lane lane, size_t packets, int error, DropCounters& drops);
  // Tells JavaScript once that the device is gone.
  void fail(int error, DropCounters& drops);

  const UnderlaySlot& underlay_;
  EpochDomain& epochs_;
  EventQueue& events_;
  ShaperLoop& shaper_;
  const std::shared_ptr<ShaperInlet> inlet_;  // the reader's
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
  const uint64_t seed_;
  const ReceivePath receive_;
  std::unique_ptr<TapDevice> tap_;
  const OffloadFeatures features_;
  EpochDomain::Worker& worker_;
  DropCounters readerDrops_;
  DropCounters writerDrops_;
  std::atomic<bool> failed_{false};
  std::thread reader_;
  std::unique_ptr<TapWriter> writer_;
};

}  // namespace p2pxbone
