// All flows, bounded. When the table is full, room is made in this order: TCP connections that are over; flows in which
// only one end has spoken; others, those first that were silent for longest (approximately: a flow that has spoken since it
// was last looked at gets a second chance). Flows whose packets wait for a verdict stay.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "gateway/flow.h"
#include "gateway/half_open.h"
#include "gateway/timer_wheel.h"

namespace p2pxbone::gateway {

class FlowTable {
 public:
  enum class Outcome : uint8_t {
    known,      // has a record
    created,    // has one now
    handshake,  // a TCP handshake, which needs none
    forged,     // contradicts a TCP handshake
    stray,      // TCP without data of no known connection: not worth a record
    midFlow,    // TCP data of no known connection, and it is not to be picked up
    full,       // no room
  };
  struct Found {
    Outcome outcome;
    Flow* flow = nullptr;
    Side side = Side::initiator;
  };
  struct Counters {
    Counter created;
    Counter pickedUp;
    Counter strays;
    Counter ended;
    Counter evictedOver;      // TCP connections that were over
    Counter evictedOneSided;
    Counter evictedOthers;
  };
  // Called before a record is freed.
  using Ended = std::function<void(Flow&, FlowEnd)>;

  FlowTable(const Limits& limits, const HashSeed& seed, Ended ended);
  ~FlowTable();
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  // The flow of a packet that has passed the checks. `mayPickUp`: also one whose beginning was not seen.
  [[nodiscard]] Found admit(const Packet& packet, Millis now, bool mayPickUp);
  // The record, if it is still that flow's.
  [[nodiscard]] Flow* find(const FlowRef& ref);
  [[nodiscard]] Flow* find(const FlowKey& key);
  // Whichever flow has this index now, if any.
  [[nodiscard]] Flow* at(uint32_t index) {
    return index < allocated_ && flowAt(index).ref.index == index ? &flowAt(index) : nullptr;
  }

  // Counts the packet, and keeps the flow alive.
  void count(Flow& flow, Side side, const WireSize& size, Millis now);
  // After a change of phase or of the TCP state: the time-out and the order of eviction may be others now.
  void update(Flow& flow, Millis now);
  // A SYN between ports that still have a record: remembered beside it, for when the answer ends the record.
  void expect(const Packet& packet, Millis now);
  void end(Flow& flow, FlowEnd cause);
  void endAll();

  // Ends flows that were silent for too long, at most so many.
  void timer(Millis now, uint32_t eventsMax = 1024);

  template <typename Each>
  void forEach(Each&& each) {
    for (uint32_t index = 0; index < allocated_; ++index)
      if (flowAt(index).ref.index == index) each(flowAt(index));
  }

  // Of the records from this place on; the place behind the last one that was looked at, or the same where there are no more.
  // Flows may come and go in between: each that is there all the time is seen once.
  template <typename Each>
  [[nodiscard]] uint32_t forSome(uint32_t from, uint32_t most, Each&& each) {
    const uint32_t until = std::min(allocated_, from + most);
    for (uint32_t index = from; index < until; ++index)
      if (flowAt(index).ref.index == index) each(flowAt(index));
    return std::max(from, until);
  }

  [[nodiscard]] uint32_t size() const { return size_; }
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const HalfOpenFlows& halfOpen() const { return halfOpen_; }
  // Of the records and their index, bytes; without what stages keep for each.
  [[nodiscard]] size_t memoryBytes() const;

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  static constexpr uint32_t kSlabFlows = 512;
  enum class Order : uint8_t { over, oneSided, others };
  static constexpr size_t kOrders = 3;

  struct Node {
    uint32_t nextInBucket = kNone;
    uint32_t older = kNone;
    uint32_t newer = kNone;
    Order order = Order::oneSided;
    Millis enlisted = 0;
  };
  struct List {
    uint32_t oldest = kNone;
    uint32_t newest = kNone;
  };

  [[nodiscard]] Flow& flowAt(uint32_t index) { return slabs_[index / kSlabFlows][index % kSlabFlows]; }
  [[nodiscard]] uint32_t find(const FlowKey& key, uint64_t hash);
  [[nodiscard]] Flow* create(const DirectedKey& directed, uint64_t hash, bool initiatorIsB, Millis now);
  [[nodiscard]] Found createFromHandshake(const DirectedKey& directed, uint64_t hash,
                                          const HalfOpenFlows::Promotion& promotion, Millis now);
  [[nodiscard]] uint32_t takeIndex();
  [[nodiscard]] bool evictOne();
  void enlist(uint32_t index, Order order, Millis now);
  void delist(uint32_t index);
  [[nodiscard]] Order orderOf(const Flow& flow) const;
  [[nodiscard]] Millis timeoutOf(const Flow& flow) const;
  [[nodiscard]] static Millis lastOf(const Flow& flow);
  [[nodiscard]] static FlowEnd causeOf(const Flow& flow);

  const Limits limits_;
  KeyedHash hash_;
  Ended ended_;
  HalfOpenFlows halfOpen_;
  std::vector<uint32_t> buckets_;
  std::vector<std::unique_ptr<Flow[]>> slabs_;
  std::vector<Node> nodes_;
  std::array<List, kOrders> lists_;
  TimerWheel wheel_{256, 512};
  uint32_t allocated_ = 0;
  uint32_t free_ = kNone;
  uint32_t size_ = 0;
  uint64_t nextId_ = 1;
  Counters counters_;
};

}  // namespace p2pxbone::gateway
