#include "gateway/parsers/ssh.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 1024;
// A server may say something else first.
constexpr size_t kLinesMax = 64;

}  // namespace

bool SshParser::step(Side side, ParserEvents& events) {
  if (told_[indexOf(side)]) {
    (void)reader(side).some(UINT64_MAX);
    return false;
  }
  std::string_view line;
  const Reader::Got got = reader(side).line(line, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong || ++lines_[indexOf(side)] > kLinesMax) return giveUp(events);
  if (!line.starts_with("SSH-")) return true;
  events.attribute(side == Side::initiator ? "ssh.client" : "ssh.server", utf8Of(line.substr(4)));
  told_[indexOf(side)] = true;
  return told_[indexOf(other(side))] ? finish(events) : true;
}

}  // namespace p2pxbone::gateway
