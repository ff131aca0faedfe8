// An announcement to a tracker over HTTP. A signature would do to name it; this also learns where the announcing peer
// listens, before the tracker's answer is there.
#include <charconv>

#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr std::string_view kMethod = "GET ";

// Of the parameter in the query; 0 if it is not a number.
uint16_t portIn(std::string_view query) {
  for (const std::string_view key : {"?port=", "&port="}) {
    const size_t at = query.find(key);
    if (at == std::string_view::npos) continue;
    uint16_t port = 0;
    const std::string_view digits = query.substr(at + key.size());
    if (std::from_chars(digits.data(), digits.data() + digits.size(), port).ec == std::errc{}) return port;
  }
  return 0;
}

}  // namespace

Finding recogniseBittorrentTracker(const FlowView& flow, Discoveries& discoveries) {
  const std::string_view data = textOf(flow.of(Side::initiator));
  if (!kMethod.starts_with(data.substr(0, kMethod.size()))) return Finding::never();
  const size_t end = data.find_first_of(" \r\n", kMethod.size());
  // The request line is whole before it is judged, because the port may stand at its end.
  if (end == std::string_view::npos) return Finding::undecided();
  const std::string_view target = data.substr(kMethod.size(), end - kMethod.size());
  const size_t hash = target.find("info_hash=");
  if (hash == std::string_view::npos || hash == 0 || (target[hash - 1] != '?' && target[hash - 1] != '&'))
    return Finding::never();
  // Anybody can put a torrent into the query of whatever they fetch.
  std::string_view page = target.substr(0, target.find('?'));
  page = page.substr(page.rfind('/') + 1);
  if (!page.starts_with("announce") && !page.starts_with("scrape")) return Finding::never();
  if (const uint16_t port = portIn(target)) discoveries.learnPeer(flow.ends.initiator, port, Application::bittorrent);
  return Finding::found(Application::bittorrent, kStrong);
}

}  // namespace p2pxbone::gateway
