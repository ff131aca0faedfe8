#include "gateway/parsers/bittorrent_peers.h"

#include <algorithm>

#include "core/bytes.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

// Of one message; a tracker sends 200 at most, unless it is asked for more.
constexpr size_t kPeersMax = 512;

void learn(const Address& address, uint16_t port, ParserEvents& events) {
  if (port != 0) events.learnPeer(address, port, Application::bittorrent, {});
}

}  // namespace

std::string torrentHash(std::string_view bytes) { return bytes.size() == 20 ? "btih:" + hexOf(bytesOf(bytes)) : std::string{}; }

void learnCompactPeers(std::string_view bytes, size_t rowBytes, bool v6, ParserEvents& events) {
  const size_t addressBytes = v6 ? 16 : 4;
  for (size_t i = 0; i < kPeersMax && bytes.size() >= rowBytes; ++i) {
    const auto row = bytesOf(bytes.substr(rowBytes - addressBytes - 2, addressBytes + 2));
    Address address{};
    if (v6)
      std::copy_n(row.begin(), 16, address.begin());
    else
      address = mappedIpv4(row.data());
    learn(address, loadBe16(&row[addressBytes]), events);
    bytes.remove_prefix(rowBytes);
  }
}

void learnTrackerPeers(const Bencoded& answer, ParserEvents& events) {
  if (const auto rows = answer.stringAt("peers")) learnCompactPeers(*rows, 6, false, events);
  if (const auto rows = answer.stringAt("peers6")) learnCompactPeers(*rows, 18, true, events);
  size_t count = 0;
  answer.get("peers").value_or(Bencoded{}).forEach([&](const Bencoded& peer) {
    const auto address = addressOf(peer.stringAt("ip").value_or(std::string_view{}));
    const uint64_t port = peer.numberAt("port").value_or(0);
    if (address && port <= UINT16_MAX) learn(*address, static_cast<uint16_t>(port), events);
    return ++count < kPeersMax;
  });
}

bool learnFromDht(Side side, std::string_view datagram, ParserEvents& events) {
  const Bencoded message{datagram};
  if (!message.stringAt("y")) return false;
  if (const auto arguments = message.get("a")) {
    if (const auto method = message.stringAt("q")) events.attribute("bittorrent.dht", utf8Of(*method));
    const std::string torrent = torrentHash(arguments->stringAt("info_hash").value_or(std::string_view{}));
    if (!torrent.empty()) events.request(side, {FileOffer::Kind::request, {}, {}, std::nullopt, torrent});
  }
  const Bencoded answer = message.get("r").value_or(Bencoded{});
  size_t count = 0;
  answer.get("values").value_or(Bencoded{}).forEach([&](const Bencoded& value) {
    const auto row = value.string();
    if (row && (row->size() == 6 || row->size() == 18)) learnCompactPeers(*row, row->size(), row->size() == 18, events);
    return ++count < kPeersMax;
  });
  // Nodes of the DHT are BitTorrent programs, at the port where they take connections.
  if (const auto nodes = answer.stringAt("nodes")) learnCompactPeers(*nodes, 26, false, events);
  if (const auto nodes = answer.stringAt("nodes6")) learnCompactPeers(*nodes, 38, true, events);
  return true;
}

}  // namespace p2pxbone::gateway
