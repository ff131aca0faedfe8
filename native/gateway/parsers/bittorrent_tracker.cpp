#include "gateway/parsers/bittorrent_tracker.h"

#include "gateway/parsers/bittorrent_names.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {

HttpParser::Wanted BitTorrentTracker::wantedOf(const HttpHead& request) const {
  Wanted wanted;
  std::string_view query = request.target;
  (void)nextWord(query, '?');
  while (!query.empty()) {
    std::string_view value = nextWord(query, '&');
    if (nextWord(value, '=') == "info_hash") wanted.hash = torrentHash(percentDecoded(value));
  }
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
