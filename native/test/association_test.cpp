#include "test/association_fixture.h"

namespace p2pxbone::testing {
namespace {

TEST_CASE("silence ends an association") {
  World world = pair(31);
  join(world);
  const Millis silentFrom = world.now;
  world.tap = [](const Endpoint&, Transmit&) { return false; };
  world.run(1900);
  CHECK(downs(world, a).empty());
  world.run(700);
  CHECK(downs(world, a) == std::vector{DownReason::peerSilent});
  CHECK(downs(world, b) == std::vector{DownReason::peerSilent});
  CHECK(world.machine(a).states(world.now).empty());
  CHECK_FALSE(world.machine(a).deadline());
  CHECK(world.now - silentFrom == 2600);
}

TEST_CASE("only one end of an idle association asks, about twice a second") {
  World world = pair(32);
  join(world);
  world.run(2000);
  size_t datagrams = 0;
  world.tap = [&](const Endpoint&, Transmit&) {
    datagrams++;
    return true;
  };
  world.run(20'000);
  CHECK(datagrams >= 2 * 35);
  CHECK(datagrams <= 2 * 46);
}

TEST_CASE("closing says goodbye") {
  World world = pair(33);
  join(world);
  SUBCASE("one") {
    world.machine(a).close(idOf(world, a), world.now);
  }
  SUBCASE("all") {
    world.machine(a).closeAll(world.now);
  }
  SUBCASE("by taking the credential away") {
    world.machine(a).removeCredential("vi-red.example", world.now);
    world.run(100);
    CHECK(downs(world, a).empty());
    world.machine(a).removeCredential(vi, world.now);
    CHECK_FALSE(world.machine(a).associate(b, vi, world.now));
  }
  world.run(100);
  CHECK(downs(world, a) == std::vector{DownReason::closed});
  CHECK(downs(world, b) == std::vector{DownReason::peerClosed});
  CHECK(world.machine(a).states(world.now).empty());
  CHECK(world.machine(b).states(world.now).empty());
  CHECK_FALSE(world.machine(a).send(idOf(world, a), std::vector<uint8_t>{0x80}, world.now));
}

TEST_CASE("closing during the handshake") {
  World world = pair(34);
  const auto id = world.machine(a).associate(b, vi, world.now);
  world.machine(a).close(*id, world.now);
  world.run(10'000);
  CHECK(downs(world, a) == std::vector{DownReason::closed});
  CHECK(world.node(b).events.empty());
  CHECK(world.machine(b).states(world.now).empty());
}

TEST_CASE("messages of each kind arrive, others are refused at the door") {
  World world = pair(35);
  join(world);
  AssociationMachine& sender = world.machine(a);
  const AssociationId id = idOf(world, a);
  const size_t payload = sender.states(world.now)[0].payloadBytesMax;
  std::vector<uint8_t> control(controlBytesMax, 0x85);
  const std::vector<uint8_t> vxlan(payload - 37, 0x08);
  CHECK(sender.send(id, control, world.now));
  control.push_back(0);
  CHECK_FALSE(sender.send(id, control, world.now));
  CHECK_FALSE(sender.send(id, vxlan, world.now));
  CHECK_FALSE(sender.send(id, {}, world.now));
  CHECK_FALSE(sender.send(id, std::vector<uint8_t>{0x01, 0}, world.now));
  CHECK_FALSE(sender.send(id + 1, std::vector<uint8_t>{0x80}, world.now));
  size_t largest = 0;
  world.tap = [&](const Endpoint&, Transmit& transmit) {
    largest = std::max(largest, transmit.datagram.size());
    return true;
  };
  CHECK(world.sendPacket(a, b, id, vxlan));
  world.run(100);
  CHECK(largest == payload);
  CHECK(world.node(b).of(Kind::control).back().bytes.size() == controlBytesMax);
  REQUIRE(world.inner(b).packets.size() == 1);
  CHECK(world.inner(b).packets[0] == vxlan);
}

TEST_CASE("the largest payload of the path is found") {
  SUBCASE("Ethernet") {
    World world = pair(40);
    join(world);
    CHECK(mtus(world, a) == std::vector<size_t>{1252, 1472});
    CHECK(mtus(world, b) == std::vector<size_t>{1252, 1472});
  }
  SUBCASE("a link of 1400") {
    World world = pair(41, {.payloadBytesMax = 1400 - 28});
    join(world);
    world.run(200);
    CHECK(mtus(world, a) == std::vector<size_t>{1252, 1372});
    CHECK(mtus(world, b) == std::vector<size_t>{1252, 1372});
    world.run(200'000);
    CHECK(mtus(world, a).size() == 2);
    checkJoined(world);
  }
  SUBCASE("the least there is") {
    World world = pair(42, {.payloadBytesMax = 1280 - 28});
    join(world);
    CHECK(mtus(world, a) == std::vector<size_t>{1252});
    CHECK(downs(world, a).empty());
  }
  SUBCASE("jumbo frames") {
    AssociationSettings settings;
    settings.payloadBytesLimit = 8972;
    World world = pair(43, {}, settings);
    join(world);
    CHECK(mtus(world, a) == std::vector<size_t>{1252, 8972});
  }
  SUBCASE("a limit below the base") {
    AssociationSettings settings;
    settings.payloadBytesLimit = 100;
    World world = pair(47, {}, settings);
    join(world);
    CHECK(mtus(world, a) == std::vector<size_t>{1252});
  }
  SUBCASE("IPv6") {
    World world(44);
    const Endpoint x = ipv6(1);
    const Endpoint y = ipv6(2);
    addEquipped(world, x);
    addEquipped(world, y);
    REQUIRE(world.machine(x).associate(y, vi, world.now));
    world.run(1000);
    CHECK(mtus(world, x) == std::vector<size_t>{1232, 1452});
  }
  SUBCASE("under loss") {
    AssociationSettings settings;
    settings.silence = 10'000;
    settings.handshakeTimeout = 20'000;
    World world = pair(45, {.loss = 0.2, .payloadBytesMax = 1400 - 28}, settings);
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(200'000);
    const std::vector<size_t> found = mtus(world, a);
    CHECK(*std::max_element(found.begin(), found.end()) == 1372);
    CHECK(downs(world, a).empty());
  }
}

TEST_CASE("a path that changes is noticed at the next round") {
  World world = pair(46);
  join(world);
  world.link.payloadBytesMax = 1340 - 28;
  world.run(62'000);
  CHECK(mtus(world, a) == std::vector<size_t>{1252, 1472, 1312});
  CHECK(downs(world, a).empty());
  world.link.payloadBytesMax = 65'535;
  world.run(62'000);
  CHECK(mtus(world, a) == std::vector<size_t>{1252, 1472, 1312, 1472});
}

TEST_CASE("replayed, damaged and truncated records are counted and change nothing") {
  World world = pair(50);
  join(world);
  world.run(1500);
  std::vector<uint8_t> record;
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    if (from == a) record = transmit.datagram;
    return true;
  };
  CHECK(world.machine(a).send(idOf(world, a), std::vector<uint8_t>(300, 0x81), world.now));
  world.run(10);
  world.tap = nullptr;
  REQUIRE(record.size() == 337);
  const size_t heard = world.node(b).of(Kind::control).size();
  CHECK(world.inner(b).droppedInAll() == 0);
  world.receive(b, a, record);
  CHECK(world.inner(b).dropped(DropReason::recordReplayed) == 1);
  for (size_t bit = 0; bit < record.size() * 8; bit += 7) {
    CAPTURE(bit);
    std::vector<uint8_t> damaged = record;
    damaged[bit / 8] = static_cast<uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
    world.receive(b, a, damaged);
  }
  for (size_t bytes = 0; bytes < record.size(); bytes++) {
    world.receive(b, a, std::span(record).first(bytes));
  }
  const AssociationDrops& drops = world.machine(b).drops();
  CHECK(world.inner(b).droppedInAll() + drops.badRecord + drops.unknownPeer + drops.notDtls >= 1 + 337 + (337 * 8 + 6) / 7);
  // A flip of the number makes another record, which is not authentic; of the type, one of a handshake.
  CHECK(world.inner(b).dropped(DropReason::recordReplayed) > 300);
  CHECK(world.inner(b).dropped(DropReason::dtlsMalformed) > 337);
  CHECK(world.node(b).of(Kind::control).size() == heard);
  checkJoined(world);
}

TEST_CASE("what comes from no peer, or is no DTLS, is counted and never answered") {
  World world = pair(51);
  AssociationMachine& machine = world.machine(b);
  std::mt19937_64 random(51);
  for (int i = 0; i < 5000; i++) {
    std::vector<uint8_t> garbage(random() % 1500);
    for (auto& byte : garbage) byte = static_cast<uint8_t>(random());
    if (i % 2 == 0 && garbage.size() > 16) {
      garbage[0] = static_cast<uint8_t>(20 + random() % 4);
      garbage[1] = 0xfe;
    }
    const Endpoint stranger = ipv4(static_cast<uint8_t>(random()));
    if (i % 3 == 0) machine.handleDatagram(stranger, garbage, world.now);
    else world.receive(b, stranger, garbage);
    CHECK_FALSE(machine.pollTransmit());
  }
  const AssociationDrops& drops = machine.drops();
  CHECK(drops.notDtls + drops.unknownPeer + drops.badRecord + world.inner(b).droppedInAll() >= 5000);
  CHECK(drops.notDtls > 0);
  CHECK(drops.unknownPeer > 0);
  CHECK(machine.states(world.now).empty());
}

TEST_CASE("the reader keeps from the control side what is larger than a record can be") {
  World world = pair(57);
  AssociationMachine& machine = world.machine(b);
  REQUIRE(machine.associate(ipv4(9), vi, world.now));
  world.run(1);
  std::vector<uint8_t> datagram(recordDatagramBytesMax);
  // The first records of a handshake, and of a peer whose handshake is about to end.
  for (const auto& [type, epoch] : {std::pair(contentHandshake, uint8_t{0}), std::pair(contentApplicationData, uint8_t{1})}) {
    const std::vector<uint8_t> header{type, dtlsMajor, dtls12Minor, 0, epoch, 0, 0, 0, 0, 0, 0, 1, 0};
    std::copy(header.begin(), header.end(), datagram.begin());
    const auto seen = [&] { return machine.drops().badRecord + machine.drops().notDtls; };
    const uint64_t dropped = world.inner(b).dropped(DropReason::dtlsMalformed);
    const uint64_t before = seen();
    datagram.push_back(0);
    world.receive(b, ipv4(9), datagram);
    CHECK(world.inner(b).dropped(DropReason::dtlsMalformed) == dropped + 1);
    CHECK(seen() == before);
    datagram.pop_back();
    world.receive(b, ipv4(9), datagram);
    CHECK(seen() == before + 1);
  }
}

TEST_CASE("full tables refuse and count") {
  World world(52);
  AssociationSettings small;
  small.associationsMax = 3;
  addEquipped(world, b, small);
  for (uint8_t host = 10; host < 15; host++) {
    addEquipped(world, ipv4(host));
    REQUIRE(world.machine(ipv4(host)).associate(b, vi, world.now));
  }
  world.run(1000);
  CHECK(world.machine(b).states(world.now).size() == 3);
  CHECK(ups(world, b) == 3);
  CHECK(world.machine(b).drops().tableFull >= 2);
  CHECK_FALSE(world.machine(b).associate(ipv4(99), vi, world.now));

  AssociationSettings few;
  few.handshakesOutMax = 2;
  AssociationMachine& other = addEquipped(world, a, few);
  CHECK(other.associate(ipv4(101), vi, world.now));
  CHECK(other.associate(ipv4(102), vi, world.now));
  CHECK_FALSE(other.associate(ipv4(103), vi, world.now));
  CHECK(other.drops().tableFull == 1);
  world.run(6000);
  CHECK(other.associate(ipv4(103), vi, world.now));
}

// They begin a handshake with b, far enough to prove their endpoint, and then fall silent.
class Strangers {
 public:
  explicit Strangers(World& world) : world_(world) {}

  // False if it is refused.
  bool knock(const Endpoint& from) {
    AssociationMachine stranger({});
    equip(stranger);
    AssociationMachine& server = world_.machine(b);
    const size_t before = server.states(world_.now).size();
    REQUIRE(stranger.associate(b, vi, world_.now));
    for (int i = 0; i < 2; i++) {
      while (auto transmit = stranger.pollTransmit()) server.handleDatagram(from, transmit->datagram, world_.now);
      while (auto transmit = server.pollTransmit()) stranger.handleDatagram(b, transmit->datagram, world_.now);
    }
    return server.states(world_.now).size() > before;
  }

 private:
  World& world_;
};

TEST_CASE("one member cannot fill the table, and what it has too much of is what has been silent for longest") {
  World world(59);
  AssociationSettings settings;
  settings.associationsMax = 40;
  settings.associationsPerPeerMax = 4;
  settings.silence = 60'000;
  addEquipped(world, b, settings);
  const PemIdentity other = authority().issue("other");
  REQUIRE_FALSE(world.add(a, settings).setCredential(credentialOf(vi, other.certificate, other.privateKey, authority().pem())));
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  const AssociationId quietest = world.machine(b).states(world.now)[0].association;
  // The first of the greedy one's goes on talking, the others fall silent.
  const auto greedy = [](uint16_t number) { return ipv4(9, static_cast<uint16_t>(100 + number)); };
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    return from != a && (from.port <= 100 || from == b || isOfHandshake(transmit.datagram));
  };
  for (uint16_t i = 0; i < 60; i++) {
    addEquipped(world, greedy(i), settings);
    REQUIRE(world.machine(greedy(i)).associate(b, vi, world.now));
    world.run(300);
  }
  CHECK(world.machine(b).drops().tableFull == 0);
  const auto states = world.machine(b).states(world.now);
  CHECK(states.size() == 5);
  const auto has = [&](const Endpoint& peer) {
    return std::any_of(states.begin(), states.end(), [&](const auto& state) { return state.peer == peer; });
  };
  CHECK(has(greedy(0)));
  for (uint16_t i = 1; i < 57; i++) CHECK_FALSE(has(greedy(i)));
  for (uint16_t i = 57; i < 60; i++) CHECK(has(greedy(i)));
  // Another member, who has been silent for longer than any of them, is not touched.
  CHECK(std::any_of(states.begin(), states.end(), [&](const auto& state) { return state.association == quietest; }));
  CHECK(downs(world, b) == std::vector<DownReason>(56, DownReason::replaced));
}

TEST_CASE("one host cannot have all handshakes, whatever its ports") {
  World world = pair(55);
  Strangers strangers(world);
  constexpr uint16_t perHost = 16;
  AssociationMachine& server = world.machine(b);
  for (uint16_t port = 1; port <= perHost; port++) CHECK(strangers.knock(ipv4(66, port)));
  for (uint16_t port = 100; port < 110; port++) CHECK_FALSE(strangers.knock(ipv4(66, port)));
  CHECK(server.drops().tableFull == 10);
  CHECK(strangers.knock(ipv4(67)));
  // An IPv6 host has a /64 of addresses.
  const auto inSubnet = [](uint8_t subnet, uint8_t host) {
    Endpoint endpoint = ipv6(host);
    endpoint.ip[7] = subnet;
    return endpoint;
  };
  for (uint8_t host = 1; host <= perHost; host++) CHECK(strangers.knock(inSubnet(1, host)));
  CHECK_FALSE(strangers.knock(inSubnet(1, 200)));
  CHECK(strangers.knock(inSubnet(2, 1)));
  CHECK(server.drops().tableFull == 11);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  CHECK(ups(world, a) == 1);
  // They time out, and their host has its share again.
  world.run(6000);
  CHECK(server.states(world.now).size() == 1);
  for (uint16_t port = 200; port < 200 + perHost; port++) CHECK(strangers.knock(ipv4(66, port)));
  CHECK_FALSE(strangers.knock(ipv4(66, 300)));
}

TEST_CASE("strangers' handshakes do not keep us from beginning ours, nor ours others from theirs") {
  World world(56);
  AssociationSettings few;
  few.handshakesInMax = 3;
  few.handshakesOutMax = 2;
  AssociationMachine& machine = addEquipped(world, b, few);
  addEquipped(world, a);
  Strangers strangers(world);
  for (uint8_t host = 60; host < 63; host++) CHECK(strangers.knock(ipv4(host)));
  CHECK_FALSE(strangers.knock(ipv4(63)));
  CHECK(machine.drops().tableFull == 1);
  REQUIRE(machine.associate(a, vi, world.now));
  world.run(1000);
  CHECK(ups(world, b) == 1);
  CHECK(ups(world, a) == 1);

  world.run(6000);
  CHECK(machine.states(world.now).size() == 1);
  REQUIRE(machine.associate(ipv4(71), vi, world.now));
  REQUIRE(machine.associate(ipv4(72), vi, world.now));
  CHECK_FALSE(machine.associate(ipv4(73), vi, world.now));
  CHECK(strangers.knock(ipv4(64)));
}

TEST_CASE("strangers' handshakes do not make the reader a new directory") {
  World world = pair(58);
  join(world);
  AssociationMachine& machine = world.machine(b);
  CHECK(machine.takeDirectory() == nullptr);
  Strangers strangers(world);
  for (uint8_t host = 60; host < 63; host++) CHECK(strangers.knock(ipv4(host)));
  CHECK(machine.takeDirectory() == nullptr);
  // Nor does their end.
  machine.tick(world.now + 6000);
  CHECK(machine.states(world.now).size() <= 1);
  REQUIRE(machine.associate(ipv4(70), vi, world.now));
  const auto directory = machine.takeDirectory();
  REQUIRE(directory != nullptr);
  CHECK(directory->find(ipv4(70)) != nullptr);
}

TEST_CASE("a handshake that changes sides stays in the budget in which it began") {
  AssociationSettings few;
  few.handshakesInMax = 1;
  few.handshakesOutMax = 1;
  for (uint64_t seed = 0; seed < 20; seed++) {
    CAPTURE(seed);
    World world = pair(seed, {}, few);
    // Each of the two may be the one that gives way.
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    REQUIRE(world.machine(b).associate(a, vi, world.now));
    world.run(1000);
    checkJoined(world);
    // Both budgets are as empty as before.
    Strangers strangers(world);
    CHECK(strangers.knock(ipv4(60)));
    CHECK_FALSE(strangers.knock(ipv4(61)));
    CHECK(world.machine(b).associate(ipv4(71), vi, world.now));
    CHECK_FALSE(world.machine(b).associate(ipv4(72), vi, world.now));
  }
}

TEST_CASE("a thousand associations on one machine") {
  World world(53);
  AssociationSettings settings;
  settings.handshakesInMax = 2000;
  settings.associationsPerPeerMax = 2000;  // all of them have one certificate
  settings.keepAlive = 2000;
  settings.silence = 8000;
  addEquipped(world, b, settings);
  for (uint16_t i = 0; i < 1000; i++) {
    const Endpoint client = ipv4(static_cast<uint8_t>(i % 250), static_cast<uint16_t>(5000 + i));
    addEquipped(world, client, settings);
    REQUIRE(world.machine(client).associate(b, vi, world.now));
  }
  world.run(10'000);
  CHECK(ups(world, b) == 1000);
  CHECK(downs(world, b).empty());
  const auto states = world.machine(b).states(world.now);
  CHECK(std::all_of(states.begin(), states.end(), [](const auto& state) { return state.up && state.payloadBytesMax == 1472; }));
  world.machine(b).closeAll(world.now);
  world.run(100);
  CHECK(downs(world, b).size() == 1000);
  CHECK(world.machine(b).states(world.now).empty());
}

TEST_CASE("a running association is not disturbed by forged handshake records") {
  World world = pair(54);
  join(world);
  std::mt19937_64 random(54);
  for (int i = 0; i < 2000; i++) {
    std::vector<uint8_t> forged(13 + random() % 80);
    for (auto& byte : forged) byte = static_cast<uint8_t>(random());
    forged[0] = static_cast<uint8_t>(20 + random() % 4);
    forged[1] = 0xfe;
    forged[2] = 0xfd;
    forged[3] = 0;
    forged[4] = static_cast<uint8_t>(random() % 3);
    forged[11] = 0;
    forged[12] = static_cast<uint8_t>(forged.size() - 13);
    world.inject(a, b, forged, i);
    world.inject(b, a, forged, i);
  }
  world.run(3000);
  checkJoined(world);
  CHECK(downs(world, a).empty());
  CHECK(downs(world, b).empty());
}

}  // namespace
}  // namespace p2pxbone::testing
