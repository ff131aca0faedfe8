#include "os/gateway.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <system_error>

#include "gateway/audit/from_flow.h"
#include "gateway/audit/json_writer.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

using gateway::AuditCounter;
using gateway::JsonWriter;

constexpr Nanos kMilli = 1'000'000;
constexpr Nanos kTimerEvery = 50 * kMilli;
constexpr Nanos kTimeEvery = 1'000 * kMilli;
constexpr Nanos kStatisticsEvery = 60'000 * kMilli;
constexpr size_t kStatisticsBytesMax = 256 * 1024;
constexpr size_t kNameBytesMax = 256;

Millis millis(Nanos now) { return now / kMilli; }

uint64_t steadyNanos() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

gateway::Pipeline::Settings pipelineSettings(const GatewaySettings& settings, const gateway::Policy& policy,
                                             gateway::Redirects& redirects) {
  gateway::Pipeline::Settings made;
  made.limits = settings.limits;
  made.conditions = policy.packetConditions();
  made.seed = settings.seed;
  made.fastPass = policy.fastPass();
  made.clock = steadyNanos;
  made.redirects = &redirects;
  return made;
}

gateway::ShapingSettings shapingSettings(const gateway::Policy& policy) {
  return {{policy.limits().begin(), policy.limits().end()}};
}

}  // namespace

