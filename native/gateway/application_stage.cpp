#include "gateway/application_stage.h"

#include <algorithm>

#include "gateway/audit/from_flow.h"

namespace p2pxbone::gateway {
namespace {

// What a flow's record can tell: more is not kept.
constexpr size_t kNotesBytesMax = 4'096;
constexpr size_t kSaidMax = 256;

// Of two answers to one chunk: a denial counts, then a hold.
void merge(StageAnswer& into, const StageAnswer& other) {
  const auto weight = [](const StageAnswer& answer) {
    switch (answer.verdict.action) {
      case Verdict::Action::drop:
      case Verdict::Action::reject: return 2;
      case Verdict::Action::hold: return 1;
      case Verdict::Action::accept: break;
    }
    return 0;
  };
  const bool keepBack = into.keepBack || other.keepBack;
  if (weight(other) > weight(into)) into = other;
  into.keepBack = keepBack;
}

bool denies(const StageAnswer& answer) {
  return answer.verdict.action == Verdict::Action::drop || answer.verdict.action == Verdict::Action::reject;
}

}  // namespace

// For the flow's record, which is written after all else about it was freed.
struct ApplicationStage::Notes final : StageMemory {
  std::vector<std::pair<std::string, std::string>> attributes;
  size_t bytes = 0;

  void add(std::string_view name, std::string_view value) {
    name = name.substr(0, kAuditNameBytesMax);
    value = value.substr(0, kAuditValueBytesMax);
    const bool known = std::any_of(attributes.begin(), attributes.end(), [&](const auto& note) { return note.first == name; });
    if (known || attributes.size() == kAuditAttributesMax || bytes + name.size() + value.size() > kNotesBytesMax) return;
    bytes += name.size() + value.size();
    attributes.emplace_back(name, value);
  }
};

struct ApplicationStage::Work final : StageMemory {
  struct File {
    std::unique_ptr<FileWatch> watch;
    Side sender = Side::initiator;
    bool holds = false;
  };

  FlowEnds ends;
  std::unique_ptr<FlowClassification> classification;
  std::unique_ptr<Parser> parser;
  // First byte of each direction that concerns what is under way: an earlier protocol has had those before.
  std::array<uint64_t, 2> from{};
  std::string host;
  bool hostKnown = false;
  uint32_t needs = 0;
  bool decided = false;
  // Of this flow nothing is asked any more; its parser tells of others that are to come.
  bool forOthers = false;
  // Files that pass, and those whose end waits for their scan, by FileScan::Object::owner.
  std::map<uint64_t, File> files;
  // The one that passes in each direction; 0: none.
  std::array<uint64_t, 2> current{};
  // Files whose end waits, and answers `hold` that were given for them.
  struct Holding {
    uint32_t files = 0;
    uint32_t answers = 0;
  };
  std::array<Holding, 2> holding;

  [[nodiscard]] FileWatch* file(Side sender) {
    const auto found = files.find(current[indexOf(sender)]);
    return found == files.end() || found->second.watch->ended() ? nullptr : found->second.watch.get();
  }

  // Which flow each file that is scanned belongs to, of all flows.
  std::unordered_map<uint64_t, FlowRef>& scanning;

  Work(const FlowEnds& flowEnds, std::unordered_map<uint64_t, FlowRef>& allScanning)
      : ends(flowEnds), classification(std::make_unique<FlowClassification>()), scanning(allScanning) {}
  ~Work() override {
    for (const auto& [owner, file] : files) scanning.erase(owner);
  }
};

// What a parser tells, and what follows from it.
class ApplicationStage::Events final : public ParserEvents {
 public:
  Events(ApplicationStage& stage, const StageContext& context, Work& work) : stage_(stage), context_(context), work_(work) {}

  void request(Side from, const FileOffer& offer) override {
    // Lists of what is shared name thousands of files that nobody has asked for.
    if (offer.kind == FileOffer::Kind::listed || work_.forOthers || denies(answer)) return;
    const bool wanted = offer.kind == FileOffer::Kind::request;
    FileFacts facts;
    facts.name = offer.name;
    facts.size = offer.size;
    facts.sender = wanted ? other(from) : from;
    const Decision decision = stage_.policy_->file(stage_.factsOf(flow(), work_, context_.now), facts, *stage_.scratch_);
    if (stage_.wants(AuditEvent::fileinfo)) {
      FileAudit file;
      file.name = offer.name;
      file.state = decision.deniesNow() ? AuditFileState::blocked : wanted ? AuditFileState::requested : AuditFileState::offered;
      file.size = offer.size;
      file.hash = offer.hash;
      file.decision = stage_.auditOf(decision);
      stage_.record(ends(from), file);
    }
    obey(decision, AuditCause::file, offer.name, from);
  }

