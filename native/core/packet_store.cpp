#include "core/packet_store.h"

#include <algorithm>

namespace p2pxbone {

PacketStore::PacketStore(uint32_t blocks)
    : memory_(std::make_unique_for_overwrite<uint8_t[]>(size_t{blocks} * kBlockBytes)),
      info_(std::make_unique_for_overwrite<Info[]>(blocks)),
      free_(blocks) {}

uint32_t PacketStore::take() {
  --free_;
  if (freeList_ == kNone) return unused_++;
  const uint32_t number = freeList_;
  freeList_ = info_[number].nextBlock;
  return number;
}

uint32_t PacketStore::put(std::span<const uint8_t> packet) {
  if (!fits(packet.size())) return kNone;
  const uint32_t first = take();
  info_[first] = {static_cast<uint32_t>(packet.size()), kNone};
  uint32_t last = first;
  for (std::span<const uint8_t> rest = packet;;) {
    const auto piece = rest.first(std::min(rest.size(), kBlockBytes));
    std::copy(piece.begin(), piece.end(), block(last));
    rest = rest.subspan(piece.size());
    if (rest.empty()) return first;
    const uint32_t next = take();
    info_[last].nextBlock = next;
    info_[next] = {0, kNone};
    last = next;
  }
}

void PacketStore::free(uint32_t packet) {
  for (uint32_t number = packet; number != kNone;) {
    const uint32_t next = info_[number].nextBlock;
    info_[number].nextBlock = freeList_;
    freeList_ = number;
    ++free_;
    number = next;
  }
}

void PacketStore::copy(uint32_t packet, std::span<uint8_t> to) const {
  size_t left = bytes(packet);
  uint8_t* end = to.data();
  for (uint32_t number = packet; left > 0; number = info_[number].nextBlock) {
    const size_t piece = std::min(left, kBlockBytes);
    end = std::copy_n(block(number), piece, end);
    left -= piece;
  }
}

void PacketStore::write(uint32_t packet, size_t at, std::span<const uint8_t> from) {
  uint32_t number = packet;
  for (; at >= kBlockBytes; at -= kBlockBytes) number = info_[number].nextBlock;
  while (!from.empty()) {
    const auto piece = from.first(std::min(from.size(), kBlockBytes - at));
    std::copy(piece.begin(), piece.end(), block(number) + at);
    from = from.subspan(piece.size());
    number = info_[number].nextBlock;
    at = 0;
  }
}

}  // namespace p2pxbone