Gateway::Gateway(const GatewaySettings& settings, const GatewayRules& rules, gateway::Outlet& outlet,
                 std::function<void()> onResult)
    : audit_(settings.audit ? std::make_unique<AuditLog>(*settings.audit) : nullptr),
      files_(settings.files ? std::make_unique<StoredFiles>(*settings.files) : nullptr),
      store_(files_ ? files_->open() : nullptr),
      host_(settings.host),
      redirects_(settings.limits, settings.seed),
      application_(
          [&] {
            if (settings.scanner) {
              std::string error;
              scanner_ = ClamdScanner::make(*settings.scanner, error);
              if (!scanner_) throw std::system_error{EINVAL, std::generic_category(), error};
              scanner_->onResult(std::move(onResult));
              if (const int failed = scanner_->start(); failed != 0) {
                throw std::system_error{failed, std::generic_category(), "the scanner's thread"};
              }
              scans_ = std::make_unique<gateway::ScanDesk>(*scanner_, rules.scan, rules.policy->conditions());
            }
            return gateway::ApplicationStage::Parts{audit_.get(), scans_.get(), store_.get(), &redirects_,
                                                    settings.limits.keptBytes, steadyNanos};
          }(),
          settings.seed, settings.host),
      bandwidth_(shapingSettings(*rules.policy), settings.limits, settings.seed),
      pipeline_(pipelineSettings(settings, *rules.policy, redirects_), outlet),
      policy_(rules.policy) {
  if (!application_.use(rules.policy, rules.signatures)) {
    throw std::system_error{ENOMEM, std::generic_category(), "the policy"};
  }
  redirects_.avoid([this](const gateway::FlowKey& key) { return pipeline_.flows().find(key) != nullptr; });
  pipeline_.addStage(application_);
  pipeline_.addStage(bandwidth_);
  tellTime(monotonicMicros() * 1'000);
}

Gateway::~Gateway() {
  const Nanos now = monotonicMicros() * 1'000;
  tellTime(now);
  pipeline_.shutdown(millis(now));
  recordStatistics();
  // What was handed over for storing is on its place before the records that tell of it are written.
  if (files_) files_->stop();
  application_.poll(pipeline_, millis(now));
  if (audit_) audit_->stop();
}

void Gateway::tellTime(Nanos now) {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const std::time_t seconds = std::chrono::duration_cast<std::chrono::seconds>(wall).count();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  application_.setClock(std::chrono::duration_cast<std::chrono::microseconds>(wall).count(), millis(now),
                        static_cast<int32_t>(local.tm_gmtoff));
  timeToldAt_ = now;
}

gateway::Pipeline::Processed Gateway::process(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag, Nanos now) {
  return pipeline_.process(bytes, offload, tag, millis(now));
}

uint32_t Gateway::markOf(std::span<uint8_t> bytes) {
  gateway::Packet packet;
  if (gateway::parsePacket(bytes, {}, 0, packet) != DropReason::none) return 0;
  const gateway::Flow* const flow = pipeline_.flows().find(redirects_.flowOf(packet));
  return flow == nullptr ? 0 : flow->mark;
}

void Gateway::poll(Nanos now) {
  if (now - timeToldAt_ >= kTimeEvery) tellTime(now);
  application_.poll(pipeline_, millis(now));
  if (now >= timerDue_) {
    pipeline_.timer(millis(now));
    timerDue_ = now + kTimerEvery;
  }
  pipeline_.depart(now);
  if (now >= statisticsDue_) {
    if (statisticsDue_ != 0) recordStatistics();
    statisticsDue_ = now + kStatisticsEvery;
  }
}

Nanos Gateway::nextDue(Nanos now) const {
  Nanos due = std::max(timerDue_, now);
  if (const auto departure = pipeline_.nextDue()) due = std::min(due, *departure);
  if (const auto reminder = application_.nextDue()) due = std::min(due, *reminder * kMilli);
  return std::max(due, now);
}

bool Gateway::use(const GatewayRules& rules, Nanos now) {
  const auto numbering = static_cast<uint8_t>(bandwidth_.numbering() + 1);
  if (!application_.use(rules.policy, rules.signatures, numbering)) return false;
  policy_ = rules.policy;
  pipeline_.setConditions(policy_->packetConditions());
  // What was denied may be allowed now; if not, it is denied again at its next packet.
  pipeline_.connectionCache().clear();
  pipeline_.setFastPass(policy_->fastPass());
  if (scans_) {
    scans_->setConditions(policy_->conditions());
    scans_->setSettings(rules.scan);
  }
  bandwidth_.configure(shapingSettings(*policy_), pipeline_.custody(), now);
  adaptNext_ = 0;
  return true;
}

bool Gateway::adapt() {
  if (!bandwidth_.renumbers()) return false;
  const uint32_t from = adaptNext_;
  const auto renumber = [this](gateway::Flow& flow) { bandwidth_.renumber(flow); };
  adaptNext_ = pipeline_.flows().forSome(from, FlowSurvey::kFlowsAtOnce, renumber);
  return adaptNext_ != from;
}

void Gateway::useSets(std::shared_ptr<const gateway::Policy> policy) {
  policy_ = policy;
  application_.useSets(std::move(policy));
  // As with other rules.
  pipeline_.connectionCache().clear();
}

gateway::Pipeline::Statistics Gateway::pipelineStatistics() {
  gateway::Pipeline::Statistics all = pipeline_.statistics();
  application_.addConditionsTo(all.conditions);
  return all;
}

void Gateway::recordStatistics() {
  if (!audit_ || !audit_->wants(gateway::AuditEvent::stats)) return;
  const gateway::Pipeline::Statistics all = pipelineStatistics();
  const std::vector<AuditCounter> counters = gateway::countersOf(all);
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  audit_->record({std::chrono::duration_cast<std::chrono::microseconds>(wall).count(), host_, std::nullopt,
                  gateway::StatsAudit{counters}});
}

std::string Gateway::statistics() {
  std::string text(kStatisticsBytesMax, '\0');
  JsonWriter json{text};
  const gateway::Pipeline::Statistics all = pipelineStatistics();
  json.open();
  json.number("packets", all.packets);
  json.number("bytes", all.bytes);
  json.number("accepted", all.accepted);
  json.number("held", all.held);
  json.number("released", all.released);
  json.number("flows", all.flows);
  const auto& application = application_.counters();
  json.open("applications");
  json.number("classified", application.classified.get());
  json.number("unknown", application.unknown.get());
  json.number("files", application.files.get());
  json.number("messages", application.messages.get());
  json.number("denied", application.denied.get());
  json.number("wouldDeny", application.wouldDeny.get());
  json.number("parserErrors", application.parserErrors.get());
  json.number("hurried", application.hurried.get());
  json.number("untold", application.untold.get());
  json.close();
  json.open("redirects");
  json.number("connections", redirects_.size());
  json.number("begun", redirects_.counters().begun.get());
  json.number("refused", redirects_.counters().refused.get());
  json.number("evicted", redirects_.counters().evicted.get());
  json.close();
  json.open("answers");
  json.number("resets", all.resets);
  json.number("unreachables", all.unreachables);
  json.number("withheld", all.withheldAnswers);
  json.close();
  const auto stage = [&](const gateway::Pipeline::StageLine& one) {
    json.open();
    json.word("name", one.name);
    json.number("packets", one.packets);
    json.number("stopped", one.stopped);
    json.number("nanoseconds", one.samples == 0 ? 0 : one.nanoseconds / one.samples);
    json.close();
  };
  json.openList("stages");
  for (const auto& one : all.stages) {
    stage(one);
    if (one.name != application_.name()) continue;
    for (size_t task = 0; task < gateway::kTaskCount; ++task) {
      const gateway::StageStatistics& of = application_.tasks().of(static_cast<gateway::Task>(task));
      stage({gateway::kTaskNames[task], of.packets.get(), of.stopped.get(), of.samples.get(), of.nanoseconds.get()});
    }
  }
  json.closeList();
  json.open("drops");
  for (size_t i = 0; i < all.drops.size(); ++i) {
    if (all.drops[i] != 0) json.number(kDropReasonNames[i], all.drops[i]);
  }
  json.close();
  json.open("conditions");
  for (size_t i = 0; i < all.conditions.size(); ++i) {
    if (all.conditions[i] != 0) json.number(gateway::conditionName(static_cast<gateway::Condition>(i)), all.conditions[i]);
  }
  json.close();
  json.openList("limits");
  for (const auto& line : bandwidth_.statistics()) {
    json.open();
    json.text("name", line.name, kNameBytesMax);
    json.number("packets", line.packets);
    json.number("bytes", line.bytes);
    json.number("waited", line.waited);
    json.number("dropped", line.dropped);
    json.number("marked", line.marked);
    json.number("waiting", line.waiting);
    json.close();
  }
  json.closeList();
  json.open("memory");
  json.number("flows", all.memory.flows);
  json.number("connectionCache", all.memory.connectionCache);
  json.number("fragments", all.memory.fragments);
  json.number("outOfOrder", all.memory.outOfOrder);
  json.number("waiting", all.memory.waiting);
  json.number("limited", all.memory.limited);
  json.number("streams", all.memory.streams);
  json.number("heldMax", all.memory.heldMax);
  json.number("streamsMax", all.memory.streamsMax);
  json.number("kept", application_.kept().bytes());
  json.number("keptMax", application_.kept().bytesMax());
  json.close();
  if (scans_) {
    const gateway::ScanDesk::Counters& scans = scans_->counters();
    const ClamdStatus status = scanner_->status();
    json.open("scanner");
    json.flag("up", status.state == ClamdStatus::State::up);
    json.text("version", status.version, kNameBytesMax);
    json.text("why", status.why, kNameBytesMax);
    json.number("files", scans.files.get());
    json.number("clean", scans.clean.get());
    json.number("infected", scans.infected.get());
    json.number("unavailable", scans.unavailable.get());
    json.number("tooBig", scans.tooBig.get());
    json.number("bytes", scans.bytes.get());
    json.close();
  }
  if (audit_) {
    const AuditLog::Statistics audit = audit_->statistics();
    json.open("audit");
    json.number("recorded", audit.recorded);
    json.number("lost", audit.lost);
    json.number("written", audit.written);
    json.number("bytes", audit.bytes);
    json.number("errors", audit.errors);
    json.close();
  }
  if (files_) {
    const StoredFiles::Statistics files = files_->statistics();
    json.open("files");
    json.number("stored", files.stored);
    json.number("known", files.known);
    json.number("partial", files.partial);
    json.number("refused", files.refused + files.crowded + files.tooBig + files.failed);
    json.number("removed", files.removed);
    json.number("files", files.files);
    json.number("bytes", files.bytes);
    json.close();
  }
  json.close();
  text.resize(json.full() ? 0 : json.size());
  return text;
}

bool Gateway::survey(FlowSurvey& survey) {
  return survey.step(pipeline_.flows(), {[this](gateway::Application application) { return application_.nameOf(application); },
                                         [this](uint32_t rule) { return application_.rules().nameOf(rule); },
                                         [this](const gateway::Flow& flow) { return application_.knownOf(flow); }});
}

}  // namespace p2pxbone
