#include "os/clamd_loop.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <system_error>

#include "gateway/scanning/nested_archive.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

using gateway::ClamdReply;
using gateway::ScanResult;

// An object on which clamd broke its session so many times is given up: it may be the cause.
constexpr int kAttemptsMax = 3;
constexpr Millis kPingEvery = 10'000;
// Of a command that needs no work.
constexpr Millis kAnswerMax = 5'000;
constexpr Millis kNapMax = 100;

constexpr const char* kSilentLimits =
    "clamd calls clean what exceeds its limits; set AlertExceedsMax yes in its configuration";
Notice silentLimits{"clamd calls clean what exceeds its limits, and is not asked until AlertExceedsMax is yes in its "
                    "configuration; or allow it in the policy"};

}  // namespace

ClamdLoop::ClamdLoop(const ClamdSettings& settings, const ClamdAddress& address, ScanQueue& queue)
    : settings_(settings),
      address_(address),
      queue_(queue),
      ownMemory_(ScanObject::kBlockBytes),
      probe_(ownMemory_),
      sessions_(std::max(1U, settings.connections)) {
  (void)probe_.append(gateway::nestedArchive(gateway::kNestedTooDeep));
}

ClamdLoop::~ClamdLoop() { stop(); }

int ClamdLoop::start() {
  try {
    thread_ = startThread("p2px-clamd", [this] { loop(); });
    return 0;
  } catch (const std::system_error& error) {
    return error.code().value();
  }
}

void ClamdLoop::stop() {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  queue_.wakeup().signal();
  thread_.join();
}

ClamdStatus ClamdLoop::status() const {
  const std::lock_guard lock{statusMutex_};
  return status_;
}

void ClamdLoop::loop() {
  while (!stopping_.load()) {
    const Millis now = monotonicNow();
    step(now);
    publish(now);
    sleep(now);
  }
  for (Session& session : sessions_) session.connection.close();
}

void ClamdLoop::step(Millis now) {
  expire(now);
  failWaiting(now);
  checkHealth(now);
  if (isFit()) giveOut(now);
}

void ClamdLoop::expire(Millis now) {
  for (Session& session : sessions_) {
    if (session.task == Task::none || session.deadline > now) continue;
    const auto scan = std::move(session.scan);
    session.task = Task::none;
    session.connection.close();
    counters_.failures.add();
    health_.failed("clamd did not answer in time", now);
    askAnew();
    if (scan == nullptr) continue;
    counters_.timeouts.add();
    fail(*scan, "clamd did not answer in time");
  }
}

// What cannot be scanned in time, or at all, is not let wait for it.
void ClamdLoop::failWaiting(Millis now) {
  while (const auto scan = queue_.nextOverdue(now)) {
    counters_.timeouts.add();
    fail(*scan, health_.isFailing() ? health_.why() : "clamd is too slow");
  }
  const bool unfit = settings_.requireLimitAlerts && limitAlerts_ == false;
  if (!unfit && !health_.isDown(now)) return;
  while (const auto scan = queue_.next()) fail(*scan, unfit ? kSilentLimits : health_.why());
}

bool ClamdLoop::isFit() const { return versionKnown_ && limitAlerts_ && (*limitAlerts_ || !settings_.requireLimitAlerts); }

void ClamdLoop::checkHealth(Millis now) {
  const auto isChecking = [](const Session& session) { return session.task != Task::none && session.task != Task::scan; };
  if (std::any_of(sessions_.begin(), sessions_.end(), isChecking)) return;
  Task task = Task::ping;
  if (!versionKnown_) {
    task = Task::version;
  } else if (!limitAlerts_) {
    task = Task::limits;
  } else if (now - lastHeard_ < kPingEvery) {
    return;
  } else if (*limitAlerts_ == false) {
    // Its configuration may have been put right.
    task = Task::limits;
  }
  if (Session* const session = freeSession(now)) ask(*session, task, now);
}

void ClamdLoop::giveOut(Millis now) {
  while (!queue_.empty()) {
    Session* const session = freeSession(now);
    if (session == nullptr) return;
    session->scan = queue_.next();
    if (session->scan == nullptr) return;
    ++session->scan->attempts;
    ask(*session, Task::scan, now);
  }
}

// Open ones first.
ClamdLoop::Session* ClamdLoop::freeSession(Millis now) {
  Session* closed = nullptr;
  for (Session& session : sessions_) {
    if (session.task != Task::none) continue;
    if (session.connection.isOpen()) return &session;
    if (closed == nullptr) closed = &session;
  }
  return closed != nullptr && connect(*closed, now) ? closed : nullptr;
}

bool ClamdLoop::connect(Session& session, Millis now) {
  if (!health_.mayConnect(now)) return false;
  counters_.connects.add();
  const int error = session.connection.open(address_);
  if (error == 0) return true;
  counters_.failures.add();
  health_.failed(std::string{"clamd cannot be reached: "} + std::strerror(error), now);
  return false;
}

