// The fields of a fragment (RFC 791 §3.2, RFC 8200 §4.5).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace p2pxbone::gateway {

struct FragmentView {
  uint32_t identification = 0;
  size_t offset = 0;  // of its data within the datagram's fragmentable part, bytes
  bool more = false;
  size_t headerBytes = 0;  // before the data, including IPv6's fragment header
  size_t dataBytes = 0;
  uint8_t nextHeader = 0;    // of what is fragmented
  size_t nextHeaderAt = 0;   // IPv6: where the header before the fragment header names it

  // RFC 6946: a datagram in a single fragment is one for itself.
  [[nodiscard]] bool whole() const { return offset == 0 && !more; }
};

// `bytes` is a packet that parsePacket() has found to be a fragment, without padding.
[[nodiscard]] std::optional<FragmentView> viewFragment(std::span<const uint8_t> bytes, bool v6);

}  // namespace p2pxbone::gateway
