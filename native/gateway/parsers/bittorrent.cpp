#include "gateway/parsers/bittorrent.h"

#include "core/bytes.h"
#include "gateway/parsers/bittorrent_peers.h"
#include "gateway/parsers/bittorrent_tracker.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr std::string_view kProtocol{"\x13"
                                     "BitTorrent protocol"};
constexpr size_t kHandshakeBytes = 68;
constexpr size_t kHashAt = 28;
constexpr size_t kPeerIdAt = 48;
// A piece of 16 KB with its header, or a bit field of a very large torrent.
constexpr uint32_t kMessageBytesMax = 4 << 20;
constexpr uint8_t kPort = 9;
constexpr uint8_t kExtended = 20;
constexpr size_t kFilesMax = 256;
constexpr size_t kPathBytesMax = 4096;

constexpr uint64_t kTrackerMagic = 0x41727101980;

}  // namespace

bool BitTorrentParser::step(Side side, ParserEvents& events) {
  return directions_[indexOf(side)].shookHands ? message(side, events) : handshake(side, events);
}

bool BitTorrentParser::handshake(Side side, ParserEvents& events) {
  std::span<const uint8_t> bytes;
  if (reader(side).peek(4, bytes) != Reader::Got::yes) return false;
  const std::string_view begin = textOf(bytes);
  if (begin == "GET " || begin == "HTTP")
    return delegate(std::make_unique<BitTorrentTracker>(begin == "HTTP" ? other(side) : side), side, events);
  if (begin != kProtocol.substr(0, 4)) {
    events.attribute("bittorrent.link", "encrypted");
    return finish(events);
  }
  if (reader(side).exactly(kHandshakeBytes, bytes) != Reader::Got::yes) return false;
  const std::string_view text = textOf(bytes);
  if (!text.starts_with(kProtocol)) return giveUp(events);
  directions_[indexOf(side)].shookHands = true;
  const std::string torrent = torrentHash(text.substr(kHashAt, 20));
  if (torrent_.empty()) {
    torrent_ = torrent;
    events.request(side, {FileOffer::Kind::request, {}, {}, std::nullopt, torrent_});
  }
  // "-LT1220-" and random bytes
  events.attribute("bittorrent.peer", utf8Of(text.substr(kPeerIdAt, 8)));
  return true;
}

bool BitTorrentParser::message(Side side, ParserEvents& events) {
  std::span<const uint8_t> bytes;
  if (reader(side).peek(4, bytes) != Reader::Got::yes) return false;
  const uint32_t length = loadBe32(bytes.data());
  if (length > kMessageBytesMax) return giveUp(events);
  if (length == 0) {
    reader(side).discard(4);
    return true;
  }
  if (reader(side).peek(5, bytes) != Reader::Got::yes) return false;
  const uint8_t type = bytes[4];
  if ((type != kPort && type != kExtended) || 4 + length > kParserBytesMax) {
    reader(side).discard(4 + uint64_t{length});
    return true;
  }
  if (reader(side).exactly(4 + length, bytes) != Reader::Got::yes) return false;
  const std::string_view payload = textOf(bytes).substr(5);
  const Address& address = addresses_[indexOf(side)];
  if (type == kPort && payload.size() >= 2 && address != Address{}) {
    const uint16_t port = loadBe16(bytesOf(payload).data());
    if (port != 0) events.learnPeer(address, port, Application::bittorrent, {});
  }
  if (type == kExtended && !payload.empty()) extended(side, payload, events);
  return true;
}

void BitTorrentParser::extended(Side side, std::string_view payload, ParserEvents& events) {
  const auto number = static_cast<uint8_t>(payload.front());
  payload.remove_prefix(1);
  if (number == 0) return extendedHandshake(side, payload, events);
  // A message has the number that its receiver asked for.
  const Direction& receiver = directions_[indexOf(other(side))];
  if (number == receiver.metadataNumber) metadataPiece(side, payload, events);
  if (number != receiver.peersNumber) return;
  const Bencoded message{payload};
  if (const auto rows = message.stringAt("added")) learnCompactPeers(*rows, 6, false, events);
  if (const auto rows = message.stringAt("added6")) learnCompactPeers(*rows, 18, true, events);
}

