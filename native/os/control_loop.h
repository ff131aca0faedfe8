// The control thread: owns the association machine, feeds it with datagrams, commands and time, and carries out what it
// asks for. It sleeps until there is something to do or the machine's deadline.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/association.h"
#include "core/epoch.h"
#include "core/forward.h"
#include "os/emitter.h"
#include "os/event_queue.h"
#include "os/fd.h"
#include "os/shaper_loop.h"

namespace p2pxbone {

using DirectorySlot = std::atomic<const Directory*>;

class ControlLoop {
 public:
  struct Surroundings {
    const UnderlaySlot& underlay;
    const DirectorySlot& directory;
    EpochDomain& epochs;
    EventQueue& events;
    ShaperLoop& shaper;
    uint64_t seed;
  };
  // Datagrams waiting for the thread; more are dropped.
  static constexpr size_t kQueueMax = 1024;
  // Handled before commands and timers get their turn again: a handshake message may cost a millisecond.
  static constexpr size_t kDatagramsPerTurn = 16;

  // Throws std::system_error if the system has no thread or descriptor left.
  ControlLoop(const AssociationSettings& settings, const Surroundings& around);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  // Underlay's reader. False if the queue is full. wake() at the batch's end.
  [[nodiscard]] bool offer(const Endpoint& from, std::span<const uint8_t> datagram);
  void wake() { wakeup_.signal(); }

  // JavaScript's thread. Runs the command on the control thread and returns when it has.
  void call(const std::function<void(AssociationMachine&, Millis)>& command);
  // JavaScript's thread. Says goodbye to all peers and ends the thread.
  void stop();

  void addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const { drops_.addTo(totals); }

 private:
  class ControlSink;
  struct Arrival {
    Endpoint from;
    std::vector<uint8_t> bytes;
  };
  struct Command {
    const std::function<void(AssociationMachine&, Millis)>* run;
    bool done = false;
  };

  void loop();
  void sleep();
  void runCommands();
  // False if more are waiting.
  [[nodiscard]] bool handleArrivals();
  void transmitAll();
  void publishEvents(Forwarder& forwarder);
  void countMachineDrops();

  const Surroundings around_;
  AssociationMachine machine_;  // the control thread's
  AssociationDrops counted_;    // likewise: what has been added to drops_ already
  const std::shared_ptr<ShaperInlet> inlet_;
  EpochDomain::Worker& worker_;
  DropCounters drops_;
  Wakeup wakeup_;

  std::mutex mutex_;  // guards all below
  std::condition_variable commandDone_;
  std::deque<Arrival> arrivals_;
  std::vector<Command*> commands_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace p2pxbone
