// Many heaps over one set of numbered items, each in at most one of them: whose key is least has its turn. Pairing heaps
// (Fredman, Sedgewick, Sleator, Tarjan 1986), so that an item costs five words wherever it is, and a heap one.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

namespace p2pxbone::gateway {

class TurnHeaps {
 public:
  static constexpr uint32_t kNone = 0xffffffff;
  // Keys may wrap around; those in one heap lie within half of the range.
  using Key = uint64_t;
  [[nodiscard]] static bool before(Key a, Key b) { return static_cast<int64_t>(a - b) < 0; }

  // `top` is the heap: its first item, or kNone. Among equal keys the item that was there goes first.
  void push(uint32_t& top, uint32_t item, Key key) {
    if (item >= links_.size()) links_.resize(size_t{item} + 1);
    links_[item] = {.key = key};
    top = top == kNone ? item : meld(top, item);
  }

  void erase(uint32_t& top, uint32_t item) {
    if (item == top) {
      top = collect(links_[item].child);
      return;
    }
    Link& link = links_[item];
    // `previous` is the sibling before it, or the parent of the first.
    Link& previous = links_[link.previous];
    (previous.child == item ? previous.child : previous.next) = link.next;
    if (link.next != kNone) links_[link.next].previous = link.previous;
    const uint32_t below = collect(link.child);
    if (below != kNone) top = meld(top, below);
  }

  static constexpr size_t kItemBytes = 24;

  [[nodiscard]] Key keyOf(uint32_t item) const { return links_[item].key; }

 private:
  struct Link {
    Key key = 0;
    uint32_t child = kNone;
    uint32_t next = kNone;
    uint32_t previous = kNone;
  };

  uint32_t meld(uint32_t first, uint32_t second) {
    if (before(links_[second].key, links_[first].key)) std::swap(first, second);
    Link& above = links_[first];
    Link& below = links_[second];
    below.next = above.child;
    below.previous = first;
    if (above.child != kNone) links_[above.child].previous = second;
    above.child = second;
    above.next = kNone;
    return first;
  }

  // One heap of an item and its siblings: in pairs from the front, then all from the back.
  uint32_t collect(uint32_t item) {
    uint32_t pairs = kNone;
    while (item != kNone) {
      const uint32_t second = links_[item].next;
      uint32_t pair = item;
      item = second == kNone ? kNone : links_[second].next;
      links_[pair].next = kNone;
      if (second != kNone) {
        links_[second].next = kNone;
        pair = meld(pair, second);
      }
      links_[pair].next = pairs;
      pairs = pair;
    }
    uint32_t all = kNone;
    while (pairs != kNone) {
      const uint32_t next = links_[pairs].next;
      links_[pairs].next = kNone;
      all = all == kNone ? pairs : meld(all, pairs);
      pairs = next;
    }
    return all;
  }

  static_assert(sizeof(Link) == kItemBytes);

  std::vector<Link> links_;
};

}  // namespace p2pxbone::gateway
