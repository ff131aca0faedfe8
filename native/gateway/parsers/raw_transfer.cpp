#include "gateway/parsers/raw_transfer.h"

namespace p2pxbone::gateway {

RawTransferParser::RawTransferParser(const FlowHint& hint, bool endsBySize) : endsBySize_(endsBySize) {
  RawTransferParser::hint(hint);
}

void RawTransferParser::hint(const FlowHint& hint) {
  if (begun_) return;
  kind_ = hint.kind;
  name_ = hint.name;
  size_ = hint.size;
  offset_ = hint.offset;
  sender_ = hint.sender;
}

bool RawTransferParser::step(Side side, ParserEvents& events) {
  const auto bytes = reader(side).some(UINT64_MAX);
  if (bytes.empty() || (sender_ && *sender_ != side)) return false;
  if (kind_ == FlowHint::Kind::listing) return finish(events);
  if (!begun_) {
    begun_ = true;
    sender_ = side;
    Transfer transfer;
    transfer.name = name_;
    transfer.fileSize = size_;
    transfer.offset = offset_;
    if (size_) transfer.size = *size_ - std::min(offset_, *size_);
    size_ = transfer.size;
    transfer.mayExceed = !bounded();
    beginTransfer(side, transfer, events);
  }
  const auto told = bounded() ? bytes.first(static_cast<size_t>(std::min<uint64_t>(bytes.size(), *size_ - received_))) : bytes;
  received_ += told.size();
  passData(side, told, events);
  if (bounded() && received_ == *size_) endTransfer(side, true, events);
  // A receiver may well take more than its sender has told of.
  return told.size() < bytes.size() ? giveUp(events) : false;
}

bool RawTransferParser::resume(Side side, uint64_t bytes, ParserEvents& events) {
  if (sender_ && *sender_ != side) return true;
  begun_ = true;
  sender_ = side;
  endTransfer(side, false, events);
  received_ += bounded() ? std::min(bytes, *size_ - received_) : bytes;
  return true;
}

void RawTransferParser::closed(Side side, ParserEvents& events) {
  endTransfer(side, received_ >= size_.value_or(0), events);
}

}  // namespace p2pxbone::gateway
