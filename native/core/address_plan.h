// Which inner source addresses a virtual Internet has, as its nodes were told when they were opened.
#pragma once

#include <cstdint>
#include <vector>

#include "core/packet.h"

namespace p2pxbone {

struct Prefix {
  Address address{};
  // Of the 128-bit form: an IPv4 /24 is 120.
  uint8_t bits = 0;
  bool v6 = false;
};

enum class SourceKind : uint8_t {
  foreign,
  // A node's stable address or a key: packets come with it by any tunnel.
  member,
  // One end of a tunnel: it says by which one its packets come.
  link,
};

// Immutable. Where the two kinds of prefixes overlap, the addresses are link addresses.
class AddressPlan {
 public:
  static constexpr size_t kPrefixesMax = 16;  // of each kind

  // Nothing is in an empty plan.
  AddressPlan() = default;
  // Bits beyond a prefix's length do not matter. A prefix that cannot be, or one too many, makes it invalid.
  AddressPlan(const std::vector<Prefix>& members, const std::vector<Prefix>& links);

  [[nodiscard]] bool valid() const { return valid_; }
  [[nodiscard]] SourceKind kindOf(const Address& source, bool v6) const;

 private:
  struct Entry {
    uint64_t network[2];
    uint64_t mask[2];
    bool v6;
    SourceKind kind;
  };
  void add(const std::vector<Prefix>& prefixes, SourceKind kind);

  bool valid_ = true;
  std::vector<Entry> entries_;  // links first
};

}  // namespace p2pxbone
