// Whole data planes, threads and all, joined by in-memory TAPs and an in-memory base network.
#pragma once

#include <doctest/doctest.h>

#include <thread>

#include "os/data_plane.h"
#include "os/memory_platform.h"
#include "os/thread.h"
#include "test/packet_builder.h"

namespace p2pxbone::testing {

inline constexpr uint32_t kVni = 77;
inline constexpr int kPatienceMs = 5000;

// What a machine may lack, and by which way packets get into its TAPs.
struct Flavour {
  ReceivePath receive = ReceivePath::direct;
  OffloadFeatures features{true, true, true};
};

inline PlaneSettings settingsOf(const Flavour& flavour) {
  PlaneSettings settings;
  settings.receive = flavour.receive;
  return settings;
}

// A base node with one virtual node: id n * 100 and address fd00::(n * 100).
struct Station {
  Station(MemoryNetwork& network, uint8_t number, const Flavour& flavour)
      : platform(network, flavour.features), n(number), plane(platform, settingsOf(flavour)) {
    const auto bound = plane.bind(endpointOf(n, 0));
    REQUIRE(std::holds_alternative<Endpoint>(bound));
    at = std::get<Endpoint>(bound);
    NodeConfig config;
    config.mac = macOf(n);
    config.vni = kVni;
    config.id = id();
    config.viId = "lab";
    config.ipv4 = v4(10, 0, 0, n);
    config.ipv6 = v6(id());
    config.plan = {{{v6(0), 64, true}, {v4(10, 0, 0, 0), 104, false}}, {}};
    const auto opened = plane.openNode({"tap" + std::to_string(n), 1400, macOf(n)}, config);
    REQUIRE(std::holds_alternative<NodeHandle>(opened));
    node = std::get<NodeHandle>(opened);
    host = platform.host("tap" + std::to_string(n));
  }

  [[nodiscard]] uint64_t id() const { return uint64_t{n} * 100; }

  TunnelHandle tunnelTo(const Station& peer) {
    const auto added = plane.addTunnel(node, peer.at, macOf(peer.n), 0);
    REQUIRE(std::holds_alternative<TunnelHandle>(added));
    return std::get<TunnelHandle>(added);
  }

  // Ids up to 100, 200 and 300, and where they lead; IPv4 as exact routes to 10.0.0.1 .. 3.
  void publish(const std::array<Hop, 3>& hops, uint64_t generation = 1) {
    ImageRoutes routes;
    routes.generation = generation;
    routes.prefixes = {{v6(0), 64, true, {HopKind::ring, 0}}};
    for (uint8_t i = 0; i < 3; ++i) {
      routes.ranges.push_back({(i + 1U) * 100U, hops[i]});
      routes.exact.push_back({v4(10, 0, 0, static_cast<uint8_t>(i + 1)), hops[i]});
    }
    REQUIRE(plane.publish(node, routes).error == PlaneError::none);
  }

  void send(const Bytes& ip, const Offload& offload = {}) {
    const Bytes frame = ethernet(ip, macOf(n), macOf(n));
    while (!host->inject(frame, offload)) std::this_thread::yield();
  }

  // The next IP packet that the kernel gets; empty if none comes in time.
  Bytes receive(int timeoutMs = kPatienceMs) {
    const auto frame = host->receive(timeoutMs);
    return frame ? tail(*frame, 14) : Bytes{};
  }

  uint64_t dropped(DropReason reason) { return plane.counters().drops[static_cast<size_t>(reason)]; }
  uint64_t droppedWithin(DropReason reason, uint64_t wanted) {
    const Millis end = monotonicNow() + kPatienceMs;
    while (dropped(reason) < wanted && monotonicNow() < end) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    return dropped(reason);
  }
  // Packets written into the TAP; they are counted a moment after the kernel has them.
  uint64_t writtenWithin(uint64_t wanted) {
    const Millis end = monotonicNow() + kPatienceMs;
    const auto written = [&] { return plane.counters().nodes[0].packetsToTap; };
    while (written() < wanted && monotonicNow() < end) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    return written();
  }

  MemoryPlatform platform;
  const uint8_t n;
  DataPlane plane;
  Endpoint at;
  NodeHandle node = 0;
  std::shared_ptr<MemoryHost> host;
};

inline constexpr Hop kLocal{HopKind::local, 0};
inline Hop via(TunnelHandle tunnel) { return {HopKind::tunnel, tunnel}; }

// 1 - 2 - 3, each with tunnels to its neighbours only.
struct Chain {
  explicit Chain(const Flavour& flavour = {})
      : one(network, 1, flavour), two(network, 2, flavour), three(network, 3, flavour) {
    const Hop oneToTwo = via(one.tunnelTo(two));
    const Hop twoToOne = via(two.tunnelTo(one));
    const Hop twoToThree = via(two.tunnelTo(three));
    const Hop threeToTwo = via(three.tunnelTo(two));
    one.publish({kLocal, oneToTwo, oneToTwo});
    two.publish({twoToOne, kLocal, twoToThree});
    three.publish({threeToTwo, threeToTwo, kLocal});
  }
  MemoryNetwork network;
  Station one;
  Station two;
  Station three;
};

}  // namespace p2pxbone::testing
