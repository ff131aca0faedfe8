// A node's gate as the forwarder sees it: asked once for each packet, or for consecutive ones of a connection at once, and
// visited once more at the batch's end.
#include <algorithm>

#include "core/bytes.h"
#include "core/forward.h"

namespace p2pxbone {

bool Forwarder::isDaemons(const NodeTables& tables, const InnerPacket& ip) const {
  if (ip.protocol != kProtocolUdp || !ip.portsKnown || tables.daemonPort == 0) return false;
  return (decision_.fromDaemon && ip.sourcePort == tables.daemonPort) ||
         (decision_.toDaemon && ip.destinationPort == tables.daemonPort);
}

void Forwarder::gather(const GateRun::Way& way, std::span<uint8_t> packet, const InnerPacket& ip) {
  const size_t headers = GateRun::headersOf(packet.subspan(kEncapsulationBytes), ip);
  if (headers != 0 && run_.extend(way, packet, ip, headers)) return;
  askAboutRun();
  if (headers == 0) return askAboutOne(way, packet, ip);
  const DropReason reason = decide(*way.node, *way.tables, way.arrival, ip);
  if (reason != DropReason::none) return drops_.add(reason);
  run_.begin(way, packet, ip, headers);
}

void Forwarder::askAboutOne(const GateRun::Way& way, std::span<uint8_t> packet, InnerPacket ip) {
  const DropReason reason = decide(*way.node, *way.tables, way.arrival, ip);
  if (reason != DropReason::none) return drops_.add(reason);
  std::span<uint8_t> inner = packet.subspan(kEncapsulationBytes);
  Division division;
  const auto answer = passGate(*way.node, *way.tables, way.arrival, inner, {}, ip, division, way.now);
  if (answer == TrafficGate::Answer::taken) return;
  carry({*way.node, *way.tables, way.arrival, way.now, packet.first(kEncapsulationBytes + ip.totalBytes), {}, ip, division});
}

void Forwarder::askAboutRun() {
  if (run_.empty()) return;
  const std::span<const std::span<uint8_t>> packets = run_.packets();
  std::optional<GateRun::Whole> whole = packets.size() > 1 ? run_.join() : std::nullopt;
  if (whole) {
    askAboutWhole(*whole);
  } else if (packets.size() == 1) {
    askAboutOne(run_.way(), packets[0], run_.ip());
  } else {
    for (const std::span<uint8_t> packet : packets) {
      InnerPacket ip;
      if (parseInner(packet.subspan(kEncapsulationBytes), ip) == DropReason::none) askAboutOne(run_.way(), packet, ip);
    }
  }
  run_.clear();
}

void Forwarder::askAboutWhole(GateRun::Whole whole) {
  const GateRun::Way& way = run_.way();
  // It was good for the first packet, and is for the others.
  if (decide(*way.node, *way.tables, way.arrival, run_.ip()) != DropReason::none) return;
  std::span<uint8_t> inner = whole.packet.subspan(kEncapsulationBytes);
  const auto answer =
      passGate(*way.node, *way.tables, way.arrival, inner, whole.offload, whole.ip, whole.division, way.now);
  switch (answer) {
    case TrafficGate::Answer::taken: return;
    case TrafficGate::Answer::goesOn:
      for (const std::span<uint8_t> packet : run_.packets()) {
        InnerPacket ip = run_.ip();
        ip.totalBytes = packet.size() - kEncapsulationBytes;
        ip.transportBytes = ip.totalBytes - ip.transportOffset;
        carry({*way.node, *way.tables, way.arrival, way.now, packet, {}, ip});
      }
      return;
    case TrafficGate::Answer::changed:
      carry({*way.node, *way.tables, way.arrival, way.now, whole.packet.first(kEncapsulationBytes + whole.ip.totalBytes),
             whole.offload, whole.ip, whole.division});
      // The next run needs its place.
      sink_.flush();
      return;
  }
}

TrafficGate::Answer Forwarder::passGate(Node& node, const NodeTables& tables, const Tunnel* arrival,
                                        std::span<uint8_t>& inner, const Offload& offload, InnerPacket& ip,
                                        Division& division, Millis now) {
  using Answer = TrafficGate::Answer;
  if (isDaemons(tables, ip)) return Answer::goesOn;
  TrafficGate& gate = *tables.gate;
  visit(node, gate, now);
  const TunnelHandle from = arrival == nullptr ? 0 : arrival->handle;
  const TrafficGate::Passed passed = gate.pass(lane_, from, inner, offload, division.count, now);
  if (passed.othersFirst) carryReady({&node, &gate, now});
  if (passed.answer == Answer::taken) return Answer::taken;
  if (passed.answer == Answer::goesOn && !passed.othersFirst) return Answer::goesOn;
  if (passed.answer == Answer::changed) {
    DropReason reason = parseInner(inner, ip);
    const auto divided = reason == DropReason::none ? divide(offload, ip, inner.first(ip.totalBytes)) : std::nullopt;
    if (reason == DropReason::none && !divided) reason = DropReason::offloadMalformed;
    if (reason != DropReason::none) {
      drops_.add(reason, division.count);
      return Answer::taken;
    }
    division = *divided;
  }
  // Its source was checked before; the gate may have put another one in its place, as in answers of redirected connections.
  const DropReason reason = decide(node, tables, nullptr, ip);
  if (reason == DropReason::none) return passed.answer;
  drops_.add(reason, division.count);
  return Answer::taken;
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
