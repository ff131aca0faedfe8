#include "gateway/parsers/msn.h"

#include "gateway/parsers/msn_direct.h"
#include "gateway/parsers/msn_messages.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {

void MsnParser::hint(const FlowHint& hint) {
  name_ = hint.name;
  size_ = hint.size;
  ParserBase::hint(hint);
}

bool MsnParser::step(Side side, ParserEvents& events) {
  std::span<const uint8_t> begin;
  if (reader(side).peek(5, begin) != Reader::Got::yes) return false;
  const std::string_view text = textOf(begin);
  if (text == "VER M") return delegate(std::make_unique<MsnFileTransfer>(name_), side, events);
  if (text == std::string_view{"\4\0\0\0f", 5}) return delegate(std::make_unique<MsnDirect>(name_, size_), side, events);
  return delegate(std::make_unique<MsnMessages>(), side, events);
}

}  // namespace p2pxbone::gateway
