#include "os/underlay_loop.h"

#include <system_error>

#include "core/demux.h"
#include "os/node_runtime.h"
#include "os/thread.h"
#include "os/yield_once.h"

namespace p2pxbone {
namespace {

constexpr size_t kUnderlayBatch = 64;
constexpr Millis kOverflowsEvery = 100;
// So many of the kernel's joined runs at a time: more would leave the processor's cache before they are written.
constexpr size_t kRunBatch = 4;
constexpr size_t kRunBytesMin = 8192;

// How many messages to receive next, by the size of those just received.
size_t nextBatch(std::span<const DatagramSlot> received) {
  size_t bytes = 0;
  for (const DatagramSlot& slot : received) bytes += slot.run.bytes.size();
  return bytes >= received.size() * kRunBytesMin ? kRunBatch : kUnderlayBatch;
}

}  // namespace

// Packets for a TAP are joined where they can be, and go by the TAP's writer.
class UnderlayLoop::UnderlaySink final : public Emitter, private TapFrameSink {
 public:
  UnderlaySink(const UnderlaySlot& underlay, DropCounters& dropCounters)
      : Emitter(underlay, dropCounters, Lane::underlay, SendPatience::none) {
    toFlush_.reserve(kUnderlayBatch);
  }

  void toTap(Node& node, const ToTap& packet) override {
    if (packet.joinable != nullptr) {
      const OffloadFeatures features = static_cast<NodeRuntime&>(node).tapFeatures();
      return coalescer_.add(node, packet.frame, *packet.joinable, features);
    }
    const std::span<const uint8_t> frame = packet.frame;
    writeFrame(node, {{&frame, 1}, packet.offload, packet.packets});
  }

  void flush() override {
    Emitter::flush();
    coalescer_.flush();
    for (NodeRuntime* runtime : toFlush_) {
      runtime->awaitsFlush = false;
      runtime->writer().flush();
    }
    toFlush_.clear();
  }

 private:
  void writeFrame(Node& node, const TapFrame& frame) override {
    auto& runtime = static_cast<NodeRuntime&>(node);
    if (!runtime.writer().write(frame)) drops().add(DropReason::ringFull, frame.packets);
    if (runtime.awaitsFlush) return;
    runtime.awaitsFlush = true;
    toFlush_.push_back(&runtime);
  }

  Coalescer coalescer_{*this};
  std::vector<NodeRuntime*> toFlush_;
};

UnderlayLoop::UnderlayLoop(const Surroundings& around)
    : around_(around), inlet_(around.shaper.openInlet()), worker_(around.epochs.addWorker()) {}

int UnderlayLoop::start() {
  try {
    thread_ = startThread("p2px-underlay", [this] { loop(); });
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

UnderlayLoop::~UnderlayLoop() {
  around_.socket.stop();
  if (thread_.joinable()) thread_.join();
  around_.shaper.closeInlet(inlet_);
  around_.epochs.removeWorker(worker_);
}

void UnderlayLoop::loop() {
  around_.underlay.wait(nullptr);
  UnderlaySocket& underlay = around_.socket;
  // Not zeroed: only pages that packets reach are ever touched.
  const auto memory = std::make_unique_for_overwrite<uint8_t[]>(kDatagramBytesMax * kUnderlayBatch);
  std::array<DatagramSlot, kUnderlayBatch> slots;
  for (size_t i = 0; i < kUnderlayBatch; ++i) slots[i].room = {memory.get() + i * kDatagramBytesMax, kDatagramBytesMax};
  UnderlaySink sink{around_.underlay, drops_};
  Forwarder forwarder{Lane::underlay, around_.seed, drops_, sink};
  SecureReader secure{around_.control, drops_, forwarder};
  forwarder.useShaper(*inlet_);
  YieldOnce yieldOnce;
  size_t wanted = kUnderlayBatch;
  while (!underlay.stopped()) {
    const size_t count = underlay.receive(std::span{slots}.first(wanted));
    if (count == 0) {
      if (around_.bell.answer()) {
        const EpochBatch batch{worker_};
        attendAll(*around_.directory.load(), forwarder);
        forwarder.flush();
      } else if (!yieldOnce.lookAgain()) {
        countOverflows(underlay, monotonicNow());
        if (!underlay.wait(&around_.bell.wakeup())) return;
      }
      continue;
    }
    yieldOnce.found();
    const std::span<const DatagramSlot> received = std::span{slots}.first(count);
    wanted = nextBatch(received);
    const Millis now = monotonicNow();
    countOverflows(underlay, now);
    const EpochBatch batch{worker_};
    const Directory& directory = *around_.directory.load();
    for (const DatagramSlot& slot : received) {
      const bool ofPeer = dispatchRun(slot, directory, forwarder, secure, now);
      if (ofPeer && slot.to) underlay.heard(slot.from, *slot.to, now);
    }
    if (around_.bell.answer()) attendAll(directory, forwarder);
    forwarder.flush();
    secure.wakeControl();
  }
}

void UnderlayLoop::attendAll(const Directory& directory, Forwarder& forwarder) {
  const Millis now = monotonicNow();
  for (Node* const node : directory.nodes()) forwarder.attend(*node, now);
}

void UnderlayLoop::countOverflows(const UnderlaySocket& underlay, Millis now) {
  if (now < overflowsDue_) return;
  overflowsDue_ = now + kOverflowsEvery;
  const uint64_t lost = underlay.overflows();
  if (lost == overflows_) return;
  drops_.add(DropReason::receiveOverflow, lost - overflows_);
  overflows_ = lost;
}

bool UnderlayLoop::dispatchRun(const DatagramSlot& slot, const Directory& directory, Forwarder& forwarder,
                               SecureReader& secure, Millis now) {
  if (slot.truncated) {
    drops_.add(DropReason::datagramTruncated);
    return false;
  }
  bool ofPeer = false;
  slot.run.forEach([&](std::span<uint8_t> bytes) {
    if (dispatch(slot, bytes, directory, forwarder, secure, now)) ofPeer = true;
  });
  return ofPeer;
}

// Plain VXLAN proves nothing; its sender has an association beside it.
bool UnderlayLoop::dispatch(const DatagramSlot& slot, std::span<uint8_t> bytes, const Directory& directory,
                            Forwarder& forwarder, SecureReader& secure, Millis now) {
  switch (classifyDatagram(bytes)) {
    case DatagramKind::vxlan: forwarder.fromTunnel(directory, slot.from, bytes, now); break;
    case DatagramKind::dtls: return secure.handle(directory, slot, bytes, now);
    case DatagramKind::stun: drops_.add(DropReason::stunUnsupported); break;
    case DatagramKind::unknown: drops_.add(DropReason::protocolUnknown); break;
  }
  return false;
}

}  // namespace p2pxbone
