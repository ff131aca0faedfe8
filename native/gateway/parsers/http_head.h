// The head of an HTTP/1 message: start line and the fields that matter for where the body ends and what it is.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/parsers/multipart.h"
#include "gateway/parsers/reader.h"

namespace p2pxbone::gateway {

struct HttpHead {
  bool request = false;
  std::string method;
  std::string target;  // as it was sent
  unsigned status = 0;
  bool simple = false;  // HTTP/0.9: a request line without a version, and no head

  std::optional<uint64_t> contentLength;
  bool chunked = false;
  std::string transferCoding;  // other than chunked
  std::string contentType, contentEncoding, disposition;
  std::optional<ContentRange> contentRange;
  bool asksPart = false, asksParts = false;  // of a request: one range, or several
  std::string host, upgrade;
};

// Told each field once it is whole, continuation lines joined.
class HttpFields {
 public:
  virtual ~HttpFields() = default;
  virtual void field(std::string_view name, std::string_view value) = 0;
};

class HttpHeadReader {
 public:
  enum class Outcome : uint8_t { wait, done, bad };
  explicit HttpHeadReader(bool request) { head_.request = request; }

  // `bad`: no HTTP, ambiguous about where the body ends, or larger than a head may be.
  [[nodiscard]] Outcome read(Reader& reader, HttpFields& fields);
  [[nodiscard]] const HttpHead& head() const { return head_; }
  // Of the head so far, of which it keeps less.
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  [[nodiscard]] bool startLine(std::string_view line);
  [[nodiscard]] bool requestLine(std::string_view line);
  [[nodiscard]] bool commit(HttpFields& fields);

  HttpHead head_;
  bool started_ = false;
  bool coded_ = false;  // a Transfer-Encoding was there
  size_t bytes_ = 0;
  std::string pending_;  // the last field, which the next line may continue
};

// Path of a request target: without scheme, host, query and fragment, percent-decoded, UTF-8.
[[nodiscard]] std::string pathOfTarget(std::string_view target);

}  // namespace p2pxbone::gateway
