// An address and port of the base network, the same for both families.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
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

// For tables that strangers fill: who does not know the key cannot choose endpoints that meet in one place.
[[nodiscard]] inline uint64_t keyedHash(const Endpoint& endpoint, uint64_t key) {
  // Finalizer of SplitMix64, a permutation in which every input bit changes every output bit.
  const auto mix = [](uint64_t word) {
    word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9ULL;
    word = (word ^ (word >> 27)) * 0x94d049bb133111ebULL;
    return word ^ (word >> 31);
  };
  std::array<uint64_t, 2> ip;
  std::memcpy(ip.data(), endpoint.ip.data(), sizeof ip);
  return mix(mix(mix(ip[0] ^ mix(key)) ^ ip[1]) ^ endpoint.port);
}

struct EndpointHash {
  // FNV-1a over address and port, for tables of authenticated peers and of a few others.
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
