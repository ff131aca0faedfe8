// Explicit congestion notification (RFC 3168): a sender that knows it slows down before it loses packets.
#pragma once

#include <span>

#include "core/bytes.h"

namespace p2pxbone::gateway {

// `bytes` begins with an IP header. False if the packet's sender does not know the mark.
inline bool markCongestion(std::span<uint8_t> bytes) {
  constexpr uint8_t kMark = 3;
  if (bytes[0] >> 4 == 6) {
    // The two bits stand in the middle of the second byte.
    if ((bytes[1] >> 4 & kMark) == 0) return false;
    bytes[1] |= static_cast<uint8_t>(kMark << 4);
    return true;
  }
  const uint16_t before = loadBe16(&bytes[0]);
  if ((before & kMark) == 0) return false;
  const uint16_t after = before | kMark;
  // RFC 1624: the new sum is ~(~sum + ~before + after).
  uint32_t sum = static_cast<uint16_t>(~loadBe16(&bytes[10])) + static_cast<uint16_t>(~before) + uint32_t{after};
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  storeBe16(&bytes[0], after);
  storeBe16(&bytes[10], static_cast<uint16_t>(~sum));
  return true;
}

}  // namespace p2pxbone::gateway
