// What looks for viruses, off the packet path: clamd in production (os/clamd_scanner.h), a twin in memory in tests.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace p2pxbone::gateway {

// One object to be scanned.
struct ScanJob {
  uint64_t id = 0;

  friend bool operator==(const ScanJob&, const ScanJob&) = default;
};

struct ScanResult {
  enum class Kind : uint8_t {
    clean,
    infected,
    tooBig,  // for the engine, packed or unpacked
    failed,
  };
  ScanJob job;
  Kind kind = Kind::failed;
  // What was found, or why there is no answer. UTF-8.
  std::string text;
};

// Of the engine's memory.
enum class ScanRoom : uint8_t {
  plenty,
  // What is offered is still taken, but who offers should finish jobs, or wait.
  scarce,
  none,
};

// Never blocks. All calls come from one thread at a time.
class ScanEngine {
 public:
  virtual ~ScanEngine() = default;
  // nullopt if there is no room.
  [[nodiscard]] virtual std::optional<ScanJob> begin() = 0;
  // The object's next bytes, which are copied. With `none` nothing was taken, and the job is as it was.
  [[nodiscard]] virtual ScanRoom data(ScanJob job, std::span<const uint8_t> bytes) = 0;
  // The object is complete: poll() gives its result some time, whatever happens.
  virtual void finish(ScanJob job) = 0;
  // finish(), and a job that begins with the last `tailBytes` of this one, or all of it if that is less. nullopt if there
  // is no room; then this one is finished all the same.
  [[nodiscard]] virtual std::optional<ScanJob> proceed(ScanJob job, size_t tailBytes) = 0;
  // Finished or not: nothing more is heard of it.
  virtual void abandon(ScanJob job) = 0;
  [[nodiscard]] virtual std::optional<ScanResult> poll() = 0;
  [[nodiscard]] virtual ScanRoom room() const = 0;
};

}  // namespace p2pxbone::gateway
