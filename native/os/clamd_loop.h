// The thread that speaks to clamd: takes objects from the queue, keeps a pool of sessions, and watches clamd's health.
#pragma once

#include <thread>
#include <vector>

#include "core/counters.h"
#include "os/clamd_connection.h"
#include "os/clamd_health.h"
#include "os/notice.h"
#include "os/scan_queue.h"

namespace p2pxbone {

struct ClamdSettings {
  // As ClamdAddress::parse() takes it.
  std::string address = "/run/clamav/clamd.ctl";
  // Sessions, and objects that are scanned at the same time. clamd's MaxThreads is 10 by default.
  uint32_t connections = 4;
  // From the moment that an object is complete to its result.
  Millis timeout = 30'000;
  // Bytes of all objects that are not scanned yet. From three quarters on room is scarce. To be a multiple of
  // ScanSettings::archiveMax.
  size_t memoryMax = size_t{256} << 20;
  // A clamd that calls clean what exceeds its limits is not asked at all. It is told not to by AlertExceedsMax.
  bool requireLimitAlerts = true;
};

struct ClamdStatus {
  enum class State : uint8_t {
    starting,  // not spoken to yet
    up,
    failing,   // for a short time
    down,
    unfit,     // it calls clean what it has not scanned to its end, and that is not allowed
  };
  State state = State::starting;
  // As it calls itself, with its database. Empty if it has not been asked yet.
  std::string version;
  // It says when something exceeds its limits. nullopt: not asked yet.
  std::optional<bool> limitAlerts;
  // What went wrong last, while it is not up.
  std::string why;
};

class ClamdLoop {
 public:
  struct Counters {
    Counter scanned;  // objects with an answer of clamd's: of these
    Counter infected;
    Counter tooBig;
    Counter failed;   // without an answer that helps; of these
    Counter timeouts;
    Counter retried;
    Counter bytes;    // of scanned objects
    Counter connects;
    Counter failures;  // to connect, or of sessions
  };

  // The queue is borrowed.
  ClamdLoop(const ClamdSettings& settings, const ClamdAddress& address, ScanQueue& queue);
  ~ClamdLoop();
  ClamdLoop(const ClamdLoop&) = delete;
  ClamdLoop& operator=(const ClamdLoop&) = delete;

  // 0, or an errno if the system has no thread left.
  [[nodiscard]] int start();
  // Objects under way get no result.
  void stop();

  // Any thread.
  [[nodiscard]] ClamdStatus status() const;
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  enum class Task : uint8_t { none, version, limits, ping, scan };
  struct Session {
    ClamdConnection connection;
    Task task = Task::none;
    std::shared_ptr<QueuedScan> scan;
    Millis deadline = 0;
    bool reused = false;  // the command under way is not its first
  };

  void loop();
  void step(Millis now);
  void expire(Millis now);
  void failWaiting(Millis now);
  void checkHealth(Millis now);
  void giveOut(Millis now);
  void sleep(Millis now);
  [[nodiscard]] Session* freeSession(Millis now);
  [[nodiscard]] bool connect(Session& session, Millis now);
  void ask(Session& session, Task task, Millis now);
  void conclude(Session& session, ClamdConnection::Outcome outcome, Millis now);
  void concludeScan(QueuedScan& scan, const gateway::ClamdReply& reply);
  void sessionBroke(const Session& session, Task task, ClamdConnection::Outcome outcome, Millis now);
  void tryAgain(std::shared_ptr<QueuedScan> scan, const std::string& why);
  void askAnew();
  void learn(Task task, const gateway::ClamdReply& reply);
  [[nodiscard]] bool isFit() const;
  void publish(Millis now);
  void fail(QueuedScan& scan, std::string why);

  const ClamdSettings settings_;
  const ClamdAddress address_;
  ScanQueue& queue_;
  ScanMemory ownMemory_;
  ScanObject probe_;
  std::vector<Session> sessions_;
  ClamdHealth health_;
  std::optional<bool> limitAlerts_;
  std::string version_;
  bool versionKnown_ = false;
  Millis lastHeard_ = 0;
  Counters counters_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  mutable std::mutex statusMutex_;  // guards the status
  ClamdStatus status_;
};

}  // namespace p2pxbone
