// Flows are looked at some at a time: what passes meanwhile waits for a bounded piece.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "gateway/packet.h"
#include "gateway/stream.h"
#include "gateway/test/gateway_packets.h"
#include "os/flow_survey.h"

using namespace p2pxbone;

namespace {

using gateway::Flow;
using gateway::FlowEnd;
using gateway::FlowRef;
using gateway::Side;
using gateway::testing::udpPacket;
using gateway::testing::v4;

constexpr uint32_t kFlows = 5'000;

struct Table {
  Table() : flows(limits(), {1, 2}, [](Flow&, FlowEnd) {}) {
    for (uint32_t i = 0; i < kFlows; ++i) add(i);
  }
  static gateway::Limits limits() {
    gateway::Limits limits;
    limits.flows = 8'192;
    return limits;
  }
  // More bytes than most others, for some.
  void add(uint32_t i) {
    auto bytes = udpPacket({v4(10, 0, 0, 1), static_cast<uint16_t>(i + 1)}, {v4(10, 0, 0, 2), 9}, {});
    gateway::Packet packet;
    REQUIRE(gateway::parsePacket(bytes, {}, 0, packet) == DropReason::none);
    const auto found = flows.admit(packet, 1, true);
    REQUIRE(found.outcome == gateway::FlowTable::Outcome::created);
    flows.count(*found.flow, Side::initiator, {.packets = 1, .bytes = i * 7'919 % 100'003}, 1);
  }
  std::vector<FlowRef> refs() {
    std::vector<FlowRef> all;
    flows.forEach([&](const Flow& flow) { all.push_back(flow.ref); });
    return all;
  }

  gateway::FlowTable flows;
};

const FlowSurvey::Names kNames{[](gateway::Application) { return std::string_view{"app"}; },
                               [](uint32_t) { return std::string_view{"rule"}; },
                               [](const Flow&) {
                                 return gateway::ApplicationStage::Known{"host.example",
                                                                         gateway::kNeedsHost | gateway::kNeedsChat,
                                                                         gateway::ApplicationStage::ParserState::receiving};
                               }};

size_t countOf(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

}  // namespace

TEST_CASE("flow survey: at each step so many flows are looked at, and all of them in the end") {
  Table table;
  std::set<uint64_t> seen;
  uint32_t steps = 0;
  for (uint32_t next = 0, before = 1; next != before; ++steps) {
    before = next;
    const size_t had = seen.size();
    const auto look = [&](const Flow& flow) { CHECK(seen.insert(flow.ref.id).second); };
    next = table.flows.forSome(next, FlowSurvey::kFlowsAtOnce, look);
    CHECK(seen.size() - had <= FlowSurvey::kFlowsAtOnce);
  }
  CHECK(seen.size() == kFlows);
  CHECK(steps == (kFlows + FlowSurvey::kFlowsAtOnce - 1) / FlowSurvey::kFlowsAtOnce + 1);
}

TEST_CASE("flow survey: those with the most bytes are told in their order, named some at a time") {
  Table table;
  std::vector<uint64_t> bytes;
  table.flows.forEach([&](const Flow& flow) { bytes.push_back(flow.directions[0].bytes); });
  std::sort(bytes.rbegin(), bytes.rend());
  for (const size_t most : {size_t{0}, size_t{3}, size_t{2'000}, size_t{10'000}}) {
    FlowSurvey survey{most};
    size_t named = 0, namedInStep = 0;
    const FlowSurvey::Names counting{[&](gateway::Application) {
                                       ++namedInStep;
                                       return std::string_view{"app"};
                                     },
                                     kNames.rule, kNames.known};
    for (bool more = true; more; named += namedInStep) {
      namedInStep = 0;
      more = survey.step(table.flows, counting);
      CHECK(namedInStep <= FlowSurvey::kFlowsAtOnce);
    }
    const std::string text = survey.text();
    CHECK(text.find("\"total\":5000") != std::string::npos);
    CHECK(named == std::min<size_t>(most, kFlows));
    CHECK(countOf(text, "\"application\":\"app\"") == named);
    CHECK(countOf(text, "\"host\":\"host.example\"") == named);
    CHECK(countOf(text, "\"parser\":\"receiving\"") == named);
    CHECK(countOf(text, "\"needs\":[\"host\",\"chat\"]") == named);
    size_t at = 0;
    for (size_t i = 0; i < named; ++i) {
      const std::string wanted = "\"bytesUp\":" + std::to_string(bytes[i]) + ",";
      at = text.find("\"bytesUp\":", at + 1);
      REQUIRE(at != std::string::npos);
      REQUIRE(text.compare(at, wanted.size(), wanted) == 0);
    }
  }
}

TEST_CASE("flow survey: flows that come and go meanwhile do no harm, and those that go are not looked at") {
  Table table;
  FlowSurvey survey{100};
  CHECK(survey.step(table.flows, kNames));
  const auto refs = table.refs();
  for (size_t i = FlowSurvey::kFlowsAtOnce; i < refs.size(); ++i) table.flows.end(*table.flows.find(refs[i]), FlowEnd::idle);
  for (uint32_t i = 0; i < 10; ++i) table.add(kFlows + i);
  while (survey.step(table.flows, kNames)) {}
  CHECK(survey.text().find("\"total\":" + std::to_string(FlowSurvey::kFlowsAtOnce + 10)) != std::string::npos);
}
