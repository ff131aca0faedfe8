// Association machines joined by a seeded network that loses, delays, reorders and duplicates, in virtual time.
#pragma once

#include <functional>
#include <map>
#include <queue>
#include <random>
#include <stdexcept>

#include "test/association_node.h"

namespace p2pxbone::testing {

inline Endpoint ipv4(uint8_t host, uint16_t port = 4000) {
  Endpoint endpoint;
  endpoint.ip = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, host};
  endpoint.port = port;
  return endpoint;
}

inline Endpoint ipv6(uint8_t host) {
  Endpoint endpoint;
  endpoint.ip = {0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host};
  endpoint.port = 4000;
  return endpoint;
}

struct LinkSettings {
  double loss = 0;
  double duplicate = 0;
  Millis delayMin = 5;
  Millis delayMax = 5;
  size_t payloadBytesMax = 65'535;
};

class World {
 public:
  struct Node {
    std::unique_ptr<AssociationNode> inner;
    std::vector<AssociationEvent> events;

    [[nodiscard]] std::vector<AssociationEvent> of(AssociationEvent::Kind kind) const {
      std::vector<AssociationEvent> chosen;
      for (const auto& event : events) {
        if (event.kind == kind) chosen.push_back(event);
      }
      return chosen;
    }
  };
  using Tap = std::function<bool(const Endpoint& from, Transmit& transmit)>;

  explicit World(uint64_t seed, LinkSettings settings = {}) : link(settings), random_(seed) {}

  LinkSettings link;
  Millis now = 1000;
  // Sees every datagram before the network does, may change it; false takes it off the wire.
  Tap tap;

  AssociationMachine& add(const Endpoint& endpoint, AssociationSettings settings = {}) {
    settings.seed = random_();
    Node& node = nodes_[key(endpoint)];
    node.inner = std::make_unique<AssociationNode>(settings);
    return node.inner->machine;
  }
  Node& node(const Endpoint& endpoint) { return nodes_.at(key(endpoint)); }
  AssociationMachine& machine(const Endpoint& endpoint) { return node(endpoint).inner->machine; }
  AssociationNode& inner(const Endpoint& endpoint) { return *node(endpoint).inner; }

  // What that node would make of a datagram that arrives now.
  void receive(const Endpoint& at, const Endpoint& from, std::span<const uint8_t> datagram) {
    inner(at).receive(from, datagram, now);
    inner(at).publish();
  }

  // A record of user data over the network. False if there are no keys.
  bool sendPacket(const Endpoint& from, const Endpoint& to, AssociationId association, std::span<const uint8_t> packet) {
    inner(from).publish();
    Transmit transmit{to, inner(from).seal(association, packet)};
    if (transmit.datagram.empty()) return false;
    transport(from, std::move(transmit));
    return true;
  }

  // The node has another address from now on; nobody has the old one.
  void rebind(const Endpoint& from, const Endpoint& to) {
    drain();
    auto moving = nodes_.extract(key(from));
    moving.key() = key(to);
    nodes_.insert(std::move(moving));
  }

  void inject(const Endpoint& from, const Endpoint& to, std::vector<uint8_t> datagram, Millis delay = 0) {
    flights_.push({now + delay, order_++, from, to, std::move(datagram)});
  }

  void run(Millis duration) {
    const Millis end = now + duration;
    drain();
    for (int guard = 0;; guard++) {
      if (guard > 5'000'000) throw std::runtime_error("virtual time stands still");
      std::optional<Millis> next;
      if (!flights_.empty()) next = flights_.top().at;
      for (auto& [endpoint, each] : nodes_) {
        const auto deadline = each.inner->machine.deadline();
        if (deadline && (!next || *deadline < *next)) next = *deadline;
      }
      if (!next || *next > end) break;
      now = std::max(now, *next);
      deliver();
      for (auto& [endpoint, each] : nodes_) {
        const auto deadline = each.inner->machine.deadline();
        if (deadline && *deadline <= now) each.inner->machine.tick(now);
      }
      drain();
    }
    now = end;
  }

 private:
  using Key = std::pair<std::array<uint8_t, 16>, uint16_t>;
  struct Flight {
    Millis at;
    uint64_t order;
    Endpoint from;
    Endpoint to;
    std::vector<uint8_t> datagram;
    bool operator<(const Flight& other) const { return std::pair(at, order) > std::pair(other.at, other.order); }
  };
  static Key key(const Endpoint& endpoint) { return {endpoint.ip, endpoint.port}; }

  void deliver() {
    while (!flights_.empty() && flights_.top().at <= now) {
      const Flight flight = flights_.top();
      flights_.pop();
      const auto found = nodes_.find(key(flight.to));
      if (found != nodes_.end()) found->second.inner->receive(flight.from, flight.datagram, now);
    }
  }

  void drain() {
    for (auto& [from, each] : nodes_) {
      Endpoint source;
      source.ip = from.first;
      source.port = from.second;
      each.inner->publish();
      while (auto transmit = each.inner->machine.pollTransmit()) transport(source, std::move(*transmit));
      while (auto event = each.inner->machine.pollEvent()) each.events.push_back(std::move(*event));
    }
  }

  void transport(const Endpoint& from, Transmit transmit) {
    if (tap && !tap(from, transmit)) return;
    if (transmit.datagram.size() > link.payloadBytesMax) return;
    std::uniform_real_distribution<double> chance(0, 1);
    std::uniform_int_distribution<Millis> delay(link.delayMin, link.delayMax);
    const int copies = chance(random_) < link.duplicate ? 2 : 1;
    for (int i = 0; i < copies; i++) {
      if (chance(random_) >= link.loss) inject(from, transmit.peer, transmit.datagram, delay(random_));
    }
  }

  std::mt19937_64 random_;
  std::map<Key, Node> nodes_;
  std::priority_queue<Flight> flights_;
  uint64_t order_ = 0;
};

}  // namespace p2pxbone::testing
