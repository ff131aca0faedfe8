#include "core/aead.h"

namespace p2pxbone {

std::unique_ptr<Aead> makeAead(Cipher cipher, std::span<const uint8_t> key) {
  auto fast = makeIpsecMbAead(cipher, key);
  return fast ? std::move(fast) : makeOpensslAead(cipher, key);
}

}  // namespace p2pxbone
