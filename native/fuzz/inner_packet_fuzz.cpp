// Packets from the base network and from the TAP through the whole forwarding decision: VXLAN, Ethernet and IP parsing,
// routes, fragmentation, ICMP errors. Whatever leaves must be well formed and fit where it is sent.
//
// Input: any number of records of one mode byte, two length bytes, and a VXLAN packet of that length.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <vector>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/forward.h"

namespace p2pxbone {
namespace {

constexpr uint32_t kVni = 0x010203;
constexpr Mac kOwnMac{2, 0, 0, 0, 0, 9};
constexpr Mac kPeerMac{2, 0, 0, 0, 0, 1};
constexpr size_t kRecordsMax = 64;

constexpr uint8_t kFromTap = 0x01;
constexpr uint8_t kMakeKnown = 0x02;      // write the known network and MAC addresses over the packet's
constexpr uint8_t kMakeChecksum = 0x04;   // make an IPv4 header checksum right
constexpr uint8_t kOtherPeer = 0x08;
constexpr uint8_t kSwapRoutes = 0x10;     // what was local is now elsewhere, and back

void require(bool holds) {
  if (!holds) std::abort();
}

Endpoint peerEndpoint(uint16_t port) {
  Endpoint endpoint;
  endpoint.ip[15] = 1;
  endpoint.port = port;
  return endpoint;
}

void checkFrame(std::span<const uint8_t> frame, size_t mtu) {
  require(frame.size() >= kEthernetBytes);
  InnerPacket ip;
  require(parseInner(frame.subspan(kEthernetBytes), ip) == DropReason::none);
  require(ip.totalBytes == frame.size() - kEthernetBytes);
  require(ip.totalBytes <= mtu);
  require(loadBe16(&frame[12]) == (ip.v6 ? kEtherTypeIpv6 : kEtherTypeIpv4));
}

// The address plan of the node under test; what it lets out of a tunnel and what it says itself lie inside.
AddressPlan planOfWorld() {
  Address links{0xfd, 0x01};
  const auto v4 = [](uint8_t a, uint8_t b) { return mappedIpv4(std::array<uint8_t, 4>{a, b, 0, 0}.data()); };
  return {{{Address{0xfd}, 64, true}, {v4(10, 0), 104, false}}, {{links, 64, true}, {v4(172, 20), 112, false}}};
}

class CheckingSink final : public Sink {
 public:
  void toTunnel(const Tunnel& tunnel, ConstDatagramRun run) override {
    run.forEach([&](std::span<const uint8_t> datagram) {
      require(decodeVxlan(datagram) == kVni);
      checkFrame(datagram.subspan(kVxlanBytes), tunnel.innerMtu);
      require(macAt(&datagram[kVxlanBytes]) == tunnel.peerMac);
      checkSource(datagram.subspan(kEncapsulationBytes));
    });
  }
  void toTap(Node& node, const ToTap& packet) override {
    checkFrame(packet.frame, 65'575);
    require(macAt(packet.frame.data()) == node.config.mac);
    checkSource(packet.frame.subspan(kEthernetBytes));
  }
  void flush() override {}

  // The link that the next packet's tunnel has; nullopt if the packet is from the TAP.
  std::optional<Address> link;

 private:
  void checkSource(std::span<const uint8_t> inner) const {
    if (!link) return;
    InnerPacket ip;
    require(parseInner(inner, ip) == DropReason::none);
    const SourceKind kind = plan_.kindOf(ip.source, ip.v6);
    require(kind != SourceKind::foreign);
    require(kind != SourceKind::link || ip.source == *link);
  }

  const AddressPlan plan_ = planOfWorld();
};

constexpr Address kWideLink{0xfd, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr Address kNarrowLink{0xfd, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3};

struct World {
  World() {
    NodeConfig config;
    config.mac = kOwnMac;
    config.vni = kVni;
    config.id = 0x4000000000000000;
    config.viId = "fuzz";
    config.ipv4 = mappedIpv4(std::array<uint8_t, 4>{10, 0, 0, 1}.data());
    config.ipv6 = {0xfd};
    config.ipv6[8] = 0x40;
    config.plan = planOfWorld();
    node = std::make_unique<Node>(1, config);
    directory = std::make_unique<Directory>(std::vector<Node*>{node.get()});
    wide = tables.tunnels.add(1, peerEndpoint(1), kPeerMac, 1450);
    narrow = tables.tunnels.add(2, peerEndpoint(2), kPeerMac, 554);
    gone = tables.tunnels.add(3, peerEndpoint(3), kPeerMac, 1450);
    require(tables.tunnels.remove(gone));
    swapRoutes();
  }

  void swapRoutes() {
    const Hop here{HopKind::local, 0};
    ImageRoutes routes;
    const auto address = [](uint8_t last) { return mappedIpv4(std::array<uint8_t, 4>{10, 0, 1, last}.data()); };
    routes.exact = {{address(1), {HopKind::tunnel, wide}},
                    {address(2), {HopKind::tunnel, narrow}},
                    {address(3), {HopKind::unreachable, 0}},
                    {address(4), here},
                    {kWideLink, {HopKind::tunnel, wide}},
                    {kNarrowLink, {HopKind::tunnel, narrow}}};
    routes.prefixes = {{Address{0xfd}, 64, true, {HopKind::ring, 0}},
                       {Address{0xfc}, 16, true, {HopKind::tunnel, narrow}},
                       {address(0), 104, false, {HopKind::ring, 0}}};
    const Hop first = swapped ? Hop{HopKind::tunnel, wide} : here;
    routes.ranges = {{0x4000000000000000, first},
                     {0x6000000000000000, {HopKind::tunnel, wide}},
                     {0x8000000000000000, {HopKind::tunnel, gone}},
                     {0xa000000000000000, {HopKind::unreachable, 0}},
                     {0xf000000000000000, {HopKind::tunnel, narrow}}};
    swapped = !swapped;
    tables.image = ForwardingImage::build(routes);
    require(tables.image != nullptr);
    node->tables.store(&tables);
  }

  NodeTables tables;
  TunnelHandle wide = 0;
  TunnelHandle narrow = 0;
  TunnelHandle gone = 0;
  bool swapped = false;
  std::unique_ptr<Node> node;
  std::unique_ptr<Directory> directory;
  DropCounters drops;
  CheckingSink sink;
  Forwarder forwarder{Lane::underlay, 42, drops, sink};
};

void adapt(std::vector<uint8_t>& packet, uint8_t mode) {
  if ((mode & kMakeKnown) != 0 && packet.size() >= kEncapsulationBytes) {
    encodeVxlan(packet.data(), kVni);
    std::copy(kOwnMac.begin(), kOwnMac.end(), &packet[kVxlanBytes]);
    std::copy(kPeerMac.begin(), kPeerMac.end(), &packet[kVxlanBytes + 6]);
    const bool v6 = packet.size() > kEncapsulationBytes && packet[kEncapsulationBytes] >> 4 == 6;
    storeBe16(&packet[kVxlanBytes + 12], v6 ? kEtherTypeIpv6 : kEtherTypeIpv4);
  }
  if ((mode & kMakeChecksum) == 0 || packet.size() < kEncapsulationBytes + kIpv4HeaderBytes) return;
  const std::span<uint8_t> ip = std::span{packet}.subspan(kEncapsulationBytes);
  const size_t headerBytes = size_t{ip[0]} % 16 * 4;
  if (ip[0] >> 4 != 4 || headerBytes < kIpv4HeaderBytes || headerBytes > ip.size()) return;
  storeBe16(&ip[10], 0);
  storeBe16(&ip[10], checksumOf(ip.first(headerBytes)));
}

}  // namespace
}  // namespace p2pxbone

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone;
  World world;
  std::span<const uint8_t> rest{data, size};
  Millis now = 1000;
  for (size_t record = 0; record < kRecordsMax && rest.size() >= 3; ++record) {
    const uint8_t mode = rest[0];
    const size_t length = std::min<size_t>(loadBe16(&rest[1]), rest.size() - 3);
    // A block of its own, so that a read beyond its end is found.
    std::vector<uint8_t> packet{rest.begin() + 3, rest.begin() + 3 + static_cast<ptrdiff_t>(length)};
    rest = rest.subspan(3 + length);
    adapt(packet, mode);
    if ((mode & kSwapRoutes) != 0) world.swapRoutes();
    if ((mode & kFromTap) != 0) {
      packet.resize(std::max(packet.size(), kVxlanBytes));
      world.sink.link = std::nullopt;
      world.forwarder.fromTap(*world.node, packet, {}, now);
    } else {
      world.sink.link = (mode & kOtherPeer) != 0 ? kNarrowLink : kWideLink;
      world.forwarder.fromTunnel(*world.directory, peerEndpoint((mode & kOtherPeer) != 0 ? 2 : 1), packet, now);
    }
    world.forwarder.flush();
    now += 1;
  }
  return 0;
}
