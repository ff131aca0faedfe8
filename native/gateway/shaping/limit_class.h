// Limits of bandwidth as a policy names them: a tree of classes. Bytes and bits are those of IP packets; a super-packet
// counts as the packets that it stands for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace p2pxbone::gateway {

// Of what each has the limit for itself. `source` is the end of the flow that spoke first, `destination` the other one.
enum class LimitPer : uint8_t {
  none,  // all of the class together
  flow,
  source,
  destination,
  address,  // the packet's sender with `up`, its receiver with `down`, whoever began the flow
};

// Which packets count. But with `address`, `up` are those of the flow's first speaker, `down` those of the other end;
// packets that do not count for a class count for its parent only.
enum class LimitWay : uint8_t {
  both,  // each direction has the whole limit
  up,
  down,
  together,  // both directions share one
};

inline constexpr uint64_t kLimitRateMin = 8'000;
inline constexpr uint32_t kLimitClassesMax = 4'096;
inline constexpr uint32_t kLimitDepthMax = 8;

struct LimitClass {
  std::string name;
  // Number of another class, in any order; 0: none. Classes are numbered from 1.
  uint16_t parent = 0;
  LimitPer per = LimitPer::none;
  LimitWay way = LimitWay::both;
  // Bits a second. What each instance of it gets when its parent's ceiling allows what all of them are assured; also the
  // proportion in which instances share what is more, or less, than that.
  uint64_t rate = kLimitRateMin;
  // Bits a second; 0: as the rate. In no span of time goes more than this and the burst and a packet, or two where packets
  // had to wait for others below the same parent. Without a parent the ceiling alone counts.
  uint64_t ceiling = 0;
  // Bytes that may go at once after a pause; 0: what goes in 10 ms at the ceiling.
  uint64_t burstBytes = 0;
  // Bytes that may wait; 0: what goes in 250 ms at the ceiling, at least 32 KiB and at most 8 MiB. One packet may always.
  uint64_t queueBytes = 0;

  friend bool operator==(const LimitClass&, const LimitClass&) = default;
};

struct ShapingSettings {
  std::vector<LimitClass> classes;
};

[[nodiscard]] uint64_t ceilingOf(const LimitClass& limit);
[[nodiscard]] uint64_t burstOf(const LimitClass& limit);
[[nodiscard]] uint64_t queueOf(const LimitClass& limit);

// A sentence that says what is wrong and what to do; nullopt if nothing is.
[[nodiscard]] std::optional<std::string> problemOf(const ShapingSettings& settings);

}  // namespace p2pxbone::gateway
