// The plain handshake between two BitTorrent peers over TCP.
#include <algorithm>

#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr std::string_view kGreeting = "\x13" "BitTorrent protocol";

}  // namespace

Finding recogniseBittorrentHandshake(const FlowView& flow, Discoveries& discoveries) {
  bool possible = false;
  for (const Side side : {Side::initiator, Side::responder}) {
    const std::string_view data = textOf(flow.of(side)).substr(0, kGreeting.size());
    if (!kGreeting.starts_with(data)) continue;
    possible = true;
    if (data.size() < kGreeting.size()) continue;
    // Only by its own words: else a caller could make anybody's address look like a peer's.
    if (side == Side::responder)
      discoveries.learnPeer(flow.ends.responder, flow.ends.responderPort, Application::bittorrent);
    return Finding::found(Application::bittorrent, kCertain);
  }
  return possible ? Finding::undecided() : Finding::never();
}

}  // namespace p2pxbone::gateway
