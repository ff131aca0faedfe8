// DNS and what shares its messages: multicast DNS, LLMNR, NetBIOS names. A message is believed if walking all its
// records ends exactly where it ends.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint16_t kDomainPort = 53;
constexpr uint16_t kMulticastPort = 5353;
constexpr uint16_t kLinkLocalPort = 5355;
constexpr uint16_t kNetbiosPort = 137;

constexpr size_t kHeaderBytes = 12;
constexpr size_t kNameBytesMax = 255;
constexpr uint16_t kResponse = 0x8000;
constexpr uint16_t kTruncated = 0x0200;

void skipName(ByteCursor& cursor, bool& wrong) {
  for (size_t bytes = 0; cursor.good();) {
    const uint8_t length = cursor.u8();
    if (length == 0) return;
    if (length >= 0xc0) {
      cursor.skip(1);
      return;
    }
    bytes += length + size_t{1};
    wrong = wrong || length > 63 || bytes > kNameBytesMax;
    if (wrong) return;
    cursor.skip(length);
  }
}

bool knownClass(uint16_t value) {
  // The first bit has a meaning of its own in multicast DNS.
  const uint16_t number = value & 0x7fff;
  return number == 1 || number == 3 || number == 4 || number == 254 || number == 255;
}

struct Message {
  uint16_t id = 0;
  bool response = false;
};

std::optional<Message> parse(std::span<const uint8_t> bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  ByteCursor cursor(bytes);
  Message message;
  message.id = cursor.be16();
  const uint16_t flags = cursor.be16();
  message.response = (flags & kResponse) != 0;
  const uint8_t operation = (flags >> 11) & 15;
  const uint16_t questions = cursor.be16();
  size_t records = cursor.be16();
  if (operation > 6 || (!message.response && questions == 0) || questions > 64) return std::nullopt;
  records += cursor.be16();
  records += cursor.be16();
  if (questions + records == 0) return std::nullopt;
  bool wrong = false;
  for (uint16_t i = 0; i < questions && cursor.good() && !wrong; ++i) {
    skipName(cursor, wrong);
    const uint16_t type = cursor.be16();
    wrong = wrong || type == 0 || !knownClass(cursor.be16());
  }
  for (size_t i = 0; i < records && cursor.good() && !wrong; ++i) {
    skipName(cursor, wrong);
    cursor.skip(2 + 2 + 4);
    cursor.skip(cursor.be16());
  }
  const bool cutOnPurpose = message.response && (flags & kTruncated) != 0;
  if (wrong || (!cutOnPurpose && (!cursor.good() || cursor.left() != 0))) return std::nullopt;
  return message;
}

Application applicationAt(const FlowEnds& ends) {
  for (const Side side : {Side::responder, Side::initiator}) {
    switch (ends.port(side)) {
      case kMulticastPort: return Application::mdns;
      case kNetbiosPort: return Application::netbios;
      case kDomainPort:
      case kLinkLocalPort: return Application::dns;
      default: break;
    }
  }
  return Application::unknown;
}

}  // namespace

Finding recogniseDns(const FlowView& flow, Discoveries&) {
  std::array<std::optional<Message>, 2> last;
  bool wrong = false;
  bool answered = false;
  flow.forEachPiece([&](Side side, std::span<const uint8_t> datagram) {
    const auto message = parse(datagram);
    wrong = !message;
    if (wrong) return false;
    const auto& before = last[indexOf(other(side))];
    answered = before && before->id == message->id && before->response != message->response;
    last[indexOf(side)] = message;
    return !answered;
  });
  if (wrong) return Finding::never();
  const Application usual = applicationAt(flow.ends);
  // The port tells which of them it is, and one message is enough where it is expected.
  if (usual != Application::unknown) return Finding::found(usual, kCertain);
  return answered ? Finding::found(Application::dns, kStrong) : Finding::undecided(Application::dns, kLikely);
}

Finding recogniseDnsOverTcp(const FlowView& flow, Discoveries&) {
  const std::span<const uint8_t> data = flow.of(Side::initiator);
  if (data.size() < 2) return Finding::undecided();
  const size_t length = loadBe16(data.data());
  if (length < kHeaderBytes) return Finding::never();
  if (data.size() - 2 < length) {
    // Flags of a query and one question; so far nothing else is worth waiting for.
    const bool possible = data.size() < 8 || ((data[4] & 0xf8) == 0 && loadBe16(&data[6]) == 1);
    return possible && length < 4096 ? Finding::undecided() : Finding::never();
  }
  const auto message = parse(data.subspan(2, length));
  if (!message || message->response) return Finding::never();
  return Finding::found(Application::dns, flow.ends.responderPort == kDomainPort ? kCertain : kLikely);
}

}  // namespace p2pxbone::gateway
