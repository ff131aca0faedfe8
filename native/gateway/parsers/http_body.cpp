#include "gateway/parsers/http_body.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kSizeLineBytesMax = 1024;
constexpr size_t kTrailerBytesMax = 16 * 1024;

}  // namespace

HttpBody::Outcome HttpBody::next(Reader& reader, std::span<const uint8_t>& bytes) {
  if (kind_ == Kind::none) return Outcome::done;
  if (kind_ != Kind::chunked) {
    if (left_ == 0) return Outcome::done;
    bytes = reader.some(left_);
    if (kind_ == Kind::length) left_ -= bytes.size();
    return bytes.empty() ? Outcome::wait : Outcome::data;
  }
  for (;;) {
    if (phase_ == Phase::data) {
      if (left_ == 0) {
        phase_ = Phase::dataEnd;
        continue;
      }
      bytes = reader.some(left_);
      left_ -= bytes.size();
      return bytes.empty() ? Outcome::wait : Outcome::data;
    }
    std::string_view line;
    const Reader::Got got = reader.line(line, kSizeLineBytesMax);
    if (got == Reader::Got::wait) return Outcome::wait;
    if (got == Reader::Got::tooLong) return Outcome::bad;
    if (phase_ == Phase::dataEnd) {
      if (!line.empty()) return Outcome::bad;
      phase_ = Phase::size;
    } else if (phase_ == Phase::size) {
      const auto size = hexadecimalOf(trimmed(line.substr(0, line.find(';'))));
      if (!size) return Outcome::bad;
      left_ = *size;
      phase_ = left_ > 0 ? Phase::data : Phase::trailer;
    } else {
      trailerBytes_ += line.size() + 2;
      if (line.empty()) {
        kind_ = Kind::none;
        return Outcome::done;
      }
      if (trailerBytes_ > kTrailerBytesMax) return Outcome::bad;
    }
  }
}

bool HttpBody::skip(uint64_t count) {
  if (kind_ == Kind::untilClose) return true;
  const bool inside = kind_ == Kind::length || (kind_ == Kind::chunked && phase_ == Phase::data);
  if (!inside || left_ < count) return false;
  left_ -= count;
  return true;
}

}  // namespace p2pxbone::gateway
