// Where an HTTP/1 body ends: by length, by chunks, or with the connection.
#pragma once

#include <cstdint>
#include <span>

#include "gateway/parsers/reader.h"

namespace p2pxbone::gateway {

class HttpBody {
 public:
  enum class Kind : uint8_t { none, length, chunked, untilClose };
  enum class Outcome : uint8_t { wait, data, done, bad };

  HttpBody() = default;
  explicit HttpBody(Kind kind, uint64_t length = 0)
      : kind_(kind), left_(kind == Kind::length ? length : kind == Kind::untilClose ? UINT64_MAX : 0) {}

  // `data`: some bytes of the body; ask again.
  [[nodiscard]] Outcome next(Reader& reader, std::span<const uint8_t>& bytes);
  // Bytes of it will never come. False: what is left cannot be found any more.
  [[nodiscard]] bool skip(uint64_t count);
  [[nodiscard]] Kind kind() const { return kind_; }

 private:
  enum class Phase : uint8_t { size, data, dataEnd, trailer };

  Kind kind_ = Kind::none;
  uint64_t left_ = 0;  // of the body, or of the chunk
  Phase phase_ = Phase::size;
  size_t trailerBytes_ = 0;
};

}  // namespace p2pxbone::gateway
