// Plays a conversation in many segmentations and insists that the same is told.
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "gateway/test/parser_script.h"

namespace p2pxbone::gateway::script {

constexpr uint32_t kRandomCuts = 24;

// Conversations of the tests are the seeds of the fuzz targets: `P2PXBONE_WRITE_SEEDS` names the folder above their corpora.
inline void writeSeed(Application application, const Script& script) {
  constexpr size_t kSeedBytesMax = 8 * 1024;
  const char* const folder = std::getenv("P2PXBONE_WRITE_SEEDS");
  const std::string input = encoded(script);
  if (folder == nullptr || input.size() > kSeedBytesMax) return;
  std::string name{applicationName(application)};
  if (application == Application::ftpData) name = "ftp_data";
  const auto corpus = std::filesystem::path(folder) / (name + "_parser");
  std::filesystem::create_directories(corpus);
  const uint64_t hash = std::hash<std::string>{}(input);
  std::ofstream(corpus / hexOf({reinterpret_cast<const uint8_t*>(&hash), 4}), std::ios::binary) << input;
}

// What was told, a line for each event. `without`: lines with that beginning are left out.
inline std::string told(Application application, const Script& script, std::string_view without = {},
                        const ParserContext& context = {}) {
  writeSeed(application, script);
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
