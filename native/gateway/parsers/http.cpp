#include "gateway/parsers/http.h"

#include <utility>

#include "gateway/parsers/disposition.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kAskedMax = 256;
constexpr size_t kAskedBytesMax = 32 * 1024;
// Names of hosts have 253 at most.
constexpr size_t kHostBytesMax = 255;

constexpr std::array<std::string_view, 8> kToldFields{"user-agent",   "referer", "server", "content-encoding",
                                                      "content-type", "range",   "via",    "x-forwarded-for"};

bool isForm(std::string_view contentType) { return startsWith(contentType, "application/x-www-form-urlencoded"); }

// Empty unless it is in the absolute or the authority form.
std::string_view hostOfTarget(const HttpHead& request) {
  std::string_view target = request.target;
  const size_t scheme = target.find("://");
  const bool absolute = scheme != std::string_view::npos && scheme < target.find_first_of("/?#");
  if (!absolute && request.method != "CONNECT") return {};
  if (absolute) target.remove_prefix(scheme + 3);
  target = target.substr(0, target.find_first_of("/?#"));
  return target.substr(target.rfind('@') + 1);
}

std::string nameWithFallback(std::string_view disposition, const std::string& fallback) {
  const Disposition said = dispositionOf(disposition);
  return said.name.empty() ? fallback : std::string{lastPathPart(said.name)};
}

}  // namespace

// Parts of a body that are files, as transfers of their own.
class HttpParser::PartTransfers final : public PartSink {
 public:
  PartTransfers(HttpParser& parser, Side side, ParserEvents& events) : parser_(parser), side_(side), events_(events) {}

  void partBegins(const PartHead& head) override {
    const Disposition said = dispositionOf(head.disposition);
    const bool upload = side_ == parser_.client_;
    // A form's ordinary field is no file.
    if (upload && !head.disposition.empty() && !said.hasName) return;
    const Wanted& wanted = parser_.direction(side_).wanted;
    const std::string_view name = said.name.empty() ? std::string_view{wanted.name} : lastPathPart(said.name);
    if (upload) events_.request(side_, {FileOffer::Kind::offer, name, said.name, std::nullopt, {}});
    Transfer transfer;
    transfer.name = name;
    const std::string type = utf8Of(head.contentType);
    transfer.contentType = type;
    transfer.hash = wanted.hash;
    if (head.range && wanted.parts) {
      transfer.offset = head.range->first;
      transfer.fileSize = head.range->total;
      transfer.mayExceed = true;
    }
    parser_.beginTransfer(side_, transfer, events_);
  }
  void partData(std::span<const uint8_t> bytes) override { parser_.passData(side_, bytes, events_); }
  void partEnds(bool complete) override { parser_.endTransfer(side_, complete, events_); }

 private:
  HttpParser& parser_;
  Side side_;
  ParserEvents& events_;
};

class HttpParser::FieldTeller final : public HttpFields {
 public:
  FieldTeller(HttpParser& parser, Side side, ParserEvents& events) : parser_(parser), side_(side), events_(events) {}

  void field(std::string_view name, std::string_view value) override {
    for (const std::string_view told : kToldFields) {
      if (!same(name, told)) continue;
      std::string spelled{told};
      for (char& c : spelled)
        if (c == '-') c = '_';
      parser_.tell(spelled, value, events_);
    }
    parser_.extraField(side_, name, value, parser_.direction(side_).extra, events_);
  }

 private:
  HttpParser& parser_;
  Side side_;
  ParserEvents& events_;
};

HttpParser::Wanted HttpParser::wantedOf(const HttpHead& request) const {
  Wanted wanted;
  wanted.path = pathOfTarget(request.target);
  wanted.name = lastPathPart(wanted.path);
  return wanted;
}

void HttpParser::tell(std::string_view name, std::string_view value, ParserEvents& events) const {
  std::string full{attributePrefix()};
  full += '.';
  full += name;
  events.attribute(full, utf8Of(value));
}

bool HttpParser::step(Side side, ParserEvents& events) {
  return direction(side).inBody ? bodyStep(side, events) : headStep(side, events);
}

