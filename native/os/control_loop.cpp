#include "os/control_loop.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "os/node_runtime.h"
#include "os/thread.h"

namespace p2pxbone {

class ControlLoop::ControlSink final : public Emitter {
 public:
  using Emitter::Emitter;
  void toTap(Node& node, const ToTap& packet) override {
    static_cast<NodeRuntime&>(node).writeDirectly(Lane::control, packet, drops());
  }
};

ControlLoop::ControlLoop(const AssociationSettings& settings, const Surroundings& around)
    : around_(around), machine_(settings), inlet_(around.shaper.openInlet()), worker_(around.epochs.addWorker()) {
  if (!wakeup_.valid()) throw std::system_error{EMFILE, std::generic_category()};
  thread_ = startThread("p2px-control", [this] { loop(); });
}

ControlLoop::~ControlLoop() {
  stop();
  around_.shaper.closeInlet(inlet_);
  around_.epochs.removeWorker(worker_);
}

bool ControlLoop::offer(const Endpoint& from, std::span<const uint8_t> datagram) {
  const std::lock_guard lock{mutex_};
  if (arrivals_.size() >= kQueueMax) return false;
  arrivals_.push_back({from, {datagram.begin(), datagram.end()}});
  return true;
}

void ControlLoop::call(const std::function<void(AssociationMachine&, Millis)>& command) {
  Command entry{&command};
  std::unique_lock lock{mutex_};
  commands_.push_back(&entry);
  wakeup_.signal();
  commandDone_.wait(lock, [&] { return entry.done; });
}

void ControlLoop::stop() {
  if (!thread_.joinable()) return;
  call([](AssociationMachine& machine, Millis now) { machine.closeAll(now); });
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  wakeup_.signal();
  thread_.join();
}

void ControlLoop::loop() {
  ControlSink sink{around_.underlay, drops_, SendPatience::none};
  Forwarder forwarder{Lane::control, around_.seed, drops_, sink};
  forwarder.useShaper(*inlet_);
  for (;;) {
    runCommands();
    bool stopping = false;
    {
      const std::lock_guard lock{mutex_};
      stopping = stopping_;
    }
    const bool handledAll = handleArrivals();
    const std::optional<Millis> deadline = machine_.deadline();
    const Millis now = monotonicNow();
    if (deadline && *deadline <= now) machine_.tick(now);
    transmitAll();
    publishEvents(forwarder);
    countMachineDrops();
    if (stopping) return;
    if (handledAll) sleep();
  }
}

bool ControlLoop::handleArrivals() {
  std::vector<Arrival> turn;
  bool handledAll = true;
  {
    const std::lock_guard lock{mutex_};
    while (!arrivals_.empty() && turn.size() < kDatagramsPerTurn) {
      turn.push_back(std::move(arrivals_.front()));
      arrivals_.pop_front();
    }
    handledAll = arrivals_.empty();
  }
  for (const Arrival& arrival : turn) machine_.handleDatagram(arrival.from, arrival.bytes, monotonicNow());
  return handledAll;
}

void ControlLoop::sleep() {
  int timeout = -1;
  if (const std::optional<Millis> deadline = machine_.deadline()) {
    timeout = static_cast<int>(std::clamp<Millis>(*deadline - monotonicNow(), 0, 60'000));
  }
  pollfd waited{wakeup_.fd(), POLLIN, 0};
  // Interrupted or not, what there is to do is looked up anew.
  if (::poll(&waited, 1, timeout) > 0) wakeup_.drain();
}

void ControlLoop::runCommands() {
  std::vector<Command*> commands;
  {
    const std::lock_guard lock{mutex_};
    commands.swap(commands_);
  }
  if (commands.empty()) return;
  for (const Command* command : commands) (*command->run)(machine_, monotonicNow());
  // What the commands asked to be sent leaves before their caller goes on.
  transmitAll();
  const std::lock_guard lock{mutex_};
  for (Command* command : commands) command->done = true;
  commandDone_.notify_all();
}

void ControlLoop::transmitAll() {
  while (std::optional<Transmit> transmit = machine_.pollTransmit()) {
    UnderlaySocket* const underlay = around_.underlay.load();
    if (underlay == nullptr) {
      drops_.add(DropReason::sendFailed);
      continue;
    }
    const int error = sendOne(*underlay, transmit->peer, transmit->datagram);
    if (error != 0) drops_.add(dropReasonOfSend(error));
  }
}

void ControlLoop::publishEvents(Forwarder& forwarder) {
  while (std::optional<AssociationEvent> event = machine_.pollEvent()) {
    if (event->kind == AssociationEvent::Kind::vxlan) {
      const EpochBatch batch{worker_};
      forwarder.fromTunnel(*around_.directory.load(), event->peer, event->bytes, monotonicNow());
      forwarder.flush();
      continue;
    }
    if (!around_.events.push(std::move(*event))) drops_.add(DropReason::eventQueueFull);
  }
}

void ControlLoop::countMachineDrops() {
  const AssociationDrops& now = machine_.drops();
  const auto carry = [this](DropReason reason, uint64_t current, uint64_t before) {
    if (current != before) drops_.add(reason, current - before);
  };
  carry(DropReason::dtlsMalformed, now.notDtls, counted_.notDtls);
  carry(DropReason::dtlsPeerUnknown, now.unknownPeer, counted_.unknownPeer);
  carry(DropReason::dtlsRecordBad, now.badRecord, counted_.badRecord);
  carry(DropReason::dtlsContentUnknown, now.badContent, counted_.badContent);
  carry(DropReason::dtlsTableFull, now.tableFull, counted_.tableFull);
  carry(DropReason::dtlsServerNameUnknown, now.unknownServerName, counted_.unknownServerName);
  counted_ = now;
}

}  // namespace p2pxbone
