#include "gateway/defragment.h"

#include <algorithm>

namespace p2pxbone::gateway {
namespace {

// RFC 1858 and RFC 7112: what tells one flow from another must stand in the first fragment.
bool tooSmall(const FragmentView& view, const Packet& packet) {
  if (view.dataBytes == 0 || (view.more && view.dataBytes % 8 != 0)) return true;
  if (view.offset == 0) {
    if (packet.isTcp()) {
      const std::span<const uint8_t> header = packet.transport();
      return header.size() < kTcpHeaderBytesMin || size_t{header[12]} / 16 * 4 > header.size();
    }
    if (packet.isUdp()) return packet.transport().size() < kUdpHeaderBytes;
    // The chain of headers goes on in the next fragment.
    return packet.ip.v6 && packet.ip.transportBytes == 0;
  }
  return view.nextHeader == kProtocolTcp && view.offset < kTcpHeaderBytesMin;
}

bool sameData(std::span<const uint8_t> a, std::span<const uint8_t> b, const FragmentView& view) {
  const auto data = [&](std::span<const uint8_t> bytes) { return bytes.subspan(bytes.size() - view.dataBytes); };
  return a.size() >= view.dataBytes && std::ranges::equal(data(a), data(b));
}

}  // namespace

Defragmenter::Defragmenter(const Limits& limits, const HashSeed& seed, HeldPackets& held)
    : limits_(limits), hash_(seed), held_(held), buckets_(std::bit_ceil(std::max(1U, limits.fragmentedDatagrams)), kNone) {
  datagrams_.reserve(limits.fragmentedDatagrams);
}

Defragmenter::Index& Defragmenter::bucketOf(const Key& key) {
  KeyedHash hash = hash_;
  hash.add(key.source).add(key.destination);
  hash.add(uint64_t{key.identification} << 16 | uint64_t{key.protocol} << 8 | uint64_t{key.v6});
  return buckets_[hash.finish() & (buckets_.size() - 1)];
}

Defragmenter::Index Defragmenter::find(const Key& key) {
  Index index = bucketOf(key);
  while (index != kNone && datagrams_[index].key != key) index = datagrams_[index].nextInBucket;
  return index;
}

Defragmenter::Index Defragmenter::create(const Key& key, Millis now) {
  Index index = free_;
  if (index != kNone) {
    free_ = datagrams_[index].nextInBucket;
  } else if (datagrams_.size() < limits_.fragmentedDatagrams) {
    index = static_cast<Index>(datagrams_.size());
    datagrams_.emplace_back();
  } else {
    return kNone;
  }
  Datagram& datagram = datagrams_[index];
  datagram.key = key;
  datagram.expires = now + limits_.fragmentTimeout;
  datagram.pieces.clear();
  datagram.received = 0;
  datagram.total.reset();
  datagram.condemned = false;
  Index& bucket = bucketOf(key);
  datagram.nextInBucket = bucket;
  bucket = index;
  datagram.older = newest_;
  datagram.newer = kNone;
  (newest_ == kNone ? oldest_ : datagrams_[newest_].newer) = index;
  newest_ = index;
  ++unfinished_;
  return index;
}

void Defragmenter::remove(Index index) {
  Datagram& datagram = datagrams_[index];
  Index* link = &bucketOf(datagram.key);
  while (*link != index) link = &datagrams_[*link].nextInBucket;
  *link = datagram.nextInBucket;
  (datagram.older == kNone ? oldest_ : datagrams_[datagram.older].newer) = datagram.newer;
  (datagram.newer == kNone ? newest_ : datagrams_[datagram.newer].older) = datagram.older;
  datagram.nextInBucket = free_;
  free_ = index;
  --unfinished_;
}

Defragmenter::Result Defragmenter::condemn(Index index, DropReason reason, Outlet& outlet) {
  Datagram& datagram = datagrams_[index];
  for (const Piece& piece : datagram.pieces) held_.discard(piece.held, reason, outlet);
  datagram.pieces.clear();
  // RFC 5722 §4: fragments still to come are lost too, so the datagram stays known until its time is over.
  datagram.condemned = true;
  counters_.refused.add();
  return {Outcome::refused, reason};
}

Defragmenter::Result Defragmenter::complete(Index index, Packet& packet, Outlet& outlet) {
  std::vector<Piece>& pieces = datagrams_[index].pieces;
  for (size_t i = 0; i + 1 < pieces.size(); ++i) held_.joinPart(pieces[i].held, pieces[i + 1].held);
  const HeldId first = pieces.front().held;
  pieces.clear();
  const DropReason reason = held_.assemble(first, packet);
  if (reason != DropReason::none) {
    held_.discard(first, reason, outlet);
    return condemn(index, reason, outlet);
  }
  remove(index);
  counters_.datagrams.add();
  return {Outcome::complete, DropReason::none};
}

Defragmenter::Result Defragmenter::insert(Index index, const FragmentView& view, Packet& packet, Outlet& outlet) {
  Datagram& datagram = datagrams_[index];
  std::vector<Piece>& pieces = datagram.pieces;
  const auto offset = static_cast<uint32_t>(view.offset);
  const auto end = static_cast<uint32_t>(view.offset + view.dataBytes);
  const auto at = std::ranges::lower_bound(pieces, offset, {}, &Piece::offset);
  if (at != pieces.end() && at->offset == offset && at->end == end) {
    // RFC 8200 §4.5: an exact duplicate does no harm.
    if (sameData(held_.partBytes(at->held), packet.bytes, view)) {
      return {Outcome::duplicate, DropReason::gatewayFragmentOverlap};
    }
    return condemn(index, DropReason::gatewayFragmentOverlap, outlet);
  }
  const bool overlaps = (at != pieces.end() && at->offset < end) || (at != pieces.begin() && (at - 1)->end > offset);
  // Nothing may lie behind the end, and there is one end only.
  const bool last = !view.more;
  const bool beyond = datagram.total && (end > *datagram.total || last);
  const bool endTooEarly = last && !pieces.empty() && pieces.back().end > end;
  if (overlaps || beyond || endTooEarly) return condemn(index, DropReason::gatewayFragmentOverlap, outlet);
  if (pieces.size() >= limits_.fragmentsPerDatagram) {
    return condemn(index, DropReason::gatewayFragmentsFull, outlet);
  }
  const size_t blocks = held_.blocksFor(HeldFor::fragments) + PacketStore::blocksOf(packet.bytes.size());
  const HeldId held = blocks > limits_.fragmentBlocks ? kNotHeld : held_.keep(packet, HeldFor::fragments);
  if (held == kNotHeld) return {Outcome::full, DropReason::gatewayFragmentsFull};
  pieces.insert(at, {offset, end, held});
  datagram.received += end - offset;
  if (last) datagram.total = end;
  if (datagram.received == datagram.total) return complete(index, packet, outlet);
  return {Outcome::waiting, DropReason::none};
}

Defragmenter::Result Defragmenter::take(Packet& packet, Millis now, Outlet& outlet) {
  counters_.fragments.add();
  const auto view = viewFragment(packet.bytes, packet.ip.v6);
  if (!view) return {Outcome::refused, DropReason::packetMalformed};
  if (view->whole()) return {Outcome::alone, DropReason::none};
  const Key key{packet.ip.source, packet.ip.destination, view->identification,
                packet.ip.v6 ? uint8_t{0} : packet.ip.protocol, packet.ip.v6};
  Index index = find(key);
  if (index != kNone && now >= datagrams_[index].expires) {
    // The timer is late; its turn comes before ours.
    timer(now, outlet);
    index = find(key);
  }
  if (index != kNone && datagrams_[index].condemned) return {Outcome::refused, DropReason::gatewayFragmentOverlap};
  if (index == kNone) index = create(key, now);
  if (index == kNone) return {Outcome::full, DropReason::gatewayFragmentsFull};
  // RFC 791's and RFC 8200's largest packet.
  if (view->offset + view->dataBytes > 65535) return condemn(index, DropReason::gatewayFragmentOverlap, outlet);
  if (tooSmall(*view, packet)) return condemn(index, DropReason::gatewayFragmentTiny, outlet);
  return insert(index, *view, packet, outlet);
}

void Defragmenter::timer(Millis now, Outlet& outlet) {
  while (oldest_ != kNone && datagrams_[oldest_].expires <= now) {
    Datagram& datagram = datagrams_[oldest_];
    for (const Piece& piece : datagram.pieces) {
      held_.discard(piece.held, DropReason::gatewayFragmentTimeout, outlet);
    }
    if (!datagram.condemned) counters_.timedOut.add();
    remove(oldest_);
  }
}

std::optional<Millis> Defragmenter::deadline() const {
  if (oldest_ == kNone) return std::nullopt;
  return datagrams_[oldest_].expires;
}

}  // namespace p2pxbone::gateway
