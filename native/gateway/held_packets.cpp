#include "gateway/held_packets.h"

#include <algorithm>

#include "core/bytes.h"
#include "core/checksum.h"
#include "gateway/checks.h"
#include "gateway/fragment_view.h"
#include "gateway/rewrite.h"

namespace p2pxbone::gateway {
namespace {

// A datagram of the largest size behind the longest chain of headers that is read.
constexpr size_t kScratchBytes = 2 * 65536;

// The header of the whole datagram, made of its first fragment's; its length, bytes.
size_t writeWholeHeader(std::span<uint8_t> to, std::span<const uint8_t> first, const FragmentView& view, bool v6,
                        size_t dataBytes) {
  if (v6) {
    const size_t length = view.headerBytes - 8;
    std::copy_n(first.begin(), length, to.begin());
    to[view.nextHeaderAt] = view.nextHeader;
    storeBe16(&to[4], static_cast<uint16_t>(length - kIpv6HeaderBytes + dataBytes));
    return length;
  }
  std::copy_n(first.begin(), view.headerBytes, to.begin());
  storeBe16(&to[2], static_cast<uint16_t>(view.headerBytes + dataBytes));
  storeBe16(&to[6], loadBe16(&to[6]) & 0x4000);
  storeBe16(&to[10], 0);
  storeBe16(&to[10], checksumOf(to.first(view.headerBytes)));
  return view.headerBytes;
}

}  // namespace

HeldPackets::HeldPackets(const Limits& limits)
    : store_(limits.heldBlocks),
      entriesMax_(limits.heldPackets),
      scratch_{std::make_unique_for_overwrite<uint8_t[]>(kScratchBytes),
               std::make_unique_for_overwrite<uint8_t[]>(kScratchBytes)} {}

HeldId HeldPackets::takeEntry() {
  if (freeEntries_ != kNotHeld) {
    const HeldId id = freeEntries_;
    freeEntries_ = entries_[id].next;
    return id;
  }
  if (entries_.size() >= entriesMax_) return kNotHeld;
  entries_.emplace_back();
  return static_cast<HeldId>(entries_.size() - 1);
}

HeldId HeldPackets::keep(Packet& packet, HeldFor purpose) {
  finishRewrite(packet);
  if (packet.parts != kNoParts) {
    const Entry& first = entries_[packet.parts];
    if (!first.assembled) return kNotHeld;
    writeBack(packet);
    moveParts(packet.parts, purpose);
    return packet.parts;
  }
  if (!store_.fits(packet.bytes.size())) return kNotHeld;
  const HeldId id = takeEntry();
  if (id == kNotHeld) return kNotHeld;
  const uint32_t stored = store_.put(packet.bytes);
  entries_[id] = {packet.tag, stored, kNotHeld, kNotHeld, packet.offload, purpose, false};
  used_[static_cast<size_t>(purpose)] += static_cast<uint32_t>(PacketStore::blocksOf(packet.bytes.size()));
  ++packets_;
  return id;
}

void HeldPackets::moveParts(HeldId first, HeldFor purpose) {
  for (HeldId part = first; part != kNotHeld; part = entries_[part].nextPart) {
    Entry& entry = entries_[part];
    const auto count = static_cast<uint32_t>(PacketStore::blocksOf(store_.bytes(entry.stored)));
    used_[static_cast<size_t>(entry.purpose)] -= count;
    used_[static_cast<size_t>(purpose)] += count;
    entry.purpose = purpose;
  }
}

std::span<uint8_t> HeldPackets::contents(HeldId id, Place place) {
  const uint32_t stored = entries_[id].stored;
  if (store_.bytes(stored) <= PacketStore::kBlockBytes) return store_.inPlace(stored);
  const std::span<uint8_t> all{scratch_[static_cast<size_t>(place)].get(), store_.bytes(stored)};
  store_.copy(stored, all);
  return all;
}

std::span<uint8_t> HeldPackets::partBytes(HeldId part) { return contents(part, Place::atHand); }

void HeldPackets::load(HeldId id, Packet& packet, Place place) {
  if (entries_[id].assembled) {
    (void)assemble(id, packet, place);
  } else {
    (void)parsePacket(contents(id, place), entries_[id].offload, entries_[id].tag, packet);
  }
  (void)checkTransport(packet, Checksum::trust);
}

DropReason HeldPackets::assemble(HeldId first, Packet& packet, Place place) {
  size_t dataBytes = 0;
  const bool v6 = store_.inPlace(entries_[first].stored)[0] >> 4 == 6;
  std::array<uint8_t, PacketStore::kBlockBytes> header;
  FragmentView firstView;
  // Large parts go by the scratch memory's second half, so that they do not meet the datagram in the first.
  uint8_t* const scratch = scratch_[static_cast<size_t>(place)].get();
  const std::span<uint8_t> whole{scratch, kScratchBytes / 2};
  const std::span<uint8_t> aside{scratch + kScratchBytes / 2, kScratchBytes / 2};
  size_t at = 0;
  for (HeldId part = first; part != kNotHeld; part = entries_[part].nextPart) {
    const std::span<uint8_t> bytes = aside.first(store_.bytes(entries_[part].stored));
    store_.copy(entries_[part].stored, bytes);
    const auto view = viewFragment(bytes, v6);
    if (!view || view->headerBytes > header.size()) return DropReason::packetMalformed;
    if (part == first) {
      firstView = *view;
      std::copy_n(bytes.begin(), view->headerBytes, header.begin());
      at = v6 ? view->headerBytes - 8 : view->headerBytes;
    }
    const size_t fixed = v6 ? kIpv6HeaderBytes : 0;
    if (at + view->dataBytes > 65535 + fixed || at + view->dataBytes > whole.size()) {
      return DropReason::gatewayFragmentOverlap;
    }
    std::copy_n(&bytes[view->headerBytes], view->dataBytes, &whole[at]);
    at += view->dataBytes;
    dataBytes += view->dataBytes;
  }
  (void)writeWholeHeader(whole, header, firstView, v6, dataBytes);
  const DropReason reason = parsePacket(whole.first(at), entries_[first].offload, entries_[first].tag, packet);
  if (reason != DropReason::none) return reason;
  entries_[first].assembled = true;
  packet.parts = first;
  return DropReason::none;
}

void HeldPackets::writeBack(const Packet& packet) {
  const std::span<const uint8_t> first = packet.bytes;
  size_t at = 0;
  for (HeldId part = packet.parts; part != kNotHeld; part = entries_[part].nextPart) {
    const uint32_t stored = entries_[part].stored;
    std::array<uint8_t, PacketStore::kBlockBytes> start;
    // The headers of a part always fit one block: assemble() asked for it.
    const size_t length = std::min(store_.bytes(stored), start.size());
    std::copy_n(store_.inPlace(stored).begin(), length, start.begin());
    const auto view = viewFragment(std::span<const uint8_t>{start}.first(length), packet.ip.v6);
    const size_t dataBytes = store_.bytes(stored) - view->headerBytes;
    if (part == packet.parts) at = packet.ip.v6 ? view->headerBytes - 8 : view->headerBytes;
    store_.write(stored, view->headerBytes, first.subspan(at, dataBytes));
    at += dataBytes;
  }
}

void HeldPackets::update(HeldId id, Packet& packet) {
  if (!packet.rewritten) return;
  finishRewrite(packet);
  if (entries_[id].assembled) {
    writeBack(packet);
  } else {
    store_.write(entries_[id].stored, 0, packet.bytes);
  }
}

std::span<uint8_t> HeldPackets::firstBytes(HeldId id) {
  const uint32_t stored = entries_[id].stored;
  return store_.inPlace(stored).first(std::min(store_.bytes(stored), PacketStore::kBlockBytes));
}

uint32_t HeldPackets::blocks(HeldId id) const {
  size_t blocks = 0;
  for (HeldId part = id; part != kNotHeld; part = entries_[part].nextPart)
    blocks += PacketStore::blocksOf(store_.bytes(entries_[part].stored));
  return static_cast<uint32_t>(blocks);
}

void HeldPackets::free(HeldId id) {
  Entry& entry = entries_[id];
  used_[static_cast<size_t>(entry.purpose)] -=
      static_cast<uint32_t>(PacketStore::blocksOf(store_.bytes(entry.stored)));
  store_.free(entry.stored);
  entry.next = freeEntries_;
  freeEntries_ = id;
  --packets_;
}

void HeldPackets::release(HeldId id, Outlet& outlet) {
  for (HeldId part = id; part != kNotHeld;) {
    const HeldId later = entries_[part].nextPart;
    outlet.release(contents(part, Place::leaving), entries_[part].offload, entries_[part].tag);
    free(part);
    part = later;
  }
}

void HeldPackets::discard(HeldId id, DropReason reason, Outlet& outlet) {
  for (HeldId part = id; part != kNotHeld;) {
    const HeldId later = entries_[part].nextPart;
    outlet.discard(entries_[part].tag, reason);
    free(part);
    part = later;
  }
}

}  // namespace p2pxbone::gateway
