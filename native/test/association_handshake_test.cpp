#include "core/association_hello.h"
#include "test/association_fixture.h"

namespace p2pxbone::testing {
namespace {

TEST_CASE("a handshake tells both ends once, with the peer's certificate") {
  World world = pair(1);
  const auto id = world.machine(a).associate(b, vi, world.now);
  REQUIRE(id);
  CHECK(world.machine(a).associate(b, vi, world.now) == id);
  world.run(1000);
  checkJoined(world);
  const auto client = world.node(a).of(Kind::up);
  const auto server = world.node(b).of(Kind::up);
  REQUIRE(client.size() == 1);
  REQUIRE(server.size() == 1);
  CHECK(client[0].association == *id);
  CHECK(client[0].role == Role::client);
  CHECK(server[0].role == Role::server);
  CHECK(server[0].serverName == vi);
  CHECK(server[0].bytes == derOf(identity().certificate));
  CHECK(client[0].bytes == derOf(identity().certificate));
  CHECK(world.machine(a).states(world.now)[0].rttMs == doctest::Approx(10));
  world.run(60'000);
  checkJoined(world);
  CHECK(downs(world, a).empty());
  CHECK(world.machine(a).drops().badRecord == 0);
  CHECK(world.machine(b).drops().badContent == 0);
}

TEST_CASE("a stranger's first ClientHello leaves no trace and gets no more bytes than it sent") {
  World world = pair(2);
  size_t asked = 0;
  size_t answered = 0;
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    (from == a ? asked : answered) += transmit.datagram.size();
    return from == a;
  };
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(2000);
  CHECK(world.machine(b).states(world.now).empty());
  CHECK_FALSE(world.machine(b).deadline());
  CHECK(answered > 0);
  CHECK(answered < asked);
}

TEST_CASE("a cookie belongs to its endpoint, its ClientHello and its minutes") {
  World world = pair(3);
  std::vector<uint8_t> withCookie;
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    if (from == a && !withCookie.empty()) return false;
    if (from == a && !parseClientHello(transmit.datagram)->cookie.empty()) {
      withCookie = transmit.datagram;
      return false;
    }
    return true;
  };
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(100);
  REQUIRE_FALSE(withCookie.empty());
  world.tap = [](const Endpoint&, Transmit&) { return false; };
  AssociationMachine& server = world.machine(b);
  server.handleDatagram(ipv4(9), withCookie, world.now);
  CHECK(server.states(world.now).empty());
  std::vector<uint8_t> otherRandom = withCookie;
  otherRandom[30] ^= 1;
  server.handleDatagram(a, otherRandom, world.now);
  CHECK(server.states(world.now).empty());
  std::vector<uint8_t> otherCookie = withCookie;
  otherCookie[70] ^= 1;
  REQUIRE(parseClientHello(otherCookie)->cookie[9] != parseClientHello(withCookie)->cookie[9]);
  server.handleDatagram(a, otherCookie, world.now);
  CHECK(server.states(world.now).empty());
  server.handleDatagram(a, withCookie, world.now + 200'000);
  CHECK(server.states(world.now).empty());
}

TEST_CASE("a valid cookie makes an association") {
  World world = pair(3);
  world.tap = [](const Endpoint& from, Transmit& transmit) { return !(from == b && transmit.datagram.size() > 100); };
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(100);
  CHECK(world.machine(b).states(world.now).size() == 1);
  world.run(6000);
  // It was never announced, so its end is not either.
  CHECK(world.machine(b).states(world.now).empty());
  CHECK(world.node(b).events.empty());
  CHECK(downs(world, a) == std::vector{DownReason::handshakeTimeout});
}

TEST_CASE("certificates of another issuer and expired ones are refused") {
  const Authority other("other");
  const PemIdentity foreign = other.issue("node");
  const PemIdentity expired = authority().issue("node", -10);
  SUBCASE("foreign client") {
    World world(4);
    REQUIRE_FALSE(world.add(a).setCredential(credentialOf(vi, foreign.certificate, foreign.privateKey, authority().pem())));
    addEquipped(world, b);
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(3000);
    CHECK(downs(world, a) == std::vector{DownReason::handshakeRefused});
    CHECK(world.node(b).events.empty());
    CHECK(world.machine(b).states(world.now).empty());
  }
  SUBCASE("foreign server") {
    World world(5);
    addEquipped(world, a);
    REQUIRE_FALSE(world.add(b).setCredential(credentialOf(vi, foreign.certificate, foreign.privateKey, authority().pem())));
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(3000);
    CHECK(downs(world, a) == std::vector{DownReason::handshakeRefused});
    CHECK(world.machine(b).states(world.now).empty());
  }
  SUBCASE("expired client") {
    World world(6);
    REQUIRE_FALSE(world.add(a).setCredential(credentialOf(vi, expired.certificate, expired.privateKey, authority().pem())));
    addEquipped(world, b);
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(3000);
    CHECK(downs(world, a) == std::vector{DownReason::handshakeRefused});
    CHECK(world.machine(b).states(world.now).empty());
  }
}

TEST_CASE("an unknown server name is refused and counted") {
  World world(7);
  equip(world.add(a), "vi-red.example");
  addEquipped(world, b);
  CHECK_FALSE(world.machine(a).associate(b, vi, world.now));
  REQUIRE(world.machine(a).associate(b, "vi-red.example", world.now));
  world.run(3000);
  CHECK(downs(world, a) == std::vector{DownReason::handshakeRefused});
  // Once for each copy of the ClientHello.
  CHECK(world.machine(b).drops().unknownServerName == 4);
  CHECK(world.machine(a).drops().plainAlert == 4);
  CHECK(world.machine(b).states(world.now).empty());
}

std::vector<uint8_t> forgedAlert(uint8_t number, uint8_t level, uint8_t description) {
  return {contentAlert, dtlsMajor, dtls12Minor, 0, 0, 0, 0, 0, 0, 0, number, 0, 2, level, description};
}

TEST_CASE("unencrypted alerts, which anyone can send, end no handshake") {
  World world = pair(9, {.delayMin = 20, .delayMax = 20});
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  for (uint8_t i = 0; i < 100; i++) {
    // handshake_failure, bad_certificate, close_notify; alone, and before and behind another record.
    for (const auto& [level, description] : {std::pair(2, 40), std::pair(2, 42), std::pair(1, 0)}) {
      auto alert = forgedAlert(i, static_cast<uint8_t>(level), static_cast<uint8_t>(description));
      const std::vector<uint8_t> harmless{contentChangeCipherSpec, dtlsMajor, dtls12Minor, 0, 0, 0, 0, 0, 0, 0, i, 0, 1, 1};
      if (i % 3 == 1) alert.insert(alert.end(), harmless.begin(), harmless.end());
      if (i % 3 == 2) alert.insert(alert.begin(), harmless.begin(), harmless.end());
      world.inject(b, a, alert, i);
      world.inject(a, b, alert, i);
    }
  }
  world.run(1000);
  checkJoined(world);
  CHECK(downs(world, a).empty());
  CHECK(ups(world, b) == 1);
  CHECK(world.machine(a).drops().plainAlert == 300);
}

TEST_CASE("who seems to have refused is not waited for long, and the refusal is told") {
  World world = pair(9);
  world.tap = [](const Endpoint& from, Transmit&) { return from == a; };
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.inject(b, a, forgedAlert(1, 2, 42), 500);
  world.run(500 + 1999);
  CHECK(downs(world, a).empty());
  world.run(1);
  CHECK(downs(world, a) == std::vector{DownReason::handshakeRefused});
  // Not longer than a handshake may last anyway.
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.inject(b, a, forgedAlert(1, 2, 42), 4500);
  world.run(5000);
  CHECK(downs(world, a).size() == 2);
}

TEST_CASE("the server name chooses the credential") {
  const Authority red("red");
  World world(8);
  addEquipped(world, a);
  addEquipped(world, b);
  REQUIRE_FALSE(red.equip(world.machine(a), "vi-red.example"));
  REQUIRE_FALSE(red.equip(world.machine(b), "vi-red.example"));
  REQUIRE(world.machine(a).associate(b, "vi-red.example", world.now));
  world.run(1000);
  checkJoined(world);
  CHECK(world.node(b).of(Kind::up)[0].serverName == "vi-red.example");
  CHECK(world.node(b).of(Kind::up)[0].bytes != derOf(identity().certificate));
}

TEST_CASE("credentials that cannot work are refused in a sentence") {
  AssociationMachine machine({});
  const PemIdentity other = authority().issue("other");
  const std::string ca = authority().pem();
  const auto& good = identity();
  const auto check = [&](const std::string& name, const std::string& certificate, const std::string& key,
                         const std::string& issuer) {
    const auto error = machine.setCredential(credentialOf(name, certificate, key, issuer));
    REQUIRE(error);
    CHECK(error->back() == '.');
    CHECK_FALSE(machine.associate(b, vi, 0));
  };
  check("", good.certificate, good.privateKey, ca);
  check(std::string(256, 'x'), good.certificate, good.privateKey, ca);
  check(vi, "", good.privateKey, ca);
  check(vi, good.certificate, "", ca);
  check(vi, good.certificate, other.privateKey, ca);
  check(vi, good.certificate, good.privateKey, "");
  check(vi, good.certificate, good.privateKey, good.certificate);
  check(vi, good.certificate + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", good.privateKey, ca);
  check(vi, good.certificate.substr(0, good.certificate.size() / 2), good.privateKey, ca);
  CHECK_FALSE(machine.setCredential(credentialOf(vi, good.certificate + ca, good.privateKey, ca)));
  CHECK(machine.associate(b, vi, 0));
}

TEST_CASE("a handshake survives loss, reordering and duplication") {
  for (uint64_t seed = 0; seed < 60; seed++) {
    CAPTURE(seed);
    AssociationSettings settings;
    settings.handshakeTimeout = 60'000;
    settings.silence = 20'000;
    World world = pair(seed, {.loss = 0.3, .duplicate = 0.2, .delayMin = 1, .delayMax = 120}, settings);
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(40'000);
    checkJoined(world);
    CHECK(ups(world, a) == 1);
    CHECK(ups(world, b) == 1);
    CHECK(downs(world, a).empty());
    CHECK(downs(world, b).empty());
  }
}

TEST_CASE("a long certificate chain crosses a path of 1280 in fragments") {
  std::string chain = identity().certificate;
  for (int i = 0; i < 5; i++) chain += Authority("a chain that no verification needs " + std::to_string(i)).pem();
  for (uint64_t seed = 0; seed < 20; seed++) {
    CAPTURE(seed);
    AssociationSettings settings;
    settings.handshakeTimeout = 60'000;
    settings.silence = 20'000;
    const double loss = seed == 0 ? 0 : 0.25;
    World world(seed, {.loss = loss, .delayMin = 1, .delayMax = seed == 0 ? 1 : 60, .payloadBytesMax = 1280 - 28});
    size_t largest = 0;
    for (const Endpoint& each : {a, b}) {
      REQUIRE_FALSE(world.add(each, settings).setCredential(credentialOf(vi, chain, identity().privateKey, authority().pem())));
    }
    world.tap = [&](const Endpoint&, Transmit& transmit) {
      if (transmit.datagram[0] == contentHandshake) largest = std::max(largest, transmit.datagram.size());
      return true;
    };
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(40'000);
    checkJoined(world);
    CHECK(largest > 1100);
    CHECK(largest <= 1200);
  }
}

TEST_CASE("a lost last flight is repeated when the client repeats its own") {
  World world = pair(11);
  int dropped = 0;
  world.tap = [&](const Endpoint& from, Transmit& transmit) {
    // The server's last flight begins with ChangeCipherSpec.
    const bool last = from == b && transmit.datagram[0] == contentChangeCipherSpec;
    return !(last && dropped++ < 2);
  };
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(200);
  CHECK(ups(world, b) == 1);
  CHECK(ups(world, a) == 0);
  world.run(1300);
  CHECK(dropped == 3);
  checkJoined(world);
}

TEST_CASE("a client that begins anew in the middle of a handshake is served") {
  World world = pair(12);
  world.tap = [](const Endpoint& from, Transmit& transmit) { return !(from == b && transmit.datagram.size() > 100); };
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(300);
  CHECK(world.machine(b).states(world.now).size() == 1);
  world.tap = nullptr;
  addEquipped(world, a);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  checkJoined(world);
  CHECK(ups(world, b) == 1);
  CHECK(downs(world, b).empty());
}

TEST_CASE("when both ends begin, both agree on one association") {
  for (uint64_t seed = 0; seed < 150; seed++) {
    CAPTURE(seed);
    AssociationSettings settings;
    settings.handshakeTimeout = 30'000;
    settings.silence = 20'000;
    const double loss = seed % 3 == 0 ? 0.0 : 0.2;
    World world = pair(seed, {.loss = loss, .duplicate = loss / 2, .delayMin = 1, .delayMax = seed % 2 == 0 ? 1 : 100}, settings);
    const auto idA = world.machine(a).associate(b, vi, world.now);
    world.run(static_cast<Millis>(seed % 50));
    const auto idB = world.machine(b).associate(a, vi, world.now);
    REQUIRE(idA);
    REQUIRE(idB);
    // Long enough for a handshake that a late ClientHello began to be given up.
    world.run(60'000);
    checkJoined(world);
    REQUIRE(ups(world, a) == 1);
    REQUIRE(ups(world, b) == 1);
    CHECK(idOf(world, a) == *idA);
    CHECK(idOf(world, b) == *idB);
    CHECK(world.node(a).of(Kind::up)[0].role != world.node(b).of(Kind::up)[0].role);
    CHECK(downs(world, a).empty());
    CHECK(downs(world, b).empty());
  }
}

TEST_CASE("a peer that restarts takes the place of its former self") {
  for (uint64_t seed = 0; seed < 20; seed++) {
    CAPTURE(seed);
    AssociationSettings settings;
    settings.silence = 60'000;
    settings.handshakeTimeout = 60'000;
    World world = pair(seed, {}, settings);
    join(world);
    const AssociationId oldId = idOf(world, b);
    world.node(a).events.clear();
    addEquipped(world, a, settings);
    if (seed > 0) world.link = {.loss = 0.3, .duplicate = 0.1, .delayMin = 1, .delayMax = 80};
    REQUIRE(world.machine(a).associate(b, vi, world.now));
    world.run(50'000);
    checkJoined(world);
    CHECK(downs(world, b) == std::vector{DownReason::replaced});
    CHECK(ups(world, b) == 2);
    CHECK(idOf(world, b) != oldId);
    CHECK(ups(world, a) == 1);
  }
}

TEST_CASE("an association keeps working while its successor shakes hands, and if that fails") {
  World world = pair(30);
  join(world);
  const AssociationId oldId = idOf(world, b);
  AssociationMachine stranger({});
  equip(stranger);
  REQUIRE(stranger.associate(b, vi, world.now));
  // Same endpoint as a; gets as far as the server's flight, then no further.
  AssociationMachine& server = world.machine(b);
  for (int i = 0; i < 2; i++) {
    while (auto transmit = stranger.pollTransmit()) server.handleDatagram(a, transmit->datagram, world.now);
    while (auto transmit = server.pollTransmit()) stranger.handleDatagram(b, transmit->datagram, world.now);
  }
  CHECK(server.states(world.now).size() == 2);
  for (int i = 0; i < 8; i++) {
    CHECK(world.machine(a).send(idOf(world, a), std::vector<uint8_t>{0x90}, world.now));
    CHECK(server.send(oldId, std::vector<uint8_t>{0x91}, world.now));
    world.run(1000);
  }
  CHECK(world.node(b).of(Kind::control).size() == 1 + 8);
  CHECK(world.node(a).of(Kind::control).size() == 1 + 8);
  checkJoined(world);
  CHECK(idOf(world, b) == oldId);
  CHECK(downs(world, b).empty());
}

}  // namespace
}  // namespace p2pxbone::testing
