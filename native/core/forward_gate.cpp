// A node's gate as the forwarder sees it: asked once for each packet, visited once more at the batch's end.
#include <algorithm>

#include "core/bytes.h"
#include "core/forward.h"

namespace p2pxbone {

bool Forwarder::isDaemons(const NodeTables& tables, const InnerPacket& ip) const {
  if (ip.protocol != kProtocolUdp || !ip.portsKnown || tables.daemonPort == 0) return false;
  return (decision_.fromDaemon && ip.sourcePort == tables.daemonPort) ||
         (decision_.toDaemon && ip.destinationPort == tables.daemonPort);
}

bool Forwarder::passGate(Node& node, const NodeTables& tables, const Tunnel* arrival, std::span<uint8_t>& inner,
                         const Offload& offload, InnerPacket& ip, Division& division, Millis now) {
  if (isDaemons(tables, ip)) return true;
  TrafficGate& gate = *tables.gate;
  visit(node, gate, now);
  const TunnelHandle from = arrival == nullptr ? 0 : arrival->handle;
  const TrafficGate::Passed passed = gate.pass(lane_, from, inner, offload, division.count, now);
  if (passed.othersFirst) carryReady({&node, &gate, now});
  if (passed.answer == TrafficGate::Answer::taken) return false;
  if (passed.answer == TrafficGate::Answer::goesOn && !passed.othersFirst) return true;
  if (passed.answer == TrafficGate::Answer::changed) {
    DropReason reason = parseInner(inner, ip);
    const auto divided = reason == DropReason::none ? divide(offload, ip, inner.first(ip.totalBytes)) : std::nullopt;
    if (reason == DropReason::none && !divided) reason = DropReason::offloadMalformed;
    if (reason != DropReason::none) {
      drops_.add(reason, division.count);
      return false;
    }
    division = *divided;
  }
  // Its source was checked before; the gate may have put another one in its place, as in answers of redirected connections.
  const DropReason reason = decide(node, tables, nullptr, ip);
  if (reason != DropReason::none) drops_.add(reason, division.count);
  return reason == DropReason::none;
}

void Forwarder::visit(Node& node, TrafficGate& gate, Millis now) {
  const auto known = std::ranges::find(visits_, &gate, &Visit::gate);
  if (known == visits_.end()) visits_.push_back({&node, &gate, now});
}

void Forwarder::attend(Node& node, Millis now) {
  const NodeTables* tables = node.tables.load();
  if (tables != nullptr && tables->gate != nullptr) visit(node, *tables->gate, now);
}

void Forwarder::leaveGates() {
  for (const Visit& each : visits_) {
    each.gate->endBatch(lane_);
    carryReady(each);
  }
}

void Forwarder::settleGates() {
  for (const Visit& each : visits_) each.gate->settle(lane_);
  visits_.clear();
}

void Forwarder::carryReady(const Visit& visit) {
  for (;;) {
    const std::span<const TrafficGate::Parting> ready = visit.gate->takeReady(lane_);
    if (ready.empty()) return;
    for (const TrafficGate::Parting& parting : ready) carryParting(*visit.node, parting, visit.now);
  }
}

void Forwarder::carryParting(Node& node, const TrafficGate::Parting& parting, Millis now) {
  // Published before the gate was, and only ever replaced.
  const NodeTables& tables = *node.tables.load();
  InnerPacket ip;
  Division division;
  DropReason reason = readPacket(parting.packet, parting.offload, ip, division);
  const Tunnel* const arrival = parting.arrival == 0 ? nullptr : tables.tunnels.find(parting.arrival);
  if (reason == DropReason::none && parting.arrival != 0 && arrival == nullptr) reason = DropReason::tunnelGone;
  if (reason == DropReason::none) reason = decide(node, tables, nullptr, ip);
  if (reason != DropReason::none) return drops_.add(reason, division.count);
  carry({node, tables, arrival, now, parting.packet.first(kEncapsulationBytes + ip.totalBytes), parting.offload, ip, division,
         parting.made});
}

}  // namespace p2pxbone
