// Enforces limits of bandwidth: a packet of a limited flow goes on at once while nothing stands before it and no ceiling is
// reached, or else waits its turn in the line of its flow and direction. Watches flows whose `limit` is set.
#pragma once

#include <memory>
#include <vector>

#include "gateway/limits.h"
#include "gateway/shaping/limit_instances.h"
#include "gateway/stages.h"

namespace p2pxbone::gateway {

class BandwidthStage final : public PacketStage {
 public:
  // Waiting longer than this marks packets whose sender knows congestion marks.
  static constexpr Nanos kMarkAfter = 100'000'000;
  static constexpr uint32_t kDeparturesMax = 4'096;

  // Of one class, the packets that rules give to it or that count for it instead of a class below.
  struct Counters {
    Counter packets;  // super-packets count as one
    Counter bytes;    // of packets that went on, as they count for the limit
    Counter waited;
    Counter dropped;
    Counter marked;
    Counter waitedMicros;  // of all packets that waited and went on
  };
  struct Line {
    std::string_view name;
    uint64_t packets = 0;
    uint64_t bytes = 0;
    uint64_t waited = 0;
    uint64_t dropped = 0;
    uint64_t marked = 0;
    uint64_t waitedMicros = 0;
    uint64_t waiting = 0;  // bytes, now
  };

  // The settings must be without problems (problemOf()).
  BandwidthStage(const ShapingSettings& settings, const Limits& limits, const HashSeed& seed);

  // Other settings from now on. With the same limits in other numbers everything goes on; otherwise all that waits leaves at
  // once and in order, and all limits begin anew. Flows that have a limit get the number of the one with the same name, or
  // none, with their next packet or by renumber(), which is for all to be asked before the next settings come.
  void configure(const ShapingSettings& settings, const Custody& custody, Nanos now);
  void renumber(Flow& flow) const;
  // Whether any flow can have a limit of the settings before.
  [[nodiscard]] bool renumbers() const { return renumbered_.size() > 1; }
  // Of the settings: what Flow::limitNumbering is to be where Flow::limit is given.
  [[nodiscard]] uint8_t numbering() const { return numbering_; }

  [[nodiscard]] std::string_view name() const override { return "limits"; }
  [[nodiscard]] Verdict packet(const PacketContext& context, Packet& packet) override;
  [[nodiscard]] std::optional<Nanos> nextDue() const override { return tree_.nextDue(); }
  void depart(const Custody& custody, Nanos now) override;
  void denied(const Custody& custody, const Flow& flow, DropReason reason) override;
  void shutdown(const Custody& custody, DropReason reason) override;

  [[nodiscard]] std::vector<Line> statistics() const;
  [[nodiscard]] const LimitInstances& instances() const { return instances_; }
  // Bytes, without the packets.
  [[nodiscard]] size_t memoryBytes() const;

 private:
  // Packets of one flow and direction that wait, by their line's number in the tree; none if the number is not a line's.
  struct Waiting {
    uint64_t flow = 0;
    Side side = Side::initiator;
    HeldId first = kNotHeld;
    HeldId last = kNotHeld;
    uint64_t bytes = 0;
  };
  struct Queue {  // of an instance, by its number
    uint64_t bytes = 0;
    uint32_t packets = 0;
  };
  struct Ticket {  // of a packet, by its number in HeldPackets
    Nanos since = 0;
    uint32_t bytes = 0;
  };

  [[nodiscard]] uint32_t lineOf(const Flow& flow, Side side) const;
  [[nodiscard]] Verdict wait(const PacketContext& context, Packet& packet, uint32_t instance, uint32_t line,
                             uint32_t bytes);
  [[nodiscard]] bool hasRoom(const Custody& custody, uint32_t instance, uint32_t line, uint32_t bytes) const;
  // Takes the line's first packet out; what it counts for.
  HeldId takeFirst(uint32_t line, const HeldPackets& held);
  void discardLine(uint32_t line, const Custody& custody, DropReason reason);
  void letGo(HeldId id, const Custody& custody, Counters& counters);
  [[nodiscard]] Counters& countersOf(uint32_t instance) { return counters_[instances_.limitOf(instance) - 1U]; }

  ShapingSettings settings_;
  uint8_t numbering_ = 0;
  std::vector<uint16_t> renumbered_;  // by the number of before
  uint32_t blocksMax_;
  LimitTree tree_;
  LimitInstances instances_;
  std::vector<Waiting> lines_;
  std::vector<Queue> queues_;
  std::vector<Ticket> tickets_;
  std::unique_ptr<Counters[]> counters_;
  std::vector<uint64_t> waitingBytes_;  // by class
  Nanos now_ = 0;
};

}  // namespace p2pxbone::gateway
