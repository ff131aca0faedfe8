// Plays a conversation in many segmentations and insists that the same is told.
#pragma once

#include <doctest/doctest.h>

#include "gateway/test/parser_script.h"

namespace p2pxbone::gateway::script {

constexpr uint32_t kRandomCuts = 24;

// What was told, a line for each event. `without`: lines with that beginning are left out.
inline std::string told(Application application, const Script& script, std::string_view without = {},
                        const FlowContext& context = {}) {
  const EventLog whole = played(application, cutUp(script, Cut::joined, 0), context);
  CHECK(whole.fault() == "");
  CHECK(played(application, script, context).text() == whole.text());
  CHECK(played(application, cutUp(script, Cut::bytes, 0), context).text() == whole.text());
  for (uint32_t seed = 1; seed <= kRandomCuts; ++seed) {
    const EventLog cut = played(application, cutUp(script, Cut::random, seed), context);
    CAPTURE(seed);
    CHECK(cut.text() == whole.text());
    CHECK(cut.fault() == "");
  }
  return whole.text(without);
}

}  // namespace p2pxbone::gateway::script
