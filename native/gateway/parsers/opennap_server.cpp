#include "gateway/parsers/opennap_server.h"

#include <functional>

#include "gateway/parsers/little_endian.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

// Types of messages; "to" and "from" are seen from the client.
constexpr uint16_t kLogin = 2;
constexpr uint16_t kLoginNew = 6;
constexpr uint16_t kShare = 100;
constexpr uint16_t kSearch = 200;
constexpr uint16_t kResult = 201;
constexpr uint16_t kDownload = 203;
constexpr uint16_t kDownloadFrom = 204;
constexpr uint16_t kPrivate = 205;
constexpr uint16_t kBrowsed = 212;
constexpr uint16_t kJoin = 400;
constexpr uint16_t kChannelTo = 402;
constexpr uint16_t kChannelFrom = 403;
constexpr uint16_t kTopic = 410;
constexpr uint16_t kDownloadPush = 500;
constexpr uint16_t kPushTo = 501;
constexpr uint16_t kUploadAsked = 607;
constexpr uint16_t kUploadAccepted = 608;
constexpr uint16_t kOperators = 627;
constexpr uint16_t kEverybody = 628;
constexpr uint16_t kEmote = 824;

uint64_t fileKey(std::string_view path) { return std::hash<std::string_view>{}(path) | 1; }

}  // namespace

bool OpenNapServer::step(Side side, ParserEvents& events) {
  std::optional<Frame>& frame = frames_[indexOf(side)];
  std::span<const uint8_t> bytes;
  if (!frame) {
    if (reader(side).exactly(4, bytes) != Reader::Got::yes) return false;
    frame = Frame{loadLe16(&bytes[0]), loadLe16(&bytes[2])};
  }
  if (reader(side).exactly(frame->length, bytes) != Reader::Got::yes) return false;
  const uint16_t type = frame->type;
  frame.reset();
  message(side, type, textOf(bytes), events);
  return true;
}

bool OpenNapServer::resume(Side side, uint64_t bytes, ParserEvents&) {
  std::optional<Frame>& frame = frames_[indexOf(side)];
  if (!frame || bytes > frame->length) return false;
  reader(side).discard(frame->length - bytes);
  frame.reset();
  return true;
}

void OpenNapServer::message(Side side, uint16_t type, std::string_view text, ParserEvents& events) {
  if (chatMessage(side, type, text, events)) return;
  switch (type) {
    case kLogin:
    case kLoginNew: {
      nick_ = utf8Of(nextWord(text));
      (void)nextWord(text);  // the password
      (void)nextWord(text);  // the port
      events.attribute("opennap.nick", nick_);
      events.attribute("opennap.client", utf8Of(nextQuoted(text)));
      break;
    }
    case kShare:
      listed(side, text, true, events);
      break;
    case kBrowsed:
      (void)nextWord(text);
      listed(side, text, false, events);
      break;
    case kResult:
      listed(side, text, false, events);
      break;
    case kSearch:
      events.attribute("opennap.search", utf8Of(text));
      break;
    case kJoin:
      events.attribute("opennap.channel", utf8Of(text));
      break;
    case kDownload:
    case kDownloadPush:
    case kUploadAsked:
      wanted(side, text, FileOffer::Kind::request, events);
      break;
    case kUploadAccepted:
      wanted(side, text, FileOffer::Kind::offer, events);
      break;
    case kDownloadFrom:
    case kPushTo:
      peerOf(text, events);
      break;
    default:
      break;
  }
}

bool OpenNapServer::chatMessage(Side side, uint16_t type, std::string_view text, ParserEvents& events) {
  const bool client = side == Side::initiator;
  std::string from = client ? nick_ : std::string{};
  std::string to;
  ChatMessage::Kind kind = ChatMessage::Kind::text;
  if (type == kPrivate) {
    const std::string who = utf8Of(nextWord(text));
    (client ? to : from) = who;
    if (!client) to = nick_;
  } else if (type == kChannelTo || type == kChannelFrom || type == kEmote || type == kTopic) {
    to = utf8Of(nextWord(text));
    const bool named = type == kChannelFrom || (type == kEmote && !client);
    if (named) from = utf8Of(nextWord(text));
    if (type == kEmote) {
      kind = ChatMessage::Kind::action;
      if (text.size() >= 2 && text.front() == '"' && text.back() == '"') text = text.substr(1, text.size() - 2);
    }
    if (type == kTopic) kind = ChatMessage::Kind::topic;
  } else if (type == kOperators || type == kEverybody) {
    if (!client) from = utf8Of(nextWord(text));
    kind = ChatMessage::Kind::notice;
  } else {
    return false;
  }
  events.chat(side, {kind, from, to, utf8Of(text)});
  return true;
}

// "path" md5 size …
void OpenNapServer::listed(Side side, std::string_view text, bool share, ParserEvents& events) {
  const std::string path = utf8Of(nextQuoted(text));
  std::string_view md5 = nextWord(text);
  md5 = nextWord(md5, '-');
  const auto size = decimalOf(nextWord(text));
  // Servers that cannot vouch for it send zeros.
  const bool known = md5.find_first_not_of('0') != std::string_view::npos;
  events.request(side, {share ? FileOffer::Kind::offer : FileOffer::Kind::listed, lastPathPart(path), path, size,
                        known ? "md5:" + utf8Of(md5) : std::string{}});
  const uint64_t key = fileKey(path);
  if (size && !share) found_[key / 2 % kSizesKept] = {key, *size};
}

// nick "file"
void OpenNapServer::wanted(Side side, std::string_view text, FileOffer::Kind kind, ParserEvents& events) {
  (void)nextWord(text);
  const std::string path = utf8Of(nextQuoted(text));
  events.request(side, {kind, lastPathPart(path), path, sizeOf(path), {}});
}

// nick address port "file" …, the address as a number whose lowest byte comes first
void OpenNapServer::peerOf(std::string_view text, ParserEvents& events) {
  (void)nextWord(text);
  const auto number = decimalOf(nextWord(text));
  const auto port = portOf(nextWord(text));
  const std::string path = utf8Of(nextQuoted(text));
  if (!number || *number > UINT32_MAX || port.value_or(0) == 0) return;
  std::array<uint8_t, 4> bytes{};
  for (size_t i = 0; i < 4; ++i) bytes[i] = static_cast<uint8_t>(*number >> (8 * i));
  FlowHint hint;
  hint.kind = FlowHint::Kind::file;
  hint.name = lastPathPart(path);
  hint.size = sizeOf(path);
  events.learnPeer(mappedIpv4(bytes.data()), *port, Application::opennap, hint);
}

std::optional<uint64_t> OpenNapServer::sizeOf(std::string_view path) const {
  const uint64_t key = fileKey(path);
  const FoundSize& found = found_[key / 2 % kSizesKept];
  return found.file == key ? std::optional{found.size} : std::nullopt;
}

}  // namespace p2pxbone::gateway
