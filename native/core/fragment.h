// Fragmentation of IPv4 packets that may be fragmented (RFC 791 §3.2).
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>

#include "core/bytes.h"
#include "core/checksum.h"
#include "core/packet.h"

namespace p2pxbone {

inline constexpr size_t kIpv4HeaderBytesMax = 60;

struct FragmentHeader {
  std::array<uint8_t, kIpv4HeaderBytesMax> bytes{};
  size_t length = 0;
};

// The header of the fragments after the first: only the options whose copied flag is set.
[[nodiscard]] FragmentHeader laterFragmentHeader(std::span<const uint8_t> header);

// Calls emit(header, payload) for each piece, in order; their sum is at most `mtu`, which is at least 68 as RFC 791 asks
// of every network. The header span is valid during the call only; lengths, offsets and checksums in it are final.
template <typename Emit>
void fragmentIpv4(std::span<const uint8_t> bytes, const InnerPacket& packet, size_t mtu, Emit&& emit) {
  FragmentHeader header;
  header.length = packet.headerBytes;
  std::copy_n(bytes.begin(), header.length, header.bytes.begin());
  const uint16_t original = loadBe16(&bytes[6]);
  const std::span<const uint8_t> payload = bytes.subspan(packet.headerBytes, packet.totalBytes - packet.headerBytes);
  size_t at = 0;
  while (at < payload.size()) {
    const size_t room = (mtu - header.length) / 8 * 8;
    const bool last = payload.size() - at <= mtu - header.length;
    const size_t length = last ? payload.size() - at : room;
    const bool more = !last || (original & 0x2000) != 0;
    const size_t offset = (original & 0x1fff) + at / 8;
    // A later fragment whose pieces would end beyond the largest packet has nowhere to go at its destination either.
    if (offset > 0x1fff) return;
    storeBe16(&header.bytes[2], static_cast<uint16_t>(header.length + length));
    storeBe16(&header.bytes[6], static_cast<uint16_t>(offset | (more ? 0x2000U : 0U)));
    storeBe16(&header.bytes[10], 0);
    const std::span<uint8_t> finished{header.bytes.data(), header.length};
    storeBe16(&header.bytes[10], checksumOf(finished));
    emit(std::span<const uint8_t>{finished}, payload.subspan(at, length));
    if (at == 0) {
      header = laterFragmentHeader(bytes.first(packet.headerBytes));
    }
    at += length;
  }
}

}  // namespace p2pxbone
