// What other parts plug into the pipeline: classification, parsers, policy, scanning, limits. Stages belong to their
// maker and outlive the pipeline; all calls come from the thread that calls it.
#pragma once

#include <optional>
#include <string_view>

#include "core/link_shape.h"
#include "gateway/flow.h"

namespace p2pxbone::gateway {

struct StageContext {
  Flow& flow;
  // Name of this stage's place in flow.memories and flow.stagesDone.
  size_t slot;
  Millis now;

  // What the stage remembers of the flow; null before remember().
  template <typename Memory>
  [[nodiscard]] Memory* memory() const {
    return static_cast<Memory*>(flow.memories[slot].get());
  }
  template <typename Memory>
  Memory& remember(std::unique_ptr<Memory> memory) const {
    Memory& reference = *memory;
    flow.memories[slot] = std::move(memory);
    return reference;
  }
};

struct StageAnswer {
  // `drop` and `reject` deny the flow. `hold`: the packet at hand and those behind it of this direction wait until
  // Pipeline::decide() is called for this flow and side, once for every `hold`.
  Verdict verdict{};
  // With `accept`: the packet at hand may be the last of something. It is kept until the answer to what comes behind it is
  // `accept`, or until Pipeline::decide() is called for this flow and side. Once for every answer that nothing came behind.
  bool keepBack = false;
  // The stage has seen enough of this flow: it is not called for it again, and what it remembers is freed. A flow settles
  // when all stages are done.
  bool done = false;
  // With `drop` and `reject`: so long the connection cache refuses the same connection, ms.
  Millis denyFor = 0;

  [[nodiscard]] bool denies() const {
    return verdict.action == Verdict::Action::drop || verdict.action == Verdict::Action::reject;
  }
  [[nodiscard]] bool holds() const { return verdict.action == Verdict::Action::hold; }
};

// Sees the ordered data of flows, in the order of the array of stages. Every stage sees every chunk, unless one before it
// denies the flow.
class ChunkStage {
 public:
  virtual ~ChunkStage() = default;
  // For statistics; the text must live as long as the stage.
  [[nodiscard]] virtual std::string_view name() const = 0;

  // A TCP SYN, for which there is no flow record yet; `hold` is not an answer here.
  [[nodiscard]] virtual Verdict syn(const Packet&, Millis) { return Verdict::accept(); }
  // A flow has got its record. `packet` is the one it got it by.
  [[nodiscard]] virtual StageAnswer begin(const StageContext&, const Packet& /*packet*/) { return {}; }
  [[nodiscard]] virtual StageAnswer data(const StageContext&, const Chunk&) = 0;
  // So many bytes of a TCP stream will never be seen.
  [[nodiscard]] virtual StageAnswer gap(const StageContext&, Side, uint64_t /*bytes*/) { return {}; }
  // The FIN of a direction, behind all of its data.
  [[nodiscard]] virtual StageAnswer end(const StageContext&, Side) { return {}; }
  // The record is about to be freed. What the stage remembered is still there unless it was done or the flow was denied.
  virtual void ended(const StageContext&, FlowEnd) {}
};

// Where packets are that a packet stage keeps, and where they leave.
struct Custody {
  HeldPackets& held;
  Outlet& outlet;
};

struct PacketContext {
  Flow& flow;
  Side side;
  Nanos now;
  Custody custody;
  // The packet, if it is in the gateway's memory already.
  HeldId held = kNotHeld;

  // Makes the packet the stage's own, who then answers `hold`, and later releases or discards it. kNotHeld if there is no
  // room.
  [[nodiscard]] HeldId keep(Packet& packet, HeldFor purpose) const {
    if (held == kNotHeld) return custody.held.keep(packet, purpose);
    custody.held.update(held, packet);
    custody.held.answerFor(held, purpose);
    return held;
  }
};

// Sees every packet of flows that are `watched` when it is about to go on, settled or not; for limits and marks. What a
// stage has kept leaves when it says so, and the stages behind it do not see it; so such a stage is the last.
class PacketStage {
 public:
  virtual ~PacketStage() = default;
  // For statistics; the text must live as long as the stage.
  [[nodiscard]] virtual std::string_view name() const = 0;
  // `accept`, `drop` or, after keep(), `hold`; TCP will send again what is dropped here, and it will not be inspected twice.
  [[nodiscard]] virtual Verdict packet(const PacketContext&, Packet&) = 0;

  // When depart() is to be called, at the latest; nullopt if nothing is kept.
  [[nodiscard]] virtual std::optional<Nanos> nextDue() const { return std::nullopt; }
  // Lets go what is due.
  virtual void depart(const Custody&, Nanos /*now*/) {}
  // What is kept of the flow must not go on any more. A flow that merely ends is no reason to drop what it has sent.
  virtual void denied(const Custody&, const Flow&, DropReason) {}
  // Drops all that is kept.
  virtual void shutdown(const Custody&, DropReason) {}
};

}  // namespace p2pxbone::gateway
