// Packets that wait in the gateway, copied to its own bounded memory. A datagram that came in fragments is one of them,
// made of its parts; it is inspected whole and leaves as the fragments it came in.
#pragma once

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
  // The packet with its transport header read. Its bytes die with the next load() or with the packet.
  void load(HeldId id, Packet& packet);
  // Makes what was changed in a loaded packet last.
  void update(HeldId id, Packet& packet);
  void answerFor(HeldId id, HeldFor purpose) { moveParts(id, purpose); }
  void release(HeldId id, Outlet& outlet);
  void discard(HeldId id, DropReason reason, Outlet& outlet);

  // Makes `later` and what is joined to it the parts behind `part`.
  void joinPart(HeldId part, HeldId later) { entries_[part].nextPart = later; }
  // Puts a reassembled datagram together in memory that dies with the next load(). Its first part must be the first
  // fragment, and the parts in order without a gap.
  [[nodiscard]] DropReason assemble(HeldId first, Packet& packet);
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
  [[nodiscard]] std::span<uint8_t> contents(HeldId id);

  PacketStore store_;
  std::vector<Entry> entries_;  // grows to its bound and never shrinks
  uint32_t entriesMax_;
  HeldId freeEntries_ = kNotHeld;
  uint32_t packets_ = 0;
  std::array<uint32_t, kHeldForCount> used_{};
  std::unique_ptr<uint8_t[]> scratch_;
};

}  // namespace p2pxbone::gateway