  void chat(Side from, const ChatMessage& message) override {
    if (work_.forOthers) return;
    stage_.counters_.messages.add();
    if (denies(answer)) return;
    const ChatFacts facts{message.from, message.to, message.text};
    const Decision decision = stage_.policy_->chat(stage_.factsOf(flow(), work_, context_.now), facts, *stage_.scratch_);
    if (stage_.wants(AuditEvent::chat)) {
      stage_.record(ends(from), ChatAudit{message.kind, message.from, message.to, message.text, stage_.auditOf(decision)});
    }
    obey(decision, AuditCause::chat, message.text, from);
  }

  void transferBegins(Side sender, const Transfer& transfer) override {
    if (!work_.forOthers && !denies(answer)) stage_.fileBegins(context_, work_, sender, transfer, answer);
  }

  void transferData(Side sender, std::span<const uint8_t> bytes) override {
    FileWatch* const file = denies(answer) ? nullptr : work_.file(sender);
    if (file == nullptr) return;
    const FileWatch::Answer given = file->data(bytes, context_.now);
    stage_.fileAnswered(flow(), work_, work_.current[indexOf(sender)], given, context_.now, answer);
  }

  void transferEnds(Side sender, bool complete) override {
    FileWatch* const file = denies(answer) ? nullptr : work_.file(sender);
    if (file == nullptr) return;
    const FileWatch::Answer given = file->end(complete, context_.now);
    stage_.fileAnswered(flow(), work_, work_.current[indexOf(sender)], given, context_.now, answer);
  }

  void attribute(std::string_view name, std::string_view value) override {
    if (name == "parser") {
      stage_.counters_.parserErrors.add();
      gaveUp = true;
    } else if (name == "http.host" && !work_.hostKnown) {
      work_.host = value.substr(0, kAuditValueBytesMax);
      work_.hostKnown = true;
      hostFound = true;
    }
    note(name, value);
  }

  void note(std::string_view name, std::string_view value) {
    if (!stage_.wants(AuditEvent::flow) || value.empty()) return;
    if (flow().notes == nullptr) flow().notes = std::make_unique<Notes>();
    static_cast<Notes*>(flow().notes.get())->add(name, value);
  }

  void learnPeer(const Address& address, uint16_t port, Application application, const FlowHint& hint) override {
    stage_.peers_.learn(address, port, application, context_.now);
    const auto user = stage_.hints_.learn(address, port, hint, context_.now);
    if (!user || stage_.said_.size() == kSaidMax) return;
    stage_.said_.push_back({*user, hint, std::string(hint.name.substr(0, FlowHints::kNameBytesMax))});
    stage_.said_.back().hint.name = {};
  }

  void handOver(const HandOver& handOver) override { handedOver = handOver; }

  StageAnswer answer;
  std::optional<HandOver> handedOver;
  bool hostFound = false;
  bool gaveUp = false;

 private:
  Flow& flow() const { return context_.flow; }
  AuditEnds ends(Side sender) const { return endsOf(flow(), sender, stage_.nameOf(flow().application)); }

  void obey(const Decision& decision, AuditCause cause, std::string_view about, Side from) {
    if (decision.decided) stage_.carryOut(flow(), decision);
    merge(answer, stage_.deny(flow(), decision, cause, about, from, context_.now));
  }

