#include "gateway/audit/from_flow.h"

#include <algorithm>

namespace p2pxbone::gateway {
namespace {

constexpr WallTime kMicrosPerMilli = 1'000;

AuditFlowState stateOf(const Flow& flow) {
  if (flow.key.protocol != kProtocolTcp) return flow.bothSpoke() ? AuditFlowState::established : AuditFlowState::begun;
  switch (flow.tcp.phase) {
    case TcpPhase::opening: return AuditFlowState::begun;
    case TcpPhase::open: return AuditFlowState::established;
    case TcpPhase::closing: return AuditFlowState::closing;
    case TcpPhase::closed: return AuditFlowState::closed;
    case TcpPhase::reset: return AuditFlowState::reset;
  }
  return AuditFlowState::begun;
}

AuditAction actionOf(Verdict::Action action) {
  switch (action) {
    case Verdict::Action::drop: return AuditAction::drop;
    case Verdict::Action::reject: return AuditAction::reject;
    // What waited when the flow ended was accepted until then.
    case Verdict::Action::accept:
    case Verdict::Action::hold: break;
  }
  return AuditAction::accept;
}

}  // namespace

AuditEnds endsOf(const Flow& flow, Side sender, std::string_view application) {
  const Side receiver = other(sender);
  return {.flowId = flow.ref.id,
          .source = flow.address(sender),
          .destination = flow.address(receiver),
          .sourcePort = flow.port(sender),
          .destinationPort = flow.port(receiver),
          .protocol = flow.key.protocol,
          .toInitiator = sender == Side::responder,
          .application = application};
}

AuditEnds endsOf(const Packet& packet) {
  return {.flowId = 0,
          .source = packet.ip.source,
          .destination = packet.ip.destination,
          .sourcePort = packet.ip.sourcePort,
          .destinationPort = packet.ip.destinationPort,
          .protocol = packet.ip.protocol,
          .toInitiator = false,
          .application = {}};
}

AuditDecision decisionOf(const Verdict& verdict, std::string_view ruleName, bool dryRun) {
  return {actionOf(verdict.action), verdict.rule, ruleName, verdict.reason, dryRun};
}

FlowAudit flowAuditOf(const Flow& flow, FlowEnd reason, std::string_view ruleName, Millis now, WallTime wallNow) {
  FlowAudit audit;
  const auto trafficOf = [&](Side sender) {
    const DirectionStatistics& direction = flow.directions[indexOf(sender)];
    return AuditTraffic{direction.packets, direction.bytes};
  };
  audit.toResponder = trafficOf(Side::initiator);
  audit.toInitiator = trafficOf(Side::responder);
  Millis first = now;
  Millis last = 0;
  for (const DirectionStatistics& direction : flow.directions) {
    if (direction.packets == 0) continue;
    first = std::min(first, direction.first);
    last = std::max(last, direction.last);
  }
  last = std::max(first, last);
  audit.start = wallNow - (now - first) * kMicrosPerMilli;
  audit.end = wallNow - (now - last) * kMicrosPerMilli;
  audit.state = stateOf(flow);
  audit.reason = reason;
  audit.pickedUp = flow.pickedUp;
  audit.mark = flow.mark;
  audit.decision = decisionOf(flow.verdict, ruleName);
  if (flow.redirected && audit.decision.action == AuditAction::accept) audit.decision.action = AuditAction::redirect;
  return audit;
}

std::vector<AuditCounter> countersOf(const Pipeline::Statistics& statistics) {
  std::vector<AuditCounter> counters{
      {{}, "packets", statistics.packets},   {{}, "bytes", statistics.bytes}, {{}, "accepted", statistics.accepted},
      {{}, "held", statistics.held}, {{}, "released", statistics.released}, {{}, "flows", statistics.flows},
  };
  const Pipeline::Memory& memory = statistics.memory;
  for (const auto& [name, bytes] : {std::pair{"flows", memory.flows},
                                    {"connectionCache", memory.connectionCache},
                                    {"fragments", memory.fragments},
                                    {"outOfOrder", memory.outOfOrder},
                                    {"waiting", memory.waiting},
                                    {"streams", memory.streams}})
    counters.push_back({"memory", name, bytes});
  for (const Pipeline::StageLine& stage : statistics.stages) {
    counters.push_back({"seen", stage.name, stage.packets});
    counters.push_back({"stopped", stage.name, stage.stopped});
  }
  for (size_t i = 0; i < statistics.drops.size(); ++i)
    if (statistics.drops[i] != 0) counters.push_back({"drops", kDropReasonNames[i], statistics.drops[i]});
  for (size_t i = 0; i < statistics.conditions.size(); ++i)
    if (statistics.conditions[i] != 0)
      counters.push_back({"conditions", conditionName(static_cast<Condition>(i)), statistics.conditions[i]});
  return counters;
}

}  // namespace p2pxbone::gateway
