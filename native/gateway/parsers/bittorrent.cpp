#include "gateway/parsers/bittorrent.h"

#include "core/bytes.h"
#include "gateway/parsers/bittorrent_names.h"
#include "gateway/parsers/bittorrent_tracker.h"
#include "gateway/parsers/text.h"
#include "gateway/recognisers/bencode.h"
#include "gateway/recognisers/bittorrent_peers.h"

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

constexpr size_t kMetadataPieceBytes = 16 * 1024;

constexpr uint64_t kTrackerMagic = 0x41727101980;

// Peers that a peer knows.
void learnExchanged(std::span<const uint8_t> message, ParserEvents& events) {
  ByteCursor rows(bytesOf(bencodedText(message, "added").value_or("")));
  for (size_t i = 0; i < kPeersPerMessageMax && rows.left() >= 6; ++i) {
    const Address address = mappedIpv4(rows.bytes(4).data());
    const uint16_t port = rows.be16();
    if (port != 0) events.learnPeer(address, port, Application::bittorrent, {});
  }
}

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
  const auto payload = bytes.subspan(5);
  if (type == kPort && payload.size() >= 2) learnOwn(side, loadBe16(payload.data()), events);
  if (type == kExtended && !payload.empty()) extended(side, payload, events);
  return true;
}

// The sender takes connections, or datagrams, at a port that it names.
void BitTorrentParser::learnOwn(Side side, uint64_t port, ParserEvents& events) {
  const Address& address = ends_.address(side);
  if (port == 0 || port > UINT16_MAX || address == Address{}) return;
  events.learnPeer(address, static_cast<uint16_t>(port), Application::bittorrent, {});
}

void BitTorrentParser::extended(Side side, std::span<const uint8_t> payload, ParserEvents& events) {
  const uint8_t number = payload[0];
  payload = payload.subspan(1);
  if (number == 0) return extendedHandshake(side, payload, events);
  // A message has the number that its receiver asked for.
  const Direction& receiver = directions_[indexOf(other(side))];
  if (number == receiver.metadataNumber) metadataPiece(side, payload, events);
  if (number == receiver.peersNumber) learnExchanged(payload, events);
}

void BitTorrentParser::extendedHandshake(Side side, std::span<const uint8_t> payload, ParserEvents& events) {
  Direction& way = directions_[indexOf(side)];
  if (const auto numbers = bencodedMember(payload, "m")) {
    way.metadataNumber = static_cast<uint8_t>(bencodedNumber(*numbers, "ut_metadata").value_or(0));
    way.peersNumber = static_cast<uint8_t>(bencodedNumber(*numbers, "ut_pex").value_or(0));
  }
  if (const auto version = bencodedText(payload, "v")) events.attribute("bittorrent.client", utf8Of(*version));
  learnOwn(side, bencodedNumber(payload, "p").value_or(0), events);
}

// A dictionary that says which piece, and the piece behind it.
void BitTorrentParser::metadataPiece(Side side, std::span<const uint8_t> payload, ParserEvents& events) {
  Direction& way = directions_[indexOf(side)];
  const auto head = bencodedValue(payload);
  if (!head || way.named || bencodedNumber(*head, "msg_type") != 1u) return;
  const auto piece = bencodedNumber(*head, "piece");
  const auto bytes = payload.subspan(head->size());
  if (piece == 0u) way.metadata.clear();
  // One out of order leaves a hole behind which nothing is read.
  if (piece != way.metadata.size() / kMetadataPieceBytes) return;
  if (way.metadata.size() + bytes.size() > kParserBytesMax) return;
  way.metadata.insert(way.metadata.end(), bytes.begin(), bytes.end());
  way.named = tellTorrentNames(side, way.metadata, torrent_, events);
  if (way.named) way.metadata = {};
}

void BitTorrentParser::datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  if (!tellDhtMessage(side, bytes, events) && !trackerDatagram(side, bytes, events)) transports_ = true;
}

// Connections of peers are for files, not for finding others; that a few tell of more is not worth reading all of them.
bool BitTorrentParser::mayAnnounce() const {
  return !transports_ && !directions_[0].shookHands && !directions_[1].shookHands;
}

bool BitTorrentParser::trackerDatagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  constexpr size_t kAnnounceBytes = 98;
  constexpr uint32_t kAnnounce = 1;
  if (side == Side::initiator) {
    const bool connects = bytes.size() >= 16 && loadBe64(bytes.data()) == kTrackerMagic;
    if (connects) events.attribute("bittorrent.tracker", "connect");
    if (bytes.size() < kAnnounceBytes || loadBe32(&bytes[8]) != kAnnounce) return connects;
    announced_ = true;
    events.request(side, {FileOffer::Kind::request, {}, {}, std::nullopt, torrentHash(textOf(bytes.subspan(16, 20)))});
    learnOwn(side, loadBe16(&bytes[96]), events);
  } else if (announced_) {
    const bool v6 = ends_.initiator != Address{} && !isMappedIpv4(ends_.initiator);
    peersInUdpAnnounceAnswer(bytes, v6, [&](const Address& address, uint16_t port) {
      events.learnPeer(address, port, Application::bittorrent, {});
    });
  }
  return announced_ || side == Side::responder;
}

}  // namespace p2pxbone::gateway
