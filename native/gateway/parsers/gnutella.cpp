#include "gateway/parsers/gnutella.h"

#include <algorithm>

#include "gateway/parsers/gnutella_http.h"
#include "gateway/parsers/little_endian.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr size_t kTriedPeersMax = 32;
constexpr size_t kHeaderBytes = 23;
// A message whose length is beyond all use shows that this is no message.
constexpr uint32_t kPayloadBytesMax = 1 << 20;

constexpr uint8_t kPong = 0x01;
constexpr uint8_t kPush = 0x40;
constexpr uint8_t kQuery = 0x80;
constexpr uint8_t kHit = 0x81;

// Cuts a text off that ends with a zero; all of it if there is none.
std::string_view nextString(std::span<const uint8_t>& bytes) {
  const auto at = std::find(bytes.begin(), bytes.end(), uint8_t{0});
  const auto length = static_cast<size_t>(at - bytes.begin());
  const std::string_view text = textOf(bytes.first(length));
  bytes = bytes.subspan(std::min(length + 1, bytes.size()));
  return text;
}

void learnEndpoint(std::string_view text, ParserEvents& events) {
  text = trimmed(text);
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return;
  const auto address = addressOf(text.substr(0, colon));
  const auto port = portOf(nextWord(text = text.substr(colon + 1)));
  if (address && port.value_or(0) != 0) events.learnPeer(*address, *port, Application::gnutella, {});
}

}  // namespace

bool GnutellaParser::step(Side side, ParserEvents& events) {
  switch (directions_[indexOf(side)].phase) {
    case Phase::first:
      return first(side, events);
    case Phase::handshake:
      return handshake(side, events);
    case Phase::messages:
      return message(side, events);
  }
  return false;
}