bool HttpParser::headStep(Side side, ParserEvents& events) {
  const bool request = side == client_;
  if ((request && connecting_) || reader(side).empty()) return false;
  Direction& way = direction(side);
  if (!request && !asked_.empty() && asked_.front().simple) {
    Wanted wanted = takeAsked().wanted;
    beginBody(side, HttpBody{HttpBody::Kind::untilClose}, std::move(wanted), {}, events);
    return true;
  }
  FieldTeller teller{*this, side, events};
  if (way.head.head().request != request) way.head = HttpHeadReader{request};
  switch (way.head.read(reader(side), teller)) {
    case HttpHeadReader::Outcome::wait:
      return false;
    case HttpHeadReader::Outcome::bad:
      return giveUp(events);
    case HttpHeadReader::Outcome::done:
      break;
  }
  const HttpHeadReader done = std::exchange(way.head, HttpHeadReader{request});
  const bool goesOn = request ? requestHead(done.head(), events) : answerHead(done.head(), events);
  way.extra = {};
  return goesOn;
}

// A proxy, or a server that is asked like one, is to go by the target (RFC 9112 §3.2.2), and some go by the field.
std::string HttpParser::tellHosts(const HttpHead& request, ParserEvents& events) {
  const std::string_view target = hostOfTarget(request);
  if (!request.host.empty() && request.host != target) tell("host", request.host, events);
  if (!target.empty()) tell("host", target, events);
  const std::string_view last = target.empty() ? std::string_view{request.host} : target;
  hostTold_ = last.substr(0, kHostBytesMax);
  return hostTold_;
}

bool HttpParser::requestHead(const HttpHead& head, ParserEvents& events) {
  Asked asked;
  asked.simple = head.simple;
  asked.bodiless = head.method == "HEAD";
  asked.connect = head.method == "CONNECT";
  asked.wanted = wantedOf(head);
  if (asked.wanted.hash.empty()) asked.wanted.hash = direction(client_).extra.hash;
  tell("method", head.method, events);
  tell("url", head.target, events);
  asked.host = tellHosts(head, events);
  const Wanted& wanted = asked.wanted;
  const bool asks = head.method == "GET" || head.method == "HEAD";
  const bool gives = head.method == "PUT";
  if ((asks || gives) && (!wanted.name.empty() || !wanted.hash.empty()))
    events.request(client_, {gives ? FileOffer::Kind::offer : FileOffer::Kind::request, wanted.name, wanted.path,
                             gives ? head.contentLength : std::nullopt, wanted.hash});
  if (asked_.size() >= kAskedMax) return giveUp(events);
  connecting_ = asked.connect;
  // A coding other than chunked hides where the request ends.
  if (!head.transferCoding.empty() && !head.chunked) return giveUp(events);
  const HttpBody body = head.chunked                           ? HttpBody{HttpBody::Kind::chunked}
                        : head.contentLength.value_or(0) > 0 ? HttpBody{HttpBody::Kind::length, *head.contentLength}
                                                               : HttpBody{};
  Wanted upload = wanted;
  asked.wanted.part = head.asksPart;
  asked.wanted.parts = head.asksParts;
  const size_t bytes = wanted.name.size() + wanted.hash.size() + asked.host.size();
  if (askedBytes_ + bytes > kAskedBytesMax) {
    // So many unanswered requests that names are not kept any more.
    asked.wanted = {};
    asked.host.clear();
  } else {
    askedBytes_ += bytes;
  }
  release(asked.wanted.path);
  asked_.push_back(std::move(asked));
  if (body.kind() != HttpBody::Kind::none) beginBody(client_, body, std::move(upload), head, events);
  return true;
}

HttpParser::Asked HttpParser::takeAsked() {
  if (asked_.empty()) return {};
  Asked asked = std::move(asked_.front());
  asked_.pop_front();
  askedBytes_ -= std::min(askedBytes_, asked.wanted.name.size() + asked.wanted.hash.size() + asked.host.size());
  return asked;
}

