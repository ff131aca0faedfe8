#include "os/audit_log.h"

#include <algorithm>
#include <array>

#include "os/thread.h"

namespace p2pxbone {
namespace {

using gateway::AuditCounter;
using gateway::AuditRecord;

// Records of this time leave together.
constexpr Millis kLinger = 50;
// When there is nothing to do.
constexpr Millis kWaitMax = 10'000;

std::string_view textOf(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

uint64_t linesOf(std::string_view text) { return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n')); }

}  // namespace

AuditLog::AuditLog(Settings settings)
    : settings_(std::move(settings)),
      file_({settings_.directory, settings_.name, settings_.rotateBytes, settings_.keep}),
      queue_(std::max(settings_.queueBytes, gateway::kAuditRecordBytesMax), kLinger) {
  thread_ = startThread("p2px-audit", [this] { loop(); });
}

AuditLog::~AuditLog() { stop(); }

void AuditLog::record(const AuditRecord& record) {
  if (!wants(record.event())) return;
  std::array<char, gateway::kAuditRecordBytesMax> line;
  const size_t size = gateway::writeRecord(record, line);
  const std::span<const uint8_t> bytes{reinterpret_cast<const uint8_t*>(line.data()), size};
  recorded_.fetch_add(1, std::memory_order_relaxed);
  if (bytes.empty() || !queue_.push({&bytes, 1})) lost_.fetch_add(1, std::memory_order_relaxed);
}

AuditLog::Statistics AuditLog::statistics() const {
  return {recorded_.load(),  lost_.load(),   written_.load(),  bytes_.load(),
          rotations_.load(), errors_.load(), lastError_.load()};
}

void AuditLog::stop() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

void AuditLog::loop() {
  syncedAt_ = monotonicNow();
  for (;;) {
    const Millis wait = unsynced_ ? syncedAt_ + settings_.syncEvery - monotonicNow() : kWaitMax;
    // Before taking: what is pushed before the queue is closed is in the last batch.
    const bool last = queue_.closed();
    write(textOf(queue_.take(std::max<Millis>(wait, 0))));
    announceLosses();
    if (last) break;
    if (monotonicNow() >= syncedAt_ + settings_.syncEvery) sync();
  }
  sync();
}

void AuditLog::write(std::string_view lines) {
  while (!lines.empty()) {
    // Also before: the disk has one more chance after the end was asked for.
    const bool last = queue_.closed();
    int error = 0;
    const size_t done = file_.append(lines, error);
    written_.fetch_add(linesOf(lines.substr(0, done)), std::memory_order_relaxed);
    bytes_.fetch_add(done, std::memory_order_relaxed);
    rotations_.store(file_.rotations(), std::memory_order_relaxed);
    unsynced_ = unsynced_ || done != 0;
    lines.remove_prefix(done);
    if (error == 0) {
      lastError_.store(0);
      continue;
    }
    failed(error);
    if (last) return giveUp(lines);
    queue_.sleep(settings_.retryEvery);
  }
}

void AuditLog::giveUp(std::string_view rest) {
  lost_.fetch_add(linesOf(rest), std::memory_order_relaxed);
  if (const int error = file_.cutUnfinishedLine(); error != 0) failed(error);
}

// In the trail itself: who reads it must know that it has a gap.
void AuditLog::announceLosses() {
  const uint64_t lost = lost_.load();
  if (lost == announced_ || lastError_.load() != 0) return;
  const std::array<AuditCounter, 1> counters{{{"audit", "lost", lost}}};
  AuditRecord record;
  record.at = wallNow();
  record.host = settings_.host;
  record.about = gateway::StatsAudit{counters};
  std::array<char, gateway::kAuditRecordBytesMax> line;
  announced_ = lost;
  write({line.data(), gateway::writeRecord(record, line)});
}

void AuditLog::failed(int error) {
  errors_.fetch_add(1, std::memory_order_relaxed);
  lastError_.store(error);
}

void AuditLog::sync() {
  syncedAt_ = monotonicNow();
  if (!unsynced_) return;
  unsynced_ = false;
  if (const int error = file_.sync(); error != 0) failed(error);
}

}  // namespace p2pxbone
