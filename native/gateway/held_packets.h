// Packets that wait in the gateway, copied to its own bounded memory. A datagram that came in fragments is one of them,
// made of its parts; it is inspected whole and leaves as the fragments it came in.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/packet_store.h"
#include "gateway/limits.h"
#include "gateway/outlet.h"
#include "gateway/packet.h"

namespace p2pxbone::gateway {

using HeldId = uint32_t;
inline constexpr HeldId kNotHeld = 0xffffffff;
static_assert(kNoParts == kNotHeld);

// For how much of the memory something is answerable.
enum class HeldFor : uint8_t { fragments, stream, verdict, limit };
inline constexpr size_t kHeldForCount = 4;

class HeldPackets {
 public:
  explicit HeldPackets(const Limits& limits);

  // A copy of the packet, whose checksum is made right first; of a reassembled datagram its parts, with what was changed
  // in it. kNotHeld if there is no room.
  [[nodiscard]] HeldId keep(Packet& packet, HeldFor purpose);
  // Where large packets are put together: what becomes of one that leaves must not touch the one at hand.
  enum class Place : uint8_t { atHand, leaving };
  // The packet with its transport header read. Its bytes die with the packet or with the next one that is put together in
  // this place; release() uses the place for what leaves.
  void load(HeldId id, Packet& packet, Place place = Place::atHand);
  // Makes what was changed in a loaded packet last.
  void update(HeldId id, Packet& packet);
  void answerFor(HeldId id, HeldFor purpose) { moveParts(id, purpose); }
  void release(HeldId id, Outlet& outlet);
  void discard(HeldId id, DropReason reason, Outlet& outlet);

  // Makes `later` and what is joined to it the parts behind `part`.
  void joinPart(HeldId part, HeldId later) { entries_[part].nextPart = later; }
  // Puts a reassembled datagram together, in memory as load() does. Its first part must be the first
  // fragment, and the parts in order without a gap.
  [[nodiscard]] DropReason assemble(HeldId first, Packet& packet, Place place = Place::atHand);
  // A part as it came. Its bytes die with the next load() or with the part.
  [[nodiscard]] std::span<uint8_t> partBytes(HeldId part);

  // The beginning of a packet, or of its first part: at least its IP header. For changes in place.
  [[nodiscard]] std::span<uint8_t> firstBytes(HeldId id);

  // Held packets form lists of whoever holds them.
  [[nodiscard]] HeldId next(HeldId id) const { return entries_[id].next; }
  void setNext(HeldId id, HeldId next) { entries_[id].next = next; }

  [[nodiscard]] uint32_t blocks(HeldId id) const;
  [[nodiscard]] uint32_t blocksFor(HeldFor purpose) const { return used_[static_cast<size_t>(purpose)]; }
  [[nodiscard]] uint32_t packets() const { return packets_; }

 private:
  struct Entry {
    uint64_t tag;
    uint32_t stored;
    HeldId next;
    HeldId nextPart;
    Offload offload;
    HeldFor purpose;
    bool assembled;  // the first part of a whole datagram
  };
  [[nodiscard]] HeldId takeEntry();
  void free(HeldId id);
  void moveParts(HeldId first, HeldFor purpose);
  void writeBack(const Packet& packet);
  [[nodiscard]] std::span<uint8_t> contents(HeldId id, Place place);

  PacketStore store_;
  std::vector<Entry> entries_;  // grows to its bound and never shrinks
  uint32_t entriesMax_;
  HeldId freeEntries_ = kNotHeld;
  uint32_t packets_ = 0;
  std::array<uint32_t, kHeldForCount> used_{};
  std::array<std::unique_ptr<uint8_t[]>, 2> scratch_;  // by Place
};

}  // namespace p2pxbone::gateway