  ApplicationStage& stage_;
  const StageContext& context_;
  Work& work_;
};

ApplicationStage::ApplicationStage(const Parts& parts, const HashSeed& seed, std::string host)
    : parts_(parts), host_(std::move(host)), peers_(seed.first), classifier_(peers_), hints_(seed) {}

ApplicationStage::~ApplicationStage() = default;

bool ApplicationStage::use(std::shared_ptr<const Policy> policy, std::shared_ptr<const SignatureSet> signatures) {
  auto scratch = policy->makeScratch();
  if (scratch == nullptr || !classifier_.useSignatures(signatures)) return false;
  scratch_ = std::move(scratch);
  signatures_ = std::move(signatures);
  rules_.add(policy);
  policy_ = std::move(policy);
  return true;
}

void ApplicationStage::setClock(WallTime wall, Millis now, int32_t utcOffsetSeconds) {
  wallBase_ = wall - now * 1'000;
  utcOffset_ = utcOffsetSeconds;
}

std::string_view ApplicationStage::nameOf(Application application) const {
  if (isUserApplication(application)) return signatures_ ? signatures_->nameOf(application) : std::string_view{};
  return application == Application::unknown ? std::string_view{} : applicationName(application);
}

template <typename About>
void ApplicationStage::record(const AuditEnds& ends, About&& about) {
  parts_.audit->record({wall(now_), host_, ends, std::forward<About>(about)});
}

AuditDecision ApplicationStage::auditOf(const Decision& decision) const {
  AuditDecision audit;
  switch (decision.action) {
    case Decision::Action::accept: audit.action = AuditAction::accept; break;
    case Decision::Action::drop: audit.action = AuditAction::drop; break;
    case Decision::Action::reject: audit.action = AuditAction::reject; break;
    case Decision::Action::redirect: audit.action = AuditAction::redirect; break;
  }
  audit.rule = rules_.numberOf(decision.rule);
  audit.ruleName = rules_.nameOf(audit.rule);
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

void ApplicationStage::carryOut(Flow& flow, const Decision& decision) const {
  if (decision.dryRun) return;
  if (decision.mark) flow.mark = *decision.mark;
  if (decision.limit != 0) {
    flow.limit = decision.limit;
    flow.watched = true;
  }
}

StageAnswer ApplicationStage::deny(Flow& flow, const Decision& decision, AuditCause cause, std::string_view about, Side sender,
                                   Millis now) {
  now_ = now;
  const bool matters = decision.log || decision.denies();
  if (matters && wants(AuditEvent::alert)) {
    AlertAudit alert;
    alert.decision = auditOf(decision);
    alert.cause = cause;
    alert.about = about;
    record(endsOf(flow, sender, nameOf(flow.application)), alert);
  }
  if (!decision.denies()) return {};
  (decision.dryRun ? counters_.wouldDeny : counters_.denied).add();
  if (decision.dryRun) return {};
  const uint32_t rule = rules_.numberOf(decision.rule);
  return {.verdict = decision.action == Decision::Action::reject ? Verdict::reject(rule)
                                                                 : Verdict::drop(DropReason::gatewayRule, rule),
          .denyFor = decision.denyFor};
}

Verdict ApplicationStage::syn(const Packet& packet, Millis now) {
  now_ = now;
  const Decision decision = policy_->syn(packet, wall(now), utcOffset_);
  if (!decision.denies() || !decision.decided) return Verdict::accept();
  (decision.dryRun ? counters_.wouldDeny : counters_.denied).add();
  if (wants(AuditEvent::alert)) {
    AlertAudit alert;
    alert.decision = auditOf(decision);
    record(endsOf(packet), alert);
  }
  if (decision.dryRun) return Verdict::accept();
  const uint32_t rule = rules_.numberOf(decision.rule);
  return decision.action == Decision::Action::reject ? Verdict::reject(rule) : Verdict::drop(DropReason::gatewayRule, rule);
}

StageAnswer ApplicationStage::decide(const StageContext& context, Work& work, AuditCause cause) {
  Flow& flow = context.flow;
  const Decision decision = policy_->flow(factsOf(flow, work, context.now), *scratch_);
  work.needs = decision.needs;
  const bool first = decision.decided && !work.decided;
  work.decided = decision.decided;
  if (decision.decided || decision.rule != kNoRule) carryOut(flow, decision);
  if (decision.decided) flow.verdict = Verdict::accept(rules_.numberOf(decision.rule));
  return first ? deny(flow, decision, cause, work.host, Side::initiator, context.now) : StageAnswer{};
}

StageAnswer ApplicationStage::begin(const StageContext& context, const Packet&) {
  now_ = context.now;
  slot_ = context.slot;
  const Flow& flow = context.flow;
  const FlowEnds ends{flow.address(Side::initiator), flow.address(Side::responder), flow.port(Side::initiator),
                      flow.port(Side::responder), flow.key.protocol};
  Work& work = context.remember(std::make_unique<Work>(ends, scanning_));
  return finish(work, Side::initiator, decide(context, work, AuditCause::flow));
}

// Whether anything is left to find out.
StageAnswer ApplicationStage::finish(Work& work, Side side, StageAnswer answer) const {
  if (denies(answer)) return answer;
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
  now_ = context.now;
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
  const Classified result = classifier_.feed(*work.classification, work.ends, fresh, context.now);
  if (!result.final) return {};
  StageAnswer answer = identified(context, work, result);
  if (denies(answer) || work.parser == nullptr) return answer;
  merge(answer, parse(context, work, fresh));
  return answer;
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
  if (parser == nullptr) work.hostKnown = true;
  StageAnswer answer = decide(context, work, AuditCause::application);
  if (denies(answer)) return answer;
  const bool wanted = work.needs != 0 || wants(AuditEvent::fileinfo) || wants(AuditEvent::chat) || wants(AuditEvent::flow);
  if (parser == nullptr || !(wanted || (policy_->asksForApplications() && parser->announces()))) return answer;
  work.forOthers = !wanted;
  work.parser = std::move(parser);
  classification->collected().forEachChunk([&](const Chunk& chunk) {
    if (!denies(answer) && work.parser) merge(answer, parse(context, work, chunk));
  });
  return answer;
}

StageAnswer ApplicationStage::parse(const StageContext& context, Work& work, const Chunk& chunk) {
  if (work.parser == nullptr || work.parser->finished()) return {};
  Events events(*this, context, work);
  work.parser->data(chunk, events);
  if (events.gaveUp && !work.forOthers && !denies(events.answer)) merge(events.answer, parserFailed(context.flow, chunk.side, context.now));
  if (events.hostFound && !denies(events.answer)) merge(events.answer, decide(context, work, AuditCause::host));
  if (events.handedOver && !denies(events.answer)) merge(events.answer, handOver(context, work, chunk, events));
  return events.answer;
}

// A protocol that cannot be followed hides what its flow carries from here on.
StageAnswer ApplicationStage::parserFailed(Flow& flow, Side side, Millis now) {
  now_ = now;
  const ConditionAction action = policy_->conditions()[Condition::parserError];
  if (action == ConditionAction::pass || action == ConditionAction::bypass) return {};
  const DropReason reason = reasonOf(Condition::parserError);
  if (wants(AuditEvent::alert)) {
    AlertAudit alert;
    alert.decision.action = AuditAction::drop;
    alert.decision.reason = reason;
    alert.decision.dryRun = policy_->dryRun();
    alert.cause = AuditCause::condition;
    alert.condition = Condition::parserError;
    record(endsOf(flow, side, nameOf(flow.application)), alert);
  }
  (policy_->dryRun() ? counters_.wouldDeny : counters_.denied).add();
  if (policy_->dryRun()) return {};
  return {.verdict = Verdict::drop(reason)};
}

StageAnswer ApplicationStage::handOver(const StageContext& context, Work& work, const Chunk& chunk, Events& events) {
  const HandOver& order = *events.handedOver;
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
    if (!denies(answer) && !rest.bytes.empty()) merge(answer, parse(context, work, rest));
    return answer;
  }
  work.classification = std::make_unique<FlowClassification>();
  work.decided = false;
  return rest.bytes.empty() ? StageAnswer{} : classify(context, work, rest);
}

StageAnswer ApplicationStage::gap(const StageContext& context, Side side, uint64_t bytes) {
  now_ = context.now;
  Work& work = *context.memory<Work>();
  StageAnswer answer;
  if (work.classification) {
    const Classified result = classifier_.conclude(*work.classification, work.ends, context.now);
    answer = identified(context, work, result);
  }
  if (!denies(answer) && work.parser && !work.parser->finished()) {
    Events events(*this, context, work);
    work.parser->gap(side, bytes, events);
    merge(answer, events.answer);
  }
  return finish(work, side, answer);
}

StageAnswer ApplicationStage::end(const StageContext& context, Side side) {
  now_ = context.now;
  Work& work = *context.memory<Work>();
  StageAnswer answer;
  // A client may be done before its server has said a word.
  if (work.classification && side == Side::responder) {
    answer = identified(context, work, classifier_.conclude(*work.classification, work.ends, context.now));
  }
  if (!denies(answer) && work.parser && !work.parser->finished()) {
    Events events(*this, context, work);
    work.parser->end(side, events);
    merge(answer, events.answer);
  }
  return finish(work, side, answer);
}

void ApplicationStage::ended(const StageContext& context, FlowEnd cause) {
  now_ = context.now;
  Flow& flow = context.flow;
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
           DropAudit{decision, std::nullopt, {flow.refusedPackets, flow.refusedBytes}});
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

// Files.

void ApplicationStage::fileBegins(const StageContext& context, Work& work, Side sender, const Transfer& transfer,
                                  StageAnswer& answer) {
  counters_.files.add();
  const bool forRecord = wants(AuditEvent::fileinfo);
  const uint64_t owner = ++lastOwner_;
  Flow& flow = context.flow;
  FileWatch::Parts parts;
  parts.scans = parts_.scans;
  parts.store = parts_.store;
  parts.decide = [this, &flow, &work](const FileFacts& facts) {
    return policy_->file(factsOf(flow, work, now_), facts, *scratch_);
  };
  parts.withoutScanner = policy_->conditions()[Condition::scanUnavailable];
  parts.forRecord = forRecord;
  parts.owner = owner;
  Work::File& file = work.files[owner];
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
  Work::File& file = work.files.find(owner)->second;
  FileWatch& watch = *file.watch;
  const Side sender = file.sender;
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
      merge(answer, infected(flow, watch, sender, now));
      fileOver(flow, work, owner, denies(answer) ? AuditFileState::blocked : watch.record().state);
      return;
  }
}

