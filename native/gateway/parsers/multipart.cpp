#include "gateway/parsers/multipart.h"

#include <algorithm>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

// What a header line of a part may have; the rest of it is passed over.
constexpr size_t kLineBytesMax = 4096;
constexpr size_t kLinesMax = 64;

}  // namespace

std::optional<ContentRange> contentRangeOf(std::string_view field) {
  field = trimmed(field);
  if (!startsWith(field, "bytes")) return std::nullopt;
  field.remove_prefix(5);
  while (!field.empty() && (field.front() == ' ' || field.front() == '=' || field.front() == ':')) field.remove_prefix(1);
  std::string_view total = field;
  std::string_view last = nextWord(total, '/');
  const auto first = decimalOf(trimmed(nextWord(last, '-')));
  if (!first) return std::nullopt;
  return ContentRange{*first, decimalOf(trimmed(last)), decimalOf(trimmed(total))};
}

Multipart::Multipart(std::string_view boundary) : delimiter_("\n--") { delimiter_ += boundary; }

void Multipart::data(std::span<const uint8_t> bytes, PartSink& sink) {
  while (!bytes.empty()) {
    if (phase_ == Phase::epilogue) return;
    if (phase_ == Phase::content) {
      content(bytes, sink);
      continue;
    }
    lineByte(bytes.front(), sink);
    bytes = bytes.subspan(1);
  }
}

void Multipart::take(std::span<const uint8_t> bytes, PartSink& sink) {
  if (inPart_ && !bytes.empty()) sink.partData(bytes);
}

// What looked like the beginning of a delimiter was content.
void Multipart::mismatch(PartSink& sink) {
  if (heldCr_) take(bytesOf("\r"), sink);
  heldCr_ = false;
  const size_t from = virtualLf_ ? 1 : 0;
  if (matched_ > from) take(bytesOf(std::string_view{delimiter_}.substr(from, matched_ - from)), sink);
  matched_ = 0;
  virtualLf_ = false;
}

void Multipart::content(std::span<const uint8_t>& bytes, PartSink& sink) {
  if (matched_ == 0 && !heldCr_) {
    const auto at = std::find_if(bytes.begin(), bytes.end(), [](uint8_t c) { return c == '\n' || c == '\r'; });
    const auto count = static_cast<size_t>(at - bytes.begin());
    take(bytes.first(count), sink);
    bytes = bytes.subspan(count);
    if (bytes.empty()) return;
  }
  const char byte = static_cast<char>(bytes.front());
  if (byte == delimiter_[matched_]) {
    ++matched_;
  } else {
    // No LF is inside a delimiter, so that what failed cannot hold the beginning of another one.
    mismatch(sink);
    if (byte == '\r')
      heldCr_ = true;
    else if (byte == '\n')
      matched_ = 1;
    else
      take(bytes.first(1), sink);
  }
  bytes = bytes.subspan(1);
  if (matched_ < delimiter_.size()) return;
  close(true, sink);
  matched_ = 0;
  heldCr_ = virtualLf_ = false;
  line_.clear();
  phase_ = Phase::delimiter;
}

void Multipart::lineByte(uint8_t byte, PartSink& sink) {
  if (byte != '\n') {
    if (line_.size() < kLineBytesMax) line_ += static_cast<char>(byte);
    return;
  }
  if (phase_ == Phase::delimiter) {
    phase_ = startsWith(line_, "--") ? Phase::epilogue : Phase::head;
    head_ = {};
    folded_ = nullptr;
    lines_ = 0;
  } else {
    headLine(sink);
  }
  line_.clear();
}

void Multipart::headLine(PartSink& sink) {
  std::string_view value = line_;
  const std::string_view name = nextWord(value, ':');
  if (!trimmed(line_).empty() && ++lines_ <= kLinesMax) {
    if (line_.front() == ' ' || line_.front() == '\t') {
      if (folded_ != nullptr && folded_->size() < kLineBytesMax) *folded_ += line_;
      return;
    }
    folded_ = same(name, "content-disposition") ? &head_.disposition
              : same(name, "content-type")      ? &head_.contentType
                                                : nullptr;
    if (folded_ != nullptr) *folded_ = trimmed(value);
    if (same(name, "content-range")) head_.range = contentRangeOf(value);
    return;
  }
  phase_ = Phase::content;
  inPart_ = true;
  sink.partBegins(head_);
  // An empty part has its delimiter in the line behind its head.
  matched_ = 1;
  virtualLf_ = true;
}

void Multipart::close(bool complete, PartSink& sink) {
  if (inPart_) sink.partEnds(complete);
  inPart_ = false;
}

void Multipart::lost(PartSink& sink) {
  close(false, sink);
  if (phase_ == Phase::epilogue) return;
  phase_ = Phase::content;
  matched_ = 0;
  heldCr_ = virtualLf_ = false;
}

void Multipart::end(PartSink& sink) {
  if (phase_ == Phase::content && inPart_) mismatch(sink);
  close(false, sink);
}

}  // namespace p2pxbone::gateway
