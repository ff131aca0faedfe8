// An address and port of the base network, the same for both families.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace p2pxbone {

// IPv4 is held in its IPv4-mapped form (RFC 4291 §2.5.5.2), as a dual-stack socket reports it.
struct Endpoint {
  std::array<uint8_t, 16> ip{};
  uint16_t port = 0;  // host byte order

  friend bool operator==(const Endpoint&, const Endpoint&) = default;

  [[nodiscard]] bool isIpv4Mapped() const {
    static constexpr std::array<uint8_t, 12> prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(prefix.begin(), prefix.end(), ip.begin());
  }

  // Bytes that the outer IP and UDP headers take on the way to this endpoint.
  [[nodiscard]] size_t outerHeaderBytes() const { return (isIpv4Mapped() ? 20U : 40U) + 8U; }
};

struct EndpointHash {
  // FNV-1a over address and port: endpoints come from configuration and from authenticated peers, and tables keyed by
  // what strangers send are bounded, so a keyed hash is not needed.
  [[nodiscard]] size_t operator()(const Endpoint& endpoint) const {
    uint64_t hash = 14695981039346656037ULL;
    const auto mix = [&hash](uint8_t byte) { hash = (hash ^ byte) * 1099511628211ULL; };
    for (const uint8_t byte : endpoint.ip) mix(byte);
    mix(static_cast<uint8_t>(endpoint.port >> 8));
    mix(static_cast<uint8_t>(endpoint.port & 0xff));
    return static_cast<size_t>(hash);
  }
};

}  // namespace p2pxbone
