#include "os/control_loop.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "os/thread.h"

namespace p2pxbone {

ControlLoop::ControlLoop(const AssociationSettings& settings, const Surroundings& around)
    : around_(around),
      machine_(settings),
      shakingHands_(around.seed),
      directory_(std::make_shared<ChannelDirectory>()),
      channels_(directory_.get()) {
  if (!wakeup_.valid()) throw std::system_error{EMFILE, std::generic_category()};
  thread_ = startThread("p2px-control", [this] { loop(); });
}

ControlLoop::~ControlLoop() { stop(); }

bool ControlLoop::push(Waiting& queue, Arrival&& arrival) {
  const std::lock_guard lock{mutex_};
  if (queue.arrivals.size() >= queue.max) return false;
  queue.arrivals.push_back(std::move(arrival));
  return true;
}

bool ControlLoop::offerHandshake(const Endpoint& from, bool known, const std::optional<HostAddress>& to,
                                 std::span<const uint8_t> datagram) {
  Waiting& queue = known ? peerHandshakes_ : strangerHandshakes_;
  return push(queue, {Arrival::Kind::handshake, from, {}, {datagram.begin(), datagram.end()}, to});
}

bool ControlLoop::offerRecord(const ControlRecord& record, const Endpoint& from, std::span<const uint8_t> content) {
  return push(records_, {Arrival::Kind::record, from, record, {content.begin(), content.end()}});
}

bool ControlLoop::offerMoved(AssociationId association, const Endpoint& to) {
  return push(records_, {Arrival::Kind::moved, to, {association, 0, 0, 0}, {}});
}

bool ControlLoop::offerProven(AssociationId association) {
  return push(records_, {Arrival::Kind::proven, {}, {association, 0, 0, 0}, {}});
}

// The lock makes the reader's second look and the control thread's publication one after the other: a record is either
// queued before the channel is published, and opened by the control thread, or finds the channel.
ControlLoop::Early ControlLoop::offerEarly(const Endpoint& from, const std::optional<HostAddress>& to,
                                           std::span<const uint8_t> datagram) {
  const std::lock_guard lock{mutex_};
  const ChannelDirectory::Entry* const entry = channels().find(from);
  if (entry == nullptr || entry->channel != nullptr) return Early::opened;
  if (peerHandshakes_.arrivals.size() >= peerHandshakes_.max) return Early::full;
  peerHandshakes_.arrivals.push_back({Arrival::Kind::early, from, {}, {datagram.begin(), datagram.end()}, to});
  earlyWaiting_++;
  return Early::queued;
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
  for (;;) {
    runCommands();
    bool stopping = false;
    {
      const std::lock_guard lock{mutex_};
      stopping = stopping_;
    }
    const bool handledAll = handleArrivals({&records_, &peerHandshakes_, &strangerHandshakes_});
    const std::optional<Millis> deadline = machine_.deadline();
    const Millis now = monotonicNow();
    if (deadline && *deadline <= now) machine_.tick(now);
    carryOut();
    countMachineDrops();
    if (stopping) return;
    if (handledAll) sleep();
  }
}

bool ControlLoop::handleArrivals(std::initializer_list<Waiting*> queues) {
  std::vector<Arrival> turn;
  bool handledAll = true;
  {
    const std::lock_guard lock{mutex_};
    for (Waiting* const queue : queues) {
      std::deque<Arrival>& arrivals = queue->arrivals;
      for (size_t i = 0; i < queue->turnMax && !arrivals.empty(); i++) {
        if (arrivals.front().kind == Arrival::Kind::early) earlyWaiting_--;
        turn.push_back(std::move(arrivals.front()));
        arrivals.pop_front();
      }
      handledAll = handledAll && arrivals.empty();
    }
  }
  for (const Arrival& arrival : turn) handle(arrival);
  return handledAll;
}

void ControlLoop::handle(const Arrival& arrival) {
  const Millis now = monotonicNow();
  if (arrival.to) shakingHands_.heard(arrival.from, *arrival.to, now);
  switch (arrival.kind) {
    case Arrival::Kind::handshake:
    case Arrival::Kind::early: return machine_.handleDatagram(arrival.from, arrival.bytes, now);
    case Arrival::Kind::record: return machine_.handleRecord(arrival.record, arrival.bytes, now);
    case Arrival::Kind::moved: return machine_.handleMoved(arrival.record.association, arrival.from, now);
    case Arrival::Kind::proven: return machine_.handleProven(arrival.record.association, now);
  }
}

void ControlLoop::carryOut() {
  publishChannels();
  publishEvents();
  transmitAll();
}

// The reader takes over the new channels' records. What it has passed here because it did not know them is handled first.
void ControlLoop::publishChannels() {
  for (std::shared_ptr<const ChannelDirectory> next; (next = machine_.takeDirectory()) != nullptr;) {
    bool published = false;
    // By then the queue, as long as it may be, has been handled once: whoever fills it faster is no peer.
    size_t roundsLeft = kPeerHandshakesWaitingMax / kPeerHandshakesTurnMax;
    while (!published) {
      {
        const std::lock_guard lock{mutex_};
        if (earlyWaiting_ == 0 || roundsLeft-- == 0) {
          channels_.store(next.get());
          machine_.notePublished();
          published = true;
        }
      }
      if (!published) handleArrivals({&peerHandshakes_});
    }
    around_.epochs.retire(std::exchange(directory_, std::move(next)));
  }
  for (auto& object : machine_.takeRetired()) around_.epochs.retire(std::move(object));
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
  carryOut();
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
    const bool shakesHands = isOfHandshake(transmit->datagram);
    const auto source = shakesHands ? shakingHands_.find(transmit->peer, monotonicNow()) : std::nullopt;
    const int error = sendOne(*underlay, transmit->peer, transmit->datagram, source);
    if (error != 0) drops_.add(dropReasonOfSend(error));
  }
}

void ControlLoop::publishEvents() {
  UnderlaySocket* const underlay = around_.underlay.load();
  while (std::optional<AssociationEvent> event = machine_.pollEvent()) {
    if (event->kind == AssociationEvent::Kind::up && underlay != nullptr) {
      // The end of the handshake has shown who that is.
      const Millis now = monotonicNow();
      if (const auto local = shakingHands_.find(event->peer, now)) underlay->heard(event->peer, *local, now);
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
  carry(DropReason::dtlsAlertUnencrypted, now.plainAlert, counted_.plainAlert);
  carry(DropReason::dtlsContentUnknown, now.badContent, counted_.badContent);
  carry(DropReason::dtlsTableFull, now.tableFull, counted_.tableFull);
  carry(DropReason::dtlsServerNameUnknown, now.unknownServerName, counted_.unknownServerName);
  carry(DropReason::handshakeLimited, now.handshakeLimited, counted_.handshakeLimited);
  carry(DropReason::recordReplayed, now.replayed, counted_.replayed);
  carry(DropReason::tunnelUnknown, now.tooEarly, counted_.tooEarly);
  counted_ = now;
}

}  // namespace p2pxbone
