// The thread on which packets of shaped tunnels wait for their time. It takes them from a ring for each thread of the
// packet path, and sends or delivers them with a forwarder of its own, so that nothing it does holds up another tunnel.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/epoch.h"
#include "core/forward.h"
#include "core/packet_ring.h"
#include "core/shaper.h"
#include "os/bell.h"
#include "os/emitter.h"
#include "os/fd.h"

namespace p2pxbone {

class ShaperLoop {
 public:
  struct Surroundings {
    const UnderlaySlot& underlay;
    const std::atomic<const Directory*>& directory;
    EpochDomain& epochs;
    uint64_t seed;
  };
  // One producing thread's way in.
  class Inlet;

  // Throws std::system_error if the system has no descriptor left. No thread runs until start().
  explicit ShaperLoop(const Surroundings& around);
  ~ShaperLoop();
  ShaperLoop(const ShaperLoop&) = delete;
  ShaperLoop& operator=(const ShaperLoop&) = delete;

  // All of these are the control side's. An inlet lives as long as somebody holds it.
  [[nodiscard]] std::shared_ptr<ShaperInlet> openInlet();
  // Its producer has ended; what is left in it is lost.
  void closeInlet(const std::shared_ptr<ShaperInlet>& inlet);
  // Before the first tunnel is shaped; does nothing if it runs. 0, or an errno if the system has no thread left.
  [[nodiscard]] int start();
  // Tunnels have lost their shape or are gone: what waits for them leaves.
  void reconsider();
  // Calls its thread to the nodes' gates.
  [[nodiscard]] const std::shared_ptr<Bell>& bell() const { return bell_; }
  // Before the nodes and the underlay end.
  void stop();

  void addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const { drops_.addTo(totals); }

 private:
  using Inlets = std::vector<std::shared_ptr<Inlet>>;
  class ShaperSink;

  void publish(std::shared_ptr<const Inlets> inlets);
  void loop();
  // False if more is there than one turn takes.
  [[nodiscard]] bool admitAll(Shaper& shaper);
  void release(Shaper& shaper);
  [[nodiscard]] bool emitBatch(Shaper& shaper, Forwarder& forwarder);
  void sleep(const Shaper& shaper);
  // Whether there is nothing to do but to wait for packets that are not due.
  [[nodiscard]] bool isIdle();
  void wake();

  const Surroundings around_;
  EpochDomain::Worker& worker_;
  DropCounters drops_;
  Wakeup wakeup_;
  const std::shared_ptr<Bell> bell_ = std::make_shared<Bell>();
  std::shared_ptr<const Inlets> published_;
  std::atomic<const Inlets*> inlets_{nullptr};
  std::shared_ptr<ShaperInlet> own_;  // for packets that come from one shaped tunnel and leave by another
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> reconsider_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace p2pxbone
