// QUIC, by opening the client's first packets; or by connection ids that mirror each other, where they were missed.
#include "gateway/quic_initial.h"

#include <algorithm>

#include "gateway/quic_crypto_stream.h"
#include "gateway/recognisers/hello_summary.h"

namespace p2pxbone::gateway {
namespace {

// Each is decrypted anew whenever another has come, so few are tried.
constexpr size_t kDatagramsTried = 4;
constexpr size_t kPacketsPerDatagram = 3;

class Opener {
 public:
  // True if any packet could be opened.
  bool take(std::span<const uint8_t> datagram) {
    bool opened = false;
    for (size_t count = 0; count < kPacketsPerDatagram; ++count) {
      const auto header = parseQuicLongHeader(datagram);
      if (!header || !header->initial) break;
      opened = open(datagram, *header) || opened;
      datagram = datagram.subspan(header->bytes);
    }
    return opened;
  }

  [[nodiscard]] std::span<const uint8_t> handshake() const { return stream_.prefix(); }

 private:
  // The keys are those of the first destination, until the server asks for another beginning under a name of its own.
  bool open(std::span<const uint8_t> datagram, const QuicLongHeader& header) {
    if (keys_) {
      if (const auto frames = openQuicInitial(datagram, header, *keys_)) return take(*frames);
    }
    if (keys_ && std::ranges::equal(destination_, header.destination)) return false;
    const auto keys = clientInitialKeys(header.version, header.destination);
    const auto frames = keys ? openQuicInitial(datagram, header, *keys) : std::nullopt;
    if (!frames) return false;
    keys_ = keys;
    destination_ = header.destination;
    return take(*frames);
  }

  bool take(const std::vector<uint8_t>& frames) {
    (void)stream_.addFrames(frames);
    return true;
  }

  std::optional<QuicInitialKeys> keys_;
  std::span<const uint8_t> destination_;
  QuicCryptoStream stream_;
};

// Each end's packets go to the id that the other's come from.
bool mirrored(const QuicLongHeader& a, const QuicLongHeader& b) {
  return a.version == b.version && !a.source.empty() && std::ranges::equal(a.source, b.destination);
}

}  // namespace

Finding recogniseQuic(const FlowView& flow, Discoveries& discoveries) {
  Opener opener;
  std::array<std::optional<QuicLongHeader>, 2> last;
  size_t tried = 0;
  bool opened = false;
  bool mirror = false;
  bool foreign = false;
  flow.forEachPiece([&](Side side, std::span<const uint8_t> datagram) {
    const auto header = parseQuicLongHeader(datagram);
    // Packets after the handshake have short headers.
    if (!header) {
      foreign = !last[0] && !last[1];
      return !foreign;
    }
    const auto& opposite = last[indexOf(other(side))];
    mirror = mirror || (opposite && (mirrored(*opposite, *header) || mirrored(*header, *opposite)));
    last[indexOf(side)] = header;
    if (side == Side::initiator && header->initial && tried < kDatagramsTried) {
      ++tried;
      opened = opener.take(datagram) || opened;
    }
    return true;
  });
  if (foreign) return Finding::never();
  if (!opened) return mirror ? Finding::found(Application::quic, kStrong) : Finding::undecided();
  ClientHello hello;
  switch (parseClientHello(opener.handshake(), hello)) {
    case HelloParse::whole: break;
    case HelloParse::malformed: return Finding::found(Application::quic, kCertain);
    case HelloParse::cut:
      if (tried == kDatagramsTried) return Finding::found(Application::quic, kCertain);
      return Finding::undecided(Application::quic, kCertain);
  }
  discoveries.hello = summarise(hello, HelloTransport::quic);
  return Finding::found(applicationOfServer(hello.serverName, Application::quic), kCertain);
}

}  // namespace p2pxbone::gateway
