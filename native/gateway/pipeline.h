// A packet's way through the gateway: connection cache, checks, fragments, flow table, order and inspection, packet
// stages. One pipeline serves one virtual node or one NFQUEUE; it is single-threaded, and its caller holds a lock.
#pragma once

#include <vector>

#include "gateway/defragment.h"
#include "gateway/inspection.h"
#include "gateway/redirects.h"

namespace p2pxbone::gateway {

// The stages that every pipeline has; those that are plugged in are counted behind them.
enum class StageId : uint8_t { connectionCache, checks, fragments, flowTable, stream };
inline constexpr size_t kStageCount = 5;
[[nodiscard]] std::string_view stageName(StageId stage);

class Pipeline {
 public:
  struct Settings {
    Limits limits;
    ConditionPolicy conditions;
    HashSeed seed;
    // Out-of-order TCP of new flows goes on at once; a stage may say otherwise for each flow.
    bool fastPass = false;
    // Without one no times are taken.
    StageClock::Source clock = nullptr;
    // Connections that are redirected; borrowed, may be absent.
    Redirects* redirects = nullptr;
  };
  struct Processed {
    // With `hold` the packet was copied, and will leave by the outlet, or has left by it already.
    Verdict verdict;
    // With `accept`: what is to go on, at the place of what came and perhaps shorter.
    std::span<uint8_t> bytes;
    // Other than what came.
    bool changed = false;
    uint32_t mark = 0;
  };
  struct StageLine {
    std::string_view name;
    uint64_t packets = 0;
    uint64_t stopped = 0;
    uint64_t samples = 0;
    uint64_t nanoseconds = 0;  // of the samples
  };
  // Bytes in use, and the bound where there is one.
  struct Memory {
    uint64_t flows = 0;  // records, index and half-open connections
    uint64_t connectionCache = 0;
    uint64_t fragments = 0;
    uint64_t outOfOrder = 0;
    uint64_t waiting = 0;
    uint64_t limited = 0;
    uint64_t streams = 0;
    uint64_t heldMax = 0;     // of the four before streams
    uint64_t streamsMax = 0;
  };
  struct Statistics {
    uint64_t packets = 0;
    uint64_t bytes = 0;
    uint64_t accepted = 0;
    uint64_t held = 0;
    uint64_t released = 0;
    std::array<uint64_t, kDropReasonCount> drops{};  // packets that were held included
    std::array<uint64_t, kConditionCount> conditions{};
    uint32_t flows = 0;
    uint64_t resets = 0;
    uint64_t unreachables = 0;
    uint64_t withheldAnswers = 0;
    std::vector<StageLine> stages;
    Memory memory;
  };

  // The outlet is borrowed.
  Pipeline(const Settings& settings, Outlet& outlet);
  ~Pipeline();
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Before the first packet; borrowed. Stages must not call the pipeline while it calls them.
  void addStage(ChunkStage& stage) { inspection_.addStage(stage); }
  void addStage(PacketStage& stage) { packetStages_.add(stage); }

  // `bytes` begins with the IP header, is the caller's and may be changed in place. The outlet may be called before it
  // returns, also with this packet's tag.
  [[nodiscard]] Processed process(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag, Millis now);

  // The answer to a stage's `hold`; nothing happens if the flow is gone. Goes on with some of its packets at once, with the
  // rest in timer().
  void decide(const FlowRef& flow, Side side, const StageAnswer& answer, Millis now);
  // A verdict that nobody waited for.
  void deny(const FlowRef& flow, const StageAnswer& answer, Millis now);
  // When depart() is to be called, by the clock that gives Millis; nullopt if no packet waits for a limit. May be in the past.
  [[nodiscard]] std::optional<Nanos> nextDue() const { return packetStages_.nextDue(); }
  // Lets go packets that waited for a limit: after each batch of packets, and when the next is due. The finer its time, the
  // more evenly they leave; the limits' rates do not depend on it.
  void depart(Nanos now) { packetStages_.depart(now); }
  // To be called at least every 100 ms. Packets that wait for a limit leave with it, too.
  void timer(Millis now);
  // Ends all flows, for the stages to hear of it, and drops what waits.
  void shutdown(Millis now);

  // For a packet stage that is given other settings and lets packets go because of them.
  [[nodiscard]] const Custody& custody() const { return packetStages_.custody(); }
  // For new flows.
  void setFastPass(bool fastPass) { fastPass_ = fastPass; }
  void setConditions(const ConditionPolicy& conditions) { conditions_ = conditions; }
  [[nodiscard]] ConnectionCache& connectionCache() { return cache_; }
  [[nodiscard]] FlowTable& flows() { return table_; }
  [[nodiscard]] const Inspection::Counters& inspectionCounters() const { return inspection_.counters(); }
  [[nodiscard]] const ConditionCounters& conditionCounters() const { return conditionCounters_; }
  [[nodiscard]] Statistics statistics();

 private:
  // Counts what leaves later.
  class CountingOutlet final : public Outlet {
   public:
    CountingOutlet(Outlet& outlet, DropCounters& drops, Redirects* redirects)
        : outlet_(outlet), drops_(drops), redirects_(redirects) {}
    void release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) override;
    void discard(uint64_t tag, DropReason reason) override;
    void emit(std::span<uint8_t> bytes) override;
    Counter released;

   private:
    void redirect(std::span<uint8_t> bytes, const Offload& offload);

    Outlet& outlet_;
    DropCounters& drops_;
    Redirects* redirects_;
  };

  [[nodiscard]] Verdict pass(Packet& packet, Millis now, Flow*& flow);
  [[nodiscard]] std::optional<Verdict> refuseDenied(const Packet& packet, Millis now);
  [[nodiscard]] std::optional<Verdict> collect(Packet& packet, Millis now);
  [[nodiscard]] std::optional<Verdict> cutSynData(Packet& packet);
  [[nodiscard]] Verdict enter(Packet& packet, Millis now, Flow*& flow);
  [[nodiscard]] Verdict withoutFlow(FlowTable::Outcome outcome, const Packet& packet, Millis now);
  // What becomes of a flow's record. `restarts`: the packet begins another connection between the same ports.
  enum class Record : uint8_t { stays, ends, restarts };
  [[nodiscard]] Verdict follow(Flow& flow, Side side, bool created, Packet& packet, Millis now, Record& record);
  [[nodiscard]] Verdict followDenied(Flow& flow, Side side, const Packet& packet, Millis now, Record& record);
  [[nodiscard]] Verdict admitProbe(const Packet& packet, Millis now);
  [[nodiscard]] Verdict leaveInParts(Packet& packet, const Verdict& verdict);
  void lap(StageId stage, bool stopped);

  const Settings settings_;
  ConditionPolicy conditions_;
  bool fastPass_;
  DropCounters drops_;
  CountingOutlet outlet_;
  ConditionCounters conditionCounters_;
  StageClock clock_;
  ConnectionCache cache_;
  HeldPackets held_;
  Defragmenter fragments_;
  PacketStages packetStages_;
  Inspection inspection_;
  FlowTable table_;
  std::array<StageStatistics, kStageCount> statistics_;
  Millis now_ = 0;
  struct Totals {
    Counter packets;
    Counter bytes;
    Counter accepted;
    Counter held;
  } totals_;
};

}  // namespace p2pxbone::gateway
