// The instances of limits: one for each flow, address and so on that a class has a limit for. They are made when they are
// first needed, bounded in number, and forgotten when they have been idle. Beyond the bound newcomers share one of the class.
#pragma once

#include <unordered_map>

#include "core/counters.h"
#include "gateway/flow.h"
#include "gateway/shaping/limit_class.h"
#include "gateway/shaping/limit_tree.h"

namespace p2pxbone::gateway {

class LimitInstances {
 public:
  static constexpr uint32_t kNone = LimitTree::kNone;
  static constexpr Nanos kIdle = 60'000'000'000;

  LimitInstances(LimitTree& tree, uint32_t instancesMax, const HashSeed& seed)
      : tree_(tree), instancesMax_(instancesMax), map_(0, Hasher{KeyedHash{seed}}) {}

  // Without problems (problemOf()). With another structure than before nothing may wait in any instance: all are forgotten.
  void configure(const ShapingSettings& settings, Nanos now);
  // The settings differ in numbers only.
  [[nodiscard]] bool fits(const ShapingSettings& settings) const;

  // Where a packet of the limit waits; kNone if it does not count for it. The limit's number is one of the settings.
  [[nodiscard]] uint32_t find(const Flow& flow, Side side, uint16_t limit, Nanos now);
  // Forgets some that were idle for long.
  void expire(Nanos now);

  // The limit that the instance belongs to, from 1 on.
  [[nodiscard]] uint16_t limitOf(uint32_t instance) const;
  [[nodiscard]] const LimitClass& classOf(uint32_t instance) const { return rows_[limitOf(instance) - 1U].limit; }
  [[nodiscard]] uint32_t size() const { return static_cast<uint32_t>(map_.size()); }
  [[nodiscard]] uint64_t shared() const { return shared_.get(); }
  [[nodiscard]] size_t memoryBytes() const;

 private:
  static constexpr uint16_t kNoRow = 0xffff;
  // What packets belong to. A class with others below it has one more row: packets that a rule gives to the class itself are
  // there one child among the others.
  struct Row {
    LimitClass limit;
    uint16_t parent = kNoRow;
    uint16_t direct = kNoRow;  // where the class's own packets wait
    uint16_t number = 0;       // of the class
  };
  struct Key {
    Address address{};
    uint16_t row = 0;
    uint8_t side = 0;
    bool shared = false;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct Hasher {
    KeyedHash hash;
    size_t operator()(const Key& key) const {
      KeyedHash copy = hash;
      copy.add(key.address).add(uint64_t{key.row} << 16 | uint64_t{key.side} << 8 | (key.shared ? 1U : 0U));
      return static_cast<size_t>(copy.finish());
    }
  };
  // By number in the tree. In a list by the time of their last packet; what is above an instance is never older.
  struct Instance {
    Key key;
    Nanos used = 0;
    uint32_t parent = kNone;
    uint32_t older = kNone;
    uint32_t newer = kNone;
  };

  [[nodiscard]] static std::vector<Row> rowsOf(const ShapingSettings& settings);
  [[nodiscard]] LimitTree::Rates ratesOf(const Row& row) const;
  [[nodiscard]] Key keyOf(uint16_t row, const Flow& flow, Side side) const;
  [[nodiscard]] uint32_t get(const Key& key, const Flow& flow, Side side, Nanos now);
  [[nodiscard]] bool makeRoom(Nanos now, Nanos idle);
  void remove(uint32_t instance);
  void enlist(uint32_t instance, Nanos now);
  void delist(uint32_t instance);

  LimitTree& tree_;
  uint32_t instancesMax_;
  std::vector<Row> rows_;
  std::unordered_map<Key, uint32_t, Hasher> map_;
  std::vector<Instance> instances_;
  uint32_t oldest_ = kNone;
  uint32_t newest_ = kNone;
  uint32_t counted_ = 0;  // towards the bound
  Counter shared_;
};

}  // namespace p2pxbone::gateway
