// Finds out what flows carry, follows the protocols inside, asks the policy at every step, and does what it says.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "core/token_bucket.h"
#include "gateway/audit/record.h"
#include "gateway/classifier.h"
#include "gateway/file_watch.h"
#include "gateway/flow_hints.h"
#include "gateway/kept_data.h"
#include "gateway/pipeline.h"
#include "gateway/redirects.h"
#include "gateway/rule_book.h"
#include "gateway/task_clock.h"

namespace p2pxbone::gateway {

class ApplicationStage final : public ChunkStage {
 public:
  // All are borrowed and outlive the stage; any may be absent.
  struct Parts {
    AuditSink* audit = nullptr;
    ScanDesk* scans = nullptr;
    FileStore* store = nullptr;
    // Without it what a rule redirects is dropped.
    Redirects* redirects = nullptr;
    // Limits::keptBytes.
    uint64_t keptBytesMax = Limits{}.keptBytes;
    // For the time of its tasks.
    StageClock::Source clock = nullptr;
  };
  struct Counters {
    Counter classified;
    Counter unknown;
    Counter files;
    Counter messages;
    Counter denied;      // flows
    Counter wouldDeny;   // likewise, while the policy only watches
    Counter parserErrors;
    Counter hurried;  // flows that were named by what they showed at once, as nothing more could be kept
    Counter untold;  // packets that a rule refused before there was a flow, beyond what is recorded of them
  };

  // `host`: whose gateway, for records.
  ApplicationStage(const Parts& parts, const HashSeed& seed, std::string host);
  ~ApplicationStage() override;

  // Before the first packet, and when another is to be in force. Flows go on as they were decided. False, and nothing
  // changes, if there is no memory.
  // `limitNumbering`: Flow::limitNumbering of the limits that it gives.
  [[nodiscard]] bool use(std::shared_ptr<const Policy> policy, std::shared_ptr<const SignatureSet> signatures,
                         uint8_t limitNumbering = 0);
  // The policy in force with other addresses in its sets (Policy::withSets).
  void useSets(std::shared_ptr<const Policy> policy);
  // The same instant by both clocks; to be told now and then.
  void setClock(WallTime wall, Millis now, int32_t utcOffsetSeconds);

