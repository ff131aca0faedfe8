// What a credential decides: ciphers, who is revoked, for how long a certificate is good; and how often one host may knock.
#include "core/handshake_limiter.h"
#include "test/association_fixture.h"

namespace p2pxbone::testing {
namespace {

CredentialSettings settingsOf(const PemIdentity& own, const std::vector<Cipher>& ciphers = allCiphers, const std::string& crl = {}) {
  CredentialSettings settings = credentialOf(vi, own.certificate, own.privateKey, authority().pem(), ciphers);
  settings.crlPem = crl;
  return settings;
}

World withCredentials(const CredentialSettings& ofA, const CredentialSettings& ofB, Millis duration = 1000) {
  World world(80);
  REQUIRE_FALSE(world.add(a).setCredential(ofA));
  REQUIRE_FALSE(world.add(b).setCredential(ofB));
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(duration);
  return world;
}

std::optional<Cipher> chosen(const std::vector<Cipher>& client, const std::vector<Cipher>& server) {
  World world = withCredentials(settingsOf(identity(), client), settingsOf(identity(), server));
  const auto states = world.machine(a).states(world.now);
  if (states.empty() || !states[0].up) return std::nullopt;
  checkJoined(world);
  CHECK(world.machine(b).states(world.now)[0].cipher == states[0].cipher);
  CHECK(mtus(world, a) == std::vector<size_t>{1252, 1472});
  return states[0].cipher;
}

TEST_CASE("credential: the server's order of ciphers decides, among what the client offers") {
  for (const Cipher cipher : allCiphers) CHECK(chosen({cipher}, allCiphers) == cipher);
  for (const Cipher cipher : allCiphers) CHECK(chosen(allCiphers, {cipher}) == cipher);
  CHECK(chosen({Cipher::aes128Gcm, Cipher::chacha20Poly1305}, {Cipher::chacha20Poly1305, Cipher::aes128Gcm}) ==
        Cipher::chacha20Poly1305);
  CHECK(chosen({Cipher::chacha20Poly1305, Cipher::aes256Gcm}, {Cipher::aes256Gcm, Cipher::chacha20Poly1305}) == Cipher::aes256Gcm);
  CHECK_FALSE(chosen({Cipher::aes128Gcm}, {Cipher::aes256Gcm}));
}

TEST_CASE("credential: who is on the revocation list is refused, in either role, whatever the list's age") {
  const PemIdentity revoked = authority().issue("revoked");
  for (const long secondsLeft : {3600L, -3600L}) {
    CAPTURE(secondsLeft);
    const std::string crl = authority().revocationList({revoked}, secondsLeft);
    {
      World world = withCredentials(settingsOf(revoked), settingsOf(identity(), allCiphers, crl), 3000);
      CHECK(downs(world, a) == std::vector{DownReason::handshakeRefused});
      CHECK(world.machine(b).states(world.now).empty());
    }
    {
      World world = withCredentials(settingsOf(identity(), allCiphers, crl), settingsOf(revoked), 3000);
      CHECK(downs(world, a) == std::vector{DownReason::handshakeRefused});
      CHECK(ups(world, b) == 0);
    }
    World world = withCredentials(settingsOf(identity(), allCiphers, crl), settingsOf(identity(), allCiphers, crl));
    checkJoined(world);
  }
}

TEST_CASE("credential: a list of another issuer vouches for nobody, and one that is none is refused") {
  const Authority other("other");
  World world = withCredentials(settingsOf(identity()), settingsOf(identity(), allCiphers, other.revocationList({})));
  CHECK(ups(world, b) == 0);
  AssociationMachine machine({});
  for (const std::string& bad : {std::string("x"), authority().pem()}) {
    const auto error = machine.setCredential(settingsOf(identity(), allCiphers, bad));
    REQUIRE(error);
    CHECK(error->back() == '.');
  }
  CHECK(machine.setCredential(settingsOf(identity(), {})));
  CredentialSettings hasty = settingsOf(identity());
  hasty.rekey = 9000;
  CHECK(machine.setCredential(hasty));
}

TEST_CASE("credential: a peer revoked later keeps its keys until they are to be changed, and no longer than they last") {
  AssociationSettings settings;
  settings.keyLifeMax = 60'000;
  const PemIdentity leaving = authority().issue("leaving");
  World world(81);
  CredentialSettings ofA = settingsOf(leaving);
  CredentialSettings ofB = settingsOf(identity());
  ofA.rekey = ofB.rekey = 20'000;
  REQUIRE_FALSE(world.add(a, settings).setCredential(ofA));
  REQUIRE_FALSE(world.add(b, settings).setCredential(ofB));
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  ofB.crlPem = authority().revocationList({leaving});
  REQUIRE_FALSE(world.machine(b).setCredential(ofB));
  world.run(50'000);
  CHECK(downs(world, b).empty());
  CHECK(world.machine(b).states(world.now)[0].rekeys == 0);
  world.run(15'000);
  CHECK(downs(world, b).size() == 1);
}

TEST_CASE("credential: an association ends when its peer's certificate does") {
  // Sooner than keys are ever changed.
  const PemIdentity brief = authority().issue("brief", 4);
  World world = withCredentials(settingsOf(brief), settingsOf(identity()));
  checkJoined(world);
  const auto channel = world.machine(b).channel(idOf(world, b));
  world.run(1500);
  CHECK(downs(world, b).empty());
  world.run(2600);
  CHECK(downs(world, b) == std::vector{DownReason::expired});
  CHECK(channel->sending() == nullptr);
}

TEST_CASE("credential: an association outlives the certificates that were renewed in time, whichever end's they are") {
  for (const Endpoint& renewing : {a, b}) {
    const PemIdentity brief = authority().issue("brief", 30);
    const CredentialSettings lasting = settingsOf(identity());
    World world = renewing == a ? withCredentials(settingsOf(brief), lasting) : withCredentials(lasting, settingsOf(brief));
    checkJoined(world);
    world.run(15'000);
    REQUIRE_FALSE(world.machine(renewing).setCredential(settingsOf(authority().renew(brief, "brief"))));
    world.run(20'000);
    for (const Endpoint& each : {a, b}) {
      CHECK(downs(world, each).empty());
      CHECK(world.machine(each).states(world.now)[0].rekeys == 1);
    }
  }
}

TEST_CASE("limiter: a burst, then a rate, for every host on its own") {
  HandshakeLimiter limiter({10, 5}, {2, 3}, 1);
  Millis now = 1'000'000;
  for (int i = 0; i < 5; i++) CHECK(limiter.mayAnswer(ipv4(1, static_cast<uint16_t>(i)), now));
  CHECK_FALSE(limiter.mayAnswer(ipv4(1, 99), now));
  CHECK(limiter.mayAnswer(ipv4(2), now));
  for (int i = 0; i < 3; i++) CHECK(limiter.mayAccept(ipv4(1), now));
  CHECK_FALSE(limiter.mayAccept(ipv4(1), now));
  now += 500;
  CHECK(limiter.mayAccept(ipv4(1), now));
  CHECK_FALSE(limiter.mayAccept(ipv4(1), now));
  // A /64 is one host.
  for (uint8_t i = 0; i < 3; i++) CHECK(limiter.mayAccept(ipv6(i), now));
  CHECK_FALSE(limiter.mayAccept(ipv6(200), now));
}

TEST_CASE("limiter: any number of hosts fit, and those seen last are remembered") {
  HandshakeLimiter limiter({1, 1}, {1, 1}, 7);
  const Millis now = 1'000'000;
  int remembered = 0;
  for (uint32_t i = 0; i < 100'000; i++) {
    Endpoint host = ipv4(0);
    storeBe32(&host.ip[12], i);
    CHECK(limiter.mayAccept(host, now + i));
    if (!limiter.mayAccept(host, now + i)) remembered++;
  }
  CHECK(remembered == 100'000);
}

TEST_CASE("one host begins only so many handshakes in a short time, and others are not held up by it") {
  AssociationSettings settings;
  settings.hostHandshakesBurst = 10;
  settings.hostHandshakesPerSecond = 2;
  settings.silence = 60'000;
  World world(82);
  addEquipped(world, b, settings);
  for (uint16_t port = 1; port <= 30; port++) {
    addEquipped(world, ipv4(9, port));
    REQUIRE(world.machine(ipv4(9, port)).associate(b, vi, world.now));
    world.run(10);
  }
  addEquipped(world, a);
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(100);
  CHECK(ups(world, a) == 1);
  CHECK(world.machine(b).drops().handshakeLimited > 0);
  CHECK(ups(world, b) < 14);
  // They try again, and most get through before they give up.
  world.run(5000);
  CHECK(ups(world, b) > 15);
}

TEST_CASE("two dozen daemons behind one address all get through at once") {
  World world(83);
  addEquipped(world, b);
  for (uint16_t port = 1; port <= 24; port++) {
    addEquipped(world, ipv4(9, port));
    REQUIRE(world.machine(ipv4(9, port)).associate(b, vi, world.now));
  }
  world.run(2000);
  CHECK(ups(world, b) == 24);
  CHECK(world.machine(b).drops().handshakeLimited == 0);
}

}  // namespace
}  // namespace p2pxbone::testing
