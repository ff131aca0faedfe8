#include "gateway/recognisers/bittorrent_peers.h"

#include <array>
#include <charconv>
#include <optional>

#include "gateway/byte_cursor.h"
#include "gateway/recognisers/bencode.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kV4Bytes = 4;
constexpr size_t kV6Bytes = 16;
constexpr size_t kNodeIdBytes = 20;

class Taker {
 public:
  explicit Taker(const TakePeer& take) : take_(take) {}

  [[nodiscard]] bool more() const { return count_ < kPeersPerMessageMax; }

  void one(const Address& address, uint16_t port) {
    if (port == 0 || !more()) return;
    ++count_;
    take_(address, port);
  }

  // Entries of so many bytes to skip, an address and a port.
  void compact(std::span<const uint8_t> entries, size_t skipped, size_t addressBytes) {
    ByteCursor cursor(entries);
    while (cursor.left() >= skipped + addressBytes + 2 && more()) {
      cursor.skip(skipped);
      const std::span<const uint8_t> bytes = cursor.bytes(addressBytes);
      Address address{};
      if (addressBytes == kV4Bytes) address = mappedIpv4(bytes.data());
      else std::copy(bytes.begin(), bytes.end(), address.begin());
      one(address, cursor.be16());
    }
  }

 private:
  const TakePeer& take_;
  size_t count_ = 0;
};

std::optional<std::span<const uint8_t>> stringMember(std::span<const uint8_t> dictionary, std::string_view key) {
  const auto value = bencodedMember(dictionary, key);
  return value ? bencodedString(*value) : std::nullopt;
}

std::optional<Address> dottedIpv4(std::string_view text) {
  std::array<uint8_t, kV4Bytes> bytes{};
  const char* at = text.data();
  const char* const end = at + text.size();
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0 && (at == end || *at++ != '.')) return std::nullopt;
    const auto [next, error] = std::from_chars(at, end, bytes[i]);
    if (error != std::errc{}) return std::nullopt;
    at = next;
  }
  return at == end ? std::optional(mappedIpv4(bytes.data())) : std::nullopt;
}

// A list of dictionaries: the tracker protocol's first form.
void listedPeers(std::span<const uint8_t> list, Taker& taker) {
  forEachBencoded(list, [&](std::span<const uint8_t> peer) {
    const auto ip = stringMember(peer, "ip");
    const auto port = bencodedMember(peer, "port");
    const auto address = ip ? dottedIpv4(textOf(*ip)) : std::nullopt;
    const auto number = port ? bencodedInteger(*port) : std::nullopt;
    if (address && number && *number > 0 && *number < 65'536) taker.one(*address, static_cast<uint16_t>(*number));
    return taker.more();
  });
}

void trackerPeers(std::span<const uint8_t> dictionary, Taker& taker) {
  if (const auto peers = bencodedMember(dictionary, "peers")) {
    if (const auto compact = bencodedString(*peers)) taker.compact(*compact, 0, kV4Bytes);
    else listedPeers(*peers, taker);
  }
  if (const auto peers6 = stringMember(dictionary, "peers6")) taker.compact(*peers6, 0, kV6Bytes);
}

void dhtPeers(std::span<const uint8_t> answer, Taker& taker) {
  if (const auto values = bencodedMember(answer, "values")) {
    forEachBencoded(*values, [&](std::span<const uint8_t> value) {
      const auto peer = bencodedString(value);
      if (peer && (peer->size() == kV4Bytes + 2 || peer->size() == kV6Bytes + 2))
        taker.compact(*peer, 0, peer->size() - 2);
      return taker.more();
    });
  }
  if (const auto nodes = stringMember(answer, "nodes")) taker.compact(*nodes, kNodeIdBytes, kV4Bytes);
  if (const auto nodes6 = stringMember(answer, "nodes6")) taker.compact(*nodes6, kNodeIdBytes, kV6Bytes);
}

}  // namespace

void peersInBencoded(std::span<const uint8_t> dictionary, const TakePeer& take) {
  Taker taker(take);
  trackerPeers(dictionary, taker);
  if (const auto answer = bencodedMember(dictionary, "r")) dhtPeers(*answer, taker);
}

void peersInUdpAnnounceAnswer(std::span<const uint8_t> datagram, bool v6, const TakePeer& take) {
  constexpr uint32_t announce = 1;
  constexpr size_t headerBytes = 20;
  if (datagram.size() < headerBytes || loadBe32(datagram.data()) != announce) return;
  Taker taker(take);
  taker.compact(datagram.subspan(headerBytes), 0, v6 ? kV6Bytes : kV4Bytes);
}

}  // namespace p2pxbone::gateway
