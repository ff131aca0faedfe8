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
  if (tunnel.channel == nullptr) return gather(tunnel.peer, run);
  gatherSealed(tunnel.peer, *tunnel.channel, run);
}

void Emitter::gatherSealed(const Endpoint& to, const SecureChannel& channel, ConstDatagramRun run) {
  if (!sealed_) sealed_ = std::make_unique_for_overwrite<uint8_t[]>(kSealedBytes);
  ConstDatagramRun records;  // sealed one after another, to be gathered together
  const auto gatherRecords = [&] {
    if (!records.bytes.empty()) gather(to, records);
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
    if (bytes == 0) return drops_.add(DropReason::keysMissing);
    sealedUsed_ += bytes;
    // New keys may be of a cipher whose records have another size.
    const bool continues = !records.bytes.empty() && bytes <= records.segmentBytes &&
                           records.bytes.size() % records.segmentBytes == 0;
    if (!continues) {
      gatherRecords();
      records = ConstDatagramRun::single({record, bytes});
    } else {
      records.bytes = {records.bytes.data(), records.bytes.size() + bytes};
    }
  });
  gatherRecords();
}

void Emitter::gather(const Endpoint& to, ConstDatagramRun run) {
  const size_t datagramBytes = std::min(run.segmentBytes, run.bytes.size());
  std::span<const uint8_t> rest = run.bytes;
  size_t left = run.count();
  while (left > 0) {
    Message* const open = openMessage(to, datagramBytes);
    Message& message = open != nullptr ? *open : beginMessage(to, datagramBytes);
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

Emitter::Message* Emitter::openMessage(const Endpoint& to, size_t datagramBytes) {
  for (size_t i = messageCount_; i > 0; --i) {
    Message& message = messages_[i - 1];
    if (message.to != to) continue;
    const bool takes = !message.ended && message.datagrams < kMessageDatagramsMax &&
                       datagramBytes <= message.segmentBytes && datagramBytes > 0 &&
                       message.bytes + message.segmentBytes <= kMessageBytesMax;
    return takes ? &message : nullptr;
  }
  return nullptr;
}

Emitter::Message& Emitter::beginMessage(const Endpoint& to, size_t datagramBytes) {
  if (messageCount_ == kMessagesMax) send();
  Message& message = messages_[messageCount_++];
  message.to = to;
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
  size_t datagrams = 0;
  for (size_t i = 0; i < count; ++i) {
    const Message& message = messages_[i];
    out[i] = {message.to, std::span{message.pieces}.first(message.pieceCount), message.segmentBytes, message.datagrams};
    datagrams += message.datagrams;
  }
  UnderlaySocket* const underlay = underlay_.load();
  if (underlay == nullptr) return drops_.add(DropReason::sendFailed, datagrams);
  underlay->send(std::span{out}.first(count), patience_);
  for (const MessageOut& message : std::span{out}.first(count)) {
    if (message.failed != 0) drops_.add(dropReasonOfSend(message.error), message.failed);
  }
}

}  // namespace p2pxbone
