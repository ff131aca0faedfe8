// STUN and TURN: the magic cookie of RFC 5389, or, for the older form without one, a question and its answer.
#include <algorithm>

#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kHeaderBytes = 20;
constexpr uint32_t kCookie = 0x2112a442;
constexpr uint16_t kBindingRequest = 0x0001;
constexpr uint16_t kBindingAnswer = 0x0101;

// Attributes up to the end, each padded to four bytes.
bool attributesFit(std::span<const uint8_t> attributes) {
  ByteCursor cursor(attributes);
  while (cursor.left() > 0) {
    cursor.skip(2);
    const uint16_t length = cursor.be16();
    cursor.skip((length + size_t{3}) / 4 * 4);
    if (!cursor.good()) return false;
  }
  return true;
}

bool isMessage(std::span<const uint8_t> bytes) {
  return bytes.size() >= kHeaderBytes && bytes[0] < 0x40 && loadBe16(&bytes[2]) % 4 == 0 &&
         loadBe16(&bytes[2]) == bytes.size() - kHeaderBytes && attributesFit(bytes.subspan(kHeaderBytes));
}

bool hasCookie(std::span<const uint8_t> bytes) { return loadBe32(&bytes[4]) == kCookie; }

}  // namespace

Finding recogniseStun(const FlowView& flow, Discoveries&) {
  std::span<const uint8_t> request;
  bool wrong = false;
  bool certain = false;
  bool answered = false;
  flow.forEachPiece([&](Side, std::span<const uint8_t> datagram) {
    wrong = !isMessage(datagram);
    if (wrong) return false;
    certain = hasCookie(datagram);
    const uint16_t type = loadBe16(datagram.data());
    if (type == kBindingRequest) request = datagram;
    answered = type == kBindingAnswer && !request.empty() &&
               std::ranges::equal(request.subspan(4, 16), datagram.subspan(4, 16));
    return !certain && !answered;
  });
  if (wrong) return Finding::never();
  if (certain) return Finding::found(Application::stun, kCertain);
  return answered ? Finding::found(Application::stun, kStrong) : Finding::undecided();
}

Finding recogniseStunOverTcp(const FlowView& flow, Discoveries&) {
  const std::span<const uint8_t> data = flow.of(Side::initiator);
  if (!data.empty() && data[0] >= 0x40) return Finding::never();
  if (data.size() < kHeaderBytes) return Finding::undecided();
  if (!hasCookie(data) || loadBe16(&data[2]) % 4 != 0) return Finding::never();
  return Finding::found(Application::stun, kStrong);
}

}  // namespace p2pxbone::gateway
