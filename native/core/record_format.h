// Records of DTLS 1.2 on the wire (RFC 6347 §4.1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/bytes.h"

namespace p2pxbone {

inline constexpr size_t recordHeaderBytes = 13;
inline constexpr size_t recordTagBytes = 16;
inline constexpr size_t recordExplicitNonceBytes = 8;
// Largest plaintext of a record.
inline constexpr size_t recordContentBytesMax = 16'384;
// Largest datagram that can hold a record, with what RFC 5246 §6.2.3 allows ciphers to add.
inline constexpr size_t recordDatagramBytesMax = recordContentBytesMax + 256 + recordHeaderBytes;

inline constexpr uint8_t contentChangeCipherSpec = 20;
inline constexpr uint8_t contentAlert = 21;
inline constexpr uint8_t contentHandshake = 22;
inline constexpr uint8_t contentApplicationData = 23;

inline constexpr uint8_t dtlsMajor = 0xfe;
inline constexpr uint8_t dtls12Minor = 0xfd;
// The epoch after the one handshake that each of our DTLS sessions has.
inline constexpr uint16_t epochProtected = 1;

// Whether the first record of the datagram is one of DTLS (RFC 7983 §7, RFC 6347 §4.1).
[[nodiscard]] inline bool isDtls(std::span<const uint8_t> datagram) {
  return datagram.size() >= recordHeaderBytes && datagram[0] >= contentChangeCipherSpec &&
         datagram[0] <= contentApplicationData && datagram[1] == dtlsMajor;
}
[[nodiscard]] inline uint8_t contentTypeOf(std::span<const uint8_t> dtls) { return dtls[0]; }
[[nodiscard]] inline uint16_t epochOf(std::span<const uint8_t> dtls) { return loadBe16(&dtls[3]); }
[[nodiscard]] inline uint64_t recordNumberOf(std::span<const uint8_t> dtls) {
  return (uint64_t{loadBe16(&dtls[5])} << 32) | loadBe32(&dtls[7]);
}

// Bytes of the record that a datagram begins with, header included; 0 if it is cut off.
[[nodiscard]] inline size_t recordBytes(std::span<const uint8_t> datagram) {
  if (datagram.size() < recordHeaderBytes) return 0;
  const size_t bytes = recordHeaderBytes + loadBe16(&datagram[11]);
  return bytes <= datagram.size() ? bytes : 0;
}

// Whether the record belongs to a handshake, as far as anyone without keys can tell: it is not for the record layer.
[[nodiscard]] inline bool isOfHandshake(std::span<const uint8_t> dtls) {
  return epochOf(dtls) == 0 || contentTypeOf(dtls) == contentHandshake || contentTypeOf(dtls) == contentChangeCipherSpec;
}

}  // namespace p2pxbone
