#include "os/underlay_loop.h"

#include "core/demux.h"
#include "os/node_runtime.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

constexpr size_t kUnderlayBatch = 64;

}  // namespace

// Packets for a TAP go by its ring to its own thread, so that a slow one does not hold up the others.
class UnderlayLoop::UnderlaySink final : public Emitter {
 public:
  UnderlaySink(const UnderlaySlot& underlay, DropCounters& dropCounters) : Emitter(underlay, dropCounters) {
    toWake_.reserve(kUnderlayBatch);
  }

  void toTap(Node& node, std::span<const uint8_t> frame) override {
    auto& runtime = static_cast<NodeRuntime&>(node);
    if (!runtime.offer(frame)) drops().add(DropReason::ringFull);
    if (runtime.awaitsWake) return;
    runtime.awaitsWake = true;
    toWake_.push_back(&runtime);
  }

  void flush() override {
    Emitter::flush();
    for (NodeRuntime* runtime : toWake_) {
      runtime->awaitsWake = false;
      runtime->wakeWriter();
    }
    toWake_.clear();
  }

 private:
  std::vector<NodeRuntime*> toWake_;
};

UnderlayLoop::UnderlayLoop(const Surroundings& around) : around_(around), worker_(around.epochs.addWorker()) {
  thread_ = startThread("p2px-underlay", [this] { loop(); });
}

UnderlayLoop::~UnderlayLoop() {
  around_.underlay.load()->stop();
  thread_.join();
  around_.epochs.removeWorker(worker_);
}

void UnderlayLoop::loop() {
  UnderlaySocket& underlay = *around_.underlay.load();
  // Not zeroed: only pages that packets reach are ever touched.
  const auto memory = std::make_unique_for_overwrite<uint8_t[]>(kDatagramBytesMax * kUnderlayBatch);
  std::array<DatagramSlot, kUnderlayBatch> slots;
  for (size_t i = 0; i < kUnderlayBatch; ++i) slots[i].room = {memory.get() + i * kDatagramBytesMax, kDatagramBytesMax};
  UnderlaySink sink{around_.underlay, drops_};
  Forwarder forwarder{Lane::underlay, around_.seed, drops_, sink};
  while (underlay.wait()) {
    const size_t count = underlay.receive(slots);
    const Millis now = monotonicNow();
    bool wakeControl = false;
    const EpochBatch batch{worker_};
    const Directory& directory = *around_.directory.load();
    for (const DatagramSlot& slot : std::span{slots}.first(count)) {
      if (dispatch(slot, directory, forwarder, now)) wakeControl = true;
    }
    forwarder.flush();
    if (wakeControl) around_.control.wake();
  }
}

bool UnderlayLoop::dispatch(const DatagramSlot& slot, const Directory& directory, Forwarder& forwarder, Millis now) {
  const std::span<uint8_t> bytes = slot.room.first(slot.length);
  if (slot.truncated) {
    drops_.add(DropReason::datagramTruncated);
    return false;
  }
  switch (classifyDatagram(bytes)) {
    case DatagramKind::vxlan: forwarder.fromTunnel(directory, slot.from, bytes, now); return false;
    case DatagramKind::dtls:
      if (around_.control.offer(slot.from, bytes)) return true;
      drops_.add(DropReason::controlQueueFull);
      return false;
    case DatagramKind::stun: drops_.add(DropReason::stunUnsupported); return false;
    case DatagramKind::unknown: break;
  }
  drops_.add(DropReason::protocolUnknown);
  return false;
}

}  // namespace p2pxbone
