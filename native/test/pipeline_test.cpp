#include <cerrno>
#include <random>

#include "core/bytes.h"
#include "test/association_certificates.h"
#include "test/flow_builder.h"
#include "test/station.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

Bytes udp(uint64_t from, uint64_t to, uint32_t number = 0, uint8_t hopLimit = 64, size_t data = 100) {
  Bytes payload = udpPayload(1, 2, data);
  storeBe32(&payload[8], number);
  return ipPacket({.source = v6(from), .destination = v6(to), .hopLimit = hopLimit, .payload = payload});
}

Bytes tcp(uint64_t from, uint64_t to, uint8_t flags) {
  return ipPacket({.source = v6(from), .destination = v6(to), .protocol = kProtocolTcp, .payload = tcpPayload(5, 80, flags)});
}

}  // namespace

TEST_CASE("pipeline: through a transit node and back, with exact counters") {
  Chain chain;
  chain.one.send(udp(100, 300));
  CHECK(chain.three.receive() == udp(100, 300, 0, 63));
  chain.three.send(udp(300, 50, 7));
  CHECK(chain.one.receive() == udp(300, 50, 7, 63));
  const PacketSpec spec{.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 3)};
  chain.one.send(ipPacket(spec));
  CHECK(chain.three.receive().size() == ipPacket(spec).size());

  const PlaneCounters counters = chain.two.plane.counters();
  REQUIRE(counters.nodes.size() == 1);
  CHECK(counters.nodes[0].packetsTransit == 3);
  CHECK(counters.nodes[0].packetsToTap == 0);
  CHECK(counters.nodes[0].generation == 1);
  REQUIRE(counters.tunnels.size() == 2);
  CHECK(counters.tunnels[0].packetsIn == 2);
  CHECK(counters.tunnels[1].packetsOut == 2);
  CHECK(counters.tunnels[1].bytesOut == udp(100, 300).size() + ipPacket(spec).size());
  CHECK(counters.tunnels[1].packetsIn == 1);
  for (const uint64_t drops : counters.drops) CHECK(drops == 0);
}

TEST_CASE("pipeline: errors made in transit reach the sender's kernel") {
  Chain chain;
  chain.one.send(udp(100, 300, 0, 1));
  const Bytes exceeded = chain.one.receive();
  REQUIRE(exceeded.size() > 48);
  CHECK(exceeded[40] == 3);
  CHECK(tail(exceeded, 48) == udp(100, 300, 0, 1));

  REQUIRE(chain.two.plane.updateTunnel(chain.two.plane.counters().tunnels[1].tunnel, std::nullopt, 1350).error ==
          PlaneError::none);
  chain.one.send(udp(100, 300, 0, 64, 1330));
  const Bytes tooBig = chain.one.receive();
  REQUIRE(tooBig.size() > 48);
  CHECK(tooBig[40] == 2);
  CHECK(loadBe32(&tooBig[44]) == 1328);

  const PacketSpec spec{.source = v4(10, 0, 0, 1), .destination = v4(10, 0, 0, 3), .payload = udpPayload(1, 2, 1330)};
  chain.one.send(ipPacket(spec));
  Bytes joined;
  for (int i = 0; i < 2; ++i) {
    const Bytes piece = tail(chain.three.receive(), 20);
    joined.insert(joined.end(), piece.begin(), piece.end());
  }
  CHECK(joined == spec.payload);
}

TEST_CASE("pipeline: a kernel that does not keep up costs counted packets and nothing else") {
  Chain chain{{.receive = ReceivePath::queue}};
  constexpr uint32_t kPackets = 3000;
  chain.two.host->hold();
  for (uint32_t i = 0; i < kPackets; ++i) chain.one.send(udp(100, 200, i, 64, 1200));
  const uint64_t full = chain.two.droppedWithin(DropReason::ringFull, 1000);
  CHECK(full >= 1000);
  // Transit does not wait for this node's TAP.
  chain.one.send(udp(100, 300));
  CHECK(!chain.three.receive().empty());
  chain.two.host->release();
  uint64_t received = 0;
  while (received + chain.two.dropped(DropReason::ringFull) < kPackets && !chain.two.receive().empty()) ++received;
  CHECK(received + chain.two.dropped(DropReason::ringFull) == kPackets);
  CHECK(chain.two.writtenWithin(received) == received);
}

