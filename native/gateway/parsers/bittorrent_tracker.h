// A BitTorrent tracker over HTTP: which torrent is announced, and the peers in the answer.
#pragma once

#include <string>

#include "gateway/parsers/http.h"

namespace p2pxbone::gateway {

class BitTorrentTracker final : public HttpParser {
 public:
  using HttpParser::HttpParser;

 private:
  [[nodiscard]] size_t answerBytes() const override { return answer_.capacity(); }
  [[nodiscard]] bool mayAnnounce() const override { return true; }
  [[nodiscard]] Wanted wantedOf(const HttpHead& request) const override;
  void answerData(std::span<const uint8_t> bytes) override;
  void answerEnds(bool complete, ParserEvents& events) override;
  [[nodiscard]] std::string_view attributePrefix() const override { return "bittorrent"; }

  std::string answer_;
};

}  // namespace p2pxbone::gateway
