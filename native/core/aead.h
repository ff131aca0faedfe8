// Authenticated encryption with associated data for the record layer: AES-GCM (RFC 5116) and ChaCha20-Poly1305 (RFC 8439).
//
// Two implementations stand behind one interface: OpenSSL's, which is always there, and Intel's IPsec multi-buffer
// library, whose AVX-512 code is chosen where the build has the library and the processor has what it needs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "core/cipher.h"

namespace p2pxbone {

inline constexpr size_t aeadTagBytes = 16;
inline constexpr size_t aeadNonceBytes = 12;
inline constexpr size_t aeadKeyBytesMax = 32;

[[nodiscard]] constexpr size_t aeadKeyBytes(Cipher cipher) { return cipher == Cipher::aes128Gcm ? 16 : 32; }

using AeadNonce = std::span<const uint8_t, aeadNonceBytes>;
using AeadTag = std::span<uint8_t, aeadTagBytes>;
using AeadExpectedTag = std::span<const uint8_t, aeadTagBytes>;

// One key. Any number of threads may use it at the same time. No call allocates once a thread has used the key in that
// direction. Nothing of the key is left in memory when it goes; by then no thread may be using it. Input and output are of the same length and either the same memory or disjoint.
class Aead {
 public:
  virtual ~Aead() = default;
  // False if OpenSSL is out of memory; what stands in `out` then must not leave.
  [[nodiscard]] virtual bool seal(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> plain,
                                  uint8_t* out, AeadTag tag) const = 0;
  // False if the tag does not belong to all the rest; what stands in `out` then is worthless and must not be used.
  [[nodiscard]] virtual bool open(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> sealed,
                                  uint8_t* out, AeadExpectedTag tag) const = 0;
};

// `key` has aeadKeyBytes(cipher). The fastest that this machine has; throws std::runtime_error if OpenSSL lacks the cipher.
[[nodiscard]] std::unique_ptr<Aead> makeAead(Cipher cipher, std::span<const uint8_t> key);

// Each of them, for tests and measurements. The second is null where it cannot be used.
[[nodiscard]] std::unique_ptr<Aead> makeOpensslAead(Cipher cipher, std::span<const uint8_t> key);
[[nodiscard]] std::unique_ptr<Aead> makeIpsecMbAead(Cipher cipher, std::span<const uint8_t> key);

}  // namespace p2pxbone
