// Connections that IRC has announced, for a chat or a file.
//
// Input: 0 for a chat; for a file the length that was announced, 255: none. Then as for every parser.
#include "gateway/fuzz/parser_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone::gateway;
  if (size == 0) return 0;
  FlowHint hint;
  hint.kind = data[0] == 0 ? FlowHint::Kind::chat : FlowHint::Kind::file;
  if (data[0] != 0) hint.name = "offered.bin";
  if (data[0] != 0 && data[0] != 255) hint.size = data[0];
  script::fuzzParser(Application::irc, std::span{data, size}.subspan(1), hint);
  return 0;
}
