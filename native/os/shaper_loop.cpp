#include "os/shaper_loop.h"

#include <poll.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>

#include "os/node_runtime.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

// Packets due within so short a time leave together: a wake-up each would cost more than the packet.
constexpr Nanos kNap = 50'000;
// Taken from one inlet before packets that are due get their turn.
constexpr size_t kAdmittedPerTurn = 256;

Nanos nanosNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

timespec timespecOf(Nanos nanos) {
  return {static_cast<time_t>(nanos / kNanosPerSecond), static_cast<long>(nanos % kNanosPerSecond)};
}

// What stands before a packet in a ring.
struct Note {
  Nanos at = 0;
  ShapedLink link;
};

const LinkShape& shapeOf(const Tunnel& tunnel, Way way) {
  static constexpr LinkShape kNone{};
  if (tunnel.shape == nullptr) return kNone;
  return way == Way::out ? tunnel.shape->out : tunnel.shape->in;
}

const Tunnel* tunnelOf(const Directory& directory, const ShapedLink& link) {
  Node* const node = directory.find(link.node);
  const NodeTables* const tables = node == nullptr ? nullptr : node->tables.load();
  return tables == nullptr ? nullptr : tables->tunnels.find(link.tunnel);
}

}  // namespace

class ShaperLoop::Inlet final : public ShaperInlet {
 public:
  explicit Inlet(ShaperLoop& loop) : loop_(loop) {}

  bool offer(const ShapedLink& link, std::span<const uint8_t> packet) override {
    const Note note{nanosNow(), link};
    offered_ = true;
    const std::array<std::span<const uint8_t>, 2> pieces{{{reinterpret_cast<const uint8_t*>(&note), sizeof note}, packet}};
    const bool taken = ring_.push(pieces);
    if (ring_.isFilling()) loop_.wake();
    return taken;
  }
  void wake() override {
    if (!offered_) return;
    offered_ = false;
    loop_.wake();
  }
  [[nodiscard]] PacketRing& ring() { return ring_; }

 private:
  ShaperLoop& loop_;
  PacketRing ring_;
  bool offered_ = false;  // the producer's
};

// It writes to TAPs itself: packets that have waited need no other queue.
class ShaperLoop::ShaperSink final : public Emitter {
 public:
  using Emitter::Emitter;
  void toTap(Node& node, const ToTap& packet) override {
    static_cast<NodeRuntime&>(node).writeDirectly(Lane::shaper, packet, drops());
  }
};

ShaperLoop::ShaperLoop(const Surroundings& around) : around_(around), worker_(around.epochs.addWorker()) {
  if (!wakeup_.valid() || !bell_->valid()) throw std::system_error{EMFILE, std::generic_category()};
  own_ = openInlet();
}

ShaperLoop::~ShaperLoop() {
  stop();
  around_.epochs.removeWorker(worker_);
}

std::shared_ptr<ShaperInlet> ShaperLoop::openInlet() {
  const auto inlet = std::make_shared<Inlet>(*this);
  auto inlets = published_ == nullptr ? std::make_shared<Inlets>() : std::make_shared<Inlets>(*published_);
  inlets->push_back(inlet);
  publish(std::move(inlets));
  return inlet;
}

void ShaperLoop::closeInlet(const std::shared_ptr<ShaperInlet>& inlet) {
  auto inlets = std::make_shared<Inlets>(*published_);
  std::erase_if(*inlets, [&](const auto& each) { return each == inlet; });
  publish(std::move(inlets));
}

void ShaperLoop::publish(std::shared_ptr<const Inlets> inlets) {
  const auto previous = std::exchange(published_, std::move(inlets));
  inlets_.store(published_.get());
  if (previous != nullptr) around_.epochs.retire(previous);
}

