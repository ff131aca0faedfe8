// Opens the first packets of a QUIC client. Their keys follow from what stands in the packet itself, so anybody on the
// path can read them; whoever opens one knows that it is QUIC.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace p2pxbone::gateway {

inline constexpr size_t kConnectionIdBytesMax = 20;

// Spans point into the datagram.
struct QuicLongHeader {
  uint32_t version = 0;
  bool initial = false;
  std::span<const uint8_t> destination;
  std::span<const uint8_t> source;
  // Of an initial packet: where its packet number begins, and its whole length.
  size_t numberOffset = 0;
  size_t bytes = 0;
};

// Of the packet at the front; nothing if it is malformed or of a version that is not known.
[[nodiscard]] std::optional<QuicLongHeader> parseQuicLongHeader(std::span<const uint8_t> datagram);

struct QuicInitialKeys {
  std::array<uint8_t, 16> key{};
  std::array<uint8_t, 12> iv{};
  std::array<uint8_t, 16> headerProtection{};
};

// Of the client, for the destination that it chose first. Nothing if the version is not known or OpenSSL fails.
[[nodiscard]] std::optional<QuicInitialKeys> clientInitialKeys(uint32_t version, std::span<const uint8_t> destination);

// The frames inside the initial packet at the front of `datagram`; nothing if it was not sealed with these keys.
[[nodiscard]] std::optional<std::vector<uint8_t>> openQuicInitial(std::span<const uint8_t> datagram,
                                                                  const QuicLongHeader& header,
                                                                  const QuicInitialKeys& keys);

}  // namespace p2pxbone::gateway
