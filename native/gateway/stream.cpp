#include "gateway/stream.h"

#include <algorithm>

#include "gateway/rewrite.h"

namespace p2pxbone::gateway {
namespace {

// Where the payload begins: a SYN takes the number before its data.
uint32_t dataSequence(const Packet& packet) { return packet.tcp.sequence + (packet.tcp.has(kTcpSyn) ? 1 : 0); }

}  // namespace

void Stream::rewriteFromWindow(Packet& packet, int64_t begin, uint64_t from, uint64_t to) {
  while (from < to) {
    const std::span<const uint8_t> known = window_.read(from, to);
    (void)overwritePayload(packet, static_cast<size_t>(static_cast<int64_t>(from) - begin), known);
    from += known.size();
  }
}

void Stream::rewriteAhead(Packet& packet, int64_t begin, uint64_t from, uint64_t to) {
  auto piece = std::ranges::upper_bound(pieces_, from, {}, &Piece::end);
  for (; piece != pieces_.end() && piece->begin < to; ++piece) {
    rewriteFromWindow(packet, begin, std::max(from, piece->begin), std::min(to, piece->end));
  }
}

bool Stream::reachesBack(const Packet& packet) const {
  const int64_t begin = static_cast<int64_t>(next_) + sequenceDistance(nextSequence_, dataSequence(packet));
  return begin < static_cast<int64_t>(base_) && packet.payloadBytes != 0;
}

bool Stream::bringsUnseen(const Packet& packet) const {
  if (unseenTo_ == unseenFrom_ || packet.payloadBytes == 0) return false;
  const int64_t begin = static_cast<int64_t>(next_) + sequenceDistance(nextSequence_, dataSequence(packet));
  const int64_t end = begin + static_cast<int64_t>(packet.payloadBytes);
  // A keep-alive repeats the last byte (RFC 9293 §3.8.4).
  if (packet.payloadBytes == 1 && end == static_cast<int64_t>(base_)) return false;
  return begin < static_cast<int64_t>(unseenTo_) && end > static_cast<int64_t>(unseenFrom_);
}

Stream::Result Stream::take(Packet& packet, Millis now) {
  const int64_t begin = static_cast<int64_t>(next_) + sequenceDistance(nextSequence_, dataSequence(packet));
  const int64_t end = begin + static_cast<int64_t>(packet.payloadBytes);
  const bool fin = packet.tcp.has(kTcpFin);
  const uint64_t highest = pieces_.empty() ? next_ : pieces_.back().end;
  if (endAt_ && (end > static_cast<int64_t>(*endAt_) || (fin && end != static_cast<int64_t>(*endAt_)))) {
    return {Outcome::afterEnd};
  }
  if (fin && end < static_cast<int64_t>(highest)) return {Outcome::afterEnd};

  const auto from = static_cast<uint64_t>(std::max<int64_t>(begin, static_cast<int64_t>(base_)));
  const auto to = static_cast<uint64_t>(std::max<int64_t>(end, static_cast<int64_t>(from)));
  rewriteFromWindow(packet, begin, from, std::min(to, next_));
  rewriteAhead(packet, begin, std::max(from, next_), to);

  Result result{Outcome::old};
  if (end >= static_cast<int64_t>(next_)) {
    const bool isAhead = begin > static_cast<int64_t>(next_);
    result = isAhead ? takeAhead(packet, from, to, now) : takeNext(packet, to, now);
  }
  if (fin && result.outcome != Outcome::full) {
    endAt_ = static_cast<uint64_t>(end);
    noteGap(false, now);
  }
  return result;
}

Stream::Result Stream::takeNext(Packet& packet, uint64_t end, Millis now) {
  const uint64_t offset = next_;
  const auto fresh = static_cast<size_t>(end - next_);
  if (fresh == 0) return {packet.tcp.has(kTcpFin) ? Outcome::next : Outcome::old, 0, offset};
  if (!window_.write(next_, packet.payload().last(fresh))) {
    return {.outcome = Outcome::full, .condition = Condition::streamHistory};
  }
  advance(end, now);
  return {Outcome::next, fresh, offset};
}

Stream::Result Stream::takeAhead(Packet& packet, uint64_t begin, uint64_t end, Millis now) {
  const auto first = std::ranges::lower_bound(pieces_, begin, {}, &Piece::end);
  if (begin == end || (first != pieces_.end() && first->begin <= begin && first->end >= end)) {
    // A FIN alone has no bytes to remember, but waits as others do.
    return {begin == end ? Outcome::ahead : Outcome::covered};
  }
  auto last = first;
  Piece merged{begin, end};
  for (; last != pieces_.end() && last->begin <= end; ++last) {
    merged = {std::min(merged.begin, last->begin), std::max(merged.end, last->end)};
  }
  if (first == last && pieces_.size() >= limits_->piecesPerDirection) return {Outcome::full};
  if (!window_.write(begin, packet.payload().last(static_cast<size_t>(end - begin)))) return {Outcome::full};
  if (first == last) {
    pieces_.insert(first, merged);
  } else {
    *first = merged;
    pieces_.erase(first + 1, last);
  }
  noteGap(false, now);
  return {Outcome::ahead};
}

void Stream::noteGap(bool progress, Millis now) {
  const bool missing = pieces_.empty() ? endAt_ && *endAt_ > next_ : pieces_.front().begin > next_;
  if (!missing) {
    gapSince_.reset();
  } else if (progress || !gapSince_) {
    gapSince_ = now;
  }
}

void Stream::advance(uint64_t to, Millis now) {
  nextSequence_ += static_cast<uint32_t>(to - next_);
  next_ = to;
  while (!pieces_.empty() && pieces_.front().end <= next_) pieces_.erase(pieces_.begin());
  noteGap(true, now);
}

std::optional<std::span<const uint8_t>> Stream::more(uint64_t& offset, Millis now) {
  if (pieces_.empty() || pieces_.front().begin > next_) return std::nullopt;
  uint64_t end = pieces_.front().end;
  // No chunk spans two waiting packets, so that a verdict about it is one about a single packet.
  for (size_t i = waitingFirst_; i < waiting_.size() && waiting_[i].begin <= next_; ++i) {
    if (waiting_[i].end > next_) end = std::min(end, waiting_[i].end);
  }
  offset = next_;
  const std::span<const uint8_t> bytes = window_.read(next_, end);
  advance(next_ + bytes.size(), now);
  return bytes;
}

bool Stream::await(HeldId held, const Packet& packet) {
  if (!mayAwait()) return false;
  const auto distance = sequenceDistance(nextSequence_, dataSequence(packet));
  const uint64_t begin = next_ + static_cast<uint64_t>(distance);
  const Waiting waiting{begin, begin + packet.payloadBytes, held};
  if (waitingFirst_ == waiting_.size() || waitingFirst_ >= limits_->waitingPerDirection) {
    waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<ptrdiff_t>(waitingFirst_));
    waitingFirst_ = 0;
  }
  // Mostly it belongs to the end.
  auto at = waiting_.end();
  while (at != waiting_.begin() + static_cast<ptrdiff_t>(waitingFirst_) && (at - 1)->begin > begin) --at;
  waiting_.insert(at, waiting);
  return true;
}

