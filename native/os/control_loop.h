// The control thread: owns the association machine, feeds it with datagrams, commands and time, and carries out what it
// asks for. It sleeps until there is something to do or the machine's deadline.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <thread>
#include <vector>

#include "core/association.h"
#include "core/epoch.h"
#include "core/secure_arrivals.h"
#include "os/emitter.h"
#include "os/event_queue.h"
#include "os/fd.h"
#include "os/reply_sources.h"
#include "os/shaper_loop.h"

namespace p2pxbone {

class ControlLoop {
 public:
  struct Surroundings {
    const UnderlaySlot& underlay;
    EpochDomain& epochs;
    EventQueue& events;
    uint64_t seed;
  };
  // Throws std::system_error if the system has no thread or descriptor left.
  ControlLoop(const AssociationSettings& settings, const Surroundings& around);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  // Underlay's reader. All are false if the queue is full. wake() at the batch's end. See ArrivalSink for what they are.
  // `to`: see DatagramSlot.
  [[nodiscard]] bool offerHandshake(const Endpoint& from, bool known, const std::optional<HostAddress>& to,
                                    std::span<const uint8_t> datagram);
  [[nodiscard]] bool offerRecord(const ControlRecord& record, const Endpoint& from, std::span<const uint8_t> content);
  [[nodiscard]] bool offerMoved(AssociationId association, const Endpoint& to);
  [[nodiscard]] bool offerProven(AssociationId association);
  enum class Early : uint8_t { queued, full, opened };
  [[nodiscard]] Early offerEarly(const Endpoint& from, const std::optional<HostAddress>& to,
                                 std::span<const uint8_t> datagram);
  void wake() { wakeup_.signal(); }
  // Inside a batch.
  [[nodiscard]] const ChannelDirectory& channels() const { return *channels_.load(); }

  // JavaScript's thread. Runs the command on the control thread and returns when it has.
  void call(const std::function<void(AssociationMachine&, Millis)>& command);
  // JavaScript's thread. Says goodbye to all peers and ends the thread.
  void stop();

  void addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const { drops_.addTo(totals); }

 private:
  struct Arrival {
    enum class Kind : uint8_t { handshake, early, record, moved, proven };
    Kind kind = Kind::handshake;
    Endpoint from;
    ControlRecord record;  // only the association of moved and proven
    std::vector<uint8_t> bytes;
    std::optional<HostAddress> to = std::nullopt;
  };
  // A queue of core/handshake_budget.h.
  struct Waiting {
    const size_t max;
    const size_t turnMax;
    std::deque<Arrival> arrivals{};
  };
  struct Command {
    const std::function<void(AssociationMachine&, Millis)>* run;
    bool done = false;
  };

  void loop();
  void sleep();
  void runCommands();
  [[nodiscard]] bool push(Waiting& queue, Arrival&& arrival);
  // A turn of these queues, in this order. False if more are waiting.
  bool handleArrivals(std::initializer_list<Waiting*> queues);
  void handle(const Arrival& arrival);
  // What the machine asks for.
  void carryOut();
  void publishChannels();
  void publishEvents();
  void transmitAll();
  void countMachineDrops();

  const Surroundings around_;
  AssociationMachine machine_;  // the control thread's
  AssociationDrops counted_;    // likewise: what has been added to drops_ already
  // Likewise: by which address of ours those reach us who shake hands. Apart from what the socket knows of peers, since
  // strangers fill it; noted when their datagrams are handled, so that no flood comes between it and the answer.
  ReplySources shakingHands_;
  std::shared_ptr<const ChannelDirectory> directory_;  // likewise: what channels_ points to
  ChannelDirectorySlot channels_;
  DropCounters drops_;
  Wakeup wakeup_;

  std::mutex mutex_;  // guards all below
  std::condition_variable commandDone_;
  Waiting records_{kRecordsWaitingMax, kRecordsTurnMax};
  Waiting peerHandshakes_{kPeerHandshakesWaitingMax, kPeerHandshakesTurnMax};
  Waiting strangerHandshakes_{kStrangerHandshakesWaitingMax, kStrangerHandshakesTurnMax};
  size_t earlyWaiting_ = 0;  // among peerHandshakes_
  std::vector<Command*> commands_;
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace p2pxbone
