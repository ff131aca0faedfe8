#include "gateway/parsers/gnutella_http.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {

HttpParser::Wanted GnutellaHttp::wantedOf(const HttpHead& request) const {
  const std::string_view target = request.target;
  const size_t urn = findSame(target, "urn:");
  if (startsWith(target, "/uri-res/") && urn != std::string_view::npos)
    return {{}, utf8Of(percentDecoded(target)), utf8Of(target.substr(urn))};
  if (!startsWith(target, "/get/")) return HttpParser::wantedOf(request);
  // Old programs do not escape: a question mark belongs to the name.
  Wanted wanted;
  wanted.path = utf8Of(percentDecoded(target));
  wanted.name = lastPathPart(wanted.path);
  return wanted;
}

void GnutellaHttp::extraField(Side, std::string_view name, std::string_view value, Wanted& file, ParserEvents&) {
  const bool urn = same(name, "x-gnutella-content-urn") || same(name, "x-content-urn");
  if (urn && startsWith(value, "urn:")) file.hash = utf8Of(value);
}

}  // namespace p2pxbone::gateway
