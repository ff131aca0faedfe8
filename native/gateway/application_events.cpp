#include "gateway/application_events.h"

#include "gateway/audit/from_flow.h"

namespace p2pxbone::gateway {
namespace {

// Hints to other flows between two calls of poll(); beyond, they are not told.
constexpr size_t kSaidMax = 256;

}  // namespace

void ApplicationStage::Events::request(Side from, const FileOffer& offer) {
  // Lists of what is shared name thousands of files that nobody has asked for.
  if (offer.kind == FileOffer::Kind::listed || work_.forOthers || answer.denies()) return;
  const bool wanted = offer.kind == FileOffer::Kind::request;
  FileFacts facts;
  facts.name = offer.name;
  facts.size = offer.size;
  facts.sender = wanted ? other(from) : from;
  const Decision decision = stage_.askAboutFile(flow(), work_, facts, context_.now);
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

void ApplicationStage::Events::chat(Side from, const ChatMessage& message) {
  if (work_.forOthers) return;
  stage_.counters_.messages.add();
  if (answer.denies()) return;
  const ChatFacts facts{message.from, message.to, message.text};
  const Decision decision = [&] {
    const TaskClock::Turn turn{stage_.tasks_, Task::policy};
    return stage_.policy_->chat(stage_.factsOf(flow(), work_, context_.now), facts, *stage_.scratch_);
  }();
  if (stage_.wants(AuditEvent::chat)) {
    stage_.record(ends(from), ChatAudit{message.kind, message.from, message.to, message.text, stage_.auditOf(decision)});
  }
  obey(decision, AuditCause::chat, message.text, from);
}

void ApplicationStage::Events::transferBegins(Side sender, const Transfer& transfer) {
  if (!work_.forOthers && !answer.denies()) stage_.fileBegins(context_, work_, sender, transfer, answer);
}

void ApplicationStage::Events::transferData(Side sender, std::span<const uint8_t> bytes) {
  FileWatch* const file = answer.denies() ? nullptr : work_.file(sender);
  if (file == nullptr) return;
  const TaskClock::Turn turn{stage_.tasks_, Task::files};
  const FileWatch::Answer given = file->data(bytes, context_.now);
  stage_.fileAnswered(flow(), work_, work_.current[indexOf(sender)], given, context_.now, answer);
}

void ApplicationStage::Events::transferEnds(Side sender, bool complete) {
  FileWatch* const file = answer.denies() ? nullptr : work_.file(sender);
  if (file == nullptr) return;
  const TaskClock::Turn turn{stage_.tasks_, Task::files};
  const FileWatch::Answer given = file->end(complete, context_.now);
  stage_.fileAnswered(flow(), work_, work_.current[indexOf(sender)], given, context_.now, answer);
}

void ApplicationStage::Events::attribute(std::string_view name, std::string_view value) {
  if (name == "parser") {
    stage_.counters_.parserErrors.add();
    gaveUp = true;
  }
  note(name, value);
  if (name == "http.host") hostIs(value.substr(0, kAuditValueBytesMax));
}

// Each request of a connection may be for another host, and is asked about before what it asks for.
void ApplicationStage::Events::hostIs(std::string_view host) {
  if (work_.hostKnown && work_.host == host) return;
  work_.host = host;
  work_.hostKnown = true;
  if (!answer.denies()) merge(answer, stage_.decide(context_, work_, AuditCause::host));
}

void ApplicationStage::Events::note(std::string_view name, std::string_view value) {
  if (!stage_.wants(AuditEvent::flow) || value.empty()) return;
  if (flow().notes == nullptr) flow().notes = std::make_unique<Notes>(stage_.kept_);
  static_cast<Notes*>(flow().notes.get())->add(name, value);
}

void ApplicationStage::Events::learnPeer(const Address& address, uint16_t port, Application application, const FlowHint& hint) {
  stage_.peers_.learn(address, port, application, context_.now, PeerCache::kExpiryDefault, hint.other);
  const auto user = stage_.hints_.learn(address, port, hint, context_.now);
  if (!user || stage_.said_.size() == kSaidMax) return;
  stage_.said_.push_back({*user, hint, std::string(hint.name.substr(0, FlowHints::kNameBytesMax))});
  stage_.said_.back().hint.name = {};
}

AuditEnds ApplicationStage::Events::ends(Side sender) const { return endsOf(flow(), sender, stage_.nameOf(flow().application)); }

void ApplicationStage::Events::obey(const Decision& decision, AuditCause cause, std::string_view about, Side from) {
  if (decision.decided) stage_.carryOut(flow(), decision);
  merge(answer, stage_.deny(flow(), decision, cause, about, from, context_.now));
}

}  // namespace p2pxbone::gateway
