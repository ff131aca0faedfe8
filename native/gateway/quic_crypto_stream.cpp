#include "gateway/quic_crypto_stream.h"

#include <algorithm>

#include "gateway/byte_cursor.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kPadding = 0x00;
constexpr uint8_t kPing = 0x01;
constexpr uint8_t kAck = 0x02;
constexpr uint8_t kAckWithEcn = 0x03;
constexpr uint8_t kCrypto = 0x06;
constexpr uint8_t kConnectionClose = 0x1c;

void skipAck(ByteCursor& cursor, bool ecn) {
  cursor.quicInteger();  // largest
  cursor.quicInteger();  // delay
  uint64_t ranges = cursor.quicInteger();
  cursor.quicInteger();  // first range
  for (; ranges > 0 && cursor.good(); --ranges) {
    cursor.quicInteger();
    cursor.quicInteger();
  }
  for (int count = 0; ecn && count < 3; ++count) cursor.quicInteger();
}

}  // namespace

bool QuicCryptoStream::addFrames(std::span<const uint8_t> frames) {
  ByteCursor cursor(frames);
  while (cursor.left() > 0) {
    switch (const uint8_t type = cursor.u8()) {
      case kPadding:
      case kPing: break;
      case kAck:
      case kAckWithEcn: skipAck(cursor, type == kAckWithEcn); break;
      case kCrypto: {
        const uint64_t offset = cursor.quicInteger();
        const uint64_t length = cursor.quicInteger();
        if (length > cursor.left()) return false;
        add(offset, cursor.bytes(static_cast<size_t>(length)));
        break;
      }
      // The rest explains why.
      case kConnectionClose: return true;
      default: return false;
    }
    if (!cursor.good()) return false;
  }
  return true;
}

void QuicCryptoStream::add(uint64_t offset, std::span<const uint8_t> bytes) {
  if (offset >= kBytesMax) return;
  const auto from = static_cast<size_t>(offset);
  const size_t count = std::min(bytes.size(), kBytesMax - from);
  if (from + count > bytes_.size()) {
    bytes_.resize(from + count);
    present_.resize(from + count);
  }
  // The first of two that overlap counts, as everywhere here.
  for (size_t i = 0; i < count; ++i) {
    if (present_[from + i]) continue;
    bytes_[from + i] = bytes[i];
    present_[from + i] = true;
  }
}

std::span<const uint8_t> QuicCryptoStream::prefix() const {
  const auto end = std::find(present_.begin(), present_.end(), false);
  return std::span(bytes_).first(static_cast<size_t>(end - present_.begin()));
}

}  // namespace p2pxbone::gateway