TEST_CASE("pipeline: tables swapped under load: every packet goes one way or the other, none is lost") {
  Chain chain;
  const Hop toTwo = via(chain.one.plane.counters().tunnels[0].tunnel);
  const Hop toThree = via(chain.one.tunnelTo(chain.three));
  (void)chain.three.tunnelTo(chain.one);
  constexpr uint32_t kPackets = 20'000;
  // Queues are bounded; no more under way than they hold makes "none is lost" a fair demand.
  constexpr uint32_t kWindow = 1000;
  std::atomic<uint32_t> received{0};
  std::atomic<bool> stop{false};
  std::thread sender{[&] {
    for (uint32_t i = 0; i < kPackets && !stop.load(); ++i) {
      while (i - received.load() >= kWindow && !stop.load()) std::this_thread::yield();
      chain.one.send(udp(100, 300, i));
    }
  }};
  std::vector<bool> seen(kPackets, false);
  uint32_t direct = 0;
  uint64_t generation = 1;
  // Not in turn: scheduling falls into step with that, and all packets meet the same table.
  std::mt19937 random{17};
  while (received.load() < kPackets) {
    ++generation;
    chain.one.publish({kLocal, toTwo, random() % 2 == 0 ? toThree : toTwo}, generation);
    const Bytes packet = chain.three.receive();
    if (packet.empty()) break;
    const uint32_t number = loadBe32(&packet[48]);
    CHECK(number < kPackets);
    if (number >= kPackets) break;
    CHECK(!seen[number]);
    seen[number] = true;
    received.fetch_add(1);
    if (packet[7] == 64) ++direct;
  }
  stop.store(true);
  sender.join();
  CHECK(received.load() == kPackets);
  CHECK(direct > 0);
  CHECK(direct < kPackets);
  CHECK(generation > 1000);
}

TEST_CASE("pipeline: tunnels and nodes come and go under load") {
  Chain chain;
  std::atomic<bool> stop{false};
  std::thread sender{[&] {
    while (!stop.load()) {
      chain.one.send(udp(100, 300));
      chain.one.send(udp(100, 200));
    }
  }};
  for (int round = 0; round < 50; ++round) {
    NodeConfig config;
    config.mac = macOf(50);
    config.vni = kVni;
    config.viId = "lab";
    const auto opened = chain.two.plane.openNode({"extra", 1400, macOf(50)}, config);
    REQUIRE(std::holds_alternative<NodeHandle>(opened));
    const TunnelHandle extra = chain.two.tunnelTo(chain.two);
    (void)chain.two.plane.counters();
    chain.two.plane.removeTunnel(extra);
    chain.two.plane.closeNode(std::get<NodeHandle>(opened));
  }
  chain.two.plane.closeNode(chain.two.node);
  CHECK(chain.two.droppedWithin(DropReason::vniUnknown, 1) > 0);
  CHECK(chain.two.plane.counters().tunnels.empty());
  stop.store(true);
  sender.join();
}

TEST_CASE("pipeline: a connection to a key outlives the move of its range") {
  Chain chain;
  const auto tunnels = chain.two.plane.counters().tunnels;
  chain.one.send(tcp(100, 150, kTcpSyn));
  CHECK(!chain.two.receive().empty());
  // 2 leaves: its range is 3's from now on, and 1 has not heard of it yet.
  chain.two.publish({via(tunnels[0].tunnel), via(tunnels[1].tunnel), via(tunnels[1].tunnel)}, 2);
  chain.three.publish({via(chain.three.plane.counters().tunnels[0].tunnel), kLocal, kLocal}, 2);
  chain.one.send(tcp(100, 150, kTcpAck));
  CHECK(!chain.two.receive().empty());
  CHECK(chain.two.plane.counters().nodes[0].packetsPinned == 1);
  chain.one.send(tcp(100, 150, kTcpSyn));
  CHECK(!chain.three.receive().empty());
}