bool GnutellaParser::first(Side side, ParserEvents& events) {
  std::span<const uint8_t> begin;
  if (reader(side).peek(4, begin) != Reader::Got::yes) return false;
  const std::string_view text = textOf(begin);
  if (text == "GNUT") {
    directions_[indexOf(side)].phase = Phase::handshake;
    return true;
  }
  if (text != "GIV ")
    return delegate(std::make_unique<GnutellaHttp>(text == "HTTP" ? other(side) : side), side, events);
  std::string_view line;
  const Reader::Got got = reader(side).line(line, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  return got == Reader::Got::yes ? give(side, line, events) : giveUp(events);
}

// The side that was asked to push says which file it can give; the other then asks for it.
bool GnutellaParser::give(Side side, std::string_view line, ParserEvents& events) {
  const size_t slash = line.find('/');
  if (slash == std::string_view::npos) return giveUp(events);
  const std::string path = utf8Of(percentDecoded(line.substr(slash + 1)));
  events.request(side, {FileOffer::Kind::offer, lastPathPart(path), path, std::nullopt, {}});
  return delegate(std::make_unique<GnutellaHttp>(other(side)), side, events);
}

bool GnutellaParser::handshake(Side side, ParserEvents& events) {
  Direction& way = directions_[indexOf(side)];
  std::string_view line;
  const Reader::Got got = reader(side).line(line, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong) return giveUp(events);
  const bool starts = way.headBytes == 0;
  way.headBytes += line.size() + 2;
  if (way.headBytes > kParserBytesMax) return giveUp(events);
  if (starts) return blockStarts(side, line, events);
  return line.empty() ? blockEnds(side, events) : field(side, line, events);
}

bool GnutellaParser::blockStarts(Side side, std::string_view line, ParserEvents& events) {
  Direction& way = directions_[indexOf(side)];
  if (!startsWith(line, "GNUTELLA")) return giveUp(events);
  const bool connects = startsWith(line, "GNUTELLA CONNECT/");
  if (connects) events.attribute("gnutella.version", utf8Of(line.substr(17)));
  const bool old = startsWith(line, "GNUTELLA CONNECT/0.4") || startsWith(line, "GNUTELLA OK");
  std::string_view rest = line;
  (void)nextWord(rest);
  const std::string_view status = nextWord(rest);
  way.accepts = old || status == "200";
  if (!connects && !old) events.attribute("gnutella.status", utf8Of(status));
  // A refusal ends it.
  if (!connects && !way.accepts) return finish(events);
  return true;
}

bool GnutellaParser::blockEnds(Side side, ParserEvents& events) {
  Direction& way = directions_[indexOf(side)];
  way.headBytes = 0;
  if (!way.accepts) return true;
  if (way.deflated) {
    // Its searches and hits cannot be read.
    events.attribute("gnutella.encoding", "deflate");
    reader(side).discard(UINT64_MAX);
  }
  way.phase = Phase::messages;
  return true;
}

bool GnutellaParser::field(Side side, std::string_view line, ParserEvents& events) {
  std::string_view value = line;
  const std::string_view name = trimmed(nextWord(value, ':'));
  value = trimmed(value);
  if (same(name, "user-agent")) events.attribute("gnutella.user_agent", utf8Of(value));
  if (same(name, "content-encoding") && findSame(value, "deflate") != std::string_view::npos)
    directions_[indexOf(side)].deflated = true;
  if (same(name, "listen-ip") || same(name, "x-my-address") || same(name, "node")) learnEndpoint(value, events);
  if (same(name, "x-try") || same(name, "x-try-ultrapeers"))
    for (size_t i = 0; i < kTriedPeersMax && !value.empty(); ++i) learnEndpoint(nextWord(value, ','), events);
  return true;
}

bool GnutellaParser::message(Side side, ParserEvents& events) {
  std::span<const uint8_t> bytes;
  if (reader(side).peek(kHeaderBytes, bytes) != Reader::Got::yes) return false;
  const uint8_t type = bytes[16];
  const uint32_t length = loadLe32(&bytes[19]);
  if (length > kPayloadBytesMax) return giveUp(events);
  const bool read = type == kPong || type == kPush || type == kQuery || type == kHit;
  if (!read || kHeaderBytes + length > kParserBytesMax) {
    if (read) events.attribute("gnutella.skipped", std::to_string(length));
    reader(side).discard(kHeaderBytes + uint64_t{length});
    return true;
  }
  if (reader(side).exactly(kHeaderBytes + length, bytes) != Reader::Got::yes) return false;
  payload(side, type, bytes.subspan(kHeaderBytes), events);
  return true;
}

void GnutellaParser::payload(Side side, uint8_t type, std::span<const uint8_t> bytes, ParserEvents& events) {
  const auto learn = [&](size_t portAt, size_t addressAt) {
    if (bytes.size() < std::max(portAt + 2, addressAt + 4)) return;
    const uint16_t port = loadLe16(&bytes[portAt]);
    if (port != 0) events.learnPeer(mappedIpv4(&bytes[addressAt]), port, Application::gnutella, {});
  };
  if (type == kPong) {
    learn(0, 2);
  } else if (type == kPush) {
    learn(24, 20);
  } else if (type == kQuery && bytes.size() > 2) {
    std::span<const uint8_t> rest = bytes.subspan(2);
    const std::string_view words = nextString(rest);
    if (!words.empty()) events.attribute("gnutella.search", utf8Of(words));
    const std::string_view extension = nextString(rest);
    if (startsWith(extension, "urn:sha1:"))
      events.request(side, {FileOffer::Kind::request, {}, {}, std::nullopt, utf8Of(extension)});
  } else if (type == kHit) {
    learn(1, 3);
    hits(side, bytes, events);
  }
}

void GnutellaParser::hits(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  constexpr size_t kResultsAt = 11;
  if (bytes.size() <= kResultsAt) return;
  size_t count = bytes[0];
  for (bytes = bytes.subspan(kResultsAt); count > 0 && bytes.size() > 8; --count) {
    const uint32_t size = loadLe32(&bytes[4]);
    bytes = bytes.subspan(8);
    const std::string path = utf8Of(nextString(bytes));
    const std::string_view extension = nextString(bytes);
    const size_t urn = findSame(extension, "urn:");
    const std::string_view hash =
        urn == std::string_view::npos ? std::string_view{} : extension.substr(urn, extension.find('\x1c', urn) - urn);
    events.request(side, {FileOffer::Kind::listed, lastPathPart(path), path, size, utf8Of(hash)});
  }
}

}  // namespace p2pxbone::gateway
