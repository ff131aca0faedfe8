// Who may send next under a tree of ceilings. Every instance of a limit has a token bucket for its ceiling; an instance whose
// bucket owes cannot send, and neither can what is below it. Those that can share in proportion to their rates, at
// every place of the tree: start-time fair queueing (Goyal, Vin, Cheng 1997), by weights the rates. So an instance gets its
// rate whenever the one above it can give all of them theirs, and borrows what others leave up to its ceiling. At the
// bottom are lines, each the packets of one flow, which share equally. It knows of no packets, only of their sizes.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "gateway/shaping/rate_bucket.h"
#include "gateway/shaping/turn_heaps.h"

namespace p2pxbone::gateway {

class LimitTree {
 public:
  static constexpr uint32_t kNone = TurnHeaps::kNone;
  // Above all instances; it has no ceiling.
  static constexpr uint32_t kRoot = 0;
  // Of a packet, as it is counted: a super-packet with the headers of each packet it stands for.
  static constexpr uint32_t kChargeMax = 1U << 18;

  struct Rates {
    uint64_t rate = 0;     // bits a second, from kLimitRateMin on
    uint64_t ceiling = 0;  // 0: no bucket of its own
    uint64_t burst = 0;    // bytes
  };

  LimitTree();

  // Instances and lines are numbered together. A number is used again once it has been removed.
  [[nodiscard]] uint32_t addInstance(uint32_t parent, const Rates& rates, Nanos now);
  // Only of an instance that has nothing below it.
  void removeInstance(uint32_t instance);
  void setRates(uint32_t instance, const Rates& rates, Nanos now);
  // It has nothing below it, and forgetting it would forgive nothing it owes.
  [[nodiscard]] bool isIdle(uint32_t instance, Nanos now);

  // True: so many bytes may go at once past everything that waits, and have been counted. Only where no line waits in the
  // instance; nobody above it who could send is passed by.
  [[nodiscard]] bool pass(uint32_t instance, uint32_t bytes, Nanos now);

  // A line of an instance that has only lines below it, and the size of its first packet.
  [[nodiscard]] uint32_t addLine(uint32_t instance, uint32_t bytes, Nanos now);
  // Its packets went without being sent.
  void removeLine(uint32_t line);

  // Whose turn is at `now`; kNone if nobody may send.
  [[nodiscard]] uint32_t next(Nanos now);
  // The line that next() named has sent a packet. It is removed if it has no more.
  void sent(uint32_t line, uint32_t bytes, bool more, Nanos now);
  // When to ask next() again, if nothing comes before; at or before the time of the last call: at once.
  [[nodiscard]] std::optional<Nanos> nextDue() const;

  [[nodiscard]] uint32_t instanceOf(uint32_t line) const { return nodes_[line].parent; }
  [[nodiscard]] uint32_t nodes() const { return used_; }
  [[nodiscard]] size_t memoryBytes() const;

 private:
  enum class Place : uint8_t {
    out,      // has nothing to send that may be sent
    ready,    // in the heap of the one above
    blocked,  // has something to send, and its own bucket owes
  };
  struct Node {
    uint32_t parent = kNone;  // or the next free number
    uint32_t ready = kNone;   // heap of those below that may send
    uint32_t children = 0;    // instances and lines below it
    uint32_t lines = 0;       // at any depth
    uint32_t largest = 0;     // packet since it began to wait, bytes
    bool hasBucket = false;
    Place place = Place::out;
    // How much it has been given, in time at its own rate; of a line, in bytes. Compared with its siblings' only.
    uint64_t tag = 0;
    uint64_t clock = 0;  // the tag of the one below it that was served last
    uint64_t rate = 0;
    uint64_t burst = 0;
    RateBucket bucket{1, 0, 0};
  };

  [[nodiscard]] uint32_t take(uint32_t parent);
  void free(uint32_t node);
  void refill(Node& node, Nanos now);
  [[nodiscard]] bool opens(Node& node, Nanos now);
  void countLines(uint32_t instance, int change);
  // The node has something to send now; what is above it hears of it.
  void lift(uint32_t node, Nanos now);
  // The node has not any more.
  void drop(uint32_t node);
  void join(uint32_t node);
  void charge(uint32_t instance, uint32_t bytes);

  std::vector<Node> nodes_;
  TurnHeaps heaps_;
  uint32_t blocked_ = kNone;  // heap by the time when their buckets open
  uint32_t free_ = kNone;
  uint32_t used_ = 0;
  Nanos now_ = 0;
};

}  // namespace p2pxbone::gateway
