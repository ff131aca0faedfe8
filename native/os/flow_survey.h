// The flows with the most bytes, found by looking at some at a time, so that packets can pass in between.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/application_stage.h"
#include "gateway/flow_table.h"

namespace p2pxbone {

class FlowSurvey {
 public:
  // Places in the table that are looked at, and flows that are named, at a time.
  static constexpr uint32_t kFlowsAtOnce = 512;

  // What names a flow's application and rule, and tells more of one that is still there; its texts need not last.
  struct Names {
    std::function<std::string_view(gateway::Application)> application;
    std::function<std::string_view(uint32_t)> rule;
    std::function<gateway::ApplicationStage::Known(const gateway::Flow&)> known;
  };

  // `most`: of those that are told.
  explicit FlowSurvey(size_t most) : most_(most) {}

  // Goes on. False when nothing is left to do.
  [[nodiscard]] bool step(gateway::FlowTable& table, const Names& names);
  // Then: one line of JSON.
  [[nodiscard]] std::string text() const;

 private:
  struct Seen {
    gateway::FlowRef ref;
    uint64_t bytes = 0;
    Address from{}, to{};
    uint16_t fromPort = 0, toPort = 0;
    uint8_t protocol = 0;
    gateway::Application application = gateway::Application::unknown;
    gateway::FlowPhase phase = gateway::FlowPhase::inspected;
    uint32_t rule = 0, mark = 0, waiting = 0;
    std::array<uint64_t, 2> packetsOf{}, bytesOf{};
    std::string applicationName, ruleName, host;
    uint32_t needs = 0;
    gateway::ApplicationStage::ParserState parser = gateway::ApplicationStage::ParserState::none;
  };

  void look(const gateway::Flow& flow);
  static Seen seen(const gateway::Flow& flow);
  static bool isMore(const Seen& a, const Seen& b) { return a.bytes > b.bytes; }

  const size_t most_;
  uint32_t next_ = 0;
  bool looked_ = false;
  uint64_t total_ = 0;
  // Those with the most so far: a heap with the least in front, and in the end in their order.
  std::vector<Seen> flows_;
  size_t named_ = 0;
};

}  // namespace p2pxbone
