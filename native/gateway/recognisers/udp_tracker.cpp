// A tracker over UDP (BEP 15): a connection request with a magic number; or, where the flow is met later, an
// announcement and an answer with its transaction number.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/bittorrent_peers.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint64_t kMagic = 0x41727101980;
constexpr uint32_t kConnect = 0;
constexpr uint32_t kAnnounce = 1;
constexpr size_t kConnectBytes = 16;
constexpr size_t kAnnounceBytes = 98;
constexpr size_t kAnnounceAnswerBytes = 20;
constexpr size_t kTransactionOffset = 12;
constexpr size_t kPortOffset = 96;

bool isConnect(std::span<const uint8_t> datagram) {
  return datagram.size() == kConnectBytes && loadBe64(datagram.data()) == kMagic && loadBe32(&datagram[8]) == kConnect;
}

bool isAnnounce(std::span<const uint8_t> datagram) {
  return datagram.size() >= kAnnounceBytes && loadBe32(&datagram[8]) == kAnnounce;
}

}  // namespace

Finding recogniseUdpTracker(const FlowView& flow, Discoveries& discoveries) {
  std::span<const uint8_t> announce;
  bool connected = false;
  bool answered = false;
  flow.forEachPiece([&](Side side, std::span<const uint8_t> datagram) {
    if (side == Side::initiator) {
      connected = isConnect(datagram);
      if (isAnnounce(datagram)) announce = datagram;
      return !connected;
    }
    answered = !announce.empty() && datagram.size() >= kAnnounceAnswerBytes && loadBe32(datagram.data()) == kAnnounce &&
               loadBe32(&datagram[4]) == loadBe32(&announce[kTransactionOffset]);
    if (!answered) return true;
    peersInUdpAnnounceAnswer(datagram, !isMappedIpv4(flow.ends.responder), [&](const Address& address, uint16_t port) {
      discoveries.learnPeer(address, port, Application::bittorrent);
    });
    discoveries.learnPeer(flow.ends.initiator, loadBe16(&announce[kPortOffset]), Application::bittorrent);
    return false;
  });
  if (connected || answered) return Finding::found(Application::bittorrent, connected ? kCertain : kStrong);
  return Finding::undecided();
}

}  // namespace p2pxbone::gateway
