#include "os/flow_survey.h"

#include <arpa/inet.h>

#include <algorithm>

#include "gateway/audit/json_writer.h"

namespace p2pxbone {
namespace {

using gateway::Flow;
using gateway::FlowPhase;
using gateway::Side;

constexpr size_t kLineBytesMax = 1'536;
constexpr size_t kNameBytesMax = 256;

std::string addressText(const Address& address) {
  char text[INET6_ADDRSTRLEN];
  const bool v4 = isMappedIpv4(address);
  return ::inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &address[12] : address.data(), text, sizeof text) == nullptr ? "" : text;
}

std::string_view stateOf(FlowPhase phase) {
  switch (phase) {
    case FlowPhase::inspected: return "inspected";
    case FlowPhase::settled: return "settled";
    case FlowPhase::denied: return "denied";
  }
  return {};
}

std::string_view wordOf(gateway::ApplicationStage::ParserState state) {
  using enum gateway::ApplicationStage::ParserState;
  switch (state) {
    case none: return "";
    case initial: return "initial";
    case receiving: return "receiving";
    case processing: return "processing";
  }
  return {};
}

}  // namespace

bool FlowSurvey::step(gateway::FlowTable& table, const Names& names) {
  if (!looked_) {
    const uint32_t next = table.forSome(next_, kFlowsAtOnce, [this](const Flow& flow) { look(flow); });
    looked_ = next == next_;
    next_ = next;
    if (!looked_) return true;
    std::sort_heap(flows_.begin(), flows_.end(), isMore);
  }
  // Policies that end take the names with them.
  const size_t until = std::min(flows_.size(), named_ + kFlowsAtOnce);
  for (; named_ < until; ++named_) {
    Seen& flow = flows_[named_];
    flow.applicationName = names.application(flow.application).substr(0, kNameBytesMax);
    flow.ruleName = names.rule(flow.rule).substr(0, kNameBytesMax);
    const Flow* const there = table.find(flow.ref);
    if (there == nullptr) continue;
    const gateway::ApplicationStage::Known known = names.known(*there);
    flow.host = known.host.substr(0, kNameBytesMax);
    flow.needs = known.needs;
    flow.parser = known.parser;
  }
  return named_ < flows_.size();
}

void FlowSurvey::look(const Flow& flow) {
  ++total_;
  if (most_ == 0) return;
  const uint64_t bytes = flow.directions[0].bytes + flow.directions[1].bytes;
  if (flows_.size() == most_) {
    if (bytes <= flows_.front().bytes) return;
    std::pop_heap(flows_.begin(), flows_.end(), isMore);
    flows_.pop_back();
  }
  flows_.push_back(seen(flow));
  std::push_heap(flows_.begin(), flows_.end(), isMore);
}

FlowSurvey::Seen FlowSurvey::seen(const Flow& flow) {
  Seen seen;
  seen.ref = flow.ref;
  seen.bytes = flow.directions[0].bytes + flow.directions[1].bytes;
  seen.from = flow.address(Side::initiator);
  seen.to = flow.address(Side::responder);
  seen.fromPort = flow.port(Side::initiator);
  seen.toPort = flow.port(Side::responder);
  seen.protocol = flow.key.protocol;
  seen.application = flow.application;
  seen.phase = flow.phase;
  seen.rule = flow.verdict.rule;
  seen.mark = flow.mark;
  seen.waiting = flow.waiting[0].blocks + flow.waiting[1].blocks;
  for (size_t side = 0; side < 2; ++side) {
    seen.packetsOf[side] = flow.directions[side].packets;
    seen.bytesOf[side] = flow.directions[side].bytes;
  }
  return seen;
}

std::string FlowSurvey::text() const {
  std::string text((flows_.size() + 1) * kLineBytesMax, '\0');
  gateway::JsonWriter json{text};
  json.open();
  json.number("total", total_);
  json.openList("flows");
  for (const Seen& flow : flows_) {
    json.open();
    json.number("id", flow.ref.id);
    json.word("from", addressText(flow.from));
    json.number("fromPort", flow.fromPort);
    json.word("to", addressText(flow.to));
    json.number("toPort", flow.toPort);
    json.number("protocol", flow.protocol);
    json.text("application", flow.applicationName, kNameBytesMax);
    json.text("host", flow.host, kNameBytesMax);
    json.word("state", stateOf(flow.phase));
    json.openList("needs");
    for (const auto& [bit, name] : gateway::kNeedNames)
      if ((flow.needs & bit) != 0) json.word({}, name);
    json.closeList();
    json.word("parser", wordOf(flow.parser));
    json.text("rule", flow.ruleName, kNameBytesMax);
    json.number("packetsUp", flow.packetsOf[0]);
    json.number("bytesUp", flow.bytesOf[0]);
    json.number("packetsDown", flow.packetsOf[1]);
    json.number("bytesDown", flow.bytesOf[1]);
    json.number("mark", flow.mark);
    json.number("waiting", flow.waiting);
    json.close();
  }
  json.closeList();
  json.close();
  text.resize(json.full() ? 0 : json.size());
  return text;
}

}  // namespace p2pxbone
