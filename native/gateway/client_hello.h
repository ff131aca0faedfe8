// Parses the ClientHello of TLS 1.0 to 1.3, the same over TCP and QUIC.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace p2pxbone::gateway {

// More of each are ignored, and counted as these.
inline constexpr size_t kHelloListMax = 256;
inline constexpr size_t kServerNameBytesMax = 255;

// Spans point into the message.
struct ClientHello {
  uint16_t legacyVersion = 0;
  std::vector<uint16_t> ciphers;
  std::vector<uint16_t> extensions;  // types, in their order
  std::vector<uint16_t> versions;    // of the extension supported_versions
  std::vector<uint16_t> signatureAlgorithms;
  std::string_view serverName;
  std::vector<std::string_view> applicationProtocols;
  bool encryptedHello = false;
};

enum class HelloParse : uint8_t { malformed, cut, whole };

// `handshake` begins with the handshake message's type and length. What follows the message is ignored.
[[nodiscard]] HelloParse parseClientHello(std::span<const uint8_t> handshake, ClientHello& hello);

// One of the values that clients send to see whether servers ignore what they do not know (RFC 8701).
[[nodiscard]] constexpr bool isGrease(uint16_t value) {
  return (value & 0x0f0f) == 0x0a0a && (value >> 8) == (value & 0xff);
}

[[nodiscard]] uint16_t highestVersion(const ClientHello& hello);

}  // namespace p2pxbone::gateway
