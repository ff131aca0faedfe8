// Skype between its own nodes over UDP encrypts everything but the start of a message: an identifier of two bytes and a
// function in some bits of the third. A node that cannot read a first message says so with the same identifier, and
// with the address that it saw, which no other protocol does.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kFunctionBits = 0x8f;
constexpr uint8_t kRequest = 0x02;
constexpr uint8_t kRefusal = 0x07;
constexpr uint8_t kRepeated = 0x03;
constexpr size_t kRefusalBytes = 11;
constexpr size_t kRequestBytesMin = 12;
constexpr size_t kAddressOffset = 3;

uint8_t functionOf(std::span<const uint8_t> datagram) { return datagram[2] & kFunctionBits; }

bool sameIdentifier(std::span<const uint8_t> a, std::span<const uint8_t> b) { return a[0] == b[0] && a[1] == b[1]; }

bool isRequest(std::span<const uint8_t> datagram) {
  return datagram.size() >= kRequestBytesMin && functionOf(datagram) == kRequest;
}

bool isRefusal(std::span<const uint8_t> datagram) {
  return datagram.size() == kRefusalBytes && functionOf(datagram) == kRefusal;
}

}  // namespace

Finding recogniseSkype(const FlowView& flow, Discoveries&) {
  std::span<const uint8_t> request;
  std::span<const uint8_t> refusal;
  bool foreign = false;
  bool addressed = false;
  bool repeated = false;
  flow.forEachPiece([&](Side side, std::span<const uint8_t> datagram) {
    if (datagram.size() < 3) {
      foreign = true;
    } else if (request.empty()) {
      foreign = side != Side::initiator || !isRequest(datagram);
      request = datagram;
    } else if (side == Side::responder && refusal.empty()) {
      foreign = !isRefusal(datagram) || !sameIdentifier(datagram, request);
      if (foreign) return false;
      refusal = datagram;
      // Translation of addresses may lie between, so that what was seen need not be what is seen here.
      addressed = mappedIpv4(&datagram[kAddressOffset]) == flow.ends.initiator;
    } else if (side == Side::initiator && !refusal.empty()) {
      repeated = sameIdentifier(datagram, request) && functionOf(datagram) == kRepeated;
    }
    return !foreign && !addressed && !repeated;
  });
  if (foreign) return Finding::never();
  if (addressed) return Finding::found(Application::skype, kStrong);
  return repeated ? Finding::found(Application::skype, kBehaviour) : Finding::undecided();
}

}  // namespace p2pxbone::gateway
