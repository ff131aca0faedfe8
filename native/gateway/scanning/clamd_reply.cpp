#include "gateway/scanning/clamd_reply.h"

#include <algorithm>
#include <charconv>

#include "gateway/byte_cursor.h"

namespace p2pxbone::gateway {
namespace {

using Kind = ClamdReply::Kind;

constexpr size_t kTextBytesMax = 256;
// With AlertExceedsMax clamd says so of what it has not scanned to its end.
constexpr std::string_view kLimitAlert = "Heuristics.Limits.Exceeded";

std::string printable(std::string_view text) {
  std::string shown{text.substr(0, kTextBytesMax)};
  std::replace_if(shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return shown;
}

// "7: " in front, without leading zeros.
uint32_t takeNumber(std::string_view& line) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), number);
  const auto digits = static_cast<size_t>(end - line.data());
  if (error != std::errc{} || number == 0 || line.front() == '0' || line.substr(digits, 2) != ": ") return 0;
  line.remove_prefix(digits + 2);
  return number;
}

bool takeSuffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

}  // namespace

ClamdReply parseClamdReply(std::span<const uint8_t> bytes) {
  std::string_view line = textOf(bytes);
  const std::string_view all = line;
  const uint32_t number = takeNumber(line);
  const auto reply = [&](Kind kind, std::string_view text) { return ClamdReply{kind, number, printable(text)}; };
  if (line == "PONG") return reply(Kind::pong, {});
  if (line.starts_with("ClamAV ")) return reply(Kind::version, line);
  // A name could end like an error: what was found counts more.
  const bool ofStream = line.starts_with("stream: ");
  if (ofStream) line.remove_prefix(8);
  if (ofStream && line == "OK") return reply(Kind::clean, {});
  if (ofStream && takeSuffix(line, " FOUND") && !line.empty()) {
    return reply(line.starts_with(kLimitAlert) ? Kind::tooBig : Kind::infected, line);
  }
  if (takeSuffix(line, " ERROR") && !line.empty()) {
    return reply(line.starts_with("INSTREAM size limit exceeded") ? Kind::tooBig : Kind::error, line);
  }
  return reply(Kind::malformed, all);
}

std::optional<ClamdReply> ClamdReplyReader::take(std::span<const uint8_t>& bytes) {
  const std::span<const uint8_t> within = bytes.first(std::min(bytes.size(), kLineBytesMax + 1 - line_.size()));
  const auto end = std::find(within.begin(), within.end(), uint8_t{0});
  line_.append(within.begin(), end);
  if (end == within.end()) {
    bytes = bytes.subspan(within.size());
    if (line_.size() <= kLineBytesMax) return std::nullopt;
    line_.resize(kTextBytesMax);
    ClamdReply reply{Kind::malformed, 0, printable(line_)};
    line_.clear();
    return reply;
  }
  bytes = bytes.subspan(static_cast<size_t>(end - within.begin()) + 1);
  ClamdReply reply = parseClamdReply({reinterpret_cast<const uint8_t*>(line_.data()), line_.size()});
  line_.clear();
  return reply;
}

}  // namespace p2pxbone::gateway