void ClamdLoop::ask(Session& session, Task task, Millis now) {
  session.task = task;
  session.reused = session.connection.wasUsed();
  session.deadline = task == Task::scan ? session.scan->deadline : now + kAnswerMax;
  switch (task) {
    case Task::none: return;
    case Task::version: session.connection.send("VERSION"); break;
    case Task::ping: session.connection.send("PING"); break;
    case Task::limits: session.connection.send(probe_); break;
    case Task::scan: session.connection.send(session.scan->object); break;
  }
}

void ClamdLoop::conclude(Session& session, ClamdConnection::Outcome outcome, Millis now) {
  const Task task = std::exchange(session.task, Task::none);
  const std::shared_ptr<QueuedScan> scan = std::exchange(session.scan, nullptr);
  if (outcome.broken) {
    if (scan != nullptr) tryAgain(scan, outcome.why);
    return sessionBroke(session, task, std::move(outcome), now);
  }
  lastHeard_ = now;
  health_.succeeded();
  if (task == Task::scan) {
    concludeScan(*scan, outcome.reply);
  } else {
    learn(task, outcome.reply);
  }
}

void ClamdLoop::sessionBroke(const Session& session, Task task, ClamdConnection::Outcome outcome, Millis now) {
  askAnew();
  // clamd ends sessions that were idle for a while; that says nothing about it.
  if (task == Task::none || session.reused) return;
  counters_.failures.add();
  health_.failed(std::move(outcome.why), now);
}

void ClamdLoop::tryAgain(std::shared_ptr<QueuedScan> scan, const std::string& why) {
  if (scan->attempts >= kAttemptsMax) return fail(*scan, why);
  counters_.retried.add();
  queue_.putBack(std::move(scan));
}

// It may have been started anew, with another configuration.
void ClamdLoop::askAnew() {
  versionKnown_ = false;
  limitAlerts_.reset();
}

void ClamdLoop::learn(Task task, const ClamdReply& reply) {
  if (task == Task::version) {
    version_ = reply.text;
    versionKnown_ = true;
  }
  // Whatever it dislikes about the archive, it has not passed it over.
  if (task != Task::limits) return;
  limitAlerts_ = reply.kind == ClamdReply::Kind::tooBig || reply.kind == ClamdReply::Kind::infected;
  if (!*limitAlerts_ && settings_.requireLimitAlerts) silentLimits.say();
}

void ClamdLoop::concludeScan(QueuedScan& scan, const ClamdReply& reply) {
  const auto answered = [&](ScanResult::Kind kind) {
    counters_.scanned.add();
    counters_.bytes.add(scan.object.size());
    queue_.answer(scan, kind, reply.text);
  };
  switch (reply.kind) {
    case ClamdReply::Kind::clean: return answered(ScanResult::Kind::clean);
    case ClamdReply::Kind::infected: counters_.infected.add(); return answered(ScanResult::Kind::infected);
    case ClamdReply::Kind::tooBig: counters_.tooBig.add(); return answered(ScanResult::Kind::tooBig);
    case ClamdReply::Kind::error: return fail(scan, "clamd says: " + reply.text);
    case ClamdReply::Kind::pong:
    case ClamdReply::Kind::version:
    case ClamdReply::Kind::malformed: return fail(scan, "clamd answered what nobody asked");
  }
}

void ClamdLoop::fail(QueuedScan& scan, std::string why) {
  counters_.failed.add();
  queue_.answer(scan, ScanResult::Kind::failed, std::move(why));
}

void ClamdLoop::publish(Millis now) {
  using State = ClamdStatus::State;
  const std::lock_guard lock{statusMutex_};
  status_.version = version_;
  status_.limitAlerts = limitAlerts_;
  status_.why = health_.why();
  if (health_.isFailing()) {
    status_.state = health_.isDown(now) ? State::down : State::failing;
  } else if (settings_.requireLimitAlerts && limitAlerts_ == false) {
    status_.state = State::unfit;
    status_.why = kSilentLimits;
  } else if (isFit()) {
    status_.state = State::up;
  }
}

void ClamdLoop::sleep(Millis now) {
  std::vector<pollfd> polled{{queue_.wakeup().fd(), POLLIN, 0}};
  std::vector<Session*> open;
  Millis until = now + kPingEvery;
  bool idle = true;
  for (Session& session : sessions_) {
    if (session.task != Task::none) until = std::min(until, session.deadline);
    idle = idle && session.task == Task::none;
    if (!session.connection.isOpen()) continue;
    polled.push_back({session.connection.descriptor(), session.connection.events(), 0});
    open.push_back(&session);
  }
  if (idle) until = std::min(until, lastHeard_ + kPingEvery);
  // Whether it is down by now, or somebody has waited for too long.
  if (health_.isFailing() || !queue_.empty()) until = std::min(until, now + kNapMax);
  if (health_.isFailing()) until = std::min(until, std::max(now + 1, health_.nextAttempt()));
  ::poll(polled.data(), polled.size(), static_cast<int>(std::clamp<Millis>(until - now, 1, kPingEvery)));
  if (polled[0].revents != 0) queue_.wakeup().drain();
  const Millis after = monotonicNow();
  for (size_t i = 0; i < open.size(); ++i) {
    const short events = polled[i + 1].revents;
    if (events == 0) continue;
    if (auto outcome = open[i]->connection.ready(events)) conclude(*open[i], std::move(*outcome), after);
  }
}

}  // namespace p2pxbone
