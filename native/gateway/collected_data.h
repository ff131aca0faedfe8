// The first data of a flow, kept until it is known what the flow carries, and then handed to the parser, so that a name
// in the first packet is not missed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "gateway/chunk.h"
#include "gateway/flow_view.h"

namespace p2pxbone::gateway {

class CollectedData {
 public:
  // Keeps the front of the chunk, so that no more than `bytesMax` are kept in all. Consecutive chunks of one direction
  // of a stream become one piece.
  void append(const Chunk& chunk, size_t bytesMax);

  // What there is now, to return to it.
  struct Mark {
    std::array<size_t, 2> bytes{};
    size_t pieces = 0;
    uint16_t lastPieceBytes = 0;
  };
  [[nodiscard]] Mark mark() const;
  void rewind(const Mark& mark);

  [[nodiscard]] size_t size() const { return bytes_[0].size() + bytes_[1].size(); }
  [[nodiscard]] bool empty() const { return pieces_.empty(); }
  [[nodiscard]] FlowView view(const FlowEnds& ends) const;

  // Calls take(const Chunk&) with everything that was appended, in the order of arrival.
  template <typename Take>
  void forEachChunk(Take take) const {
    std::array<size_t, 2> at{};
    for (const Piece& piece : pieces_) {
      size_t& offset = at[indexOf(piece.side)];
      const std::span<const uint8_t> side(bytes_[indexOf(piece.side)]);
      take(Chunk{piece.side, first_[indexOf(piece.side)] + offset, side.subspan(offset, piece.bytes), datagrams_});
      offset += piece.bytes;
    }
  }

  // Memory on the heap.
  [[nodiscard]] size_t heapBytes() const {
    return bytes_[0].capacity() + bytes_[1].capacity() + pieces_.capacity() * sizeof(Piece);
  }

 private:
  std::array<std::vector<uint8_t>, 2> bytes_;
  std::vector<Piece> pieces_;
  // Where each direction's first kept byte stands in it.
  std::array<uint64_t, 2> first_{};
  bool datagrams_ = false;
};

}  // namespace p2pxbone::gateway
