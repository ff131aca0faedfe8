// Flows under inspection: their streams, the stages that see their data, the packets that wait for a verdict, and what
// follows from the verdicts.
#pragma once

#include <span>
#include <vector>

#include "core/token_bucket.h"
#include "gateway/answers.h"
#include "gateway/condition.h"
#include "gateway/connection_cache.h"
#include "gateway/flow_table.h"
#include "gateway/held_packets.h"
#include "gateway/packet_stages.h"
#include "gateway/stream.h"
#include "gateway/timer_wheel.h"
#include "gateway/waiting_line.h"

namespace p2pxbone::gateway {

class Inspection {
 public:
  struct Parts {
    const Limits& limits;
    const ConditionPolicy& conditions;
    ConditionCounters& conditionCounters;
    ConnectionCache& denied;
    HeldPackets& held;
    Outlet& outlet;
    StageClock& clock;
    PacketStages& packetStages;
  };
  struct Counters {
    Counter settled;
    Counter denied;
    Counter bypassed;
    Counter holds;
    Counter resets;
    Counter unreachables;
    Counter withheld;  // answers beyond what may be sent
    Counter rewritten;  // packets
  };

  explicit Inspection(const Parts& parts);

  // Before the first packet; at most kChunkStagesMax.
  void addStage(ChunkStage& stage);
  // Calls each(name, const StageStatistics&) in their order.
  template <typename Each>
  void forEachStage(Each&& each) const {
    for (size_t i = 0; i < stages_.size(); ++i) each(stages_[i]->name(), statistics_[i]);
  }

  // Asks the stages about a SYN for which there is no record.
  [[nodiscard]] Verdict syn(const Packet& packet, Millis now);
  // A new record, and the packet it was made by; what follows for the packet is for take() to find.
  void begin(Flow& flow, Side side, const Packet& packet, Millis now);
  // A packet of a flow under inspection; of TCP, one that is valid. With `hold` the packet was copied, or has left already
  // by the outlet.
  [[nodiscard]] Verdict take(Flow& flow, Side side, Packet& packet, Millis now);
  // A packet of a flow that is denied.
  [[nodiscard]] Verdict refuse(Flow& flow, Side side, const Packet& packet, Millis now);

  // The answer to one `hold`. Anything but `accept` denies the flow.
  void decide(Flow& flow, Side side, const StageAnswer& answer, Millis now);
  void deny(Flow& flow, const StageAnswer& answer, Millis now);
  void settle(Flow& flow, const Verdict& verdict, Millis now);
  // What a condition's action says, applied to the flow; the verdict for the packet at hand.
  // nullopt: inspect.
  [[nodiscard]] std::optional<Verdict> meet(Condition condition, Flow* flow, Millis now);

  // Before the flow's record is freed.
  void over(Flow& flow, FlowEnd cause, Millis now);
  // Goes on with flows whose verdict has come, at most so many packets.
  void goOn(FlowTable& table, Millis now, uint32_t packetsMax);
  // Gives up gaps that are too old.
  void timer(FlowTable& table, Millis now);

  // An RST or ICMP error to the sender of a packet that is rejected before there is a record.
  void answerUnknown(const Packet& packet, Millis now);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const WaitingLines::Counters& waitingCounters() { return lines_.counters(); }
  [[nodiscard]] const PagePool& pages() const { return pool_; }

 private:
  // The packet that is being dealt with. One that came out of the gateway's memory leaves by the outlet.
  struct Current {
    Packet& packet;
    HeldId held = kNotHeld;
    bool gone = false;
  };

  [[nodiscard]] Verdict takeTcp(Flow& flow, Side side, Current& current, Millis now);
  [[nodiscard]] Verdict takeSegment(Flow& flow, Side side, Stream& stream, Current& current, Millis now);
  [[nodiscard]] Verdict takeDatagram(Flow& flow, Side side, Current& current, Millis now);
  [[nodiscard]] Verdict ahead(Flow& flow, Side side, Stream& stream, Current& current, Millis now);
  [[nodiscard]] Verdict full(Flow& flow, Millis now);
  [[nodiscard]] Verdict conclude(Flow& flow, Side side, Current& current, const StageAnswer& answer, Millis now);
  [[nodiscard]] Verdict enqueue(Flow& flow, Side side, Packet& packet, Millis now);
  [[nodiscard]] Verdict keepBack(Flow& flow, Side side, Current& current, Millis now);
  // All of its data are those of the packet that is kept.
  [[nodiscard]] static bool repeatsKept(const Flow& flow, Side side, const Packet& packet);
  void releaseKept(Flow& flow, Side side, Millis now);
  void letGo(Flow& flow, Side side, Current& current, Millis now);
  // What has gone on to the other end.
  static void notePassed(Flow& flow, Side side, const Packet& packet);
  void release(Flow& flow, Side side, HeldId held, Packet& packet, Millis now);
  // Inspects and lets go what was waiting for the packet at hand.
  [[nodiscard]] StageAnswer drain(Flow& flow, Side side, Millis now);
  // Goes on with packets that waited for a verdict; how many.
  uint32_t resume(Flow& flow, Side side, Millis now, uint32_t packetsMax);
  void makeReady(Flow& flow, Side side);

  template <typename Ask>
  [[nodiscard]] StageAnswer ask(Flow& flow, Side side, Millis now, Ask&& question);
  [[nodiscard]] StageAnswer askData(Flow& flow, const Chunk& chunk, Millis now);
  [[nodiscard]] StageAnswer askGap(Flow& flow, Side side, uint64_t bytes, Millis now);
  [[nodiscard]] StageAnswer askEnd(Flow& flow, Side side, Stream& stream, Millis now);
  [[nodiscard]] bool allDone(const Flow& flow) const;
  void settleIfDone(Flow& flow, Millis now);
  void bypass(Flow& flow, Millis now);

  [[nodiscard]] Stream& streamOf(Flow& flow, Side side);
  [[nodiscard]] static Stream* knownStream(Flow& flow, Side side);
  void acknowledge(Flow& flow, Side side, const Packet& packet, Millis now);
  void watchGap(const Flow& flow, Side side, const Stream& stream);
  void skipped(Flow& flow, Side side, Stream& stream, uint64_t bytes, Millis now);
  void gapTooOld(Flow& flow, Side side, Stream& stream, Millis now);
  void releaseWaiting(Flow& flow, Millis now);
  void dropWaiting(Flow& flow, DropReason reason);
  void forget(Flow& flow);
  void resetEnds(Flow& flow, Millis now);
  [[nodiscard]] bool mayReset(const Flow& flow, Millis now);
  [[nodiscard]] bool mayAnswer(Millis now);
  void sendReset(const Flow& flow, Side to, const Reset& reset, Millis now);

  Parts parts_;
  PagePool pool_;
  WaitingLines lines_;
  std::vector<ChunkStage*> stages_;
  std::array<StageStatistics, kChunkStagesMax> statistics_;
  TimerWheel gaps_{256, 512};  // an item for each side of each flow
  std::vector<FlowRef> ready_;
  TokenBucket answers_;
  Counters counters_;
};

}  // namespace p2pxbone::gateway
