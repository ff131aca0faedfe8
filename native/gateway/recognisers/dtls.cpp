// DTLS 1.0 and 1.2, whose handshake DTLS 1.3 keeps: a record of epoch 0 with a hello or what asks for one again.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kHandshake = 22;
constexpr uint8_t kClientHello = 1;
constexpr uint8_t kServerHello = 2;
constexpr uint8_t kHelloVerifyRequest = 3;

bool beginsHandshake(std::span<const uint8_t> datagram) {
  ByteCursor cursor(datagram);
  const uint8_t type = cursor.u8();
  const uint16_t version = cursor.be16();
  const uint16_t epoch = cursor.be16();
  cursor.skip(6);
  const uint16_t length = cursor.be16();
  const size_t content = cursor.left();
  const uint8_t message = cursor.u8();
  const uint32_t messageBytes = cursor.be24();
  cursor.skip(2);
  const uint32_t fragmentOffset = cursor.be24();
  const uint32_t fragmentBytes = cursor.be24();
  return cursor.good() && type == kHandshake && (version == 0xfeff || version == 0xfefd) && epoch == 0 &&
         length <= content && (message == kClientHello || message == kServerHello || message == kHelloVerifyRequest) &&
         fragmentOffset + fragmentBytes <= messageBytes && fragmentBytes <= length;
}

}  // namespace

Finding recogniseDtls(const FlowView& flow, Discoveries&) {
  bool found = false;
  flow.forEachPiece([&](Side, std::span<const uint8_t> datagram) {
    found = beginsHandshake(datagram);
    return false;
  });
  if (flow.pieces.empty()) return Finding::undecided();
  return found ? Finding::found(Application::dtls, kCertain) : Finding::never();
}

}  // namespace p2pxbone::gateway
