#include "gateway/condition.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace p2pxbone::gateway;

TEST_CASE("every condition and action has a name of its own that leads back to it") {
  std::set<std::string> names;
  for (size_t i = 0; i < kConditionCount; ++i) {
    const auto condition = static_cast<Condition>(i);
    CHECK(names.insert(std::string{conditionName(condition)}).second);
    CHECK(conditionFromName(conditionName(condition)) == condition);
    CHECK(reasonOf(condition) != p2pxbone::DropReason::none);
    CHECK(conditionOf(reasonOf(condition)).value_or(condition) == condition);
  }
  for (size_t i = 0; i < kConditionActionCount; ++i) {
    const auto action = static_cast<ConditionAction>(i);
    CHECK(names.insert(std::string{conditionActionName(action)}).second);
    CHECK(conditionActionFromName(conditionActionName(action)) == action);
  }
  CHECK(!conditionFromName("fullStream"));
  CHECK(!conditionActionFromName("allow"));
}