void BitTorrentParser::extendedHandshake(Side side, std::string_view payload, ParserEvents& events) {
  const Bencoded message{payload};
  Direction& way = directions_[indexOf(side)];
  const Bencoded numbers = message.get("m").value_or(Bencoded{});
  way.metadataNumber = static_cast<uint8_t>(numbers.numberAt("ut_metadata").value_or(0));
  way.peersNumber = static_cast<uint8_t>(numbers.numberAt("ut_pex").value_or(0));
  if (const auto version = message.stringAt("v")) events.attribute("bittorrent.client", utf8Of(*version));
  const uint64_t port = message.numberAt("p").value_or(0);
  const Address& address = addresses_[indexOf(side)];
  if (port != 0 && port <= UINT16_MAX && address != Address{})
    events.learnPeer(address, static_cast<uint16_t>(port), Application::bittorrent, {});
}

// A dictionary that says which piece, and the piece behind it.
void BitTorrentParser::metadataPiece(Side side, std::string_view payload, ParserEvents& events) {
  Direction& way = directions_[indexOf(side)];
  const size_t headBytes = Bencoded::sizeOf(payload);
  const Bencoded head{payload.substr(0, headBytes)};
  const auto piece = head.numberAt("piece");
  if (headBytes == 0 || head.numberAt("msg_type") != 1u || !piece || way.named) return;
  const std::string_view bytes = payload.substr(headBytes);
  if (*piece == 0) way.metadata.clear();
  // Pieces have 16 KB; one out of order leaves a hole behind which nothing is read.
  if (*piece != way.metadata.size() / (16 * 1024) || way.metadata.size() + bytes.size() > kParserBytesMax) return;
  way.metadata += bytes;
  tellName(side, events);
}

void BitTorrentParser::tellName(Side side, ParserEvents& events) {
  Direction& way = directions_[indexOf(side)];
  const Bencoded info{way.metadata};
  const auto name = info.stringAt("name");
  if (!name) return;
  way.named = true;
  const std::string path = utf8Of(*name);
  events.request(side, {FileOffer::Kind::offer, lastPathPart(path), path, info.numberAt("length"), torrent_});
  size_t count = 0;
  info.get("files").value_or(Bencoded{}).forEach([&](const Bencoded& file) {
    std::string whole = path;
    file.get("path").value_or(Bencoded{}).forEach([&](const Bencoded& part) {
      whole += '/';
      whole += utf8Of(part.string().value_or(std::string_view{}));
      return whole.size() < kPathBytesMax;
    });
    events.request(side, {FileOffer::Kind::listed, lastPathPart(whole), whole, file.numberAt("length"), torrent_});
    return ++count < kFilesMax;
  });
  way.metadata = {};
}

void BitTorrentParser::datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  if (!learnFromDht(side, textOf(bytes), events)) trackerDatagram(side, bytes, events);
}

void BitTorrentParser::trackerDatagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  constexpr size_t kAnnounceBytes = 98;
  constexpr size_t kAnswerBytes = 20;
  constexpr uint32_t kAnnounce = 1;
  if (side == Side::initiator) {
    if (bytes.size() >= 16 && loadBe64(bytes.data()) == kTrackerMagic) events.attribute("bittorrent.tracker", "connect");
    if (bytes.size() < kAnnounceBytes || loadBe32(&bytes[8]) != kAnnounce) return;
    announced_ = true;
    announcedV6_ = addresses_[0] != Address{} && !isMappedIpv4(addresses_[0]);
    events.request(side, {FileOffer::Kind::request, {}, {}, std::nullopt, torrentHash(textOf(bytes.subspan(16, 20)))});
    const uint16_t port = loadBe16(&bytes[96]);
    if (port != 0 && addresses_[0] != Address{}) events.learnPeer(addresses_[0], port, Application::bittorrent, {});
  } else if (announced_ && bytes.size() >= kAnswerBytes && loadBe32(bytes.data()) == kAnnounce) {
    learnCompactPeers(textOf(bytes.subspan(kAnswerBytes)), announcedV6_ ? 18 : 6, announcedV6_, events);
  }
}

}  // namespace p2pxbone::gateway
