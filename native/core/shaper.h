// Holds the packets of shaped tunnels until they are due: a queue for each tunnel and direction with a LinkModel, one
// bounded packet store for all, and a heap of due times. Sans-I/O: time is an argument. One thread's.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/image.h"
#include "core/link_model.h"
#include "core/packet_store.h"
#include "core/shaper_inlet.h"

namespace p2pxbone {

class Shaper {
 public:
  // Packets that wait, of all tunnels.
  static constexpr size_t kStoreBytesMax = size_t{64} << 20;
  static constexpr uint32_t kStoreBlocks = kStoreBytesMax / PacketStore::kBlockBytes;
  // Of one tunnel's direction; half of the store, so that no tunnel can take it away from all others.
  static constexpr uint32_t kQueuePacketsMax = 16'384;
  // Tunnels' directions that are shaped, of all nodes.
  static constexpr size_t kQueuesMax = 8192;
  // Packets larger than a block leave in one piece; so much of them between two calls of recycle().
  static constexpr size_t kGatherBytes = size_t{256} << 10;

  using Link = ShapedLink;
  struct Departure {
    Link link;
    // As it was admitted; may be overwritten; valid until recycle().
    std::span<uint8_t> packet;
  };

  explicit Shaper(uint64_t seed, uint32_t storeBlocks = kStoreBlocks);

  // Copies the packet, of which `chargedBytes` count for the rate. `none`, or why it is dropped: shaperLost, shaperFull.
  [[nodiscard]] DropReason admit(const Link& link, const LinkShape& shape, std::span<const uint8_t> packet,
                                 size_t chargedBytes, Nanos now);
  // When the next packet is due; nullopt if none waits.
  [[nodiscard]] std::optional<Nanos> nextDue() const;
  // The next packet that is due, if there is one and room to take it out; else call recycle() and try again.
  [[nodiscard]] std::optional<Departure> take(Nanos now);
  // The packets taken have left.
  void recycle();
  // Links that are shaped no more: what waits in them is due at once, in order.
  void releaseIf(const std::function<bool(const Link&)>& isOver, Nanos now);

  [[nodiscard]] size_t queues() const { return numbers_.size(); }
  [[nodiscard]] size_t waiting() const { return waiting_; }

 private:
  // Due times in it never decrease.
  struct Line {
    uint32_t first = PacketStore::kNone;
    uint32_t last = PacketStore::kNone;
  };
  struct Queue {
    Link link;
    LinkModel model;
    Line ordered;
    Line skipping;
    uint32_t packets = 0;
    bool released = false;
  };
  struct Waiting {
    Nanos due;
    uint32_t next;
  };
  // The first packet of a line that is not empty.
  struct Head {
    Nanos due;
    uint32_t line;  // number of the queue times two, one more for `skipping`
    // std::push_heap keeps the greatest on top.
    friend bool operator<(const Head& a, const Head& b) {
      return a.due != b.due ? a.due > b.due : a.line > b.line;
    }
  };

  [[nodiscard]] Queue* queueOf(const Link& link, uint32_t& number);
  void remove(uint32_t number);
  [[nodiscard]] Line& lineOf(uint32_t line);
  void append(uint32_t line, uint32_t packet, Nanos due);
  void pushHead(uint32_t line);
  [[nodiscard]] std::span<uint8_t> contents(uint32_t packet);

  const uint64_t seed_;
  PacketStore store_;
  std::vector<Waiting> packets_;  // by number in the store
  std::vector<Queue> queues_;
  std::vector<uint32_t> freeQueues_;
  std::unordered_map<uint64_t, uint32_t> numbers_;  // of queues, by tunnel and way
  std::vector<Head> heap_;
  std::vector<uint32_t> taken_;
  std::unique_ptr<uint8_t[]> gathered_;
  size_t gatheredBytes_ = 0;
  size_t waiting_ = 0;
};

}  // namespace p2pxbone
