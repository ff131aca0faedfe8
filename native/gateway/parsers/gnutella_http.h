// Gnutella's transfers: HTTP whose targets name a file by index and name, or by its hash.
#pragma once

#include "gateway/parsers/http.h"

namespace p2pxbone::gateway {

class GnutellaHttp final : public HttpParser {
 public:
  using HttpParser::HttpParser;

 private:
  [[nodiscard]] Wanted wantedOf(const HttpHead& request) const override;
  void extraField(Side from, std::string_view name, std::string_view value, Wanted& file, ParserEvents& events) override;
  // Old servents answer 200 all the same.
  [[nodiscard]] bool mayBePart(unsigned) const override { return true; }
  [[nodiscard]] std::string_view attributePrefix() const override { return "gnutella"; }
};

}  // namespace p2pxbone::gateway
