// The forwarding table of one virtual node: exact addresses, prefixes, and ranges of the identifier circle. Immutable
// once built, so that workers may read it without a lock.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "core/packet.h"

namespace p2pxbone {

// Serial number above, slot in the node's tunnel table below; see tunnel_table.h. Fits a JavaScript number.
using TunnelHandle = uint64_t;

// `missing`: no route names the destination. `ring` stands in prefix routes only: look on the circle.
enum class HopKind : uint8_t { missing, tunnel, local, unreachable, ring };

struct Hop {
  HopKind kind = HopKind::missing;
  // Of `tunnel`: where it leads. Of `local` on the circle: the tunnel to the node whose the range was before, or 0.
  TunnelHandle tunnel = 0;

  friend bool operator==(const Hop&, const Hop&) = default;
};

inline constexpr size_t kRoutesMax = 65536;

struct ExactRoute {
  Address address{};
  Hop hop;
};

struct PrefixRoute {
  Address address{};
  // Of the 128-bit form: an IPv4 /24 is 120.
  uint8_t bits = 0;
  bool v6 = false;
  Hop hop;
};

// Covers (the previous range's until, until]; the first also what lies after the last.
struct RingRange {
  uint64_t until = 0;
  Hop hop;
};

struct ImageRoutes {
  uint64_t generation = 0;
  std::vector<ExactRoute> exact;
  std::vector<PrefixRoute> prefixes;
  std::vector<RingRange> ranges;
};

class ForwardingImage {
 public:
  // Null if there are too many routes, one address or prefix twice, a ring hop where none may stand, or ranges that do
  // not ascend. `twice`: if given, set to the exact address that stands there twice, when that is why.
  [[nodiscard]] static std::shared_ptr<const ForwardingImage> build(const ImageRoutes& routes,
                                                                    std::optional<Address>* twice = nullptr);

  [[nodiscard]] uint64_t generation() const { return generation_; }
  // Exact, else longest prefix, else missing. A hop of kind ring asks for lookupRing.
  [[nodiscard]] Hop lookupAddress(const Address& destination, bool v6) const;
  [[nodiscard]] Hop lookupRing(uint64_t id) const;
  // Missing unless the address has a route of its own.
  [[nodiscard]] Hop lookupExact(const Address& address) const;

 private:
  struct Level {
    uint8_t bits;
    std::vector<ExactRoute> routes;  // masked to bits, sorted by address
  };

  ForwardingImage() = default;
  bool addExact(const std::vector<ExactRoute>& routes, std::optional<Address>* twice);
  bool addPrefixes(const std::vector<PrefixRoute>& routes);
  bool addRanges(const std::vector<RingRange>& ranges);
  [[nodiscard]] const ExactRoute* findExact(const Address& address) const;

  uint64_t generation_ = 0;
  std::vector<ExactRoute> exact_;
  std::vector<uint32_t> buckets_;              // index into exact_ plus one; 0 is free; a power of two, half empty
  std::array<std::vector<Level>, 2> levels_;   // IPv4, IPv6; longest first
  std::vector<uint64_t> untils_;
  std::vector<Hop> rangeHops_;
};

[[nodiscard]] Address maskAddress(const Address& address, uint8_t bits);
[[nodiscard]] uint64_t hashAddress(const Address& address);

// Place of a stable IPv4 address on the circle: the first 8 bytes, big-endian, of SHA-256(address || VI id).
[[nodiscard]] uint64_t ringIdOfIpv4(const uint8_t* fourBytes, std::string_view viId);
// Place of a key address: its low 64 bits.
[[nodiscard]] uint64_t ringIdOfIpv6(const Address& address);

}  // namespace p2pxbone
