// Formats that recognisers take apart and that random flows hardly reach, because they lie inside encryption or behind
// other checks. The first byte chooses: a TLS client's hello, the frames of QUIC's handshake, QUIC's long header,
// bencoded data.
#include <cstdlib>
#include <vector>

#include "gateway/ja4.h"
#include "gateway/quic_crypto_stream.h"
#include "gateway/quic_initial.h"
#include "gateway/recognisers/bencode.h"
#include "gateway/recognisers/bittorrent_peers.h"

namespace {

using namespace p2pxbone::gateway;

void require(bool holds) {
  if (!holds) std::abort();
}

bool inside(std::span<const uint8_t> part, std::span<const uint8_t> whole) {
  return part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size());
}

void tryHello(std::span<const uint8_t> handshake) {
  ClientHello hello;
  if (parseClientHello(handshake, hello) != HelloParse::whole) return;
  require(hello.serverName.size() <= kServerNameBytesMax && hello.extensions.size() <= kHelloListMax);
  require(ja4Of(hello, HelloTransport::tcp).size() == 36);
}

void tryFrames(std::span<const uint8_t> frames) {
  QuicCryptoStream stream;
  (void)stream.addFrames(frames);
  require(stream.prefix().size() <= QuicCryptoStream::kBytesMax);
  tryHello(stream.prefix());
}

void tryLongHeader(std::span<const uint8_t> datagram) {
  const auto header = parseQuicLongHeader(datagram);
  if (!header) return;
  require(inside(header->destination, datagram) && inside(header->source, datagram));
  if (!header->initial) return;
  require(header->bytes <= datagram.size() && header->numberOffset < header->bytes);
  const auto keys = clientInitialKeys(header->version, header->destination);
  require(keys.has_value());
  (void)openQuicInitial(datagram, *header, *keys);
}

void tryBencoded(std::span<const uint8_t> bytes) {
  const auto value = bencodedValue(bytes);
  if (value) {
    require(!value->empty() && inside(*value, bytes));
    // What is whole stays whole, and nothing shorter is.
    require(bencodedValue(*value)->size() == value->size());
    require(!bencodedValue(value->first(value->size() - 1)));
  }
  size_t peers = 0;
  peersInBencoded(bytes, [&](const p2pxbone::Address&, uint16_t port) {
    require(port != 0);
    ++peers;
  });
  require(peers <= kPeersPerMessageMax);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::vector<uint8_t> bytes(data + 1, data + size);
  switch (data[0] % 4) {
    case 0: tryHello(bytes); break;
    case 1: tryFrames(bytes); break;
    case 2: tryLongHeader(bytes); break;
    default: tryBencoded(bytes); break;
  }
  return 0;
}
