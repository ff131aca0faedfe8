#include "gateway/parsers/http.h"
#include "gateway/parsers/parser.h"

namespace p2pxbone::gateway {

std::unique_ptr<Parser> makeParser(Application application, const FlowContext&) {
  switch (application) {
    case Application::http:
      return std::make_unique<HttpParser>();
    default:
      return nullptr;
  }
}

}  // namespace p2pxbone::gateway
