#include "os/node_runtime.h"

#include <cerrno>
#include <system_error>

#include "os/thread.h"

namespace p2pxbone {
namespace {

constexpr size_t kTapBatch = 32;

// What the kernel says when the device has been removed, and not just set down.
bool isGone(int error) { return error == EBADFD || error == EBADF || error == ENODEV; }

}  // namespace

class NodeRuntime::TapSink final : public Emitter {
 public:
  using Emitter::Emitter;
  void toTap(Node& node, std::span<const uint8_t> frame) override {
    static_cast<NodeRuntime&>(node).writeFrame(Lane::tap, frame, drops());
  }
};

NodeRuntime::NodeRuntime(NodeHandle handle, NodeConfig settings, std::unique_ptr<TapDevice> tap,
                         const Surroundings& around)
    : Node(handle, std::move(settings)),
      underlay_(around.underlay),
      epochs_(around.epochs),
      events_(around.events),
      seed_(around.seed),
      tap_(std::move(tap)),
      worker_(around.epochs.addWorker()) {}

int NodeRuntime::start() {
  try {
    reader_ = startThread("p2px-tap-read", [this] { readLoop(); });
    writer_ = startThread("p2px-tap-write", [this] { writeLoop(); });
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

NodeRuntime::~NodeRuntime() {
  stop();
  epochs_.removeWorker(worker_);
}

void NodeRuntime::stop() {
  tap_->stop();
  ring_.close();
  if (reader_.joinable()) reader_.join();
  if (writer_.joinable()) writer_.join();
}

void NodeRuntime::addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const {
  readerDrops_.addTo(totals);
  writerDrops_.addTo(totals);
}

void NodeRuntime::fail(int error, DropCounters& drops) {
  if (failed_.exchange(true)) return;
  if (!events_.push(NodeFailed{serial, error})) drops.add(DropReason::eventQueueFull);
}

void NodeRuntime::writeFrame(Lane lane, std::span<const uint8_t> frame, DropCounters& drops) {
  const int error = tap_->write(frame);
  if (error == 0) return lanes[static_cast<size_t>(lane)].packetsToTap.add();
  drops.add(DropReason::tapWriteFailed);
  if (isGone(error)) fail(error, drops);
}

void NodeRuntime::readLoop() {
  constexpr size_t slotBytes = kVxlanBytes + kFrameBytesMax;
  // Not zeroed: only pages that packets reach are ever touched.
  const auto memory = std::make_unique_for_overwrite<uint8_t[]>(slotBytes * kTapBatch);
  std::array<TapSlot, kTapBatch> slots;
  for (size_t i = 0; i < kTapBatch; ++i) {
    slots[i].room = {memory.get() + i * slotBytes + kVxlanBytes, kFrameBytesMax};
  }
  TapSink sink{underlay_, readerDrops_};
  Forwarder forwarder{Lane::tap, seed_, readerDrops_, sink};
  while (tap_->wait()) {
    const int count = tap_->read(slots);
    if (count < 0) return fail(-count, readerDrops_);
    const Millis now = monotonicNow();
    const EpochBatch batch{worker_};
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      forwarder.fromTap(*this, {slots[i].room.data() - kVxlanBytes, kVxlanBytes + slots[i].length}, now);
    }
    forwarder.flush();
  }
}

void NodeRuntime::writeLoop() {
  while (ring_.wait()) {
    writeFrame(Lane::writer, ring_.front(), writerDrops_);
    ring_.pop();
  }
}

}  // namespace p2pxbone
