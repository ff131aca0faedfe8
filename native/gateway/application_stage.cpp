#include "gateway/application_stage.h"

#include <algorithm>

#include "gateway/application_events.h"
#include "gateway/audit/from_flow.h"

namespace p2pxbone::gateway {
namespace {

constexpr int64_t kRefusalsToldPerSecond = 100;
// What a parser may keep when all together keep too much: the beginning of a line, or of a message.
constexpr size_t kKeptInAnyCase = 1'024;

}  // namespace

ApplicationStage::ApplicationStage(const Parts& parts, const HashSeed& seed, std::string host)
    : parts_(parts),
      kept_(parts.keptBytesMax),
      host_(std::move(host)),
      peers_(seed.first),
      classifier_(peers_),
      hints_(seed),
      tasks_(parts.clock),
      refusalsTold_(kRefusalsToldPerSecond, kRefusalsToldPerSecond) {}

ApplicationStage::~ApplicationStage() = default;

bool ApplicationStage::use(std::shared_ptr<const Policy> policy, std::shared_ptr<const SignatureSet> signatures,
                           uint8_t limitNumbering) {
  auto scratch = policy->makeScratch();
  if (scratch == nullptr || !classifier_.useSignatures(signatures)) return false;
  scratch_ = std::move(scratch);
  signatures_ = std::move(signatures);
  rules_.add(policy);
  policy_ = std::move(policy);
  limitNumbering_ = limitNumbering;
  return true;
}

void ApplicationStage::useSets(std::shared_ptr<const Policy> policy) {
  rules_.renew(policy);
  policy_ = std::move(policy);
}

void ApplicationStage::setClock(WallTime wall, Millis now, int32_t utcOffsetSeconds) {
  wallBase_ = wall - now * 1'000;
  utcOffset_ = utcOffsetSeconds;
}

void ApplicationStage::addConditionsTo(std::array<uint64_t, kConditionCount>& counts) const {
  for (size_t i = 0; i < kConditionCount; ++i) {
    counts[i] += conditionCounters_.counts[i].get();
    if (parts_.scans != nullptr) counts[i] += parts_.scans->conditionCounters().counts[i].get();
  }
}

std::string_view ApplicationStage::nameOf(Application application) const {
  if (isUserApplication(application)) return signatures_ ? signatures_->nameOf(application) : std::string_view{};
  return application == Application::unknown ? std::string_view{} : applicationName(application);
}

ApplicationStage::Known ApplicationStage::knownOf(const Flow& flow) const {
  const auto* const work = static_cast<const Work*>(flow.memories[slot_].get());
  if (work == nullptr) return {};
  const auto parser = [&] {
    if (work->parser == nullptr || work->parser->finished()) return ParserState::none;
    if (work->holding[0].files + work->holding[1].files != 0) return ParserState::processing;
    return work->parser->transferring() ? ParserState::receiving : ParserState::initial;
  };
  return {work->host, work->needs, parser()};
}

StageAnswer ApplicationStage::begin(const StageContext& context, const Packet& packet) {
  tellCall(context.now);
  slot_ = context.slot;
  const Flow& flow = context.flow;
  const FlowEnds ends{flow.address(Side::initiator), flow.address(Side::responder), flow.port(Side::initiator),
                      flow.port(Side::responder), flow.key.protocol};
  Work& work = context.remember(std::make_unique<Work>(ends, kept_, scanning_));
  StageAnswer answer = decide(context, work, AuditCause::flow);
  // Of TCP mostly a later packet makes the record.
  const bool first = !packet.isTcp() || (packet.ip.tcpFlags & (kTcpSyn | kTcpAck)) == kTcpSyn;
  if (first && !answer.denies()) merge(answer, {.verdict = redirect(packet, work.decision, context.now)});
  context.flow.redirected = parts_.redirects != nullptr && parts_.redirects->concerns(flow);
  return finish(work, Side::initiator, answer);
}

// Whether anything is left to find out.
StageAnswer ApplicationStage::finish(Work& work, Side side, StageAnswer answer) const {
  work.share.set(work.keptBytes());
  if (answer.denies()) return answer;
  if (answer.verdict.action == Verdict::Action::hold) {
    ++work.holding[indexOf(side)].answers;
    return answer;
  }
  const bool forRecords = wants(AuditEvent::flow) || wants(AuditEvent::fileinfo) || wants(AuditEvent::chat);
  // A flow that itself may pass can name the ends of one that may not.
  const bool classifying =
      work.classification != nullptr && (work.needs != 0 || forRecords || policy_->asksForApplications());
  const bool parsing =
      work.parser != nullptr && !work.parser->finished() && (!work.forOthers || work.parser->announces());
  answer.done = !classifying && !parsing && work.files.empty();
  return answer;
}

StageAnswer ApplicationStage::data(const StageContext& context, const Chunk& chunk) {
  tellCall(context.now);
  Work& work = *context.memory<Work>();
  return finish(work, chunk.side, work.classification ? classify(context, work, chunk) : parse(context, work, chunk));
}

StageAnswer ApplicationStage::classify(const StageContext& context, Work& work, const Chunk& chunk) {
  Chunk fresh = chunk;
  // What an earlier protocol of this connection has had.
  if (!chunk.datagram && chunk.offset < work.from[indexOf(chunk.side)]) {
    const uint64_t had = std::min<uint64_t>(work.from[indexOf(chunk.side)] - chunk.offset, chunk.bytes.size());
    fresh.bytes = chunk.bytes.subspan(had);
    fresh.offset += had;
    if (fresh.bytes.empty()) return {};
  }
  const Classified result = [&] {
    const TaskClock::Turn turn{tasks_, Task::classification};
    return classifier_.feed(*work.classification, work.ends, fresh, context.now, kept_.full());
  }();
  if (result.final && kept_.full()) counters_.hurried.add();
  if (!result.final) return {};
  StageAnswer answer = identified(context, work, result);
  if (answer.denies() || work.parser == nullptr) return answer;
  merge(answer, parse(context, work, fresh));
  return answer;
}

Classified ApplicationStage::conclude(Work& work, Millis now) {
  const TaskClock::Turn turn{tasks_, Task::classification};
  return classifier_.conclude(*work.classification, work.ends, now);
}

// The application is known: the policy is asked, and what was collected goes to the parser.
StageAnswer ApplicationStage::identified(const StageContext& context, Work& work, const Classified& result) {
  Flow& flow = context.flow;
  const std::unique_ptr<FlowClassification> classification = std::move(work.classification);
  flow.application = result.application;
  (result.application == Application::unknown ? counters_.unknown : counters_.classified).add();
  Events events(*this, context, work);
  if (const ClientHelloSummary* const hello = classification->hello()) {
    work.host = hello->serverName;
    work.hostKnown = true;
    events.note("tls.sni", hello->serverName);
    events.note("tls.alpn", hello->applicationProtocol);
    events.note("tls.ja4", hello->ja4);
    if (hello->encryptedHello) events.note("tls.ech", "yes");
  }
  ParserContext about{work.ends, hints_.claim(work.ends, flow.ref, context.now)};
  std::unique_ptr<Parser> parser = makeParser(result.application, about);
  // Of a hello that is too long nobody knows which server it names.
  const bool cutHello = result.application == Application::tls && result.confidence < kStrong && !work.hostKnown;
  if (parser == nullptr && !cutHello) work.hostKnown = true;
  StageAnswer answer = decide(context, work, AuditCause::application);
  if (cutHello && !answer.denies()) {
    merge(answer, parserFailed(context, work, Side::initiator));
    work.hostKnown = true;
    if (!answer.denies()) merge(answer, decide(context, work, AuditCause::host));
  }
  if (answer.denies()) return answer;
  const bool wanted = work.needs != 0 || wants(AuditEvent::fileinfo) || wants(AuditEvent::chat) || wants(AuditEvent::flow);
  if (parser == nullptr || !(wanted || (policy_->asksForApplications() && parser->announces()))) return answer;
  work.forOthers = !wanted;
  work.parser = std::move(parser);
  classification->collected().forEachChunk([&](const Chunk& chunk) {
    if (!answer.denies() && work.parser) merge(answer, parse(context, work, chunk));
  });
  return answer;
}

StageAnswer ApplicationStage::parse(const StageContext& context, Work& work, const Chunk& chunk) {
  if (work.parser == nullptr || work.parser->finished()) return {};
  Events events(*this, context, work);
  {
    const TaskClock::Turn turn{tasks_, Task::parsers};
    work.parser->data(chunk, events);
    if (kept_.full() && work.parser->keptBytes() > kKeptInAnyCase) work.parser->stop(events);
  }
  heedGivingUp(context, work, chunk.side, events);
  if (events.handedOver && !events.answer.denies()) merge(events.answer, handOver(context, work, chunk, events));
  return events.answer;
}

StageAnswer ApplicationStage::handOver(const StageContext& context, Work& work, const Chunk& chunk, Events& events) {
  const HandOver& order = *events.handedOver;
  events.note("application.before", nameOf(context.flow.application));
  work.from = order.offset;
  const uint64_t begins = order.offset[indexOf(chunk.side)];
  Chunk rest = chunk;
  const uint64_t had = begins > chunk.offset ? std::min<uint64_t>(begins - chunk.offset, chunk.bytes.size()) : 0;
  rest.bytes = chunk.bytes.subspan(had);
  rest.offset = chunk.offset + had;
  work.parser.reset();
  work.forOthers = false;
  work.hostKnown = false;
  if (order.application != Application::unknown) {
    context.flow.application = order.application;
    work.parser = makeParser(order.application, {work.ends, {}});
    StageAnswer answer = decide(context, work, AuditCause::application);
    if (!answer.denies() && !rest.bytes.empty()) merge(answer, parse(context, work, rest));
    return answer;
  }
  work.classification = std::make_unique<FlowClassification>();
  work.decided = false;
  return rest.bytes.empty() ? StageAnswer{} : classify(context, work, rest);
}

StageAnswer ApplicationStage::gap(const StageContext& context, Side side, uint64_t bytes) {
  tellCall(context.now);
  Work& work = *context.memory<Work>();
  StageAnswer answer;
  if (work.classification) {
    answer = identified(context, work, conclude(work, context.now));
  }
  if (!answer.denies() && work.parser && !work.parser->finished()) {
    Events events(*this, context, work);
    {
      const TaskClock::Turn turn{tasks_, Task::parsers};
      work.parser->gap(side, bytes, events);
    }
    heedGivingUp(context, work, side, events);
    merge(answer, events.answer);
  }
  return finish(work, side, answer);
}

StageAnswer ApplicationStage::end(const StageContext& context, Side side) {
  tellCall(context.now);
  Work& work = *context.memory<Work>();
  StageAnswer answer;
  // A client may be done before its server has said a word.
  if (work.classification && side == Side::responder) {
    answer = identified(context, work, conclude(work, context.now));
  }
  if (!answer.denies() && work.parser && !work.parser->finished()) {
    Events events(*this, context, work);
    {
      const TaskClock::Turn turn{tasks_, Task::parsers};
      work.parser->end(side, events);
    }
    heedGivingUp(context, work, side, events);
    merge(answer, events.answer);
  }
  return finish(work, side, answer);
}

void ApplicationStage::ended(const StageContext& context, FlowEnd cause) {
  now_ = context.now;
  Flow& flow = context.flow;
  // One that had to make room here may go on.
  if (flow.redirected && (cause == FlowEnd::closed || cause == FlowEnd::idle)) parts_.redirects->over(flow);
  if (Work* const work = context.memory<Work>()) {
    while (!work->files.empty()) {
      const auto& [owner, file] = *work->files.begin();
      if (!file.watch->ended()) (void)file.watch->end(false, context.now);
      fileOver(flow, *work, owner, flow.phase == FlowPhase::denied ? AuditFileState::blocked : AuditFileState::truncated);
    }
  }
  if (flow.refusedPackets != 0 && wants(AuditEvent::drop)) {
    const AuditDecision decision = decisionOf(flow.verdict, rules_.nameOf(flow.verdict.rule));
    record(endsOf(flow, Side::initiator, nameOf(flow.application)),
           DropAudit{decision, conditionOf(flow.verdict.reason), {flow.refusedPackets, flow.refusedBytes}});
  }
  if (!wants(AuditEvent::flow)) return;
  FlowAudit about = flowAuditOf(flow, cause, rules_.nameOf(flow.verdict.rule), context.now, wall(context.now));
  std::vector<AuditAttribute> attributes;
  if (const auto* const notes = static_cast<const Notes*>(flow.notes.get())) {
    for (const auto& [name, value] : notes->attributes) attributes.push_back({name, value});
  }
  about.attributes = attributes;
  record(endsOf(flow, Side::initiator, nameOf(flow.application)), about);
}

void ApplicationStage::poll(Pipeline& pipeline, Millis now) {
  now_ = now;
  for (; !said_.empty(); said_.pop_front()) {
    const Hint& said = said_.front();
    Flow* const flow = pipeline.flows().find(said.flow);
    auto* const work = flow == nullptr ? nullptr : static_cast<Work*>(flow->memories[slot_].get());
    if (work == nullptr || work->parser == nullptr) continue;
    FlowHint hint = said.hint;
    hint.name = said.name;
    work->parser->hint(hint);
  }
  if (parts_.store != nullptr) storedFiles();
  if (parts_.scans != nullptr) scannedFiles(pipeline, now);
}

std::optional<Millis> ApplicationStage::nextDue() const {
  return parts_.scans == nullptr ? std::nullopt : parts_.scans->nextDue();
}

}  // namespace p2pxbone::gateway
