// The files that pass: watched, scanned, stored, told about.
#include <utility>

#include "gateway/application_work.h"
#include "gateway/audit/from_flow.h"

namespace p2pxbone::gateway {

void ApplicationStage::fileBegins(const StageContext& context, Work& work, Side sender, const Transfer& transfer,
                                  StageAnswer& answer) {
  const TaskClock::Turn turn{tasks_, Task::files};
  counters_.files.add();
  const bool forRecord = wants(AuditEvent::fileinfo);
  const uint64_t owner = ++lastOwner_;
  Flow& flow = context.flow;
  FileWatch::Parts parts;
  parts.scans = parts_.scans;
  parts.store = parts_.store;
  FileInFlow& file = work.files[owner];
  parts.decide = [this, &flow, &work, &file](const FileFacts& facts) {
    const Decision decision = askAboutFile(flow, work, facts, now_);
    file.rule = rules_.numberOf(decision.rule);
    return decision;
  };
  parts.withoutScanner = policy_->conditions()[Condition::scanUnavailable];
  parts.bypassed = work.scansBypassed;
  parts.forRecord = forRecord;
  parts.owner = owner;
  file.watch = std::make_unique<FileWatch>(transfer, sender, std::move(parts));
  file.sender = sender;
  work.current[indexOf(sender)] = owner;
  scanning_[owner] = flow.ref;
  fileAnswered(flow, work, owner, file.watch->begin(), context.now, answer);
  const auto found = work.files.find(owner);
  if (found == work.files.end() || forRecord) return;
  const FileWatch& watch = *found->second.watch;
  const bool ofNoInterest = watch.decision().decided && watch.decision().needs == 0 && watch.finding() == nullptr &&
                            watch.stored() == kNotStored;
  if (ofNoInterest) forget(work, owner);
}

void ApplicationStage::fileAnswered(Flow& flow, Work& work, uint64_t owner, FileWatch::Answer given, Millis now,
                                    StageAnswer& answer) {
  FileInFlow& file = work.files.find(owner)->second;
  FileWatch& watch = *file.watch;
  const Side sender = file.sender;
  if (given != FileWatch::Answer::denyScan) tellUnscanned(flow, work, file);
  switch (given) {
    case FileWatch::Answer::goOn:
      answer.keepBack = false;
      if (watch.ended()) {
        if (watch.decision().decided) carryOut(flow, watch.decision());
        merge(answer, deny(flow, watch.decision(), AuditCause::content, watch.record().name, sender, now));
        fileOver(flow, work, owner, watch.record().state);
      }
      return;
    case FileWatch::Answer::keepBack:
      if (!watch.ended()) {
        answer.keepBack = true;
        return;
      }
      [[fallthrough]];
    case FileWatch::Answer::hold:
      if (!file.holds) ++work.holding[indexOf(sender)].files;
      file.holds = true;
      answer.keepBack = false;
      merge(answer, {.verdict = Verdict::hold()});
      return;
    case FileWatch::Answer::deny:
      merge(answer, deny(flow, watch.decision(), AuditCause::file, watch.record().name, sender, now));
      fileOver(flow, work, owner, AuditFileState::blocked);
      return;
    case FileWatch::Answer::denyScan:
      merge(answer, denyScanned(flow, file, now));
      fileOver(flow, work, owner, answer.denies() ? AuditFileState::blocked : watch.record().state);
      return;
  }
}

StageAnswer ApplicationStage::denyScanned(Flow& flow, const FileInFlow& file, Millis now) {
  now_ = now;
  const FileWatch& watch = *file.watch;
  const auto unscanned = watch.unscanned();
  if (unscanned && watch.finding() == nullptr) conditionCounters_.add(unscanned->condition);
  const DropReason reason = unscanned ? reasonOf(unscanned->condition) : DropReason::gatewayInfected;
  if (wants(AuditEvent::alert)) {
    AlertAudit alert;
    alert.decision = auditOf(watch.decision(), file.rule);
    alert.decision.action = AuditAction::reject;
    alert.decision.reason = reason;
    alert.cause = unscanned ? AuditCause::condition : AuditCause::scan;
    const FileAudit about = watch.record();
    alert.about = about.name;
    alert.malware = about.malware;
    if (unscanned) alert.condition = unscanned->condition;
    record(endsOf(flow, file.sender, nameOf(flow.application)), alert);
  }
  const bool dryRun = watch.decision().dryRun;
  (dryRun ? counters_.wouldDeny : counters_.denied).add();
  if (dryRun) return {};
  // As a rejection: both ends are told, so that nobody waits for the rest.
  return {.verdict = {Verdict::Action::reject, reason, file.rule}, .denyFor = policy_->denyFor()};
}

void ApplicationStage::tellUnscanned(const Flow& flow, Work& work, FileInFlow& file) {
  const auto unscanned = file.watch->unscanned();
  if (!unscanned || std::exchange(file.unscannedTold, true)) return;
  if (file.watch->finding() == nullptr) conditionCounters_.add(unscanned->condition);
  work.scansBypassed = work.scansBypassed || unscanned->action == ConditionAction::bypass;
  // What would be denied passes in a dry run.
  const bool passes = letsPass(unscanned->action);
  if (!passes) counters_.wouldDeny.add();
  if (!wants(AuditEvent::alert)) return;
  AlertAudit alert;
  alert.decision = auditOf(file.watch->decision(), file.rule);
  alert.decision.action = passes ? AuditAction::accept : AuditAction::reject;
  alert.cause = AuditCause::condition;
  alert.condition = unscanned->condition;
  const FileAudit about = file.watch->record();
  alert.about = about.name;
  record(endsOf(flow, file.sender, nameOf(flow.application)), alert);
}

void ApplicationStage::forget(Work& work, uint64_t owner) {
  const auto found = work.files.find(owner);
  const Side sender = found->second.sender;
  if (found->second.holds) --work.holding[indexOf(sender)].files;
  if (work.current[indexOf(sender)] == owner) work.current[indexOf(sender)] = 0;
  work.files.erase(found);
  scanning_.erase(owner);
}

// The file is no longer watched; it is told about now, or when it is known whether it was stored.
void ApplicationStage::fileOver(const Flow& flow, Work& work, uint64_t owner, AuditFileState state) {
  FileInFlow& file = work.files.find(owner)->second;
  if (wants(AuditEvent::fileinfo)) {
    const AuditEnds ends = endsOf(flow, file.sender, nameOf(flow.application));
    const AuditDecision decision = auditOf(file.watch->decision(), file.rule);
    if (const StoreId stored = file.watch->stored(); stored != kNotStored) {
      file.watch->letGo();
      shelved_.emplace(stored, Shelved{std::move(file.watch), ends, state, decision});
    } else {
      recordFile(*file.watch, ends, state, decision, false);
    }
  }
  forget(work, owner);
}

void ApplicationStage::recordFile(const FileWatch& file, const AuditEnds& ends, AuditFileState state,
                                  const AuditDecision& decision, bool stored) {
  FileAudit about = file.record();
  about.state = state;
  about.decision = decision;
  about.stored = stored;
  record(ends, about);
}

void ApplicationStage::storedFiles() {
  while (const auto result = parts_.store->poll()) {
    const auto found = shelved_.find(result->id);
    if (found == shelved_.end()) continue;
    const Shelved& shelved = found->second;
    recordFile(*shelved.file, shelved.ends, shelved.state, shelved.decision, result->kept);
    shelved_.erase(found);
  }
}

void ApplicationStage::scannedFiles(Pipeline& pipeline, Millis now) {
  while (const FileScan* const scan = parts_.scans->poll(now)) {
    const auto found = scanning_.find(scan->owner());
    Flow* const flow = found == scanning_.end() ? nullptr : pipeline.flows().find(found->second);
    auto* const work = flow == nullptr ? nullptr : static_cast<Work*>(flow->memories[slot_].get());
    if (work != nullptr) scanned(pipeline, *flow, *work, found->first, now);
  }
}

void ApplicationStage::scanned(Pipeline& pipeline, Flow& flow, Work& work, uint64_t owner, Millis now) {
  FileInFlow& file = work.files.find(owner)->second;
  const FlowRef ref = flow.ref;
  const Side sender = file.sender;
  const FileWatch::Answer given = file.watch->settle();
  if (given == FileWatch::Answer::hold || given == FileWatch::Answer::keepBack) return;
  StageAnswer verdict;
  if (given == FileWatch::Answer::denyScan) {
    verdict = denyScanned(flow, file, now);
  } else {
    tellUnscanned(flow, work, file);
    // The rest of what the decision asks for, which waited with the file.
    if (file.watch->ended()) {
      const FileAudit about = file.watch->record();
      tellDecision(flow, file.watch->decision(), file.rule, AuditCause::content, about.name, sender);
    }
  }
  if (verdict.denies()) {
    fileOver(flow, work, owner, AuditFileState::blocked);
    pipeline.deny(ref, verdict, now);
    return;
  }
  if (std::exchange(file.holds, false)) --work.holding[indexOf(sender)].files;
  if (file.watch->ended()) fileOver(flow, work, owner, file.watch->record().state);
  Work::Holding& holding = work.holding[indexOf(sender)];
  if (holding.files != 0) return;
  // At least once: a packet may be kept back although nothing holds.
  for (uint32_t left = std::max(1U, std::exchange(holding.answers, 0)); left > 0; --left) pipeline.decide(ref, sender, {}, now);
}

}  // namespace p2pxbone::gateway
