// Timers for very many items, each named by a small number: constant work to set, move, cancel and fire one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/millis.h"

namespace p2pxbone::gateway {

class TimerWheel {
 public:
  // `slots` is a power of two. Items farther away than slots * tick fire early, for their owner to set them again.
  TimerWheel(Millis tick, uint32_t slots) : tick_(tick), heads_(slots, kNone) {}

  // Sets or moves the item's timer. It fires at `at` or up to one tick later, never in the call that sets it.
  void schedule(uint32_t item, Millis at) {
    if (item >= links_.size()) links_.resize(item + 1);
    cancel(item);
    const int64_t wanted = (at + tick_ - 1) / tick_;
    const auto slots = static_cast<int64_t>(heads_.size());
    const int64_t turn = std::clamp(wanted, turn_ + 1, turn_ + slots - 1);
    const auto slot = static_cast<uint32_t>(turn & (slots - 1));
    Link& link = links_[item];
    link = {kNone, heads_[slot], slot};
    if (link.next != kNone) links_[link.next].previous = item;
    heads_[slot] = item;
    ++scheduled_;
  }

  void cancel(uint32_t item) {
    if (!isScheduled(item)) return;
    Link& link = links_[item];
    (link.previous == kNone ? heads_[link.slot] : links_[link.previous].next) = link.next;
    if (link.next != kNone) links_[link.next].previous = link.previous;
    link.slot = kNone;
    --scheduled_;
  }

  [[nodiscard]] bool isScheduled(uint32_t item) const { return item < links_.size() && links_[item].slot != kNone; }
  [[nodiscard]] uint32_t scheduled() const { return scheduled_; }
  [[nodiscard]] size_t memoryBytes() const { return links_.capacity() * sizeof(Link) + heads_.size() * sizeof(uint32_t); }

  // Calls due(item) for what is due at `now`, at most so many times; the rest is for the next call. The item is no longer
  // scheduled when it is called.
  template <typename Due>
  void advance(Millis now, uint32_t eventsMax, Due&& due) {
    const int64_t target = now / tick_;
    if (scheduled_ == 0) {
      turn_ = std::max(turn_, target);
      return;
    }
    // After a long silence one round sees every slot.
    turn_ = std::max(turn_, target - static_cast<int64_t>(heads_.size()));
    while (turn_ < target || heads_[slotOf(turn_)] != kNone) {
      uint32_t& head = heads_[slotOf(turn_)];
      while (head != kNone) {
        if (eventsMax-- == 0) return;
        const uint32_t item = head;
        cancel(item);
        due(item);
      }
      if (turn_ >= target) return;
      ++turn_;
    }
  }

 private:
  static constexpr uint32_t kNone = 0xffffffff;
  struct Link {
    uint32_t previous = kNone;
    uint32_t next = kNone;
    uint32_t slot = kNone;  // kNone: not scheduled
  };
  [[nodiscard]] uint32_t slotOf(int64_t turn) const {
    return static_cast<uint32_t>(turn & (static_cast<int64_t>(heads_.size()) - 1));
  }

  Millis tick_;
  int64_t turn_ = 0;  // this slot and all before it have been served, but for what a bounded call left over
  std::vector<uint32_t> heads_;
  std::vector<Link> links_;
  uint32_t scheduled_ = 0;
};

}  // namespace p2pxbone::gateway
