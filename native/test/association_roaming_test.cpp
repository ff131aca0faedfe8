// Peers that write from another address all at once, and others who would like to be taken for them.
#include "test/association_fixture.h"

namespace p2pxbone::testing {
namespace {

const Endpoint elsewhere = ipv4(77, 9999);
const std::vector<uint8_t> packet{0x08, 1, 2, 3};

std::vector<Endpoint> moves(World& world, const Endpoint& at) {
  std::vector<Endpoint> seen;
  for (const auto& event : world.node(at).of(Kind::moved)) seen.push_back(event.peer);
  return seen;
}

World joinedQuietly(uint64_t seed) {
  World world = pair(seed);
  join(world);
  world.run(200);
  return world;
}

TEST_CASE("roaming: the association follows its peer, and traffic goes on at once") {
  World world = joinedQuietly(60);
  const AssociationId atA = idOf(world, a);
  const AssociationId atB = idOf(world, b);
  world.rebind(a, elsewhere);
  for (int i = 0; i < 20; i++) CHECK(world.sendPacket(elsewhere, b, atA, packet));
  world.run(100);
  CHECK(world.inner(b).packets.size() == 20);
  CHECK(moves(world, b) == std::vector{elsewhere});
  REQUIRE(world.machine(b).states(world.now).size() == 1);
  CHECK(world.machine(b).states(world.now)[0].peer == elsewhere);
  CHECK(world.machine(b).states(world.now)[0].association == atB);
  CHECK(world.machine(b).send(atB, std::vector<uint8_t>{0x99}, world.now));
  world.run(100);
  CHECK(world.node(elsewhere).of(Kind::control).back().bytes == std::vector<uint8_t>{0x99});
  world.run(10'000);
  CHECK(downs(world, b).empty());
  CHECK(downs(world, elsewhere).empty());
  // The path is another one.
  CHECK(mtus(world, b) == std::vector<size_t>{1252, 1472, 1252, 1472});
}

TEST_CASE("roaming: a keep-alive alone is enough, and there and back again") {
  World world = joinedQuietly(61);
  for (int i = 0; i < 5; i++) {
    world.rebind(a, elsewhere);
    world.run(1500);
    world.rebind(elsewhere, a);
    world.run(1500);
  }
  CHECK(moves(world, b).size() == 10);
  CHECK(downs(world, b).empty());
  CHECK(downs(world, a).empty());
}

TEST_CASE("roaming: copies of records sent from elsewhere move nothing") {
  World world = joinedQuietly(62);
  const AssociationId atA = idOf(world, a);
  std::vector<std::vector<uint8_t>> seen;
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    if (from == a) seen.push_back(transmit.datagram);
    return true;
  };
  for (int i = 0; i < 50; i++) CHECK(world.sendPacket(a, b, atA, packet));
  // One is held back: authentic, never seen, but older than the newest.
  const auto held = world.inner(a).seal(atA, packet);
  CHECK(world.sendPacket(a, b, atA, packet));
  world.run(100);
  world.tap = nullptr;
  const size_t arrived = world.inner(b).packets.size();
  for (const auto& datagram : seen) world.receive(b, elsewhere, datagram);
  world.receive(b, elsewhere, held);
  CHECK(world.inner(b).packets.size() == arrived);
  CHECK(moves(world, b).empty());
  std::mt19937 random(1);
  for (int i = 0; i < 2000; i++) {
    auto forged = seen[random() % seen.size()];
    forged[5 + random() % (forged.size() - 5)] ^= static_cast<uint8_t>(1 + random() % 255);
    world.receive(b, elsewhere, forged);
    if (i % 50 == 0) world.run(1);
  }
  CHECK(moves(world, b).empty());
  world.run(3000);
  CHECK(downs(world, b).empty());
  checkJoined(world);
}

TEST_CASE("roaming: nobody is taken for one who has been heard a moment ago") {
  World world = joinedQuietly(63);
  CHECK(world.sendPacket(a, b, idOf(world, a), packet));
  world.run(10);
  const auto newer = world.inner(a).seal(idOf(world, a), packet);
  world.receive(b, elsewhere, newer);
  CHECK(moves(world, b).empty());
  CHECK(world.inner(b).dropped(DropReason::dtlsPeerUnknown) == 1);
}

TEST_CASE("roaming: an endpoint with an association of its own is not taken over") {
  World world = joinedQuietly(64);
  const Endpoint c = ipv4(3);
  addEquipped(world, c);
  REQUIRE(world.machine(c).associate(b, vi, world.now));
  world.run(1000);
  const auto newer = world.inner(a).seal(idOf(world, a), packet);
  world.receive(b, c, newer);
  CHECK(moves(world, b).empty());
  CHECK(world.inner(b).dropped(DropReason::dtlsRecordBad) == 1);
  world.machine(b).handleMoved(idOf(world, b), c, world.now);
  CHECK(moves(world, b).empty());
  CHECK(world.machine(b).states(world.now).size() == 2);
}

TEST_CASE("roaming: the one who moved is found among many") {
  World world(65);
  AssociationSettings settings;
  settings.associationsPerPeerMax = 200;  // all of them have one certificate
  settings.keepAlive = 5000;
  settings.silence = 20'000;
  addEquipped(world, b, settings);
  std::vector<Endpoint> clients;
  for (uint16_t i = 0; i < 200; i++) {
    clients.push_back(ipv4(static_cast<uint8_t>(10 + i), 5000));
    addEquipped(world, clients.back(), settings);
    REQUIRE(world.machine(clients.back()).associate(b, vi, world.now));
  }
  world.run(3000);
  REQUIRE(ups(world, b) == 200);
  const AssociationId id = idOf(world, clients[137]);
  world.rebind(clients[137], elsewhere);
  // Some are lost until its turn comes.
  for (int i = 0; i < 20; i++) {
    CHECK(world.sendPacket(elsewhere, b, id, packet));
    world.run(40);
  }
  CHECK(moves(world, b) == std::vector{elsewhere});
  CHECK(world.inner(b).packets.size() >= 10);
}

TEST_CASE("roaming: strangers' records cost a bounded number of trials") {
  World world = joinedQuietly(66);
  world.run(300);
  std::mt19937 random(2);
  std::vector<uint8_t> forged(100);
  for (auto& byte : forged) byte = static_cast<uint8_t>(random());
  const std::vector<uint8_t> header{23, 0xfe, 0xfd, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 87};
  std::copy(header.begin(), header.end(), forged.begin());
  for (int i = 0; i < 10'000; i++) world.receive(b, ipv4(static_cast<uint8_t>(random()), static_cast<uint16_t>(random())), forged);
  // All tokens are gone; one who moves now has to wait until there are new ones.
  world.rebind(a, elsewhere);
  world.receive(b, elsewhere, world.inner(elsewhere).seal(idOf(world, elsewhere), packet));
  CHECK(moves(world, b).empty());
  world.run(1200);
  CHECK(moves(world, b) == std::vector{elsewhere});
}

TEST_CASE("roaming: in the middle of a change of keys") {
  for (Millis into = 0; into < 60; into += 5) {
    CAPTURE(into);
    CredentialSettings credential = credentialOf(vi, identity().certificate, identity().privateKey, authority().pem());
    credential.rekey = 20'000;
    World world(67, {.delayMin = 5, .delayMax = 15});
    for (const Endpoint& each : {a, b}) REQUIRE_FALSE(world.add(each).setCredential(credential));
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(1000);
    Millis began = 0;
    world.tap = [&](const Endpoint&, Transmit& transmit) {
      if (began == 0 && isOfHandshake(transmit.datagram)) began = world.now;
      return true;
    };
    for (int i = 0; i < 30'000 && began == 0; i++) world.run(1);
    REQUIRE(began != 0);
    world.run(into);
    world.rebind(a, elsewhere);
    world.run(20'000);
    CHECK(downs(world, b).empty());
    CHECK(downs(world, elsewhere).empty());
    CHECK(world.machine(b).states(world.now)[0].peer == elsewhere);
    CHECK(world.machine(b).states(world.now)[0].rekeys >= 1);
  }
}

}  // namespace
}  // namespace p2pxbone::testing
