// TLS over TCP, by the client's hello, which may be spread over records; or by the server's, where the client's was
// missed.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/hello_summary.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr uint8_t kServerHello = 2;
constexpr size_t kRecordHeaderBytes = 5;
constexpr size_t kRecordBytesMax = 16'384 + 256;

enum class Records : uint8_t { wrong, cut, some };

// Strips the record headers from the handshake at the front, as far as it has come. Any other kind of record ends it.
Records handshakeOf(std::span<const uint8_t> stream, std::vector<uint8_t>& handshake) {
  if (!stream.empty() && stream[0] != kHandshakeRecord) return Records::wrong;
  for (std::span<const uint8_t> rest = stream; !rest.empty() && rest[0] == kHandshakeRecord;) {
    if (rest.size() < kRecordHeaderBytes) break;
    const size_t length = loadBe16(&rest[3]);
    if (rest[1] != 3 || rest[2] > 4 || length == 0 || length > kRecordBytesMax) {
      return handshake.empty() ? Records::wrong : Records::some;
    }
    const size_t here = std::min(length, rest.size() - kRecordHeaderBytes);
    handshake.insert(handshake.end(), rest.begin() + kRecordHeaderBytes,
                     rest.begin() + static_cast<ptrdiff_t>(kRecordHeaderBytes + here));
    rest = rest.subspan(kRecordHeaderBytes + here);
  }
  return handshake.empty() ? Records::cut : Records::some;
}

Finding byServerHello(std::span<const uint8_t> handshake) {
  // Type, length, version, random, session.
  if (handshake.size() < 39) return Finding::undecided();
  const bool right = handshake[4] == 3 && handshake[5] <= 4 && handshake[38] <= 32;
  return right ? Finding::found(Application::tls, kStrong) : Finding::never();
}

Finding byClientHello(std::span<const uint8_t> handshake, Discoveries& discoveries) {
  ClientHello hello;
  switch (parseClientHello(handshake, hello)) {
    case HelloParse::malformed: return Finding::never();
    case HelloParse::cut: return Finding::undecided(Application::tls, kLikely);
    case HelloParse::whole: break;
  }
  discoveries.hello = summarise(hello, HelloTransport::tcp);
  return Finding::found(applicationOfServer(hello.serverName, Application::tls), kCertain);
}

}  // namespace

// Of a flow that was met in its midst either side may be the client.
Finding recogniseTls(const FlowView& flow, Discoveries& discoveries) {
  bool possible = false;
  for (const Side side : {Side::initiator, Side::responder}) {
    std::vector<uint8_t> handshake;
    const Records records = handshakeOf(flow.of(side), handshake);
    possible = possible || records == Records::cut;
    if (records != Records::some || (handshake[0] != kClientHello && handshake[0] != kServerHello)) continue;
    const Finding finding =
        handshake[0] == kClientHello ? byClientHello(handshake, discoveries) : byServerHello(handshake);
    if (finding.kind != Finding::Kind::no) return finding;
  }
  return possible ? Finding::undecided() : Finding::never();
}

}  // namespace p2pxbone::gateway
