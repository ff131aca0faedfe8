// What the gateway knows of one flow: both directions in one record.
#pragma once

#include <array>
#include <memory>

#include "gateway/application.h"
#include "gateway/chunk.h"
#include "gateway/flow_key.h"
#include "gateway/held_packets.h"
#include "gateway/tcp_track.h"
#include "gateway/verdict.h"

namespace p2pxbone::gateway {

struct DirectionStatistics {
  uint64_t packets = 0;
  uint64_t bytes = 0;  // of whole IP packets
  Millis first = 0;    // 0 with no packets: none yet
  Millis last = 0;
};

// What one stage remembers of a flow while it is inspected.
class StageMemory {
 public:
  virtual ~StageMemory() = default;
};

// Places for them; more stages than this need a larger record.
inline constexpr size_t kChunkStagesMax = 4;

enum class FlowPhase : uint8_t {
  inspected,
  settled,  // nothing more to find out: counters and out
  denied,   // every packet is dropped
};

// Names a flow for somebody who answers later; it may be gone by then.
struct FlowRef {
  uint32_t index = 0xffffffff;
  uint64_t id = 0;

  friend bool operator==(const FlowRef&, const FlowRef&) = default;
};

struct FlowStreams;

struct Flow {
  FlowKey key;
  bool initiatorIsB = false;
  // Its beginning was not seen.
  bool pickedUp = false;
  FlowPhase phase = FlowPhase::inspected;
  FlowRef ref;
  Application application = Application::unknown;
  // Who decided, once the phase is no longer `inspected`.
  Verdict verdict;
  // Free for the policy: what the packets' marks are to be.
  uint32_t mark = 0;
  std::array<DirectionStatistics, 2> directions;
  TcpTrack tcp;

  // Of the pipeline's stages.
  std::array<std::unique_ptr<StageMemory>, kChunkStagesMax> memories;
  uint8_t stagesDone = 0;  // one bit each
  std::unique_ptr<FlowStreams> streams;
  std::array<uint64_t, 2> datagramBytes{};  // handed to the stages so far
  // Packets that wait for a verdict, in order.
  struct Waiting {
    HeldId first = kNotHeld;
    HeldId last = kNotHeld;
    uint32_t blocks = 0;
    uint32_t queuedEnd = 0;  // TCP: one past the highest sequence number that waits
    bool held = false;       // a verdict is to come
    bool inspectedFirst = false;  // the first was inspected before it was put here
    bool ready = false;      // stands in the list of those to go on
  };
  std::array<Waiting, 2> waiting;

  [[nodiscard]] Side sideOf(bool senderIsB) const {
    return senderIsB == initiatorIsB ? Side::initiator : Side::responder;
  }
  [[nodiscard]] const Address& address(Side side) const {
    return (side == Side::initiator) == initiatorIsB ? key.b : key.a;
  }
  [[nodiscard]] uint16_t port(Side side) const {
    return (side == Side::initiator) == initiatorIsB ? key.portB : key.portA;
  }
  [[nodiscard]] DirectionStatistics& of(Side side) { return directions[indexOf(side)]; }
  [[nodiscard]] bool bothSpoke() const { return directions[0].packets != 0 && directions[1].packets != 0; }
  [[nodiscard]] bool waits() const {
    return waiting[0].held || waiting[1].held || waiting[0].first != kNotHeld || waiting[1].first != kNotHeld;
  }
};

}  // namespace p2pxbone::gateway
