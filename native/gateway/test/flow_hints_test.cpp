#include "gateway/flow_hints.h"

#include <doctest/doctest.h>

namespace p2pxbone::gateway {
namespace {

Address address(uint8_t last) {
  const uint8_t bytes[4] = {10, 0, 0, last};
  return mappedIpv4(bytes);
}

FlowHint fileNamed(std::string_view name) { return {FlowHint::Kind::file, name, 7, 0, Side::responder}; }

FlowEnds between(uint8_t from, uint8_t to, uint16_t port) { return {address(from), address(to), 40'000, port, 6}; }

TEST_CASE("a flow learns what another said about it, by either of its ends") {
  FlowHints hints({1, 2});
  CHECK_FALSE(hints.learn(address(2), 20'000, fileNamed("song.mp3"), 1'000));
  CHECK(hints.claim(between(1, 2, 20'000), {5, 50}, 1'500).name == "song.mp3");
  CHECK(hints.claim(between(1, 2, 20'001), {6, 60}, 1'500).name.empty());
  CHECK(hints.claim({address(2), address(9), 20'000, 1'234, 6}, {7, 70}, 1'500).name == "song.mp3");
}

TEST_CASE("what is said later goes to the flow that is there") {
  FlowHints hints({1, 2});
  (void)hints.learn(address(2), 20'000, fileNamed(""), 1'000);
  (void)hints.claim(between(1, 2, 20'000), {5, 50}, 1'500);
  CHECK(hints.learn(address(2), 20'000, fileNamed("late.zip"), 1'600) == FlowRef{5, 50});
  // The port is used again for another connection.
  CHECK_FALSE(hints.learn(address(2), 20'000, fileNamed("x"), 1'600 + FlowHints::kExpiry));
}

TEST_CASE("hints are forgotten, and bounded") {
  FlowHints hints({1, 2});
  (void)hints.learn(address(2), 20'000, fileNamed("old"), 0);
  CHECK(hints.claim(between(1, 2, 20'000), {5, 50}, FlowHints::kExpiry).name.empty());
  for (uint16_t port = 1; port != 20'000; ++port) (void)hints.learn(address(3), port, fileNamed("many"), port);
  CHECK(hints.size() <= FlowHints::kHintsMax);
  CHECK(hints.claim(between(1, 3, 19'999), {6, 60}, 20'000).name == "many");
  CHECK_FALSE(hints.learn(address(4), 1, {}, 20'000));
  const std::string longName(1'000, 'x');
  (void)hints.learn(address(4), 1, fileNamed(longName), 20'000);
  CHECK(hints.claim(between(1, 4, 1), {6, 60}, 20'000).name.size() == FlowHints::kNameBytesMax);
}

}  // namespace
}  // namespace p2pxbone::gateway
