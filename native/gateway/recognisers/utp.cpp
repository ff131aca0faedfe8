// BitTorrent's own transport over UDP (BEP 29): the first byte is type and version, and both directions carry
// connection ids that differ by one and acknowledge each other's sequence numbers.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

enum class Type : uint8_t { data, fin, state, reset, syn };

struct Packet {
  Type type = Type::data;
  uint16_t connection = 0;
  uint16_t sequence = 0;
  uint16_t acknowledged = 0;
  std::span<const uint8_t> payload;
};

constexpr uint8_t kVersion = 1;
constexpr uint8_t kExtensionsMax = 4;
constexpr uint8_t kExtensionNumberMax = 4;
// How far an acknowledgement may lag behind what the other side has sent last.
constexpr uint16_t kWindowPackets = 1024;

std::optional<Packet> parse(std::span<const uint8_t> datagram) {
  ByteCursor cursor(datagram);
  const uint8_t first = cursor.u8();
  uint8_t extension = cursor.u8();
  Packet packet;
  packet.connection = cursor.be16();
  cursor.skip(12);  // times and window
  packet.sequence = cursor.be16();
  packet.acknowledged = cursor.be16();
  if ((first & 15) != kVersion || first >> 4 > static_cast<uint8_t>(Type::syn)) return std::nullopt;
  packet.type = static_cast<Type>(first >> 4);
  for (uint8_t count = 0; extension != 0; ++count) {
    if (extension > kExtensionNumberMax || count == kExtensionsMax) return std::nullopt;
    extension = cursor.u8();
    cursor.skip(cursor.u8());
  }
  if (!cursor.good()) return std::nullopt;
  packet.payload = cursor.rest();
  // Only these two carry data.
  if (!packet.payload.empty() && packet.type != Type::data && packet.type != Type::fin) return std::nullopt;
  return packet;
}

bool near(uint16_t acknowledged, uint16_t sent) {
  return static_cast<uint16_t>(sent - acknowledged) < kWindowPackets;
}

// Whether `answer` belongs to the connection of `packet`, sent by the other side before it.
bool agree(const Packet& packet, const Packet& answer) {
  const auto apart = static_cast<uint16_t>(packet.connection - answer.connection);
  if (packet.type == Type::syn) return apart == 0 && answer.acknowledged == packet.sequence;
  return (apart == 1 || apart == 0xffff) && near(answer.acknowledged, packet.sequence);
}

// Whether the flow begins as a connection does, which is a good deal for one packet: nothing acknowledged, no time
// measured.
bool opens(const FlowView& flow) {
  if (flow.pieces.empty()) return false;
  const Piece& first = flow.pieces.front();
  const std::span<const uint8_t> datagram = flow.of(first.side).first(first.bytes);
  const std::optional<Packet> packet = parse(datagram);
  return packet && packet->type == Type::syn && packet->acknowledged == 0 && loadBe32(&datagram[8]) == 0;
}

void learnBoth(const FlowView& flow, Discoveries& discoveries) {
  for (const Side side : {Side::initiator, Side::responder})
    discoveries.learnPeer(flow.ends.address(side), flow.ends.port(side), Application::bittorrent);
}

}  // namespace

Finding recogniseUtp(const FlowView& flow, Discoveries& discoveries) {
  std::array<std::optional<Packet>, 2> last;
  bool foreign = false;
  bool greeted = false;
  bool answered = false;
  flow.forEachPiece([&](Side side, std::span<const uint8_t> datagram) {
    const std::optional<Packet> packet = parse(datagram);
    foreign = !packet;
    if (foreign) return false;
    greeted = textOf(packet->payload).starts_with("\x13" "BitTorrent protocol");
    const std::optional<Packet>& before = last[indexOf(other(side))];
    answered = before && agree(*before, *packet);
    last[indexOf(side)] = packet;
    return !greeted && !answered;
  });
  if (foreign) return Finding::never();
  if (!greeted && !answered)
    return opens(flow) ? Finding::undecided(Application::bittorrent, kLikely) : Finding::undecided();
  learnBoth(flow, discoveries);
  return Finding::found(Application::bittorrent, greeted ? kCertain : kStrong);
}

}  // namespace p2pxbone::gateway
