// Flows of a capture as the classifier wants them: TCP in order, datagrams as they come. A plain twin of the pipeline's
// own stages, for tests.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <tuple>

#include "core/checksum.h"
#include "core/packet.h"
#include "gateway/chunk.h"
#include "gateway/flow_view.h"
#include "gateway/test/pcap_reader.h"

namespace p2pxbone::gateway::testing {

struct CaptureFlow {
  FlowEnds ends;
  struct Direction {
    std::optional<uint32_t> next;
    uint64_t delivered = 0;
    std::map<uint32_t, Bytes> waiting;
  };
  std::array<Direction, 2> directions;
};

class CaptureFlows {
 public:
  using Key = std::tuple<uint8_t, Address, uint16_t, Address, uint16_t>;

  // Takes one IP packet; calls take(const Key&, const CaptureFlow&, const Chunk&) with each piece of data that is in
  // order.
  template <typename Take>
  void add(std::span<const uint8_t> captured, Take take) {
    Bytes packet(captured.begin(), captured.end());
    mendChecksum(packet);
    InnerPacket ip;
    if (parseInner(packet, ip) != DropReason::none || !ip.portsKnown || ip.fragment) return;
    const Key there{ip.protocol, ip.source, ip.sourcePort, ip.destination, ip.destinationPort};
    const Key back{ip.protocol, ip.destination, ip.destinationPort, ip.source, ip.sourcePort};
    const bool reversed = flows_.count(back) != 0;
    const Key& key = reversed ? back : there;
    CaptureFlow& flow = flows_[key];
    flow.ends = {std::get<1>(key), std::get<3>(key), std::get<2>(key), std::get<4>(key), ip.protocol};
    const Side side = reversed ? Side::responder : Side::initiator;
    const auto deliver = [&](std::span<const uint8_t> bytes) {
      CaptureFlow::Direction& direction = flow.directions[indexOf(side)];
      if (bytes.empty()) return;
      take(key, flow, Chunk{side, direction.delivered, bytes, ip.protocol == kProtocolUdp});
      direction.delivered += bytes.size();
    };
    const std::span<const uint8_t> transport =
        std::span<const uint8_t>(packet).subspan(ip.transportOffset, ip.transportBytes);
    if (ip.protocol == kProtocolUdp) {
      if (transport.size() >= 8) deliver(transport.subspan(8));
    } else if (ip.tcpFlagsKnown && transport.size() >= 20) {
      segment(flow.directions[indexOf(side)], transport, ip.tcpFlags, deliver);
    }
  }

  [[nodiscard]] const std::map<Key, CaptureFlow>& flows() const { return flows_; }

 private:
  // Captures made by hand, or of anonymised addresses, have it wrong.
  static void mendChecksum(Bytes& packet) {
    if (packet.size() < kIpv4HeaderBytes || packet[0] >> 4 != 4) return;
    const size_t header = size_t{packet[0]} % 16 * 4;
    if (header < kIpv4HeaderBytes || header > packet.size()) return;
    storeBe16(&packet[10], 0);
    storeBe16(&packet[10], checksumOf(std::span<const uint8_t>(packet).first(header)));
  }

  template <typename Deliver>
  void segment(CaptureFlow::Direction& direction, std::span<const uint8_t> transport, uint8_t flags, Deliver deliver) {
    const size_t header = size_t{transport[12]} / 16 * 4;
    if (header > transport.size()) return;
    uint32_t sequence = loadBe32(&transport[4]);
    if ((flags & kTcpSyn) != 0) direction.next = ++sequence;
    if (!direction.next) direction.next = sequence;
    const std::span<const uint8_t> data = transport.subspan(header);
    if (!data.empty()) direction.waiting.try_emplace(sequence, data.begin(), data.end());
    for (bool moved = true; moved;) {
      moved = false;
      for (auto at = direction.waiting.begin(); at != direction.waiting.end();) {
        const auto behind = static_cast<int32_t>(*direction.next - at->first);
        if (behind < 0) {
          ++at;
          continue;
        }
        if (static_cast<size_t>(behind) < at->second.size()) {
          const std::span<const uint8_t> fresh =
              std::span<const uint8_t>(at->second).subspan(static_cast<size_t>(behind));
          *direction.next += static_cast<uint32_t>(fresh.size());
          deliver(fresh);
          moved = true;
        }
        at = direction.waiting.erase(at);
      }
    }
  }

  std::map<Key, CaptureFlow> flows_;
};

}  // namespace p2pxbone::gateway::testing
