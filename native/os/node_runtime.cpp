#include "os/node_runtime.h"

#include <cerrno>
#include <system_error>

#include "os/thread.h"
#include "os/yield_once.h"

namespace p2pxbone {
namespace {

constexpr size_t kTapBatch = 32;

// What the kernel says when the device has been removed, and not just set down.
bool isGone(int error) { return error == EBADFD || error == EBADF || error == ENODEV; }

}  // namespace

class NodeRuntime::TapSink final : public Emitter {
 public:
  using Emitter::Emitter;
  void toTap(Node& node, const ToTap& packet) override {
    static_cast<NodeRuntime&>(node).writeDirectly(Lane::tap, packet, drops());
  }
};

NodeRuntime::NodeRuntime(NodeHandle handle, NodeConfig settings, std::unique_ptr<TapDevice> tap,
                         const Surroundings& around)
    : Node(handle, std::move(settings)),
      underlay_(around.underlay),
      epochs_(around.epochs),
      events_(around.events),
      shaper_(around.shaper),
      inlet_(around.shaper.openInlet()),
      seed_(around.seed),
      receive_(around.receive),
      tap_(std::move(tap)),
      features_(tap_->features()),
      worker_(around.epochs.addWorker()) {}

int NodeRuntime::start() {
  if (!bell_->valid()) return EMFILE;
  try {
    writer_ = makeTapWriter(receive_, *tap_, *this);
    reader_ = startThread("p2px-tap-read", [this] { readLoop(); });
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

NodeRuntime::~NodeRuntime() {
  stop();
  shaper_.closeInlet(inlet_);
  epochs_.removeWorker(worker_);
}

void NodeRuntime::stop() {
  tap_->stop();
  if (reader_.joinable()) reader_.join();
  if (writer_ != nullptr) writer_->stop();
}

void NodeRuntime::addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const {
  readerDrops_.addTo(totals);
  writerDrops_.addTo(totals);
}

void NodeRuntime::fail(int error, DropCounters& drops) {
  if (failed_.exchange(true)) return;
  if (!events_.push(NodeFailed{serial, error})) drops.add(DropReason::eventQueueFull);
}

void NodeRuntime::count(Lane lane, size_t packets, int error, DropCounters& drops) {
  if (error == 0) return lanes[static_cast<size_t>(lane)].packetsToTap.add(packets);
  drops.add(DropReason::tapWriteFailed, packets);
  if (isGone(error)) fail(error, drops);
}

void NodeRuntime::written(size_t packets, int error) { count(Lane::writer, packets, error, writerDrops_); }

void NodeRuntime::writeDirectly(Lane lane, const ToTap& packet, DropCounters& drops) {
  const std::span<const uint8_t> frame = packet.frame;
  count(lane, packet.packets, tap_->write({{&frame, 1}, packet.offload, packet.packets}), drops);
}

void NodeRuntime::readLoop() {
  // A VXLAN header's room is before the frame, and the device's before that.
  static_assert(kTapHeadroomBytes >= kVxlanBytes);
  constexpr size_t slotBytes = kTapHeadroomBytes + kFrameBytesMax;
  // Not zeroed: only pages that packets reach are ever touched.
  const auto memory = std::make_unique_for_overwrite<uint8_t[]>(slotBytes * kTapBatch);
  std::array<TapSlot, kTapBatch> slots;
  for (size_t i = 0; i < kTapBatch; ++i) {
    slots[i].room = {memory.get() + i * slotBytes + kTapHeadroomBytes, kFrameBytesMax};
  }
  TapSink sink{underlay_, readerDrops_, Lane::tap, SendPatience::brief};
  Forwarder forwarder{Lane::tap, seed_, readerDrops_, sink};
  forwarder.useShaper(*inlet_);
  YieldOnce yieldOnce;
  while (!tap_->stopped()) {
    const int count = tap_->read(slots);
    if (count < 0) return fail(-count, readerDrops_);
    if (count == 0) {
      if (bell_->answer()) {
        const EpochBatch batch{worker_};
        forwarder.attend(*this, monotonicNow());
        forwarder.flush();
      } else if (!yieldOnce.lookAgain() && !tap_->wait(&bell_->wakeup())) {
        return;
      }
      continue;
    }
    yieldOnce.found();
    const Millis now = monotonicNow();
    const EpochBatch batch{worker_};
    for (const TapSlot& slot : std::span{slots}.first(static_cast<size_t>(count))) {
      if (slot.malformed) {
        lanes[static_cast<size_t>(Lane::tap)].packetsFromTap.add();
        readerDrops_.add(DropReason::offloadMalformed);
        continue;
      }
      forwarder.fromTap(*this, {slot.room.data() - kVxlanBytes, kVxlanBytes + slot.length}, slot.offload, now);
    }
    if (bell_->answer()) forwarder.attend(*this, now);
    forwarder.flush();
  }
}

}  // namespace p2pxbone
