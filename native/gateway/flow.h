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

// Why a record is freed.
enum class FlowEnd : uint8_t { idle, closed, evicted, replaced, shutdown };

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
  // Likewise: the number of the limit whose packets they are; 0: none. Takes effect while the flow is watched.
  uint16_t limit = 0;
  // As of which settings that number is: see BandwidthStage::numbering().
  uint8_t limitNumbering = 0;
  // Of the stage that enforces it: where packets of each side wait for it.
  std::array<uint32_t, 2> limitLines{kNotHeld, kNotHeld};
  std::array<DirectionStatistics, 2> directions;
  TcpTrack tcp;

  // Of the pipeline's stages.
  std::array<std::unique_ptr<StageMemory>, kChunkStagesMax> memories;
  uint8_t stagesDone = 0;  // one bit each
  // Out-of-order TCP goes on at once.
  bool fastPass = false;
  // Its packets go to another end than its responder.
  bool redirected = false;
  // Packet stages see every packet of it, even when it is settled.
  bool watched = false;
  // TCP: one past the highest sequence number of each side that has gone on.
  std::array<uint32_t, 2> passed{};
  std::array<uint8_t, 2> resets{};  // RSTs sent to each end since it was rejected
  // Packets that were refused since it was denied, and their bytes.
  uint64_t refusedPackets = 0;
  uint64_t refusedBytes = 0;
  // What is to be told of it when it is over; outlives the stages' memories.
  std::unique_ptr<StageMemory> notes;
  std::unique_ptr<FlowStreams> streams;
  std::array<uint64_t, 2> datagramBytes{};  // handed to the stages so far
  // Packets that wait for a verdict, in order: Q2.
  struct Waiting {
    HeldId first = kNotHeld;
    HeldId last = kNotHeld;
    uint32_t blocks = 0;
    uint32_t queuedEnd = 0;  // TCP: one past the highest sequence number that waits
    uint8_t holds = 0;       // verdicts to come
    bool firstInspected = false;  // the first was inspected before it was put here
    bool ready = false;           // the verdict has come, and the packets' turn will
    // One that was inspected and may be the last: it goes on with what comes behind it. Others do not wait for it.
    bool keeps = false;
    HeldId kept = kNotHeld;  // none where there was no room
    uint32_t keptBegin = 0;  // TCP: its data's sequence numbers
    uint32_t keptEnd = 0;
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
  [[nodiscard]] bool waits(Side side) const {
    const Waiting& line = waiting[indexOf(side)];
    return line.holds != 0 || line.ready || line.first != kNotHeld;
  }
  [[nodiscard]] bool waits() const { return waits(Side::initiator) || waits(Side::responder); }
  [[nodiscard]] bool keeps() const { return waiting[0].keeps || waiting[1].keeps; }
};

}  // namespace p2pxbone::gateway