int ShaperLoop::start() {
  if (thread_.joinable()) return 0;
  try {
    thread_ = startThread("p2px-shaper", [this] { loop(); });
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

void ShaperLoop::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  wake();
  thread_.join();
}

void ShaperLoop::reconsider() {
  reconsider_.store(true);
  wake();
}

void ShaperLoop::wake() {
  if (sleeping_.exchange(false)) wakeup_.signal();
}

void ShaperLoop::loop() {
  // By default the kernel may wake a thread 50 microseconds late, to save power.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  Shaper shaper{around_.seed};
  ShaperSink sink{around_.underlay, drops_, Lane::shaper, SendPatience::none};
  Forwarder forwarder{Lane::shaper, around_.seed, drops_, sink};
  forwarder.useShaper(*own_);
  while (!stopping_.load()) {
    bool admittedAll = false;
    {
      const EpochBatch batch{worker_};
      admittedAll = admitAll(shaper);
      if (reconsider_.exchange(false)) release(shaper);
    }
    bool emittedAll = false;
    {
      const EpochBatch batch{worker_};
      emittedAll = emitBatch(shaper, forwarder);
    }
    if (admittedAll && emittedAll) sleep(shaper);
  }
}

bool ShaperLoop::admitAll(Shaper& shaper) {
  const Directory& directory = *around_.directory.load();
  bool all = true;
  for (const std::shared_ptr<Inlet>& inlet : *inlets_.load()) {
    PacketRing& ring = inlet->ring();
    for (size_t taken = 0;; ++taken) {
      const std::span<const uint8_t> record = ring.front();
      if (record.empty()) break;
      if (taken == kAdmittedPerTurn) {
        all = false;
        break;
      }
      Note note;
      std::memcpy(&note, record.data(), sizeof note);
      const std::span<const uint8_t> packet = record.subspan(sizeof note);
      if (const Tunnel* const tunnel = tunnelOf(directory, note.link); tunnel == nullptr) {
        drops_.add(DropReason::tunnelGone);
      } else {
        const LinkShape& shape = shapeOf(*tunnel, note.link.way);
        // It has lost its shape while the packet was on its way here.
        if (!shape.shapes()) reconsider_.store(true);
        const DropReason reason =
            shaper.admit(note.link, shape, packet, packet.size() - kEncapsulationBytes, note.at);
        if (reason != DropReason::none) drops_.add(reason);
      }
      ring.pop();
    }
  }
  return all;
}

void ShaperLoop::release(Shaper& shaper) {
  const Directory& directory = *around_.directory.load();
  shaper.releaseIf(
      [&](const ShapedLink& link) {
        const Tunnel* const tunnel = tunnelOf(directory, link);
        return tunnel == nullptr || !shapeOf(*tunnel, link.way).shapes();
      },
      nanosNow());
}

// False if more may be due.
bool ShaperLoop::emitBatch(Shaper& shaper, Forwarder& forwarder) {
  const Directory& directory = *around_.directory.load();
  const Nanos now = nanosNow();
  size_t emitted = 0;
  while (const auto departure = shaper.take(now)) {
    forwarder.fromShaper(directory, departure->link, departure->packet, now / 1'000'000);
    ++emitted;
  }
  if (bell_->answer()) {
    for (Node* const node : directory.nodes()) forwarder.attend(*node, now / 1'000'000);
  }
  forwarder.flush();
  shaper.recycle();
  return emitted == 0;
}

void ShaperLoop::sleep(const Shaper& shaper) {
  const std::optional<Nanos> due = shaper.nextDue();
  const Nanos wait = due ? *due - nanosNow() : 0;
  if (due && wait <= kNap) {
    const timespec nap = timespecOf(kNap);
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);
    return;
  }
  const timespec timeout = timespecOf(wait);
  sleeping_.store(true);
  // Said before looking: a producer either is seen here or sees that this thread sleeps.
  std::array<pollfd, 2> waited{{{wakeup_.fd(), POLLIN, 0}, {bell_->wakeup().fd(), POLLIN, 0}}};
  if (isIdle() && ::ppoll(waited.data(), waited.size(), due ? &timeout : nullptr, nullptr) > 0) {
    if (waited[0].revents != 0) wakeup_.drain();
    if (waited[1].revents != 0) bell_->wakeup().drain();
  }
  sleeping_.store(false);
}

bool ShaperLoop::isIdle() {
  if (stopping_.load() || reconsider_.load()) return false;
  const EpochBatch batch{worker_};
  const Inlets& inlets = *inlets_.load();
  return std::all_of(inlets.begin(), inlets.end(), [](const auto& inlet) { return inlet->ring().empty(); });
}

}  // namespace p2pxbone
