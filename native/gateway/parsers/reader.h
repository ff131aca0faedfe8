// One direction's bytes on their way through a parser: what had to be kept of earlier chunks, then the present chunk. Bytes
// that arrive whole are never copied. A view that is given lives until the next call of any member.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "gateway/chunk.h"

namespace p2pxbone::gateway {

class Reader {
 public:
  enum class Got : uint8_t {
    yes,
    wait,     // everything there is has been kept; ask again when there is more
    tooLong,  // longer than allowed; a line is passed over up to its end
  };

  // The chunk before has been used up or kept.
  void feed(const Chunk& chunk);

  // Up to LF, without it and CRs before it. `crEnds`: a CR alone ends a line too, and empty lines are many.
  [[nodiscard]] Got line(std::string_view& line, size_t bytesMax, bool crEnds = false);
  [[nodiscard]] Got exactly(size_t count, std::span<const uint8_t>& bytes);
  // The same, and they stay.
  [[nodiscard]] Got peek(size_t count, std::span<const uint8_t>& bytes);
  // What is there, at most that much; empty if there is nothing.
  [[nodiscard]] std::span<const uint8_t> some(uint64_t bytesMax);

  // What is there up to the delimiter, which is the last byte if it has come.
  [[nodiscard]] std::span<const uint8_t> until(uint8_t delimiter);

  // The next bytes are of no interest, come when they may.
  void discard(uint64_t count);
  // These bytes will never come. True if all of them were to be discarded anyway; what was kept is lost otherwise.
  bool gap(uint64_t count);
  // Keeps what is unread beyond the life of the chunk. False: it is more than a parser may keep.
  [[nodiscard]] bool keep();
  // Forgets what is kept and passes over the rest of the line.
  void resync();

  [[nodiscard]] size_t unread() const { return kept_.size() - head_ + incoming_.size(); }
  [[nodiscard]] bool empty() const { return unread() == 0; }
  // Memory on the heap.
  [[nodiscard]] size_t keptBytes() const { return kept_.capacity(); }
  // Of the next unread byte, as Chunk::offset.
  [[nodiscard]] uint64_t position() const { return fedUntil_ - unread(); }

 private:
  void release();
  void keepAll();
  [[nodiscard]] bool passOverLine(bool crEnds);

  std::vector<uint8_t> kept_;
  size_t head_ = 0;  // of kept_, before which all is used up
  size_t scanned_ = 0;  // of kept_, before which there is no line end
  std::span<const uint8_t> incoming_;
  uint64_t fedUntil_ = 0;
  uint64_t discard_ = 0;
  bool passing_ = false;
};

}  // namespace p2pxbone::gateway