TEST_CASE("pipeline: a TAP that vanishes is one event, and the others go on") {
  Chain chain;
  std::atomic<int> rings{0};
  chain.two.plane.events().onDoorbell([&] { rings.fetch_add(1); });
  chain.two.host->remove();
  const Millis end = monotonicNow() + kPatienceMs;
  while (rings.load() == 0 && monotonicNow() < end) std::this_thread::yield();
  chain.one.send(udp(100, 200));
  CHECK(chain.two.droppedWithin(DropReason::tapWriteFailed, 1) == 1);
  const auto events = chain.two.plane.events().drain();
  REQUIRE(events.size() == 1);
  const auto* failed = std::get_if<NodeFailed>(&events[0]);
  REQUIRE(failed != nullptr);
  CHECK(failed->node == chain.two.node);
  CHECK(failed->error == EBADFD);
  CHECK(rings.load() == 1);
  chain.one.send(udp(100, 300));
  CHECK(!chain.three.receive().empty());
}

TEST_CASE("pipeline: strangers are counted and never answered") {
  Chain chain;
  MemoryPlatform platform{chain.network};
  UnderlayOutcome outcome = platform.openUnderlay(endpointOf(66, 0), 1);
  UnderlaySocket& stranger = *std::get<std::unique_ptr<UnderlaySocket>>(outcome);
  const Bytes expired = vxlan(kVni, ethernet(udp(300, 999, 0, 1), macOf(1), macOf(2)));
  const Bytes otherNetwork = vxlan(kVni + 1, ethernet(udp(300, 100), macOf(1), macOf(2)));
  const Bytes stun{0, 1, 0, 0};
  const Bytes turnChannel{64, 0, 0, 0};
  const Bytes notDtls{22, 1, 2, 3};
  const Bytes nothing;
  for (const Bytes* bytes : {&expired, &otherNetwork, &stun, &turnChannel, &notDtls, &nothing}) {
    CHECK(sendOne(stranger, chain.one.at, *bytes) == 0);
  }
  CHECK(chain.one.droppedWithin(DropReason::tunnelUnknown, 1) == 1);
  CHECK(chain.one.droppedWithin(DropReason::vniUnknown, 1) == 1);
  CHECK(chain.one.droppedWithin(DropReason::stunUnsupported, 1) == 1);
  CHECK(chain.one.droppedWithin(DropReason::protocolUnknown, 2) == 2);
  CHECK(chain.one.droppedWithin(DropReason::dtlsMalformed, 1) + chain.one.dropped(DropReason::dtlsPeerUnknown) +
            chain.one.dropped(DropReason::dtlsRecordBad) ==
        1);
  Bytes memory(2048);
  DatagramSlot slot{memory, {}, false, {}};
  CHECK(stranger.receive({&slot, 1}) == 0);
}

TEST_CASE("pipeline: what the base network refuses is counted by cause") {
  Chain chain;
  chain.network.limitPayload(1000);
  chain.one.send(udp(100, 200, 0, 64, 1200));
  CHECK(chain.one.droppedWithin(DropReason::sendTooBig, 1) == 1);
  CHECK(chain.one.plane.counters().tunnels[0].packetsOut == 0);
  CHECK(chain.one.plane.counters().tunnels[0].bytesOut == 0);
  const TunnelHandle tunnel = chain.one.plane.counters().tunnels[0].tunnel;
  REQUIRE(chain.one.plane.updateTunnel(tunnel, endpointOf(99), std::nullopt).error == PlaneError::none);
  chain.one.send(udp(100, 200));
  CHECK(chain.one.droppedWithin(DropReason::sendUnreachable, 1) == 1);
}

