#include "gateway/parsers/sip.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 4096;
constexpr size_t kMediaMax = 16;

// Fields have one-letter forms.
bool isField(std::string_view name, std::string_view full, std::string_view brief) {
  return same(name, full) || (!brief.empty() && same(name, brief));
}

// "Ann" <sip:ann@e.org>;tag=1
std::string_view addressIn(std::string_view value) {
  const size_t open = value.find('<');
  if (open == std::string_view::npos) return trimmed(value.substr(0, value.find(';')));
  return value.substr(open + 1, value.find('>', open) - open - 1);
}

// Connections and ports of a session description, as flows to expect.
void learnMedia(std::string_view description, ParserEvents& events) {
  std::optional<Address> session;
  std::optional<Address> media;
  std::optional<uint16_t> port;
  bool inMedia = false;
  size_t count = 0;
  const auto learn = [&] {
    const auto& address = media ? media : session;
    if (inMedia && address && port.value_or(0) != 0 && count++ < kMediaMax)
      events.learnPeer(*address, *port, Application::rtp, {});
  };
  while (!description.empty()) {
    std::string_view line = trimmed(nextWord(description, '\n'));
    if (line.starts_with("c=")) {
      (void)nextWord(line);
      (void)nextWord(line);
      (inMedia ? media : session) = addressOf(trimmed(nextWord(line, '/')));
    } else if (line.starts_with("m=")) {
      learn();
      inMedia = true;
      media.reset();
      (void)nextWord(line);
      std::string_view ports = nextWord(line);
      port = portOf(nextWord(ports, '/'));
    }
  }
  learn();
}

}  // namespace

bool SipParser::step(Side side, ParserEvents& events) {
  Message& message = messages_[indexOf(side)];
  if (message.whole) {
    std::span<const uint8_t> bytes;
    const uint64_t length = message.length.value_or(0);
    if (length > kParserBytesMax) {
      events.attribute("sip.skipped", std::to_string(length));
      reader(side).discard(length);
    } else {
      if (reader(side).exactly(static_cast<size_t>(length), bytes) != Reader::Got::yes) return false;
      body(side, message, textOf(bytes), events);
    }
    message = {};
    return true;
  }
  std::string_view line;
  const Reader::Got got = reader(side).line(line, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong || !headLine(message, line, events)) return giveUp(events);
  return true;
}

void SipParser::datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  Message message;
  std::string_view rest = textOf(bytes);
  while (!message.whole && !rest.empty()) {
    std::string_view line = nextWord(rest, '\n');
    if (line.ends_with('\r')) line.remove_suffix(1);
    // Other things travel between the same ports.
    if (!headLine(message, line, events)) return;
  }
  if (message.whole) body(side, message, rest.substr(0, message.length.value_or(rest.size())), events);
}

bool SipParser::headLine(Message& message, std::string_view line, ParserEvents& events) {
  message.headBytes += line.size() + 2;
  if (message.headBytes > kParserBytesMax) return false;
  if (!message.started) {
    if (line.empty()) return true;
    message.started = true;
    return startLine(message, line, events);
  }
  if (line.empty())
    message.whole = true;
  else
    field(message, line, events);
  return true;
}

bool SipParser::startLine(Message& message, std::string_view line, ParserEvents& events) {
  const std::string_view first = nextWord(line);
  if (same(first, "SIP/2.0")) {
    events.attribute("sip.status", utf8Of(nextWord(line)));
    return true;
  }
  const std::string_view target = nextWord(line);
  if (!startsWith(line, "SIP/2.0")) return false;
  message.method = first;
  events.attribute("sip.method", utf8Of(first));
  events.attribute("sip.target", utf8Of(target));
  return true;
}

void SipParser::field(Message& message, std::string_view line, ParserEvents& events) {
  std::string_view value = line;
  const std::string_view name = trimmed(nextWord(value, ':'));
  value = trimmed(value);
  if (isField(name, "From", "f")) {
    message.from = utf8Of(addressIn(value));
    events.attribute("sip.from", message.from);
  } else if (isField(name, "To", "t")) {
    message.to = utf8Of(addressIn(value));
    events.attribute("sip.to", message.to);
  } else if (isField(name, "Call-ID", "i")) {
    events.attribute("sip.call_id", utf8Of(value));
  } else if (same(name, "User-Agent") || same(name, "Server")) {
    events.attribute("sip.user_agent", utf8Of(value));
  } else if (isField(name, "Content-Type", "c")) {
    message.contentType = value;
  } else if (isField(name, "Content-Length", "l")) {
    message.length = decimalOf(value);
  }
}

void SipParser::body(Side side, const Message& message, std::string_view text, ParserEvents& events) {
  if (startsWith(message.contentType, "application/sdp")) learnMedia(text, events);
  if (message.method == "MESSAGE" && startsWith(message.contentType, "text/") && !text.empty())
    events.chat(side, {ChatMessage::Kind::text, message.from, message.to, utf8Of(text)});
}

}  // namespace p2pxbone::gateway
