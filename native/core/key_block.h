// The keys that both ends of a DTLS 1.2 session derive from what their handshake agreed upon (RFC 5246 §6.3).
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "core/aead.h"

namespace p2pxbone {

// Of one direction. Wiped when it goes.
struct DirectionKeys {
  std::array<uint8_t, aeadKeyBytesMax> key{};
  // The first 4 bytes for GCM (RFC 5288 §3), all for ChaCha20-Poly1305 (RFC 7905 §2).
  std::array<uint8_t, aeadNonceBytes> fixedNonce{};

  DirectionKeys() = default;
  DirectionKeys(const DirectionKeys&) = default;
  DirectionKeys& operator=(const DirectionKeys&) = default;
  ~DirectionKeys() {
    OPENSSL_cleanse(key.data(), key.size());
    OPENSSL_cleanse(fixedNonce.data(), fixedNonce.size());
  }
};

struct KeyBlock {
  Cipher cipher = Cipher::aes128Gcm;
  DirectionKeys client;  // what the client writes with
  DirectionKeys server;
};

using HelloRandom = std::array<uint8_t, 32>;

// `hash`: name of the cipher suite's hash as OpenSSL knows it. nullopt if OpenSSL cannot.
[[nodiscard]] std::optional<KeyBlock> deriveKeyBlock(Cipher cipher, const std::string& hash,
                                                     std::span<const uint8_t> masterSecret, const HelloRandom& client,
                                                     const HelloRandom& server);

}  // namespace p2pxbone
