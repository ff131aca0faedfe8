#include "gateway/parsers/irc.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

// Tags may have 8191 bytes, the rest 512; servers are generous.
constexpr size_t kLineBytesMax = 16 * 1024;
constexpr size_t kArgumentsMax = 15;
constexpr char kCtcp = '\x01';

}  // namespace

bool IrcParser::step(Side side, ParserEvents& events) {
  std::string_view line;
  // Servers take a CR alone for the end of a line.
  const Reader::Got got = reader(side).line(line, kLineBytesMax, true);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong) {
    events.attribute("irc.skipped", "line too long");
    return true;
  }
  return line.empty() ? true : message(side, line, events);
}

bool IrcParser::resume(Side side, uint64_t, ParserEvents&) {
  reader(side).resync();
  return true;
}

bool IrcParser::message(Side side, std::string_view line, ParserEvents& events) {
  if (line.front() == '@') (void)nextWord(line);
  std::string_view from;
  if (!line.empty() && line.front() == ':') from = nextWord(line).substr(1);
  from = from.substr(0, from.find('!'));
  const std::string_view command = nextWord(line);
  std::vector<std::string_view> arguments;
  while (!line.empty() && arguments.size() < kArgumentsMax) {
    if (line.front() == ':') {
      arguments.push_back(line.substr(1));
      break;
    }
    arguments.push_back(nextWord(line));
  }
  const auto argument = [&](size_t i) { return i < arguments.size() ? arguments[i] : std::string_view{}; };
  const bool client = side == Side::initiator;

  if (same(command, "PRIVMSG")) {
    said(side, ChatMessage::Kind::text, from, argument(0), argument(1), events);
  } else if (same(command, "NOTICE")) {
    said(side, ChatMessage::Kind::notice, from, argument(0), argument(1), events);
  } else if (same(command, "TOPIC") && arguments.size() > 1) {
    said(side, ChatMessage::Kind::topic, from, argument(0), argument(1), events);
  } else if (same(command, "NICK") && (client || utf8Of(from) == nick_)) {
    nick_ = utf8Of(argument(0));
    events.attribute("irc.nick", nick_);
  } else if (same(command, "JOIN")) {
    if (client) events.attribute("irc.channel", utf8Of(argument(0)));
  } else if (command == "001") {
    nick_ = utf8Of(argument(0));
    events.attribute("irc.server", utf8Of(from));
  } else if (command == "670") {
    return handOver(Application::tls, "starttls", events);
  }
  return true;
}

void IrcParser::said(Side side, ChatMessage::Kind kind, std::string_view from, std::string_view to, std::string_view text,
                     ParserEvents& events) {
  if (!text.empty() && text.front() == kCtcp) {
    text.remove_prefix(1);
    text = text.substr(0, text.find(kCtcp));
    if (startsWith(text, "DCC ")) return dcc(side, text.substr(4), events);
    if (!startsWith(text, "ACTION")) return;
    text = text.substr(std::min<size_t>(text.size(), 7));
    kind = ChatMessage::Kind::action;
  }
  const std::string who = from.empty() && side == Side::initiator ? nick_ : utf8Of(from);
  events.chat(side, {kind, who, utf8Of(to), utf8Of(text)});
}

// SEND "name" address port size [token], CHAT chat address port
void IrcParser::dcc(Side side, std::string_view request, ParserEvents& events) {
  const std::string_view verb = nextWord(request);
  const bool send = same(verb, "SEND") || same(verb, "TSEND");
  if (!send && !same(verb, "CHAT")) return;
  std::string path;
  if (!request.empty() && request.front() == '"') {
    path = utf8Of(nextQuoted(request));
  } else {
    // Some programs do not quote names with blanks: address, port and size are the last words.
    size_t fields = send ? 3 : 2;
    size_t end = request.size();
    while (fields > 0 && end != std::string_view::npos && end > 0) {
      end = request.rfind(' ', end - 1);
      --fields;
    }
    if (end == std::string_view::npos) end = std::min(request.find(' '), request.size());
    path = utf8Of(request.substr(0, end));
    request.remove_prefix(end);
  }
  const std::string_view where = nextWord(request);
  const auto port = portOf(nextWord(request));
  const auto size = decimalOf(nextWord(request));
  const auto number = decimalOf(where);
  std::optional<Address> address = number ? std::nullopt : addressOf(where);
  if (number && *number <= UINT32_MAX) {
    std::array<uint8_t, 4> bytes{};
    for (size_t i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(*number >> (24 - 8 * i));
    address = mappedIpv4(bytes.data());
  }
  FlowHint hint;
  hint.kind = send ? FlowHint::Kind::file : FlowHint::Kind::chat;
  if (send) {
    hint.name = lastPathPart(path);
    hint.size = size;
    // The one that offers is connected to. A token behind the size says that it is the other way round.
    hint.sender = request.empty() ? Side::responder : Side::initiator;
    events.request(side, {FileOffer::Kind::offer, hint.name, path, size, {}});
  }
  if (address && port.value_or(0) != 0) events.learnPeer(*address, *port, Application::irc, hint);
}

bool DccChatParser::step(Side side, ParserEvents& events) {
  std::string_view line;
  const Reader::Got got = reader(side).line(line, kLineBytesMax, true);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong) events.attribute("irc.skipped", "line too long");
  if (got == Reader::Got::yes && !line.empty()) events.chat(side, {ChatMessage::Kind::text, {}, {}, utf8Of(line)});
  return true;
}

bool DccChatParser::resume(Side side, uint64_t, ParserEvents&) {
  reader(side).resync();
  return true;
}

}  // namespace p2pxbone::gateway
