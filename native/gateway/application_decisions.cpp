// What the application stage asks the policy about flows, and how it carries out what the policy says of anything.
#include "gateway/application_events.h"
#include "gateway/application_work.h"
#include "gateway/audit/from_flow.h"

namespace p2pxbone::gateway {

AuditDecision ApplicationStage::auditOf(const Decision& decision, uint32_t rule) const {
  AuditDecision audit;
  switch (decision.action) {
    case Decision::Action::accept: audit.action = AuditAction::accept; break;
    case Decision::Action::drop: audit.action = AuditAction::drop; break;
    case Decision::Action::reject: audit.action = AuditAction::reject; break;
    case Decision::Action::redirect: audit.action = AuditAction::redirect; break;
  }
  audit.rule = rule;
  audit.ruleName = rules_.nameOf(rule);
  audit.dryRun = decision.dryRun;
  return audit;
}

FlowFacts ApplicationStage::factsOf(const Flow& flow, const Work& work, Millis now) const {
  FlowFacts facts{flow};
  facts.application = flow.application;
  facts.applicationKnown = work.classification == nullptr;
  facts.host = work.host;
  facts.hostKnown = work.hostKnown;
  facts.now = wall(now);
  facts.utcOffsetSeconds = utcOffset_;
  return facts;
}

Decision ApplicationStage::askAboutFile(const Flow& flow, const Work& work, const FileFacts& facts, Millis now) {
  const TaskClock::Turn turn{tasks_, Task::policy};
  return policy_->file(factsOf(flow, work, now), facts, *scratch_);
}

void ApplicationStage::carryOut(Flow& flow, const Decision& decision) const {
  if (decision.dryRun) return;
  if (decision.mark) flow.mark = *decision.mark;
  if (decision.limit != 0) {
    flow.limit = decision.limit;
    flow.limitNumbering = limitNumbering_;
    flow.watched = true;
  }
}

void ApplicationStage::tellDecision(const Flow& flow, const Decision& decision, uint32_t rule, AuditCause cause,
                                    std::string_view about, Side sender) {
  if ((!decision.log && !decision.denies()) || !wants(AuditEvent::alert)) return;
  AlertAudit alert;
  alert.decision = auditOf(decision, rule);
  alert.cause = cause;
  alert.about = about;
  record(endsOf(flow, sender, nameOf(flow.application)), alert);
}

StageAnswer ApplicationStage::deny(Flow& flow, const Decision& decision, AuditCause cause, std::string_view about, Side sender,
                                   Millis now) {
  now_ = now;
  const uint32_t rule = rules_.numberOf(decision.rule);
  tellDecision(flow, decision, rule, cause, about, sender);
  if (!decision.denies()) return {};
  (decision.dryRun ? counters_.wouldDeny : counters_.denied).add();
  if (decision.dryRun) return {};
  return {.verdict = decision.action == Decision::Action::reject ? Verdict::reject(rule)
                                                                 : Verdict::drop(DropReason::gatewayRule, rule),
          .denyFor = decision.denyFor};
}

Verdict ApplicationStage::syn(const Packet& packet, Millis now) {
  tellCall(now);
  const Decision decision = [&] {
    const TaskClock::Turn turn{tasks_, Task::policy};
    return policy_->syn(packet, wall(now), utcOffset_);
  }();
  if (!decision.denies() || !decision.decided) return redirect(packet, decision, now);
  (decision.dryRun ? counters_.wouldDeny : counters_.denied).add();
  // There is no flow to be told about once: as many as the sender likes come here.
  if (wants(AuditEvent::alert) && refusalsTold_.take(now)) {
    AlertAudit alert;
    alert.decision = auditOf(decision);
    record(endsOf(packet), alert);
  } else if (wants(AuditEvent::alert)) {
    counters_.untold.add();
  }
  if (decision.dryRun) return Verdict::accept();
  const uint32_t rule = rules_.numberOf(decision.rule);
  return decision.action == Decision::Action::reject ? Verdict::reject(rule) : Verdict::drop(DropReason::gatewayRule, rule);
}

Verdict ApplicationStage::redirect(const Packet& packet, const Decision& decision, Millis now) {
  Redirects* const redirects = parts_.redirects;
  if (decision.action != Decision::Action::redirect || decision.dryRun) {
    if (redirects != nullptr) redirects->forget(packet);
    return Verdict::accept();
  }
  const bool refused = redirects == nullptr || redirects->begin(packet, policy_->redirectOf(decision.rule), now) ==
                                                   Redirects::Outcome::refused;
  return refused ? Verdict::drop(DropReason::gatewayRedirect, rules_.numberOf(decision.rule)) : Verdict::accept();
}

StageAnswer ApplicationStage::decide(const StageContext& context, Work& work, AuditCause cause) {
  Flow& flow = context.flow;
  const Decision decision = [&] {
    const TaskClock::Turn turn{tasks_, Task::policy};
    return policy_->flow(factsOf(flow, work, context.now), *scratch_);
  }();
  work.needs = decision.needs;
  // It may be decided anew, for another host: what the one before it was given goes with it.
  const bool again = decision.decided && work.decided;
  const bool first = decision.decided && (!again || decision.denies() || decision.rule != work.decision.rule);
  if (again && first) {
    if (work.decision.mark) flow.mark = 0;
    if (work.decision.limit != 0) flow.limit = 0;
  }
  work.decision = decision;
  work.decided = decision.decided;
  if (decision.decided || decision.rule != kNoRule) carryOut(flow, decision);
  if (decision.decided) flow.verdict = Verdict::accept(rules_.numberOf(decision.rule));
  return first ? deny(flow, decision, cause, work.host, Side::initiator, context.now) : StageAnswer{};
}

void ApplicationStage::heedGivingUp(const StageContext& context, const Work& work, Side side, Events& events) {
  if (!events.gaveUp || work.forOthers || events.answer.denies()) return;
  merge(events.answer, parserFailed(context, work, side));
}

// A protocol that cannot be followed hides what its flow carries from here on. The sender has it in hand whether it can.
StageAnswer ApplicationStage::parserFailed(const StageContext& context, const Work& work, Side side) {
  if ((work.needs & (kNeedsContent | kNeedsHost)) == 0) return {};
  conditionCounters_.add(Condition::parserError);
  const bool passes = letsPass(policy_->conditions()[Condition::parserError]);
  const DropReason reason = reasonOf(Condition::parserError);
  if (wants(AuditEvent::alert)) {
    AlertAudit alert;
    alert.decision.action = passes ? AuditAction::accept : AuditAction::drop;
    if (!passes) alert.decision.reason = reason;
    alert.decision.dryRun = policy_->dryRun();
    alert.cause = AuditCause::condition;
    alert.condition = Condition::parserError;
    record(endsOf(context.flow, side, nameOf(context.flow.application)), alert);
  }
  if (passes) return {};
  (policy_->dryRun() ? counters_.wouldDeny : counters_.denied).add();
  if (policy_->dryRun()) return {};
  return {.verdict = Verdict::drop(reason)};
}

}  // namespace p2pxbone::gateway
