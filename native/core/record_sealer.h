// Makes records of user data and control messages; one per thread.
#pragma once

#include "core/secure_channel.h"

namespace p2pxbone {

class RecordSealer {
 public:
  // Application data. Bytes of the record written to `to`; 0 if the channel has no keys, or `to` has no room. Inside a
  // batch. See SendingKeys::seal for where `to` may be.
  [[nodiscard]] static size_t seal(const SecureChannel& channel, std::span<const uint8_t> content, std::span<uint8_t> to) {
    const SendingKeys* const keys = channel.sending();
    return keys == nullptr ? 0 : keys->seal(contentApplicationData, content, to);
  }
};

// Room that any record of that content fits in.
[[nodiscard]] constexpr size_t recordRoomBytes(size_t contentBytes) {
  return contentBytes + recordOverheadBytes(Cipher::aes128Gcm);
}

}  // namespace p2pxbone