  // Carries out what was found out since. To be called when the scanner or the store have results, at least every 100 ms
  // and by nextDue().
  void poll(Pipeline& pipeline, Millis now);
  [[nodiscard]] std::optional<Millis> nextDue() const;
  [[nodiscard]] const RuleBook& rules() const { return rules_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const KeptData& kept() const { return kept_; }
  [[nodiscard]] const TaskClock& tasks() const { return tasks_; }
  // The conditions that only it, and the scans it asks for, can meet; for totals, by Condition.
  void addConditionsTo(std::array<uint64_t, kConditionCount>& counts) const;
  [[nodiscard]] std::string_view nameOf(Application application) const;
  // As in the paper: it waits for a request or a response; a file passes; what was received waits for a verdict.
  enum class ParserState : uint8_t { none, initial, receiving, processing };
  // Of a flow under inspection: its host, empty while unknown and borrowed until the next call, what the policy still asks
  // for, by Decision::needs, and how far its parser is.
  struct Known {
    std::string_view host;
    uint32_t needs = 0;
    ParserState parser = ParserState::none;
  };
  [[nodiscard]] Known knownOf(const Flow& flow) const;

  [[nodiscard]] std::string_view name() const override { return "application"; }
  [[nodiscard]] Verdict syn(const Packet& packet, Millis now) override;
  [[nodiscard]] StageAnswer begin(const StageContext& context, const Packet& packet) override;
  [[nodiscard]] StageAnswer data(const StageContext& context, const Chunk& chunk) override;
  [[nodiscard]] StageAnswer gap(const StageContext& context, Side side, uint64_t bytes) override;
  [[nodiscard]] StageAnswer end(const StageContext& context, Side side) override;
  void ended(const StageContext& context, FlowEnd cause) override;

 private:
  struct Work;
  struct Notes;
  class Events;
  struct Shelved {
    std::unique_ptr<FileWatch> file;
    AuditEnds ends;
    AuditFileState state;
    AuditDecision decision;
  };

  // Each call of the stage begins with it.
  void tellCall(Millis now) {
    now_ = now;
    tasks_.begin();
  }
  [[nodiscard]] Classified conclude(Work& work, Millis now);
  [[nodiscard]] Decision askAboutFile(const Flow& flow, const Work& work, const FileFacts& facts, Millis now);
  [[nodiscard]] StageAnswer classify(const StageContext& context, Work& work, const Chunk& chunk);
  [[nodiscard]] StageAnswer identified(const StageContext& context, Work& work, const Classified& result);
  [[nodiscard]] StageAnswer parse(const StageContext& context, Work& work, const Chunk& chunk);
  // What the parser's giving up leads to, whatever it was told before.
  void heedGivingUp(const StageContext& context, const Work& work, Side side, Events& events);
  [[nodiscard]] StageAnswer parserFailed(const StageContext& context, const Work& work, Side side);
  [[nodiscard]] StageAnswer handOver(const StageContext& context, Work& work, const Chunk& chunk, Events& events);
  // Asks the policy about the flow, and does what it says.
  [[nodiscard]] StageAnswer decide(const StageContext& context, Work& work, AuditCause cause);
  [[nodiscard]] FlowFacts factsOf(const Flow& flow, const Work& work, Millis now) const;
  void carryOut(Flow& flow, const Decision& decision) const;
  // Of a connection's first packet: what the policy has decided about it by then.
  [[nodiscard]] Verdict redirect(const Packet& packet, const Decision& decision, Millis now);
  // An alert, if the decision asks for one or denies.
  void tellDecision(const Flow& flow, const Decision& decision, uint32_t rule, AuditCause cause, std::string_view about,
                    Side sender);
  [[nodiscard]] StageAnswer deny(Flow& flow, const Decision& decision, AuditCause cause, std::string_view about, Side sender,
                                 Millis now);
  [[nodiscard]] StageAnswer finish(Work& work, Side side, StageAnswer answer) const;

  void fileBegins(const StageContext& context, Work& work, Side sender, const Transfer& transfer, StageAnswer& answer);
  void fileAnswered(Flow& flow, Work& work, uint64_t owner, FileWatch::Answer given, Millis now, StageAnswer& answer);
  struct FileInFlow;
  // Found infected, or not scanned where that denies.
  [[nodiscard]] StageAnswer denyScanned(Flow& flow, const FileInFlow& file, Millis now);
  // That it passes without a scan is told once.
  void tellUnscanned(const Flow& flow, Work& work, FileInFlow& file);
  void fileOver(const Flow& flow, Work& work, uint64_t owner, AuditFileState state);
  void forget(Work& work, uint64_t owner);
  void scanned(Pipeline& pipeline, Flow& flow, Work& work, uint64_t owner, Millis now);
  // What the store and the scanner have found out.
  void storedFiles();
  void scannedFiles(Pipeline& pipeline, Millis now);
  void recordFile(const FileWatch& file, const AuditEnds& ends, AuditFileState state, const AuditDecision& decision, bool stored);

  [[nodiscard]] bool wants(AuditEvent event) const { return parts_.audit != nullptr && parts_.audit->wants(event); }
  template <typename About>
  void record(const AuditEnds& ends, About&& about) {
    const TaskClock::Turn turn{tasks_, Task::audit};
    parts_.audit->record({wall(now_), host_, ends, std::forward<About>(about)});
  }
  [[nodiscard]] AuditDecision auditOf(const Decision& decision) const {
    return auditOf(decision, rules_.numberOf(decision.rule));
  }
  // `rule`: of the rule book. For decisions that may be an earlier policy's.
  [[nodiscard]] AuditDecision auditOf(const Decision& decision, uint32_t rule) const;
  [[nodiscard]] WallTime wall(Millis now) const { return wallBase_ + now * 1'000; }

  const Parts parts_;
  KeptData kept_;
  const std::string host_;
  std::shared_ptr<const Policy> policy_;
  std::unique_ptr<Policy::Scratch> scratch_;
  std::shared_ptr<const SignatureSet> signatures_;
  uint8_t limitNumbering_ = 0;
  RuleBook rules_;
  PeerCache peers_;
  Classifier classifier_;
  FlowHints hints_;
  WallTime wallBase_ = 0;
  int32_t utcOffset_ = 0;
  Millis now_ = 0;
  std::unordered_map<uint64_t, FlowRef> scanning_;  // by FileScan::Object::owner
  uint64_t lastOwner_ = 0;
  std::unordered_map<StoreId, Shelved> shelved_;
  // Said about a flow by another one, to be handed to it between packets.
  struct Hint {
    FlowRef flow;
    FlowHint hint;
    std::string name;
  };
  std::deque<Hint> said_;
  size_t slot_ = 0;
  Counters counters_;
  TaskClock tasks_;
  ConditionCounters conditionCounters_;
  TokenBucket refusalsTold_;
};

}  // namespace p2pxbone::gateway
