// One parser against any bytes: whatever comes, it neither fails nor tells anything that breaks its promises, and any
// segmentation of the stream tells the same.
//
// Input: steps as script::decoded reads them. Kind, side, two bytes of length, and bytes; a gap's length is what is missing.
#pragma once

#include <cstdio>
#include <cstdlib>

#include "gateway/test/parser_script.h"

namespace p2pxbone::gateway::script {

inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "%s\n", what.c_str());
  std::abort();
}

// `ends` are set, so that what concerns addresses is reached too.
inline void fuzzParser(Application application, std::span<const uint8_t> input, const FlowHint& hint = {}) {
  const Script script = decoded(input);
  ParserContext context;
  context.hint = hint;
  context.ends.initiator = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 1};
  context.ends.responder = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, 2};
  const EventLog whole = played(application, cutUp(script, Cut::joined, 0), context);
  require(whole.fault().empty(), whole.fault());
  const EventLog bytes = played(application, cutUp(script, Cut::bytes, 0), context);
  require(bytes.fault().empty(), bytes.fault());
  require(bytes.text() == whole.text(), "byte by byte:\n" + bytes.text() + "joined:\n" + whole.text());
  const EventLog random = played(application, cutUp(script, Cut::random, static_cast<uint32_t>(input.size())), context);
  require(random.text() == whole.text(), "at random:\n" + random.text() + "joined:\n" + whole.text());
}

}  // namespace p2pxbone::gateway::script

// Defines the fuzz target of one application's parser.
#define P2PXBONE_PARSER_FUZZ(application)                                                                  \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {                                \
    p2pxbone::gateway::script::fuzzParser(p2pxbone::gateway::Application::application, std::span{data, size}); \
    return 0;                                                                                              \
  }
