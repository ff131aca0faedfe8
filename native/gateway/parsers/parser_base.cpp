#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

void ParserBase::data(const Chunk& chunk, ParserEvents& events) {
  if (finished() || (chunk.bytes.empty() && !chunk.datagram)) return;
  if (inner_) return inner_->data(chunk, events);
  if (chunk.datagram) return datagram(chunk.side, chunk.bytes, events);
  reader(chunk.side).feed(chunk);
  readOn(chunk.side, events);
}

void ParserBase::readOn(Side side, ParserEvents& events) {
  while (!finished() && !inner_ && step(side, events)) {
  }
  if (!finished() && !inner_ && !reader(side).keep()) giveUp(events);
}

void ParserBase::datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  reader(side) = Reader{};
  reader(side).feed({side, 0, bytes, false});
  while (!finished() && step(side, events)) {
  }
}

void ParserBase::gap(Side side, uint64_t bytes, ParserEvents& events) {
  if (finished() || bytes == 0) return;
  if (inner_) return inner_->gap(side, bytes, events);
  const uint64_t missing = bytes + reader(side).unread();
  if (!reader(side).gap(bytes) && !resume(side, missing, events)) giveUp(events);
}

void ParserBase::end(Side side, ParserEvents& events) {
  if (finished()) return;
  if (inner_) return inner_->end(side, events);
  closed(side, events);
  endTransfer(side, false, events);
}

void ParserBase::hint(const FlowHint& hint) {
  if (inner_) inner_->hint(hint);
}

void ParserBase::stop(ParserEvents& events) {
  if (finished()) return;
  if (inner_) return inner_->stop(events);
  giveUp(events);
}

size_t ParserBase::keptBytes() const {
  const size_t inner = inner_ ? inner_->keptBytes() : 0;
  return readers_[0].keptBytes() + readers_[1].keptBytes() + otherBytes() + inner;
}

bool ParserBase::transferring() const {
  return transferring(Side::initiator) || transferring(Side::responder) ||
         (inner_ && inner_->transferring());
}

bool ParserBase::delegate(std::unique_ptr<Parser> inner, Side current, ParserEvents& events) {
  inner_ = std::move(inner);
  // What is kept of the other side came before.
  forward(other(current), events);
  forward(current, events);
  return false;
}

void ParserBase::forward(Side side, ParserEvents& events) {
  Reader& from = reader(side);
  while (!from.empty() && !inner_->finished()) {
    const uint64_t offset = from.position();
    inner_->data({side, offset, from.some(UINT64_MAX), false}, events);
  }
}

bool ParserBase::finish(ParserEvents& events) {
  endTransfer(Side::initiator, false, events);
  endTransfer(Side::responder, false, events);
  finished_ = true;
  return false;
}

bool ParserBase::giveUp(ParserEvents& events) {
  abandoned(events);
  finish(events);
  events.attribute("parser", "gave up");
  return false;
}

bool ParserBase::handOver(Application application, std::string_view protocol, ParserEvents& events) {
  finish(events);
  events.handOver({application,
                   {reader(Side::initiator).position(), reader(Side::responder).position()},
                   protocol});
  return false;
}

}  // namespace p2pxbone::gateway
