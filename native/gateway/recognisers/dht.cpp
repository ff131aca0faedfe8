// BitTorrent's distributed hash table (BEP 5): queries, answers and errors as bencoded dictionaries, one in a datagram.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/bencode.h"
#include "gateway/recognisers/bittorrent_peers.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kNodeIdBytes = 20;

bool hasNodeId(std::span<const uint8_t> message, std::string_view part) {
  const auto body = bencodedMember(message, part);
  const auto id = body ? bencodedMember(*body, "id") : std::nullopt;
  const auto bytes = id ? bencodedString(*id) : std::nullopt;
  return bytes && bytes->size() == kNodeIdBytes;
}

bool isMessage(std::span<const uint8_t> datagram) {
  if (datagram.empty() || datagram[0] != 'd') return false;
  const auto message = bencodedValue(datagram);
  if (!message || message->size() != datagram.size()) return false;
  const auto kind = bencodedMember(*message, "y");
  const auto letter = kind ? bencodedString(*kind) : std::nullopt;
  if (!letter || letter->size() != 1) return false;
  switch ((*letter)[0]) {
    case 'q': return bencodedMember(*message, "q").has_value() && hasNodeId(*message, "a");
    case 'r': return hasNodeId(*message, "r");
    case 'e': {
      const auto error = bencodedMember(*message, "e");
      return error && (*error)[0] == 'l';
    }
    default: return false;
  }
}

// The peer says where it listens: on the port it sends from, or on one that it names.
void learnAnnounced(const FlowView& flow, Side side, std::span<const uint8_t> datagram, Discoveries& discoveries) {
  const auto body = bencodedMember(datagram, "a");
  const auto port = body ? bencodedMember(*body, "port") : std::nullopt;
  const auto number = port ? bencodedInteger(*port) : std::nullopt;
  if (number && *number > 0 && *number < 65'536) {
    discoveries.learnPeer(flow.ends.address(side), static_cast<uint16_t>(*number), Application::bittorrent);
  }
}

}  // namespace

Finding recogniseDht(const FlowView& flow, Discoveries& discoveries) {
  bool recognised = false;
  flow.forEachPiece([&](Side side, std::span<const uint8_t> datagram) {
    if (!isMessage(datagram)) return true;
    recognised = true;
    // A node uses one port for the DHT, for uTP, and mostly for TCP.
    discoveries.learnPeer(flow.ends.address(side), flow.ends.port(side), Application::bittorrent);
    learnAnnounced(flow, side, datagram, discoveries);
    peersInBencoded(datagram, [&](const Address& address, uint16_t port) {
      discoveries.learnPeer(address, port, Application::bittorrent);
    });
    return false;
  });
  return recognised ? Finding::found(Application::bittorrent, kCertain) : Finding::undecided();
}

}  // namespace p2pxbone::gateway
