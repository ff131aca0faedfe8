// Keys change under running associations, and nothing is lost by it.
#include "core/association_hello.h"
#include "core/association_impl.h"
#include "test/association_fixture.h"

namespace p2pxbone::testing {
namespace {

constexpr Millis rekeyEvery = 20'000;

CredentialSettings shortLived(const PemIdentity& own = identity()) {
  CredentialSettings settings = credentialOf(vi, own.certificate, own.privateKey, authority().pem());
  settings.rekey = rekeyEvery;
  return settings;
}

World shortLivedPair(uint64_t seed, LinkSettings link = {}, AssociationSettings settings = {}) {
  World world(seed, link);
  for (const Endpoint& each : {a, b}) REQUIRE_FALSE(world.add(each, settings).setCredential(shortLived()));
  return world;
}

AssociationState stateOf(World& world, const Endpoint& endpoint) {
  const auto states = world.machine(endpoint).states(world.now);
  REQUIRE(states.size() == 1);
  return states[0];
}

// Numbered packets both ways, a few every so many milliseconds; at most `toleratedAtOnce` are on their way.
struct Traffic {
  explicit Traffic(World& joined) : world(joined) {}
  void run(Millis duration, Millis every = 7) {
    for (const Millis end = world.now + duration; world.now < end; world.run(every)) {
      sent++;
      std::vector<uint8_t> packet{0x08, 0, 0, 0};
      storeBe32(packet.data(), (uint32_t{0x08} << 24) | sent);
      CHECK(world.sendPacket(a, b, idOf(world, a), packet));
      CHECK(world.sendPacket(b, a, idOf(world, b), packet));
    }
  }
  // Every packet arrived at both ends, once.
  void checkAll() {
    world.run(1000);
    for (const Endpoint& each : {a, b}) {
      std::vector<uint32_t> numbers;
      for (const auto& packet : world.inner(each).packets) numbers.push_back(loadBe32(packet.data()) & 0xffffff);
      std::sort(numbers.begin(), numbers.end());
      REQUIRE(numbers.size() == sent);
      for (uint32_t i = 0; i < sent; i++) REQUIRE(numbers[i] == i + 1);
      CHECK(world.inner(each).dropped(DropReason::dtlsRecordBad) == 0);
      CHECK(world.inner(each).dropped(DropReason::keysMissing) == 0);
    }
  }
  World& world;
  uint32_t sent = 0;
};

TEST_CASE("rekey: the association stays what it is, and no packet is lost") {
  for (uint64_t seed = 0; seed < 5; seed++) {
    CAPTURE(seed);
    // Reordered, also across the change.
    World world = shortLivedPair(seed, {.delayMin = 1, .delayMax = seed == 0 ? 1 : 60});
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(1000);
    checkJoined(world);
    Traffic traffic(world);
    traffic.run(100'000);
    traffic.checkAll();
    for (const Endpoint& each : {a, b}) {
      CHECK(stateOf(world, each).rekeys >= 4);
      CHECK(stateOf(world, each).rekeys <= 6);
      CHECK(stateOf(world, each).keysAge < rekeyEvery);
      CHECK(stateOf(world, each).cipher == Cipher::aes128Gcm);
      CHECK(ups(world, each) == 1);
      CHECK(downs(world, each).empty());
    }
    checkJoined(world);
  }
}

TEST_CASE("rekey: idle associations change their keys too") {
  World world = shortLivedPair(20);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(100'000);
  CHECK(stateOf(world, a).rekeys >= 4);
  CHECK(stateOf(world, b).rekeys == stateOf(world, a).rekeys);
  CHECK(downs(world, a).empty());
  // The older keys are forgotten after a while.
  world.run(olderKeysLife + 5000);
  checkJoined(world);
}

TEST_CASE("rekey: lost announcements and lost flights delay it and cost no packet") {
  for (uint64_t seed = 0; seed < 12; seed++) {
    CAPTURE(seed);
    AssociationSettings settings;
    settings.handshakeTimeout = 20'000;
    World world = shortLivedPair(seed, {.delayMin = 1, .delayMax = 20}, settings);
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(1000);
    checkJoined(world);
    std::mt19937 random(static_cast<uint32_t>(seed));
    // Handshake records and small protected ones, among them announcements, are lost; user data is not.
    world.tap = [&](const Endpoint&, Transmit& transmit) {
      const bool data = !isOfHandshake(transmit.datagram) && transmit.datagram.size() == 4 + 37;
      return data || random() % 100 >= 40;
    };
    Traffic traffic(world);
    traffic.run(60'000);
    world.tap = nullptr;
    traffic.run(30'000);
    traffic.checkAll();
    CHECK(stateOf(world, a).rekeys >= 2);
    CHECK(stateOf(world, b).rekeys == stateOf(world, a).rekeys);
    CHECK(downs(world, a).empty());
    CHECK(downs(world, b).empty());
  }
}

TEST_CASE("rekey: an attempt that the client gives up leaves the old keys at work, and the next one succeeds") {
  World world = shortLivedPair(30);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  // The server's last flight never arrives: it has the new keys, the client has not.
  bool dropping = true;
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    return !(dropping && from == b && transmit.datagram[0] == contentChangeCipherSpec);
  };
  Traffic traffic(world);
  traffic.run(45'000);
  CHECK(stateOf(world, a).rekeys == 0);
  CHECK(stateOf(world, b).rekeys == 0);
  dropping = false;
  traffic.run(20'000);
  traffic.checkAll();
  CHECK(stateOf(world, a).rekeys >= 1);
  CHECK(stateOf(world, b).rekeys == stateOf(world, a).rekeys);
  CHECK(downs(world, a).empty());
}

TEST_CASE("rekey: what was told of the former keys does not stand for the new ones") {
  World world = shortLivedPair(39);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  // The server's last flight is lost once, and its reader's word about the former keys comes late.
  int lost = 0;
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    const bool last = from == b && transmit.datagram[0] == contentChangeCipherSpec;
    if (!last || lost++ > 0) return true;
    world.machine(b).handleProven(idOf(world, b), world.now);
    return false;
  };
  world.run(rekeyEvery);
  CHECK(lost == 2);
  CHECK(stateOf(world, a).rekeys == 1);
  CHECK(stateOf(world, b).rekeys == 1);
}

TEST_CASE("rekey: unencrypted alerts do not keep keys from being changed") {
  World world = shortLivedPair(40, {.delayMin = 20, .delayMax = 20});
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  // Five of them in the time that a flight takes, to both ends, all the time.
  const Millis until = rekeyEvery;
  for (Millis at = 0; at < until; at += 4) {
    const auto number = static_cast<uint8_t>(at / 4);
    const std::vector<uint8_t> refusal{contentAlert, dtlsMajor, dtls12Minor, 0, 0, 0, 0, 0, 0, 0, number, 0, 2, 2, 40};
    world.inject(b, a, refusal, at);
    world.inject(a, b, refusal, at);
  }
  world.run(until);
  CHECK(stateOf(world, a).rekeys == 1);
  CHECK(stateOf(world, b).rekeys == 1);
  CHECK(downs(world, a).empty());
}

TEST_CASE("rekey: who writes a peer's address upon handshakes does not keep it from changing keys") {
  World world = shortLivedPair(41);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  AssociationMachine forger({});
  equip(forger);
  REQUIRE(forger.associate(b, vi, world.now));
  const auto hello = forger.pollTransmit()->datagram;
  Endpoint sameHost = a;
  sameHost.port = 9;
  for (Millis at = 0; at < rekeyEvery; at += 10) {
    for (int i = 0; i < 5; i++) world.inject(sameHost, b, hello, at);
  }
  world.run(rekeyEvery);
  CHECK(world.machine(b).drops().handshakeLimited > 5000);
  CHECK(stateOf(world, a).rekeys == 1);
  CHECK(stateOf(world, b).rekeys == 1);
}

TEST_CASE("rekey: keys that cannot be changed are not used for longer than they may, and then nothing is sent") {
  AssociationSettings settings;
  settings.keyLifeMax = 60'000;
  World world = shortLivedPair(31, {}, settings);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  const AssociationId id = idOf(world, a);
  const auto channel = world.machine(a).channel(id);
  world.tap = [](const Endpoint&, Transmit& transmit) { return !isOfHandshake(transmit.datagram); };
  Traffic traffic(world);
  traffic.run(55'000);
  traffic.checkAll();
  world.run(5000);
  REQUIRE(downs(world, a).size() == 1);
  // Whichever end's clock was first said goodbye.
  CHECK((downs(world, a)[0] == DownReason::expired || downs(world, a)[0] == DownReason::peerClosed));
  CHECK(downs(world, b).size() == 1);
  CHECK(channel->sending() == nullptr);
  std::vector<uint8_t> room(100);
  CHECK(RecordSealer::seal(*channel, std::vector<uint8_t>{8}, room) == 0);
}

TEST_CASE("rekey: keys are changed at half of the records that they may protect, of either direction") {
  for (const bool fromServer : {false, true}) {
    AssociationSettings settings;
    settings.recordsMax = 400;
    World world = pair(32, {}, settings);
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(1000);
    const Endpoint from = fromServer ? b : a;
    const Endpoint to = fromServer ? a : b;
    for (int i = 0; i < 2000; i++) {
      CHECK(world.sendPacket(from, to, idOf(world, from), std::vector<uint8_t>{8, 0, 0, 0}));
      world.run(10);
    }
    CHECK(stateOf(world, a).rekeys >= 5);
    CHECK(world.inner(to).packets.size() == 2000);
    CHECK(downs(world, a).empty());
  }
}

TEST_CASE("rekey: keys that are used up before they can be changed end the association") {
  AssociationSettings settings;
  settings.recordsMax = 400;
  World world = pair(33, {}, settings);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  world.tap = [](const Endpoint&, Transmit& transmit) { return !isOfHandshake(transmit.datagram); };
  size_t sealed = 0;
  const auto channel = world.machine(a).channel(idOf(world, a));
  for (int i = 0; i < 1000; i++) sealed += world.sendPacket(a, b, channel->association, std::vector<uint8_t>{8}) ? 1 : 0;
  CHECK(sealed <= 400);
  world.run(2000);
  CHECK(downs(world, a) == std::vector{DownReason::expired});
  CHECK(channel->sending() == nullptr);
}

TEST_CASE("rekey: a handshake that nobody announced, or with another key, is a restarted peer's") {
  SUBCASE("not announced") {
    World world = shortLivedPair(34);
    join(world);
    world.run(3000);
    // The peer's own certificate and key, but no word inside the association.
    REQUIRE_FALSE(world.add(a).setCredential(shortLived()));
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(1000);
    CHECK(downs(world, b) == std::vector{DownReason::replaced});
  }
  SUBCASE("announced, with another key") {
    World world = shortLivedPair(35);
    join(world);
    const PemIdentity other = authority().issue("node");
    REQUIRE_FALSE(world.machine(a).setCredential(shortLived(other)));
    world.run(rekeyEvery);
    CHECK(downs(world, b) == std::vector{DownReason::replaced});
    CHECK(ups(world, b) == 2);
    CHECK(stateOf(world, b).rekeys == 0);
  }
  SUBCASE("announced, with a new certificate for the same key") {
    World world = shortLivedPair(36);
    join(world);
    CredentialSettings again = shortLived();
    again.ciphers = {Cipher::chacha20Poly1305};
    REQUIRE_FALSE(world.machine(a).setCredential(again));
    world.run(rekeyEvery);
    CHECK(downs(world, b).empty());
    CHECK(stateOf(world, b).rekeys == 1);
    CHECK(stateOf(world, b).cipher == Cipher::chacha20Poly1305);
    CHECK(stateOf(world, a).cipher == Cipher::chacha20Poly1305);
    checkJoined(world);
  }
}

TEST_CASE("rekey: a peer that restarts in the middle of one is served") {
  for (Millis into = 0; into < 60; into += 3) {
    CAPTURE(into);
    World world = shortLivedPair(37);
    join(world);
    world.tap = nullptr;
    const Millis due = static_cast<Millis>(rekeyEvery * rekeyEarliest) - 1000;
    world.run(due + into * 50);
    REQUIRE_FALSE(world.add(a).setCredential(shortLived()));
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(3000);
    checkJoined(world);
    CHECK(downs(world, b) == std::vector{DownReason::replaced});
  }
}

TEST_CASE("rekey: whatever ends it, an association that has ended has no keys and no timers") {
  for (int way = 0; way < 5; way++) {
    CAPTURE(way);
    World world = shortLivedPair(38);
    join(world);
    const auto channel = world.machine(a).channel(idOf(world, a));
    // In the middle of a change of keys.
    world.tap = [](const Endpoint&, Transmit& transmit) { return !isOfHandshake(transmit.datagram); };
    world.run(static_cast<Millis>(rekeyEvery * rekeyLatest));
    switch (way) {
      case 0: world.machine(a).close(idOf(world, a), world.now); break;
      case 1: world.machine(b).close(idOf(world, b), world.now); break;
      case 2: world.machine(a).closeAll(world.now); break;
      case 3: world.machine(a).removeCredential(vi, world.now); break;
      default: world.tap = [](const Endpoint&, Transmit&) { return false; }; break;
    }
    world.run(10'000);
    CHECK(world.machine(a).states(world.now).empty());
    CHECK_FALSE(world.machine(a).deadline());
    CHECK(channel->sending() == nullptr);
    CHECK(channel->receiving()[0] == nullptr);
    CHECK(channel->receiving()[1] == nullptr);
    CHECK(downs(world, a).size() == 1);
  }
}

}  // namespace
}  // namespace p2pxbone::testing
