#include "gateway/parsers/http_head.h"

#include "gateway/parsers/parser.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 32 * 1024;

bool isToken(std::string_view text) {
  if (text.empty() || text.size() > 32) return false;
  for (const char c : text)
    if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_')) return false;
  return true;
}

// Several fields of one name are one list.
void addCoding(std::string& codings, std::string_view coding) {
  if (!codings.empty()) codings += ", ";
  codings += coding;
}

}  // namespace

HttpHeadReader::Outcome HttpHeadReader::read(Reader& reader, HttpFields& fields) {
  for (;;) {
    std::string_view line;
    const Reader::Got got = reader.line(line, kLineBytesMax);
    if (got == Reader::Got::wait) return Outcome::wait;
    if (got == Reader::Got::tooLong) return Outcome::bad;
    bytes_ += line.size() + 2;
    if (bytes_ > kParserBytesMax) return Outcome::bad;
    if (!started_) {
      // Servers skip as many of these as come.
      if (trimmed(line).empty()) {
        bytes_ = 0;
        continue;
      }
      started_ = true;
      if (!startLine(line)) return Outcome::bad;
      if (head_.simple) return Outcome::done;
      continue;
    }
    if (!line.empty() && (line.front() == ' ' || line.front() == '\t')) {
      pending_ += ' ';
      pending_ += trimmed(line);
      continue;
    }
    if (!commit(fields)) return Outcome::bad;
    if (line.empty()) return Outcome::done;
    pending_ = line;
  }
}

bool HttpHeadReader::startLine(std::string_view line) {
  if (head_.request) return requestLine(line);
  const bool http = startsWith(line, "HTTP/") || startsWith(line, "ICY ") || startsWith(line, "HTTP ");
  (void)nextWord(line);
  const auto status = decimalOf(nextWord(line));
  if (!http || !status || *status < 100 || *status > 999) return false;
  head_.status = static_cast<unsigned>(*status);
  return true;
}

bool HttpHeadReader::requestLine(std::string_view line) {
  head_.method = nextWord(line);
  if (!isToken(head_.method)) return false;
  // Names with blanks in them are seen in the targets of file sharing programs, so that the last word is the version.
  line = trimmed(line);
  const size_t version = line.rfind(' ');
  const std::string_view last = version == std::string_view::npos ? line : line.substr(version + 1);
  if (startsWith(last, "HTTP")) {
    line = version == std::string_view::npos ? std::string_view{} : trimmed(line.substr(0, version));
  } else {
    head_.simple = true;
    if (!same(head_.method, "GET")) return false;
  }
  head_.target = line;
  return !line.empty();
}

bool HttpHeadReader::commit(HttpFields& fields) {
  if (pending_.empty()) return true;
  std::string_view value = pending_;
  const std::string_view name = trimmed(nextWord(value, ':'));
  value = trimmed(value);
  if (same(name, "content-length")) {
    const auto length = decimalOf(value);
    // Two different lengths let two readers see different messages.
    if (!length || (head_.contentLength && *head_.contentLength != *length)) return false;
    head_.contentLength = length;
  } else if (same(name, "transfer-encoding")) {
    if (coded_) return false;
    coded_ = true;
    std::string_view codings = value;
    while (!codings.empty()) {
      const std::string_view coding = trimmed(nextWord(codings, ','));
      if (head_.chunked) return false;  // chunked is the last one
      if (same(coding, "chunked"))
        head_.chunked = true;
      else if (!same(coding, "identity"))
        addCoding(head_.transferCoding, coding);
    }
  } else if (same(name, "content-type")) {
    head_.contentType = value;
  } else if (same(name, "content-encoding")) {
    if (!same(value, "identity")) addCoding(head_.contentEncoding, value);
  } else if (same(name, "content-disposition")) {
    head_.disposition = value;
  } else if (same(name, "content-range")) {
    head_.contentRange = contentRangeOf(value);
  } else if (same(name, "range")) {
    head_.asksPart = true;
    head_.asksParts = head_.asksParts || value.find(',') != std::string_view::npos;
  } else if (same(name, "host")) {
    // Servers refuse a request with two of them, and what stands before the server may go by either.
    if (!head_.host.empty() && head_.host != value) return false;
    head_.host = value;
  } else if (same(name, "upgrade")) {
    head_.upgrade = value;
  }
  fields.field(name, value);
  pending_.clear();
  return true;
}

std::string pathOfTarget(std::string_view target) {
  const size_t scheme = target.find("://");
  if (scheme != std::string_view::npos && scheme < target.find_first_of("/?#")) {
    target.remove_prefix(scheme + 3);
    const size_t path = target.find('/');
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  return utf8Of(percentDecoded(target.substr(0, target.find_first_of("?#"))));
}

}  // namespace p2pxbone::gateway