TEST_CASE("pipeline: a secure tunnel's packets travel inside records, and never otherwise") {
  Chain chain;
  const Authority authority{"authority"};
  for (Station* station : {&chain.one, &chain.two}) {
    const PemIdentity identity = authority.issue("node");
    const auto credential = credentialOf("lab", identity.certificate, identity.privateKey, authority.pem());
    REQUIRE(station->plane.setCredential(credential).error == PlaneError::none);
  }
  const auto associated = chain.one.plane.associate(chain.two.at, "lab");
  REQUIRE(std::holds_alternative<AssociationId>(associated));
  // Before it is up: secure, and so silent.
  const auto association = std::get<AssociationId>(associated);
  const TunnelHandle out = chain.one.plane.counters().tunnels[0].tunnel;
  REQUIRE(chain.one.plane.secureTunnel(out, association).error == PlaneError::none);
  const auto onlyUp = [&](Station& station) -> AssociationId {
    const Millis end = monotonicNow() + kPatienceMs;
    while (monotonicNow() < end) {
      const auto associations = station.plane.counters().associations;
      if (associations.size() == 1 && associations[0].up) return associations[0].association;
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return 0;
  };
  REQUIRE(onlyUp(chain.one) == association);
  const AssociationId atTwo = onlyUp(chain.two);
  TunnelHandle back = 0;
  for (const TunnelCount& count : chain.two.plane.counters().tunnels) {
    if (chain.two.plane.secureTunnel(count.tunnel, atTwo).error == PlaneError::none) {
      back = count.tunnel;
      break;
    }
  }
  REQUIRE(back != 0);

  std::atomic<int> plain{0};
  chain.network.watch([&](const Endpoint& from, const Endpoint& to, std::span<const uint8_t> datagram) {
    const bool between = (from == chain.one.at && to == chain.two.at) || (from == chain.two.at && to == chain.one.at);
    if (between && !datagram.empty() && datagram[0] == kVxlanFlagVni) plain.fetch_add(1);
  });
  // To the node itself, on to the next one, and back.
  chain.one.send(udp(100, 200));
  CHECK(chain.two.receive() == udp(100, 200));
  chain.one.send(udp(100, 300));
  CHECK(chain.three.receive() == udp(100, 300, 0, 63));
  chain.two.send(udp(200, 100));
  CHECK(chain.one.receive() == udp(200, 100));
  CHECK(plain.load() == 0);

  // What comes in the clear is refused, though its endpoint and MAC address are the peer's.
  REQUIRE(chain.one.plane.secureTunnel(out, 0).error == PlaneError::none);
  chain.one.send(udp(100, 200));
  CHECK(chain.two.droppedWithin(DropReason::plaintextRefused, 1) == 1);
  CHECK(plain.load() == 1);
  REQUIRE(chain.one.plane.secureTunnel(out, association).error == PlaneError::none);
  CHECK(chain.one.plane.secureTunnel(out, association + 100).error == PlaneError::associationUnusable);

  // Without keys, silence.
  chain.one.plane.closeAssociation(association);
  chain.one.send(udp(100, 200));
  CHECK(chain.one.droppedWithin(DropReason::keysMissing, 1) == 1);
  const Millis end = monotonicNow() + kPatienceMs;
  while (!chain.two.plane.counters().associations.empty() && monotonicNow() < end) std::this_thread::yield();
  chain.two.send(udp(200, 100));
  CHECK(chain.two.droppedWithin(DropReason::keysMissing, 1) == 1);
  CHECK(plain.load() == 1);
  chain.network.watch(nullptr);
}

TEST_CASE("pipeline: limits and conflicts") {
  Chain chain;
  const auto errorOf = [](const auto& outcome) {
    const auto* failure = std::get_if<Failure>(&outcome);
    return failure == nullptr ? PlaneError::none : failure->error;
  };
  DataPlane& plane = chain.one.plane;
  CHECK(errorOf(plane.bind(endpointOf(5))) == PlaneError::alreadyBound);
  CHECK(errorOf(plane.addTunnel(999, endpointOf(5), macOf(5), 0)) == PlaneError::nodeUnknown);
  CHECK(errorOf(plane.addTunnel(chain.one.node, chain.two.at, macOf(2), 0)) == PlaneError::conflict);
  CHECK(plane.updateTunnel(4096 * 999, std::nullopt, 1000).error == PlaneError::tunnelUnknown);
  const TunnelHandle tunnel = plane.counters().tunnels[0].tunnel;
  CHECK(plane.updateTunnel(tunnel, std::nullopt, 575).error == PlaneError::system);
  CHECK(plane.updateTunnel(tunnel, std::nullopt, 65'508).error == PlaneError::system);
  CHECK(plane.publish(999, {}).error == PlaneError::nodeUnknown);
  for (const auto& [address, text] : {std::pair{v4(10, 0, 0, 7), "10.0.0.7"}, std::pair{v6(0x1234), "fd00::1234"}}) {
    const Failure failure = plane.publish(chain.one.node, {2, {{address, kLocal}, {address, kLocal}}, {}, {}});
    CHECK(failure.error == PlaneError::imageBad);
    CHECK(failure.text == text);
  }
  CHECK(errorOf(plane.associate(endpointOf(5), "nobody")) == PlaneError::credentialMissing);
  CHECK(plane.send(12345, Bytes{0x80}).error == PlaneError::associationUnusable);
  NodeConfig config;
  config.mac = macOf(1);
  config.vni = kVni;
  CHECK(errorOf(plane.openNode({"again", 1400, config.mac}, config)) == PlaneError::conflict);
  config.mac[0] = 1;
  CHECK(errorOf(plane.openNode({"multicast", 1400, config.mac}, config)) == PlaneError::system);
  config.mac = macOf(66);
  config.plan = {{{v6(0), 129, true}}, {}};
  CHECK(errorOf(plane.openNode({"planless", 1400, config.mac}, config)) == PlaneError::system);
  TunnelTable table;
  for (size_t i = 0; i < kTunnelsPerNodeMax; ++i) {
    // Indexing is linear in the table's size; only the last ones matter here.
    Endpoint peer = endpointOf(1);
    peer.port = static_cast<uint16_t>(i + 1);
    REQUIRE(table.add(i + 1, peer, macOf(1), 1400) != 0);
  }
  CHECK(table.add(5000, endpointOf(2), macOf(1), 1400) == 0);
}

namespace {

LinkShape delayOf(Millis ms) { return {0, 0, 0, ms * 1'000'000, 0, 0, 0}; }

void shape(Station& station, size_t tunnel, const TunnelShape& shape) {
  const TunnelHandle handle = station.plane.counters().tunnels.at(tunnel).tunnel;
  REQUIRE(station.plane.shapeTunnel(handle, shape).error == PlaneError::none);
}

}  // namespace

TEST_CASE("pipeline: a shaped tunnel delays each way, also in transit from one shaped tunnel to another") {
  Chain chain;
  shape(chain.one, 0, {delayOf(30), {}});
  shape(chain.two, 0, {{}, delayOf(40)});
  shape(chain.two, 1, {delayOf(50), {}});
  shape(chain.three, 0, {{}, delayOf(60)});
  const Millis begin = monotonicNow();
  for (uint32_t i = 0; i < 50; ++i) chain.one.send(udp(100, 300, i));
  for (uint32_t i = 0; i < 50; ++i) CHECK(chain.three.receive() == udp(100, 300, i, 63));
  CHECK(monotonicNow() - begin >= 30 + 40 + 50 + 60);
  // The other way is as it was.
  chain.three.send(udp(300, 100, 7));
  CHECK(chain.one.receive() == udp(300, 100, 7, 63));
  const PlaneCounters counters = chain.two.plane.counters();
  CHECK(counters.tunnels[0].packetsIn == 50);
  CHECK(counters.tunnels[1].packetsOut == 50);
  for (const uint64_t drops : counters.drops) CHECK(drops == 0);
}

TEST_CASE("pipeline: what a shape drops is counted by its cause") {
  Chain chain;
  shape(chain.one, 0, {{0, 0, 0, 0, 0, 1, 0}, {}});
  for (uint32_t i = 0; i < 20; ++i) chain.one.send(udp(100, 200, i));
  CHECK(chain.one.droppedWithin(DropReason::shaperLost, 20) == 20);
  // A packet passes by the bucket, another one waits, and there is no room for more.
  shape(chain.one, 0, {{8'000, 1'500, 1'500, 0, 0, 0, 0}, {}});
  for (uint32_t i = 0; i < 20; ++i) chain.one.send(udp(100, 200, i, 64, 1200));
  CHECK(chain.one.droppedWithin(DropReason::shaperFull, 18) == 18);
  CHECK(chain.two.receive() == udp(100, 200, 0, 64, 1200));
}

TEST_CASE("pipeline: what waits leaves in order when its tunnel is shaped no more, and is counted when it is gone") {
  Chain chain;
  shape(chain.one, 0, {delayOf(10'000), delayOf(10'000)});
  for (uint32_t i = 0; i < 100; ++i) chain.one.send(udp(100, 200, i));
  for (uint32_t i = 0; i < 100; ++i) chain.two.send(udp(200, 100, i));
  CHECK(chain.two.receive(50).empty());
  shape(chain.one, 0, {});
  for (uint32_t i = 0; i < 100; ++i) {
    CHECK(chain.two.receive() == udp(100, 200, i));
    CHECK(chain.one.receive() == udp(200, 100, i));
  }
  shape(chain.one, 0, {delayOf(10'000), {}});
  for (uint32_t i = 0; i < 10; ++i) chain.one.send(udp(100, 200, i));
  chain.one.plane.removeTunnel(chain.one.plane.counters().tunnels[0].tunnel);
  CHECK(chain.one.droppedWithin(DropReason::tunnelGone, 10) == 10);
}

TEST_CASE("pipeline: shapes that are out of range are refused, and ends while packets wait are clean") {
  Chain chain;
  const TunnelHandle tunnel = chain.one.plane.counters().tunnels[0].tunnel;
  CHECK(chain.one.plane.shapeTunnel(tunnel, {{1, 0, 0, 0, 0, 0, 0}, {}}).systemError == EINVAL);
  CHECK(chain.one.plane.shapeTunnel(tunnel + 1, {}).error == PlaneError::tunnelUnknown);
  shape(chain.one, 0, {delayOf(10'000), {}});
  shape(chain.two, 0, {{}, delayOf(5)});
  for (uint32_t i = 0; i < 100; ++i) chain.one.send(udp(100, 200, i));
  chain.one.plane.closeNode(chain.one.node);
  for (uint32_t i = 0; i < 100; ++i) chain.three.send(udp(300, 200, i));
}

TEST_CASE("pipeline: super-packets in, the same packets out, on any machine and by any receive path") {
  for (const ReceivePath receive : {ReceivePath::direct, ReceivePath::queue, ReceivePath::aio, ReceivePath::uring}) {
    for (const bool offloads : {true, false}) {
      CAPTURE(static_cast<int>(receive));
      CAPTURE(offloads);
      Chain chain{{.receive = receive, .features = {offloads, offloads, offloads}}};
      chain.network.joinDatagrams(offloads);
      FlowPacket super;
      super.v6 = true;
      super.host = 30;  // fd00::150, which is node 2's
      super.data = Bytes(40'000, 3);
      chain.two.send(buildUnfinished(super), offloadOf(super, 1300));
      // fd00::120 is node 2's own as well: it is handed back whole, and the twin of its kernel cuts it up.
      for (const FlowPacket& packet : cutUp(super, 1300)) REQUIRE(chain.two.receive() == build(packet));
      chain.one.send(buildUnfinished(super), offloadOf(super, 1300));
      for (const FlowPacket& packet : cutUp(super, 1300)) REQUIRE(chain.two.receive() == build(packet));
      const PlaneCounters sender = chain.one.plane.counters();
      CHECK(sender.nodes[0].packetsFromTap == 31);
      CHECK(sender.tunnels[0].packetsOut == 31);
      const PlaneCounters receiver = chain.two.plane.counters();
      CHECK(chain.two.writtenWithin(62) == 62);
      CHECK(receiver.tunnels[0].packetsIn == 31);
      for (const uint64_t drops : receiver.drops) CHECK(drops == 0);
    }
  }
}
