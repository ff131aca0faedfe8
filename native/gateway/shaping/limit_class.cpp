#include "gateway/shaping/limit_class.h"

#include <algorithm>

#include "gateway/shaping/rate_bucket.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint64_t kQueueBytesMin = uint64_t{32} << 10;
constexpr uint64_t kQueueBytesMax = uint64_t{8} << 20;

// All packets of an instance of the child must belong to one instance of the parent.
bool perFits(const LimitClass& parent, const LimitClass& child) {
  if (parent.per == LimitPer::none || parent.per == child.per) return true;
  if (child.per != LimitPer::flow) return false;
  return parent.per != LimitPer::address || child.way != LimitWay::together;
}

bool wayFits(const LimitClass& parent, const LimitClass& child) {
  if (parent.per == LimitPer::address && child.per != LimitPer::address) return true;
  if (parent.way == child.way && (parent.per == LimitPer::address) == (child.per == LimitPer::address)) return true;
  if (parent.way == LimitWay::together) return true;
  if (child.per == LimitPer::address) return false;
  return parent.way == LimitWay::both && child.way != LimitWay::together;
}

std::optional<std::string> problemOfOne(const LimitClass& limit) {
  const auto outside = [&](const char* what) { return "Limit " + limit.name + ": give " + what + "."; };
  if (limit.rate < kLimitRateMin || limit.rate > kBitRateMax) return outside("a rate from 8 kbit/s to 100 Gbit/s");
  if (limit.ceiling != 0 && (limit.ceiling < limit.rate || limit.ceiling > kBitRateMax)) {
    return outside("a ceiling from its rate to 100 Gbit/s");
  }
  if (limit.burstBytes > kBurstBytesMax) return outside("a burst of at most 100 MB");
  if (limit.queueBytes > kQueueBytesMax) return outside("a queue of at most 8 MiB");
  if (limit.per == LimitPer::address && limit.way != LimitWay::up && limit.way != LimitWay::down) {
    return outside("`way: up` or `way: down`, as it is per address");
  }
  return std::nullopt;
}

}  // namespace

uint64_t ceilingOf(const LimitClass& limit) { return limit.ceiling == 0 ? limit.rate : limit.ceiling; }

uint64_t burstOf(const LimitClass& limit) {
  return limit.burstBytes == 0 ? std::min(ceilingOf(limit) / 8 / 100, kBurstBytesMax) : limit.burstBytes;
}

uint64_t queueOf(const LimitClass& limit) {
  if (limit.queueBytes != 0) return limit.queueBytes;
  return std::clamp(ceilingOf(limit) / 8 / 4, kQueueBytesMin, kQueueBytesMax);
}

std::optional<std::string> problemOf(const ShapingSettings& settings) {
  const std::vector<LimitClass>& classes = settings.classes;
  if (classes.size() > kLimitClassesMax) return "There are more than 4096 limits: remove some.";
  for (const LimitClass& limit : classes) {
    if (auto problem = problemOfOne(limit)) return problem;
    const LimitClass* child = &limit;
    for (uint32_t depth = 1; child->parent != 0; ++depth) {
      if (child->parent > classes.size()) return "Limit " + limit.name + ": name a parent that exists.";
      if (depth == kLimitDepthMax) {
        return "Limit " + limit.name + ": let it have fewer than 8 limits above it, and not itself among them.";
      }
      const LimitClass& parent = classes[child->parent - 1U];
      if (child == &limit && !(perFits(parent, limit) && wayFits(parent, limit))) {
        return "Limit " + limit.name + ": its packets would belong to several instances of " + parent.name +
               "; make the parent's `per` or `way` the wider one.";
      }
      child = &parent;
    }
  }
  return std::nullopt;
}

}  // namespace p2pxbone::gateway
