// What most tests of associations need: two equipped machines in a world, and what to expect of them.
#pragma once

#include <doctest/doctest.h>

#include "test/association_certificates.h"
#include "test/association_world.h"

namespace p2pxbone::testing {

using Kind = AssociationEvent::Kind;

inline const Endpoint a = ipv4(1);
inline const Endpoint b = ipv4(2);
inline const std::string vi = "vi-blue.example";

inline const Authority& authority() {
  static const Authority shared("authority");
  return shared;
}

// Issued once: thousands of machines are made here.
inline const PemIdentity& identity() {
  static const PemIdentity shared = authority().issue("node");
  return shared;
}

inline void equip(AssociationMachine& machine, const std::string& name = vi) {
  REQUIRE_FALSE(machine.setCredential(credentialOf(name, identity().certificate, identity().privateKey, authority().pem())));
}

inline AssociationMachine& addEquipped(World& world, const Endpoint& endpoint, AssociationSettings settings = {}) {
  AssociationMachine& machine = world.add(endpoint, settings);
  equip(machine);
  return machine;
}

inline World pair(uint64_t seed, LinkSettings link = {}, AssociationSettings settings = {}) {
  World world(seed, link);
  addEquipped(world, a, settings);
  addEquipped(world, b, settings);
  return world;
}

inline size_t ups(World& world, const Endpoint& endpoint) { return world.node(endpoint).of(Kind::up).size(); }

inline AssociationId idOf(World& world, const Endpoint& endpoint) { return world.node(endpoint).of(Kind::up).back().association; }

inline std::vector<DownReason> downs(World& world, const Endpoint& endpoint) {
  std::vector<DownReason> reasons;
  for (const auto& event : world.node(endpoint).of(Kind::down)) reasons.push_back(event.reason);
  return reasons;
}

// Both ends have exactly one association, with each other, up, and can talk over it.
inline void checkJoined(World& world) {
  for (const auto& [here, there] : {std::pair(a, b), std::pair(b, a)}) {
    const auto states = world.machine(here).states(world.now);
    REQUIRE(states.size() == 1);
    CHECK(states[0].up);
    CHECK(states[0].peer == there);
    CHECK(states[0].association == idOf(world, here));
  }
  const LinkSettings before = world.link;
  world.link = {};
  for (const auto& [here, there] : {std::pair(a, b), std::pair(b, a)}) {
    const size_t heard = world.node(there).of(Kind::control).size();
    CHECK(world.machine(here).send(idOf(world, here), std::vector<uint8_t>{0x80, 1, 2, 3}, world.now));
    world.run(50);
    const auto messages = world.node(there).of(Kind::control);
    REQUIRE(messages.size() == heard + 1);
    CHECK(messages.back().bytes == std::vector<uint8_t>{0x80, 1, 2, 3});
    CHECK(messages.back().association == idOf(world, there));
  }
  world.link = before;
}

inline void join(World& world) {
  REQUIRE(world.machine(a).associate(b, vi, world.now));
  world.run(1000);
  checkJoined(world);
}

inline std::vector<uint8_t> derOf(const std::string& pem) {
  const BioPtr reader(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const CertificatePtr certificate(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
  std::vector<uint8_t> der(static_cast<size_t>(i2d_X509(certificate.get(), nullptr)));
  unsigned char* out = der.data();
  i2d_X509(certificate.get(), &out);
  return der;
}

inline std::vector<size_t> mtus(World& world, const Endpoint& endpoint) {
  std::vector<size_t> sizes;
  for (const auto& event : world.node(endpoint).of(Kind::mtu)) sizes.push_back(event.payloadBytesMax);
  return sizes;
}

}  // namespace p2pxbone::testing
