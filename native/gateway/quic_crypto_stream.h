// The beginning of QUIC's handshake stream, put together from frames that clients cut into pieces and shuffle on
// purpose.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace p2pxbone::gateway {

class QuicCryptoStream {
 public:
  // A hello is at most so long here; what lies beyond is ignored.
  static constexpr size_t kBytesMax = 12'000;

  // The content of one packet. False if it is malformed or holds what a client's initial packet may not; what stood
  // before is kept.
  bool addFrames(std::span<const uint8_t> frames);

  // What has come without a gap from the start.
  [[nodiscard]] std::span<const uint8_t> prefix() const;

 private:
  void add(uint64_t offset, std::span<const uint8_t> bytes);

  std::vector<uint8_t> bytes_;
  std::vector<bool> present_;
};

}  // namespace p2pxbone::gateway
