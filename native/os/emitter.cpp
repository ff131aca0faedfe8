#include "os/emitter.h"

#include <algorithm>
#include <cerrno>

#include "core/record_sealer.h"

namespace p2pxbone {

DropReason dropReasonOfSend(int error) {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM: return DropReason::sendBlocked;
    case EMSGSIZE: return DropReason::sendTooBig;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ECONNREFUSED:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: return DropReason::sendUnreachable;
    default: return DropReason::sendFailed;
  }
}

void Emitter::toTunnel(const Tunnel& tunnel, ConstDatagramRun run) {
  TunnelLane& counted = tunnel.stats->lanes[static_cast<size_t>(lane_)];
  if (tunnel.channel == nullptr) return gather({&counted, kEncapsulationBytes, tunnel.peer}, run);
  gatherSealed(tunnel.peer, counted, *tunnel.channel, run);
}

void Emitter::gatherSealed(const Endpoint& to, TunnelLane& counted, const SecureChannel& channel, ConstDatagramRun run) {
  if (!sealed_) sealed_ = std::make_unique_for_overwrite<uint8_t[]>(kSealedBytes);
  ConstDatagramRun records;  // sealed one after another, to be gathered together
  Origin origin{&counted, kEncapsulationBytes, to};
  const auto gatherRecords = [&] {
    if (!records.bytes.empty()) gather(origin, records);
    records = {};
  };
  run.forEach([&](std::span<const uint8_t> datagram) {
    const size_t room = recordRoomBytes(datagram.size());
    if (kSealedBytes - sealedUsed_ < room) {
      gatherRecords();
      send();
      sealedUsed_ = 0;
    }
    uint8_t* const record = sealed_.get() + sealedUsed_;
    const size_t bytes = RecordSealer::seal(channel, datagram, {record, room});
    if (bytes == 0) return drop(DropReason::keysMissing, {&counted, kEncapsulationBytes, to}, 1, datagram.size());
    sealedUsed_ += bytes;
    // New keys may be of a cipher whose records have another size.
    const size_t overheadBytes = kEncapsulationBytes + bytes - datagram.size();
    const bool continues = !records.bytes.empty() && bytes <= records.segmentBytes &&
                           overheadBytes == origin.overheadBytes &&
                           records.bytes.size() % records.segmentBytes == 0;
    if (!continues) {
      gatherRecords();
      origin.overheadBytes = overheadBytes;
      records = ConstDatagramRun::single({record, bytes});
    } else {
      records.bytes = {records.bytes.data(), records.bytes.size() + bytes};
    }
  });
  gatherRecords();
}

void Emitter::gather(const Origin& origin, ConstDatagramRun run) {
  const size_t datagramBytes = std::min(run.segmentBytes, run.bytes.size());
  std::span<const uint8_t> rest = run.bytes;
  size_t left = run.count();
  while (left > 0) {
    Message* const open = openMessage(origin, datagramBytes);
    Message& message = open != nullptr ? *open : beginMessage(origin, datagramBytes);
    const size_t byBytes = (kMessageBytesMax - message.bytes) / message.segmentBytes;
    // A first datagram is taken whatever its size; the socket then says that it is too big.
    size_t count = std::max<size_t>(std::min({left, kMessageDatagramsMax - message.datagrams, byBytes}), 1);
    if (datagramBytes < message.segmentBytes) count = 1;
    const std::span<const uint8_t> taken = rest.first(std::min(rest.size(), count * datagramBytes));
    const bool adjacent = message.pieceCount > 0 && message.pieces[message.pieceCount - 1].data() +
                                                            message.pieces[message.pieceCount - 1].size() == taken.data();
    if (adjacent) {
      std::span<const uint8_t>& last = message.pieces[message.pieceCount - 1];
      last = {last.data(), last.size() + taken.size()};
    } else {
      message.pieces[message.pieceCount++] = taken;
    }
    message.bytes += taken.size();
    message.datagrams += count;
    message.ended = taken.size() < count * message.segmentBytes;
    rest = rest.subspan(taken.size());
    left -= count;
  }
}

Emitter::Message* Emitter::openMessage(const Origin& origin, size_t datagramBytes) {
  for (size_t i = messageCount_; i > 0; --i) {
    Message& message = messages_[i - 1];
    if (message.origin != origin) continue;
    const bool takes = !message.ended && message.datagrams < kMessageDatagramsMax &&
                       datagramBytes <= message.segmentBytes && datagramBytes > 0 &&
                       message.bytes + message.segmentBytes <= kMessageBytesMax;
    return takes ? &message : nullptr;
  }
  return nullptr;
}

Emitter::Message& Emitter::beginMessage(const Origin& origin, size_t datagramBytes) {
  if (messageCount_ == kMessagesMax) send();
  Message& message = messages_[messageCount_++];
  message.origin = origin;
  message.segmentBytes = std::max<size_t>(datagramBytes, 1);
  message.bytes = 0;
  message.datagrams = 0;
  message.ended = false;
  message.pieceCount = 0;
  return message;
}

void Emitter::flush() {
  send();
  sealedUsed_ = 0;
}

void Emitter::send() {
  const size_t count = messageCount_;
  messageCount_ = 0;
  if (count == 0) return;
  std::array<MessageOut, kMessagesMax> out;
  for (size_t i = 0; i < count; ++i) {
    const Message& message = messages_[i];
    const auto pieces = std::span{message.pieces}.first(message.pieceCount);
    out[i] = {message.origin.to, pieces, message.segmentBytes, message.datagrams};
  }
  const std::span<MessageOut> messages = std::span{out}.first(count);
  UnderlaySocket* const underlay = underlay_.load();
  if (underlay != nullptr) underlay->send(messages, patience_);
  for (size_t i = 0; i < count; ++i) {
    const MessageOut& message = messages[i];
    const Origin& origin = messages_[i].origin;
    if (underlay == nullptr) drop(DropReason::sendFailed, origin, message.datagrams, bytesOf(message));
    else if (message.failed != 0) drop(dropReasonOfSend(message.error), origin, message.failed, message.failedBytes);
  }
}

void Emitter::drop(DropReason reason, const Origin& origin, size_t datagrams, size_t bytes) {
  origin.counted->packetsOut.takeBack(datagrams);
  origin.counted->bytesOut.takeBack(bytes - datagrams * origin.overheadBytes);
  drops_.add(reason, datagrams);
}

}  // namespace p2pxbone