bool HttpParser::answerHead(const HttpHead& head, ParserEvents& events) {
  const Side server = other(client_);
  tell("status", std::to_string(head.status), events);
  if (head.status == 101) return handOver(Application::unknown, head.upgrade.empty() ? "upgrade" : utf8Of(head.upgrade), events);
  if (head.status < 200) return true;
  Asked asked = takeAsked();
  if (asked.connect && head.status < 300) return handOver(Application::unknown, "connect", events);
  if (asked.connect) {
    // What the client sent in the meantime was HTTP after all.
    connecting_ = false;
    readOn(client_, events);
    if (finished()) return false;
  }
  if (asked.bodiless || head.status == 204 || head.status == 304) return true;
  const bool known = head.contentLength && head.transferCoding.empty();
  const HttpBody body = head.chunked ? HttpBody{HttpBody::Kind::chunked}
                        : known      ? HttpBody{HttpBody::Kind::length, *head.contentLength}
                                     : HttpBody{HttpBody::Kind::untilClose};
  if (known && !head.chunked && *head.contentLength == 0) return true;
  // Requests for other hosts may have come since.
  if (!asked.host.empty() && asked.host != hostTold_) {
    hostTold_ = asked.host;
    tell("host", hostTold_, events);
  }
  const std::string& hash = direction(server).extra.hash;
  if (!hash.empty()) asked.wanted.hash = hash;
  const std::string& name = direction(server).extra.name;
  if (!name.empty()) asked.wanted.name = name;
  beginBody(server, body, std::move(asked.wanted), head, events);
  return true;
}

void HttpParser::beginBody(Side side, HttpBody body, Wanted wanted, const HttpHead& head, ParserEvents& events) {
  Direction& way = direction(side);
  way.body = body;
  way.inBody = true;
  way.wanted = std::move(wanted);
  if (!mayBePart(head.status)) way.wanted.part = way.wanted.parts = false;
  way.parts.reset();
  // What is put is kept as it comes, whatever it looks like.
  const bool posted = side == client_ && head.method == "POST";
  if (posted && isForm(head.contentType)) return;
  std::string coding = head.contentEncoding;
  if (!head.transferCoding.empty()) coding += (coding.empty() ? "" : ", ") + head.transferCoding;
  const std::string_view parts = posted ? "multipart/" : "multipart/byteranges";
  const bool inParts = (posted || way.wanted.parts) && startsWith(head.contentType, parts) && coding.empty();
  const std::string boundary = inParts ? parameterOf(head.contentType, "boundary") : std::string{};
  if (!boundary.empty()) {
    way.parts = std::make_unique<Multipart>(boundary);
    return;
  }
  const std::string name = nameWithFallback(head.disposition, way.wanted.name);
  Transfer transfer;
  transfer.name = name;
  if (body.kind() == HttpBody::Kind::length) transfer.size = head.contentLength;
  transfer.fileSize = transfer.size;
  const std::string type = utf8Of(head.contentType);
  coding = utf8Of(coding);
  transfer.contentType = type;
  transfer.contentEncoding = coding;
  transfer.hash = way.wanted.hash;
  if (way.wanted.part && head.contentRange) {
    transfer.offset = head.contentRange->first;
    transfer.fileSize = head.contentRange->total;
    const uint64_t total = transfer.fileSize.value_or(UINT64_MAX);
    transfer.mayExceed = !transfer.size || transfer.offset > total || *transfer.size > total - transfer.offset;
  }
  beginTransfer(side, transfer, events);
}

bool HttpParser::bodyStep(Side side, ParserEvents& events) {
  Direction& way = direction(side);
  std::span<const uint8_t> bytes;
  switch (way.body.next(reader(side), bytes)) {
    case HttpBody::Outcome::wait:
      return false;
    case HttpBody::Outcome::bad:
      return giveUp(events);
    case HttpBody::Outcome::done:
      endBody(side, true, events);
      return true;
    case HttpBody::Outcome::data:
      break;
  }
  if (side != client_) answerData(bytes);
  if (way.parts) {
    PartTransfers transfers{*this, side, events};
    way.parts->data(bytes, transfers);
  } else {
    passData(side, bytes, events);
  }
  return true;
}

void HttpParser::endBody(Side side, bool complete, ParserEvents& events) {
  Direction& way = direction(side);
  if (way.parts) {
    PartTransfers transfers{*this, side, events};
    way.parts->end(transfers);
    way.parts.reset();
  }
  endTransfer(side, complete, events);
  way.inBody = false;
  if (side != client_) answerEnds(complete, events);
}

bool HttpParser::resume(Side side, uint64_t bytes, ParserEvents& events) {
  Direction& way = direction(side);
  if (!way.inBody || !way.body.skip(bytes)) return false;
  if (way.parts) {
    PartTransfers transfers{*this, side, events};
    way.parts->lost(transfers);
  } else {
    endTransfer(side, false, events);
  }
  return true;
}

void HttpParser::closed(Side side, ParserEvents& events) {
  Direction& way = direction(side);
  if (way.inBody) endBody(side, way.body.kind() == HttpBody::Kind::untilClose, events);
}

}  // namespace p2pxbone::gateway
