#include "gateway/parsers/bittorrent_tracker.h"

#include <utility>

#include "gateway/parsers/bittorrent_names.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {

namespace {

std::string torrentIn(std::string_view target) {
  (void)nextWord(target, '?');
  while (!target.empty()) {
    std::string_view value = nextWord(target, '&');
    if (nextWord(value, '=') == "info_hash") return torrentHash(percentDecoded(value));
  }
  return {};
}

}  // namespace

HttpParser::Wanted BitTorrentTracker::wantedOf(const HttpHead& request) const {
  Wanted wanted = HttpParser::wantedOf(request);
  wanted.hash = torrentIn(request.target);
  // What else is fetched by the same connection is a file.
  for (const std::string_view own : {"announce", "scrape", "announce.php", "scrape.php"})
    if (wanted.name == own) return {{}, {}, std::move(wanted.hash)};
  return wanted;
}

void BitTorrentTracker::answerData(std::span<const uint8_t> bytes) {
  const size_t room = kParserBytesMax - std::min(kParserBytesMax, answer_.size());
  answer_ += textOf(bytes).substr(0, room);
}

void BitTorrentTracker::answerEnds(bool, ParserEvents& events) {
  learnBencodedPeers(bytesOf(answer_), events);
  release(answer_);
}

}  // namespace p2pxbone::gateway