StageAnswer ApplicationStage::infected(Flow& flow, const FileWatch& file, Side sender, Millis now) {
  now_ = now;
  const ScanFinding* const finding = file.finding();
  const bool found = finding != nullptr && finding->kind == ScanFinding::Kind::infected;
  const Condition condition = finding != nullptr ? finding->condition : Condition::scanUnavailable;
  const DropReason reason = found ? DropReason::gatewayInfected : reasonOf(condition);
  if (wants(AuditEvent::alert)) {
    AlertAudit alert;
    alert.decision = auditOf(file.decision());
    alert.decision.action = AuditAction::reject;
    alert.decision.reason = reason;
    alert.cause = found ? AuditCause::scan : AuditCause::condition;
    const FileAudit about = file.record();
    alert.about = about.name;
    alert.malware = found ? std::string_view{finding->text} : std::string_view{};
    if (!found) alert.condition = condition;
    record(endsOf(flow, sender, nameOf(flow.application)), alert);
  }
  const bool dryRun = file.decision().dryRun;
  (dryRun ? counters_.wouldDeny : counters_.denied).add();
  if (dryRun) return {};
  // As a rejection: both ends are told, so that nobody waits for the rest.
  return {.verdict = {Verdict::Action::reject, reason, rules_.numberOf(file.decision().rule)},
          .denyFor = policy_->denyFor()};
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
  Work::File& file = work.files.find(owner)->second;
  if (wants(AuditEvent::fileinfo)) {
    const AuditEnds ends = endsOf(flow, file.sender, nameOf(flow.application));
    const AuditDecision decision = auditOf(file.watch->decision());
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
  if (parts_.store != nullptr) {
    while (const auto result = parts_.store->poll()) {
      const auto found = shelved_.find(result->id);
      if (found == shelved_.end()) continue;
      const Shelved& shelved = found->second;
      recordFile(*shelved.file, shelved.ends, shelved.state, shelved.decision, result->kept);
      shelved_.erase(found);
    }
  }
  if (parts_.scans == nullptr) return;
  while (const FileScan* const scan = parts_.scans->poll(now)) {
    const auto found = scanning_.find(scan->owner());
    Flow* const flow = found == scanning_.end() ? nullptr : pipeline.flows().find(found->second);
    auto* const work = flow == nullptr ? nullptr : static_cast<Work*>(flow->memories[slot_].get());
    if (work != nullptr) scanned(pipeline, *flow, *work, found->first, now);
  }
}

void ApplicationStage::scanned(Pipeline& pipeline, Flow& flow, Work& work, uint64_t owner, Millis now) {
  Work::File& file = work.files.find(owner)->second;
  const FlowRef ref = flow.ref;
  const Side sender = file.sender;
  const FileWatch::Answer given = file.watch->settle();
  if (given == FileWatch::Answer::hold || given == FileWatch::Answer::keepBack) return;
  if (given == FileWatch::Answer::denyScan) {
    const StageAnswer verdict = infected(flow, *file.watch, sender, now);
    if (denies(verdict)) {
      fileOver(flow, work, owner, AuditFileState::blocked);
      pipeline.deny(ref, verdict, now);
      return;
    }
  }
  if (std::exchange(file.holds, false)) --work.holding[indexOf(sender)].files;
  if (file.watch->ended()) fileOver(flow, work, owner, file.watch->record().state);
  Work::Holding& holding = work.holding[indexOf(sender)];
  if (holding.files != 0) return;
  // At least once: a packet may be kept back although nothing holds.
  for (uint32_t left = std::max(1U, std::exchange(holding.answers, 0)); left > 0; --left) pipeline.decide(ref, sender, {}, now);
}

std::optional<Millis> ApplicationStage::nextDue() const {
  return parts_.scans == nullptr ? std::nullopt : parts_.scans->nextDue();
}

}  // namespace p2pxbone::gateway
