#include "gateway/parsers/reader.h"

#include <algorithm>
#include <cstring>

#include "gateway/parsers/parser.h"

namespace p2pxbone::gateway {
namespace {

// Idle flows are many: what they do not need is given back.
constexpr size_t kIdleCapacityMax = 1024;

// Index of the line end, or the size.
size_t lineEnd(std::span<const uint8_t> bytes, bool crEnds) {
  if (bytes.empty()) return 0;
  if (!crEnds) {
    const void* const at = std::memchr(bytes.data(), '\n', bytes.size());
    return at == nullptr ? bytes.size() : static_cast<size_t>(static_cast<const uint8_t*>(at) - bytes.data());
  }
  const auto at = std::find_if(bytes.begin(), bytes.end(), [](uint8_t c) { return c == '\n' || c == '\r'; });
  return static_cast<size_t>(at - bytes.begin());
}

std::string_view textOf(std::span<const uint8_t> bytes) {
  std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  while (!text.empty() && text.back() == '\r') text.remove_suffix(1);
  return text;
}

}  // namespace

void Reader::feed(const Chunk& chunk) {
  incoming_ = chunk.bytes;
  fedUntil_ = chunk.offset + chunk.bytes.size();
  const uint64_t skipped = std::min<uint64_t>(discard_, incoming_.size());
  discard_ -= skipped;
  incoming_ = incoming_.subspan(static_cast<size_t>(skipped));
}

void Reader::release() {
  if (head_ < kept_.size()) return;
  head_ = scanned_ = 0;
  if (kept_.capacity() > kIdleCapacityMax)
    kept_ = {};
  else
    kept_.clear();
}

void Reader::keepAll() {
  if (head_ > 0) {
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(head_));
    scanned_ -= std::min(scanned_, head_);
    head_ = 0;
  }
  kept_.insert(kept_.end(), incoming_.begin(), incoming_.end());
  incoming_ = {};
}

bool Reader::passOverLine(bool crEnds) {
  // Nothing is kept while a line is passed over.
  const size_t at = lineEnd(incoming_, crEnds);
  if (at == incoming_.size()) {
    incoming_ = {};
    return false;
  }
  incoming_ = incoming_.subspan(at + 1);
  passing_ = false;
  return true;
}

Reader::Got Reader::line(std::string_view& line, size_t bytesMax, bool crEnds) {
  release();
  if (passing_ && !passOverLine(crEnds)) return Got::wait;
  if (head_ < kept_.size()) {
    const size_t from = std::max(head_, scanned_);
    size_t at = from + lineEnd(std::span{kept_}.subspan(from), crEnds);
    if (at == kept_.size()) {
      // The line goes on in the chunk; what lies behind it there stays where it is.
      const size_t more = lineEnd(incoming_, crEnds);
      const bool ends = more < incoming_.size();
      if (kept_.size() - head_ + more > bytesMax) {
        incoming_ = incoming_.subspan(more);
        resync();
        return Got::tooLong;
      }
      const size_t take = more + (ends ? 1 : 0);
      kept_.insert(kept_.end(), incoming_.begin(), incoming_.begin() + static_cast<ptrdiff_t>(take));
      incoming_ = incoming_.subspan(take);
      if (!ends) {
        scanned_ = kept_.size();
        return Got::wait;
      }
      at = kept_.size() - 1;
    } else if (at - head_ > bytesMax) {
      head_ = at + 1;
      scanned_ = head_;
      return Got::tooLong;
    }
    line = textOf(std::span{kept_}.subspan(head_, at - head_));
    head_ = scanned_ = at + 1;
    return Got::yes;
  }
  if (incoming_.empty()) return Got::wait;
  const size_t at = lineEnd(incoming_, crEnds);
  if (at > bytesMax) {
    incoming_ = incoming_.subspan(at);
    resync();
    return Got::tooLong;
  }
  if (at == incoming_.size()) {
    keepAll();
    scanned_ = kept_.size();
    return Got::wait;
  }
  line = textOf(incoming_.first(at));
  incoming_ = incoming_.subspan(at + 1);
  return Got::yes;
}

Reader::Got Reader::peek(size_t count, std::span<const uint8_t>& bytes) {
  release();
  if (count > kParserBytesMax) return Got::tooLong;
  if (head_ == kept_.size()) {
    if (incoming_.size() >= count) {
      bytes = incoming_.first(count);
      return Got::yes;
    }
    keepAll();
    return Got::wait;
  }
  if (kept_.size() - head_ < count) {
    const size_t take = std::min(count - (kept_.size() - head_), incoming_.size());
    kept_.insert(kept_.end(), incoming_.begin(), incoming_.begin() + static_cast<ptrdiff_t>(take));
    incoming_ = incoming_.subspan(take);
  }
  if (kept_.size() - head_ < count) return Got::wait;
  bytes = std::span{kept_}.subspan(head_, count);
  return Got::yes;
}

Reader::Got Reader::exactly(size_t count, std::span<const uint8_t>& bytes) {
  const Got got = peek(count, bytes);
  if (got != Got::yes) return got;
  if (head_ < kept_.size())
    head_ += count;
  else
    incoming_ = incoming_.subspan(count);
  return Got::yes;
}

std::span<const uint8_t> Reader::some(uint64_t bytesMax) {
  release();
  if (head_ < kept_.size()) {
    const size_t count = static_cast<size_t>(std::min<uint64_t>(bytesMax, kept_.size() - head_));
    head_ += count;
    return std::span{kept_}.subspan(head_ - count, count);
  }
  const auto bytes = incoming_.first(static_cast<size_t>(std::min<uint64_t>(bytesMax, incoming_.size())));
  incoming_ = incoming_.subspan(bytes.size());
  return bytes;
}

std::span<const uint8_t> Reader::until(uint8_t delimiter) {
  release();
  const auto unread = head_ < kept_.size() ? std::span<const uint8_t>{kept_}.subspan(head_) : incoming_;
  if (unread.empty()) return {};
  const void* const at = std::memchr(unread.data(), delimiter, unread.size());
  return some(at == nullptr ? unread.size() : static_cast<size_t>(static_cast<const uint8_t*>(at) - unread.data()) + 1);
}

void Reader::discard(uint64_t count) {
  for (auto piece = some(count); !piece.empty(); piece = some(count)) count -= piece.size();
  discard_ = count;
}

bool Reader::gap(uint64_t count) {
  fedUntil_ += count;
  if (discard_ >= count) {
    discard_ -= count;
    return true;
  }
  discard_ = 0;
  head_ = kept_.size();
  release();
  return false;
}

bool Reader::keep() {
  const bool fits = kept_.size() - head_ + incoming_.size() <= kParserBytesMax;
  if (fits && !incoming_.empty()) keepAll();
  return fits;
}

void Reader::resync() {
  head_ = kept_.size();
  release();
  passing_ = true;
}

}  // namespace p2pxbone::gateway
