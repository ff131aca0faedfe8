// FastTrack's supernodes are pinged over UDP: a type, the encryption that is understood, and the name of the network.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kPing = 0x27;
constexpr size_t kNetworkNameOffset = 6;
constexpr size_t kNetworkNameBytesMax = 32;
constexpr std::string_view kNetworkName{"KaZaA\0", 6};

bool isPing(std::span<const uint8_t> datagram) {
  if (datagram.size() <= kNetworkNameOffset || datagram[0] != kPing) return false;
  const std::string_view name = textOf(datagram.subspan(kNetworkNameOffset));
  return name.size() <= kNetworkNameBytesMax && name == kNetworkName;
}

}  // namespace

Finding recogniseFasttrackUdp(const FlowView& flow, Discoveries&) {
  bool found = false;
  flow.forEachPiece([&](Side, std::span<const uint8_t> datagram) {
    found = isPing(datagram);
    return !found;
  });
  return found ? Finding::found(Application::fasttrack, kStrong) : Finding::undecided();
}

}  // namespace p2pxbone::gateway
