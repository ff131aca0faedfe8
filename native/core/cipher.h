// Ciphers of DTLS 1.2 that protect user data.
#pragma once

#include <cstdint>

namespace p2pxbone {

enum class Cipher : uint8_t { aes128Gcm, aes256Gcm, chacha20Poly1305 };

}  // namespace p2pxbone
