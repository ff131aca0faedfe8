// A management gateway with all of its stages and services, for whoever hands it packets: NFQUEUE or a virtual node.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "gateway/application_stage.h"
#include "gateway/pipeline.h"
#include "gateway/scanning/scan_desk.h"
#include "gateway/shaping/bandwidth_stage.h"
#include "os/audit_log.h"
#include "os/clamd_scanner.h"
#include "os/flow_survey.h"
#include "os/stored_files.h"

namespace p2pxbone {

// What a policy becomes. The parts belong together: the policy names the signatures' applications by their numbers.
struct GatewayRules {
  std::shared_ptr<const gateway::Policy> policy;
  std::shared_ptr<const gateway::SignatureSet> signatures;
  gateway::ScanSettings scan;
};

struct GatewaySettings {
  gateway::Limits limits;
  gateway::HashSeed seed;
  // The name under which it records.
  std::string host;
  std::optional<AuditLog::Settings> audit;
  std::optional<StoredFiles::Settings> files;
  // Absent: what is to be scanned is Condition::scanUnavailable.
  std::optional<ClamdSettings> scanner;
};

// Not for several threads at once: its owner holds a lock.
class Gateway {
 public:
  // The outlet is borrowed. `onResult` is called by another thread when poll() has something to do. Throws
  // std::system_error if a directory or the scanner's address is of no use, or the system has no thread left.
  Gateway(const GatewaySettings& settings, const GatewayRules& rules, gateway::Outlet& outlet,
          std::function<void()> onResult);
  // Ends all flows, and waits until everything is recorded.
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // As Pipeline::process().
  [[nodiscard]] gateway::Pipeline::Processed process(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag, Nanos now);
  // Of the flow that such a packet belongs to, if it is known; 0: none.
  [[nodiscard]] uint32_t markOf(std::span<uint8_t> bytes);
  // Lets go what may go on by now, and carries out what was found out. After each batch of packets, by nextDue(), and when
  // there is a result.
  void poll(Nanos now);
  // At most 100 ms from now.
  [[nodiscard]] Nanos nextDue(Nanos now) const;

  // Other rules from now on; no packet and no flow is lost. False, and nothing changes, if there is no memory. What flows
  // keep of the rules before is brought up to date by adapt(), some at a time: to be called until it says that none is left,
  // before the next use(). Packets may come in between.
  [[nodiscard]] bool use(const GatewayRules& rules, Nanos now);
  [[nodiscard]] bool adapt();

  // To be asked for other sets, which useSets() takes back: no packet and no flow is lost, and flows go on as they were
  // decided.
  [[nodiscard]] const std::shared_ptr<const gateway::Policy>& policy() const { return policy_; }
  void useSets(std::shared_ptr<const gateway::Policy> policy);

  // One line of JSON.
  [[nodiscard]] std::string statistics();
  // Some more of the flows. False when the survey is done.
  [[nodiscard]] bool survey(FlowSurvey& survey);

 private:
  void tellTime(Nanos now);
  void recordStatistics();
  [[nodiscard]] gateway::Pipeline::Statistics pipelineStatistics();

  std::unique_ptr<AuditLog> audit_;
  std::unique_ptr<StoredFiles> files_;
  std::unique_ptr<gateway::FileStore> store_;
  std::unique_ptr<ClamdScanner> scanner_;
  std::unique_ptr<gateway::ScanDesk> scans_;
  std::string host_;
  gateway::Redirects redirects_;
  gateway::ApplicationStage application_;
  gateway::BandwidthStage bandwidth_;
  gateway::Pipeline pipeline_;
  std::shared_ptr<const gateway::Policy> policy_;
  uint32_t adaptNext_ = 0;
  Nanos timeToldAt_ = 0;
  Nanos timerDue_ = 0;
  Nanos statisticsDue_ = 0;
};

}  // namespace p2pxbone
