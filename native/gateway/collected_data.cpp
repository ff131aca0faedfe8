#include "gateway/collected_data.h"

#include <algorithm>
#include <limits>

namespace p2pxbone::gateway {

void CollectedData::append(const Chunk& chunk, size_t bytesMax) {
  const size_t room = bytesMax - std::min(bytesMax, size());
  const std::span<const uint8_t> kept = chunk.bytes.first(std::min(chunk.bytes.size(), room));
  if (kept.empty()) return;
  std::vector<uint8_t>& to = bytes_[indexOf(chunk.side)];
  if (to.empty()) first_[indexOf(chunk.side)] = chunk.offset;
  datagrams_ = chunk.datagram;
  to.insert(to.end(), kept.begin(), kept.end());
  const bool joins = !chunk.datagram && !pieces_.empty() && pieces_.back().side == chunk.side &&
                     pieces_.back().bytes + kept.size() <= std::numeric_limits<uint16_t>::max();
  if (joins) pieces_.back().bytes = static_cast<uint16_t>(pieces_.back().bytes + kept.size());
  else pieces_.push_back({chunk.side, static_cast<uint16_t>(kept.size())});
}

CollectedData::Mark CollectedData::mark() const {
  return {{bytes_[0].size(), bytes_[1].size()}, pieces_.size(), pieces_.empty() ? uint16_t{0} : pieces_.back().bytes};
}

void CollectedData::rewind(const Mark& mark) {
  bytes_[0].resize(mark.bytes[0]);
  bytes_[1].resize(mark.bytes[1]);
  pieces_.resize(mark.pieces);
  if (!pieces_.empty()) pieces_.back().bytes = mark.lastPieceBytes;
}

FlowView CollectedData::view(const FlowEnds& ends) const {
  return {ends, datagrams_, {std::span<const uint8_t>(bytes_[0]), std::span<const uint8_t>(bytes_[1])}, pieces_};
}

}  // namespace p2pxbone::gateway
