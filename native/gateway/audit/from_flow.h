// What records say of flows and packets, from what the gateway knows of them.
#pragma once

#include <vector>

#include "gateway/audit/record.h"
#include "gateway/pipeline.h"

namespace p2pxbone::gateway {

// `sender` is who sent what the record is about. The name of the application is borrowed.
[[nodiscard]] AuditEnds endsOf(const Flow& flow, Side sender, std::string_view application);
// Of a packet without a flow.
[[nodiscard]] AuditEnds endsOf(const Packet& packet);

[[nodiscard]] AuditDecision decisionOf(const Verdict& verdict, std::string_view ruleName, bool dryRun = false);

// `now` and `wallNow` are the same instant; the attributes stay for the caller to fill in, and the name is borrowed.
[[nodiscard]] FlowAudit flowAuditOf(const Flow& flow, FlowEnd reason, std::string_view ruleName, Millis now,
                                    WallTime wallNow);

// Totals, memory in bytes, what each stage has seen and stopped, and the drops and conditions that have occurred. The
// names of the stages are borrowed from the statistics.
[[nodiscard]] std::vector<AuditCounter> countersOf(const Pipeline::Statistics& statistics);

}  // namespace p2pxbone::gateway
