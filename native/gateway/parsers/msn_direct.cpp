#include "gateway/parsers/msn_direct.h"

#include "gateway/parsers/little_endian.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 1024;
constexpr size_t kBlockHeaderBytes = 3;

}  // namespace

void MsnFileTransfer::hint(const FlowHint& hint) {
  if (!sender_) name_ = hint.name;
}

bool MsnFileTransfer::step(Side side, ParserEvents& events) { return sender_ == side ? block(events) : line(side, events); }

bool MsnFileTransfer::line(Side side, ParserEvents& events) {
  std::string_view rest;
  const Reader::Got got = reader(side).line(rest, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong) return giveUp(events);
  const std::string_view command = nextWord(rest);
  if (same(command, "USR")) events.attribute("msn.account", utf8Of(nextWord(rest)));
  if (!same(command, "FIL") || sender_) return true;
  const auto size = decimalOf(trimmed(rest));
  if (!size) return giveUp(events);
  sender_ = side;
  size_ = *size;
  Transfer transfer;
  transfer.name = name_;
  transfer.size = transfer.fileSize = size;
  beginTransfer(side, transfer, events);
  return true;
}

bool MsnFileTransfer::block(ParserEvents& events) {
  Reader& from = reader(*sender_);
  if (blockLeft_ > 0) {
    const bool more = received_ < size_;
    // What goes beyond the size that was said is no part of the file.
    const auto bytes = from.some(more ? std::min(blockLeft_, size_ - received_) : blockLeft_);
    if (bytes.empty()) return false;
    blockLeft_ -= bytes.size();
    if (!more) return true;
    received_ += bytes.size();
    passData(*sender_, bytes, events);
    if (received_ == size_) endTransfer(*sender_, true, events);
    return true;
  }
  std::span<const uint8_t> header;
  if (from.exactly(kBlockHeaderBytes, header) != Reader::Got::yes) return false;
  blockLeft_ = loadLe16(&header[1]);
  // The end, or a change of mind.
  if (header[0] != 0) endTransfer(*sender_, received_ == size_, events);
  return true;
}

bool MsnFileTransfer::resume(Side side, uint64_t bytes, ParserEvents& events) {
  if (sender_ != side) {
    reader(side).resync();
    return true;
  }
  if (bytes > blockLeft_) return false;
  endTransfer(side, false, events);
  blockLeft_ -= bytes;
  return true;
}

bool MsnDirect::step(Side side, ParserEvents& events) {
  std::optional<uint32_t>& length = length_[indexOf(side)];
  std::span<const uint8_t> bytes;
  if (!length) {
    if (reader(side).exactly(4, bytes) != Reader::Got::yes) return false;
    length = loadLe32(bytes.data());
    if (*length > kParserBytesMax) return giveUp(events);
  }
  if (reader(side).exactly(*length, bytes) != Reader::Got::yes) return false;
  length.reset();
  p2p_.message(side, bytes, transfers(), events);
  return true;
}

}  // namespace p2pxbone::gateway
