#include "core/secure_arrivals.h"

#include <algorithm>

#include "core/vxlan.h"

namespace p2pxbone {

void SecureArrivals::handle(const ChannelDirectory& directory, const Endpoint& from, std::span<uint8_t> datagram,
                            Millis now, ArrivalSink& sink) {
  // Nobody needs larger ones, and what strangers send may have to wait for the control side.
  if (datagram.size() > recordDatagramBytesMax) return sink.drop(DropReason::dtlsMalformed);
  const ChannelDirectory::Entry* entry = directory.find(from);
  SecureChannel* channel = entry == nullptr ? findMoved(directory, from, now) : entry->channel.get();
  const size_t datagramBytes = datagram.size();
  for (size_t bytes = 0; !datagram.empty(); datagram = datagram.subspan(bytes)) {
    bytes = isDtls(datagram) ? recordBytes(datagram) : 0;
    if (bytes == 0) return sink.drop(DropReason::dtlsMalformed);
    if (isOfHandshake(datagram)) return sink.handshake(from, entry != nullptr, datagram);
    if (channel == nullptr && entry != nullptr) {
      if (sink.early(from, datagram)) return;
      entry = sink.directory().find(from);
      channel = entry == nullptr ? nullptr : entry->channel.get();
      if (entry != nullptr && channel == nullptr) return sink.drop(DropReason::dtlsPeerUnknown);
    }
    if (channel != nullptr) {
      handleRecord(*channel, from, datagram.first(bytes), datagramBytes, now, sink);
    } else {
      channel = tryMove(directory, from, datagram.first(bytes), datagramBytes, now, sink);
      // One attempt a datagram: a stranger could fill it with records.
      if (channel == nullptr) return;
    }
  }
}

void SecureArrivals::handleRecord(SecureChannel& channel, const Endpoint& from, std::span<uint8_t> record,
                                  size_t datagramBytes, Millis now, ArrivalSink& sink) {
  OpenedRecord opened;
  const DropReason reason = RecordOpener::open(channel, record, now, false, opened);
  if (reason != DropReason::none) return sink.drop(reason);
  passOn(channel, from, opened, datagramBytes, sink);
}

void SecureArrivals::passOn(SecureChannel& channel, const Endpoint& from, const OpenedRecord& opened,
                            size_t datagramBytes, ArrivalSink& sink) {
  if (opened.provesKeys) channel.provenTold = false;
  if (!channel.provenTold) channel.provenTold = sink.proven(channel.association);
  const bool data = opened.type == contentApplicationData;
  if (data && !opened.content.empty() && opened.content[0] == kVxlanFlagVni) return sink.packet(channel, from, opened.content);
  sink.record({channel.association, opened.type, datagramBytes, 0}, from, opened.content);
}

SecureChannel* SecureArrivals::findMoved(const ChannelDirectory& directory, const Endpoint& from, Millis now) const {
  const Move& move = moves_[moveSlot(from)];
  if (move.association == 0 || move.to != from || now - move.at > kMoveLife) return nullptr;
  for (const auto& entry : directory.entries()) {
    if (entry.channel != nullptr && entry.channel->association == move.association) return entry.channel.get();
  }
  return nullptr;
}

void SecureArrivals::remember(const Move& move) {
  // Where it wrote from before, it may come back to, which is a move again.
  for (Move& known : moves_) {
    if (known.association == move.association) known = {};
  }
  moves_[moveSlot(move.to)] = move;
}

// RFC 9146 §6: a peer's address changes only on a record that is authentic and newer than the newest one.
SecureChannel* SecureArrivals::tryMove(const ChannelDirectory& directory, const Endpoint& from,
                                       std::span<uint8_t> record, size_t datagramBytes, Millis now, ArrivalSink& sink) {
  const auto entries = directory.entries();
  const bool worthwhile = record.size() > recordOverheadBytes(Cipher::chacha20Poly1305) && trials_.take(now);
  const size_t lookedMax = worthwhile ? std::min(entries.size(), kLooksMax) : 0;
  size_t looked = 0;
  size_t tried = 0;
  for (size_t i = 0; i < lookedMax && tried < kCandidatesMax; i++) {
    looked++;
    SecureChannel* const channel = entries[(nextCandidate_ + i) % entries.size()].channel.get();
    if (channel == nullptr || now - channel->heardAt() < kQuietMin) continue;
    const auto [newest, older] = channel->receiving();
    if (newest == nullptr) continue;
    const bool couldBeNewest = newest->isNewest(record) && (!newest->unused() || older == nullptr || older->isNewest(record));
    if (!couldBeNewest) continue;
    if (tried != 0 && !trials_.take(now)) break;
    tried++;
    OpenedRecord opened;
    if (RecordOpener::open(*channel, record, now, true, opened) != DropReason::none) continue;
    if (opened.newest) {
      remember({from, channel->association, now});
      sink.moved(channel->association, from);
    }
    passOn(*channel, from, opened, datagramBytes, sink);
    return channel;
  }
  if (!entries.empty()) nextCandidate_ = (nextCandidate_ + looked) % entries.size();
  sink.drop(DropReason::dtlsPeerUnknown);
  return nullptr;
}

}  // namespace p2pxbone