std::optional<HeldId> Stream::takeReady() {
  if (waitingCount() == 0 || waiting_[waitingFirst_].begin > next_) return std::nullopt;
  if (waiting_[waitingFirst_].end > next_) return std::nullopt;
  return waiting_[waitingFirst_++].held;
}

std::optional<HeldId> Stream::takeAny() {
  if (waitingCount() == 0) return std::nullopt;
  return waiting_[waitingFirst_++].held;
}

uint64_t Stream::acknowledged(uint32_t acknowledgement, bool evenUnseen, Millis now) {
  const int64_t to = static_cast<int64_t>(next_) + sequenceDistance(nextSequence_, acknowledgement);
  // A FIN is acknowledged by one more than there are bytes.
  const int64_t end = endAt_ ? std::min(to, static_cast<int64_t>(*endAt_)) : to;
  uint64_t lost = 0;
  if (evenUnseen && end > static_cast<int64_t>(next_)) {
    lost = std::min(static_cast<uint64_t>(end), pieces_.empty() ? UINT64_MAX : pieces_.front().begin) - next_;
    if (unseenTo_ == unseenFrom_) unseenFrom_ = next_;
    advance(next_ + lost, now);
    unseenTo_ = next_;
    base_ = next_;
  } else if (end > static_cast<int64_t>(base_)) {
    base_ = std::min(static_cast<uint64_t>(end), next_);
  }
  window_.dropBefore(base_);
  return lost;
}

uint64_t Stream::skipGap(Millis now) {
  const uint64_t to = pieces_.empty() ? endAt_.value_or(next_) : pieces_.front().begin;
  if (to <= next_) return 0;
  const uint64_t lost = to - next_;
  advance(to, now);
  // What was skipped is not remembered, and neither is what is before it then.
  base_ = next_;
  window_.dropBefore(base_);
  return lost;
}

void Stream::forgetAhead() {
  pieces_.clear();
  if (endAt_ && *endAt_ != next_) endAt_.reset();
  gapSince_.reset();
}

void Stream::forgetHistory() {
  base_ = next_;
  window_.dropBefore(base_);
}

}  // namespace p2pxbone::gateway
