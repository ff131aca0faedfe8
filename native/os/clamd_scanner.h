// clamd as a scan engine: objects are kept in memory until they are complete, and then given to it by a thread of their own.
#pragma once

#include <unordered_map>

#include "os/clamd_loop.h"

namespace p2pxbone {

class ClamdScanner final : public gateway::ScanEngine {
 public:
  // Objects that are being filled or waited for.
  static constexpr size_t kJobsMax = 16'384;
  static constexpr uint32_t kConnectionsMax = 64;

  struct Statistics {
    ClamdStatus status;
    size_t objects = 0;  // that are being filled or waited for
    size_t bytes = 0;    // of them, in whole blocks
    size_t bytesMax = 0;
    uint64_t refused = 0;  // data and objects for which there was no room
  };

  // Null, with a sentence about it, if the settings make no sense.
  [[nodiscard]] static std::unique_ptr<ClamdScanner> make(const ClamdSettings& settings, std::string& error);
  // Objects that are not scanned yet are lost.
  ~ClamdScanner() override;

  // As ScanQueue::onResult(). Before start().
  void onResult(std::function<void()> doorbell) { queue_.onResult(std::move(doorbell)); }
  // 0 or an errno. Before it objects are taken, and wait.
  [[nodiscard]] int start() { return loop_.start(); }
  void stop() { loop_.stop(); }

  // The packet path's, one thread at a time.
  [[nodiscard]] std::optional<gateway::ScanJob> begin() override;
  [[nodiscard]] gateway::ScanRoom data(gateway::ScanJob job, std::span<const uint8_t> bytes) override;
  void finish(gateway::ScanJob job) override;
  [[nodiscard]] std::optional<gateway::ScanJob> proceed(gateway::ScanJob job, size_t tailBytes) override;
  void abandon(gateway::ScanJob job) override;
  [[nodiscard]] std::optional<gateway::ScanResult> poll() override;
  [[nodiscard]] gateway::ScanRoom room() const override;
  [[nodiscard]] Statistics statistics() const;

  // Any thread.
  [[nodiscard]] ClamdStatus status() const { return loop_.status(); }
  [[nodiscard]] const ClamdLoop::Counters& counters() const { return loop_.counters(); }

 private:
  ClamdScanner(const ClamdSettings& settings, const ClamdAddress& address);

  const Millis timeout_;
  ScanMemory memory_;
  std::unordered_map<uint64_t, std::shared_ptr<QueuedScan>> filling_;
  std::unordered_map<uint64_t, std::shared_ptr<QueuedScan>> submitted_;
  uint64_t last_ = 0;
  Counter refused_;
  ScanQueue queue_;
  ClamdLoop loop_;  // ends before what it uses
};

}  // namespace p2pxbone
