#include "gateway/condition.h"

#include <algorithm>
#include <span>

namespace p2pxbone::gateway {
namespace {

struct Row {
  Condition condition;
  std::string_view name;
  ConditionAction action;
  DropReason reason;
};

using enum ConditionAction;

// In the order of the enumeration.
constexpr std::array<Row, kConditionCount> kRows{{
    {Condition::fragmented, "fragmented", inspect, DropReason::gatewayFragmentRefused},
    {Condition::fragmentsFull, "fragmentsFull", drop, DropReason::gatewayFragmentsFull},
    {Condition::flowsFull, "flowsFull", drop, DropReason::gatewayFlowsFull},
    {Condition::midFlow, "midFlow", inspect, DropReason::gatewayMidFlow},
    {Condition::synData, "synData", drop, DropReason::gatewayTcpState},
    {Condition::urgentData, "urgentData", inspect, DropReason::gatewayTcpState},
    {Condition::outsideWindow, "outsideWindow", drop, DropReason::gatewayTcpWindow},
    {Condition::streamFull, "streamFull", drop, DropReason::gatewayStreamFull},
    {Condition::streamGap, "streamGap", drop, DropReason::gatewayStreamGap},
    {Condition::streamHistory, "streamHistory", drop, DropReason::gatewayStreamHistory},
    {Condition::streamOld, "streamOld", pass, DropReason::gatewayStreamHistory},
    {Condition::heldFull, "heldFull", drop, DropReason::gatewayHeldFull},
    {Condition::parserError, "parserError", dropFlow, DropReason::gatewayRule},
    {Condition::scanUnavailable, "scanUnavailable", dropFlow, DropReason::gatewayRule},
    {Condition::scanTooBig, "scanTooBig", pass, DropReason::gatewayRule},
}};

constexpr std::array<std::string_view, kConditionActionCount> kActionNames{"inspect", "drop", "dropFlow", "pass",
                                                                           "bypass"};

constexpr bool inOrder() {
  for (size_t i = 0; i < kRows.size(); ++i)
    if (static_cast<size_t>(kRows[i].condition) != i) return false;
  return true;
}
static_assert(inOrder());

}  // namespace

std::array<ConditionAction, kConditionCount> ConditionPolicy::defaults() {
  std::array<ConditionAction, kConditionCount> actions{};
  for (size_t i = 0; i < kRows.size(); ++i) actions[i] = kRows[i].action;
  return actions;
}

ConditionPolicy ConditionPolicy::watching() const {
  ConditionPolicy watching = *this;
  for (const Row& row : kRows) {
    // These are inspected without dropping anything; to inspect the others means to drop.
    const bool inspects = row.action == inspect || row.condition == Condition::synData;
    const ConditionAction action = (*this)[row.condition];
    if (!letsPass(action) && !(action == inspect && inspects)) watching.set(row.condition, pass);
  }
  return watching;
}

std::string_view conditionName(Condition condition) { return kRows[static_cast<size_t>(condition)].name; }

std::optional<Condition> conditionFromName(std::string_view name) {
  for (const Row& row : kRows)
    if (row.name == name) return row.condition;
  return std::nullopt;
}

std::string_view conditionActionName(ConditionAction action) { return kActionNames[static_cast<size_t>(action)]; }

std::optional<ConditionAction> conditionActionFromName(std::string_view name) {
  for (size_t i = 0; i < kActionNames.size(); ++i)
    if (kActionNames[i] == name) return static_cast<ConditionAction>(i);
  return std::nullopt;
}

DropReason reasonOf(Condition condition) { return kRows[static_cast<size_t>(condition)].reason; }

std::optional<Condition> conditionOf(DropReason reason) {
  const auto has = [reason](const auto& row) { return row.reason == reason; };
  const auto first = std::find_if(kRows.begin(), kRows.end(), has);
  const bool unique = first != kRows.end() && std::none_of(first + 1, kRows.end(), has);
  return unique && reason != DropReason::gatewayRule ? std::optional{first->condition} : std::nullopt;
}

}  // namespace p2pxbone::gateway
