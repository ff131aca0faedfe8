#include "core/coalesce.h"

#include <algorithm>
#include <cstring>

#include "core/vxlan.h"

namespace p2pxbone {
namespace {

uint32_t hashOf(const InnerPacket& ip) {
  uint64_t words[4];
  std::memcpy(&words[0], ip.source.data(), 16);
  std::memcpy(&words[2], ip.destination.data(), 16);
  uint64_t hash = (uint64_t{ip.sourcePort} << 32) | (uint64_t{ip.destinationPort} << 8) | ip.protocol;
  for (const uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
  return static_cast<uint32_t>(hash >> 32);
}

}  // namespace

void Coalescer::add(Node& node, std::span<uint8_t> frame, const InnerPacket& ip, OffloadFeatures features) {
  const bool tcp = ip.protocol == kProtocolTcp;
  const bool may = features.checksum && ((tcp && features.tcp) || (ip.protocol == kProtocolUdp && features.udp));
  if (!may || !isPlain(ip)) {
    finishAll(node);
    return writeAlone(node, frame, {});
  }
  const std::span<uint8_t> inner = frame.subspan(kEthernetBytes);
  const Candidate packet{frame, ip, joinableHeaders(inner, ip), hashOf(ip)};
  Flow* const flow = used_ == 0 ? nullptr : find(node, packet);
  // What the kernel is to find out itself: damaged packets, and all that changes a connection's state.
  if (packet.headers == 0 || !transportChecksumGood(inner, ip)) {
    if (flow != nullptr) finish(*flow);
    return writeAlone(node, frame, {});
  }
  if (flow == nullptr) return begin(node, packet);
  if (flow->join.continuedBy(inner, ip, packet.headers)) return append(*flow, packet);
  finish(*flow);
  begin(node, packet);
}

Coalescer::Flow* Coalescer::find(const Node& node, const Candidate& packet) {
  const auto matches = [&](const Flow& flow) {
    return flow.node == &node && flow.hash == packet.hash && sameFlow(flow.join.ip(), packet.ip);
  };
  if (last_ != nullptr && matches(*last_)) return last_;
  const auto found = std::find_if(flows_.begin(), flows_.end(), matches);
  if (found == flows_.end()) return nullptr;
  last_ = &*found;
  return last_;
}

void Coalescer::append(Flow& flow, const Candidate& packet) {
  flow.pieces[flow.join.packets()] = packet.frame.subspan(kEthernetBytes + packet.headers);
  flow.join.append(packet.ip);
}

void Coalescer::begin(Node& node, const Candidate& packet) {
  auto free = std::find_if(flows_.begin(), flows_.end(), [](const Flow& flow) { return flow.node == nullptr; });
  if (free == flows_.end()) {
    free = std::min_element(flows_.begin(), flows_.end(), [](const Flow& a, const Flow& b) { return a.begun < b.begun; });
    finish(*free);
  }
  Flow& flow = *free;
  flow.node = &node;
  flow.hash = packet.hash;
  flow.first = packet.frame;
  flow.join.begin(packet.frame.subspan(kEthernetBytes), packet.ip, packet.headers);
  flow.begun = ++begun_;
  flow.pieces[0] = packet.frame;
  ++used_;
  last_ = &flow;
}

// Every packet that comes here has had its checksum verified, so the kernel need not do it again.
void Coalescer::finish(Flow& flow) {
  const Offload offload = flow.join.finish(flow.first.subspan(kEthernetBytes));
  const size_t packets = flow.join.packets();
  Node& node = *flow.node;
  flow.node = nullptr;
  --used_;
  sink_.writeFrame(node, {std::span{flow.pieces}.first(packets), offload, packets});
}

void Coalescer::finishAll(const Node& node) {
  if (used_ == 0) return;
  for (;;) {
    Flow* oldest = nullptr;
    for (Flow& flow : flows_) {
      if (flow.node == &node && (oldest == nullptr || flow.begun < oldest->begun)) oldest = &flow;
    }
    if (oldest == nullptr) return;
    finish(*oldest);
  }
}

void Coalescer::flush() {
  for (Flow& flow : flows_) {
    if (used_ == 0) return;
    if (flow.node != nullptr) finish(flow);
  }
}

void Coalescer::writeAlone(Node& node, std::span<const uint8_t> frame, const Offload& offload) {
  sink_.writeFrame(node, {{&frame, 1}, offload, 1});
}

}  // namespace p2pxbone
