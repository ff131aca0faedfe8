#include "gateway/parsers/opennap_peer.h"

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kAskBytesMax = 4096;
constexpr size_t kDigitsMax = 19;
constexpr size_t kLineBytesMax = 4096;

bool isDigit(uint8_t c) { return c >= '0' && c <= '9'; }

}  // namespace

void OpenNapPeer::hint(const FlowHint& hint) {
  if (!begun_ && hint.size) known_ = hint.size;
}

bool OpenNapPeer::step(Side side, ParserEvents& events) {
  if (begun_ && side == (mode_ == Mode::send ? Side::initiator : Side::responder)) return content(side, events);
  if (begun_) {
    (void)reader(side).some(UINT64_MAX);
    return false;
  }
  return side == Side::initiator ? ask(events) : answer(events);
}

bool OpenNapPeer::ask(ParserEvents& events) {
  if (reader(Side::initiator).empty()) return false;
  if (mode_ == Mode::send && answered_) {
    // What comes after the other's offset is the file.
    const uint64_t size = askedNumber();
    const uint64_t offset = std::min(decimalOf(digits_).value_or(0), size);
    begin(Side::initiator, size - offset, events);
    return true;
  }
  const auto bytes = reader(Side::initiator).some(kAskBytesMax + 1 - ask_.size());
  // A request is not followed by anything until it is answered, and not answered twice.
  if (answered_) return true;
  ask_ += textOf(bytes);
  if (ask_.starts_with("GET"))
    mode_ = Mode::get;
  else if (ask_.starts_with("SEND"))
    mode_ = Mode::send;
  else if (!std::string_view{"GET"}.starts_with(ask_) && !std::string_view{"SEND"}.starts_with(ask_))
    return giveUp(events);
  tellRequest(events);
  return ask_.size() > kAskBytesMax ? giveUp(events) : true;
}

// As soon as the name is whole: policy decides before the other side has heard of it.
void OpenNapPeer::tellRequest(ParserEvents& events) {
  if (nameEnd_ > 0 || mode_ == Mode::unknown) return;
  // Quotes inside a name are not escaped; the last one has the number behind it.
  const size_t open = ask_.find('"');
  size_t close = open == std::string::npos ? open : ask_.find("\" ", open + 1);
  while (close != std::string::npos && close + 2 < ask_.size() && !isDigit(static_cast<uint8_t>(ask_[close + 2])))
    close = ask_.find("\" ", close + 1);
  if (close == std::string::npos || close + 2 >= ask_.size()) return;
  nameEnd_ = close;
  std::string_view who{ask_};
  who = who.substr(mode_ == Mode::get ? 3 : 4, open - (mode_ == Mode::get ? 3 : 4));
  events.attribute("opennap.nick", utf8Of(trimmed(who)));
  const std::string path = utf8Of(std::string_view{ask_}.substr(open + 1, close - open - 1));
  name_ = lastPathPart(path);
  const bool gives = mode_ == Mode::send;
  events.request(Side::initiator, {gives ? FileOffer::Kind::offer : FileOffer::Kind::request, name_, path, known_, {}});
}

uint64_t OpenNapPeer::askedNumber() const {
  return nameEnd_ == 0 ? 0 : decimalOf(trimmed(std::string_view{ask_}.substr(nameEnd_ + 1))).value_or(0);
}

bool OpenNapPeer::answer(ParserEvents& events) {
  Reader& from = reader(Side::responder);
  if (mode_ == Mode::browse) return browsed(events);
  std::span<const uint8_t> bytes;
  if (!greeted_) {
    if (from.exactly(1, bytes) != Reader::Got::yes) return false;
    greeted_ = true;
    return bytes[0] == '1' ? true : giveUp(events);
  }
  if (from.peek(1, bytes) != Reader::Got::yes) return false;
  if (ask_ == "GETLIST") {
    mode_ = Mode::browse;
    return true;
  }
  if (nameEnd_ == 0) return giveUp(events);
  answered_ = true;
  // The size that a server has told is believed if it is what the digits say; data may begin with a digit.
  numberEnded_ = numberEnded_ || (mode_ == Mode::get && known_ && decimalOf(digits_) == known_);
  if (!numberEnded_ && isDigit(bytes[0]) && digits_.size() < kDigitsMax) {
    digits_ += static_cast<char>(bytes[0]);
    (void)from.exactly(1, bytes);
    return true;
  }
  numberEnded_ = true;
  if (digits_.empty()) {
    // "INVALID REQUEST" and the like.
    events.attribute("opennap.refused", name_);
    return finish(events);
  }
  if (mode_ == Mode::send) {
    (void)from.some(UINT64_MAX);
    return false;
  }
  const uint64_t size = decimalOf(digits_).value_or(0);
  begin(Side::responder, size - std::min(size, askedNumber()), events);
  return true;
}

// The nick, then a line for each file, up to an empty one.
bool OpenNapPeer::browsed(ParserEvents& events) {
  std::string_view line;
  const Reader::Got got = reader(Side::responder).line(line, kLineBytesMax);
  if (got == Reader::Got::wait) return false;
  if (got == Reader::Got::tooLong) return giveUp(events);
  if (line.empty() || line.front() != '"') return true;
  const std::string path = utf8Of(nextQuoted(line));
  const std::string_view md5 = nextWord(line);
  events.request(Side::responder, {FileOffer::Kind::listed, lastPathPart(path), path, decimalOf(nextWord(line)),
                                   "md5:" + utf8Of(md5.substr(0, md5.find('-')))});
  return true;
}

void OpenNapPeer::begin(Side sender, uint64_t size, ParserEvents& events) {
  begun_ = true;
  size_ = size;
  Transfer transfer;
  transfer.name = name_;
  transfer.size = size;
  transfer.offset = mode_ == Mode::get ? askedNumber() : decimalOf(digits_).value_or(0);
  transfer.fileSize = size + transfer.offset;
  beginTransfer(sender, transfer, events);
  if (size > 0) return;
  endTransfer(sender, true, events);
  finish(events);
}

bool OpenNapPeer::content(Side sender, ParserEvents& events) {
  const auto bytes = reader(sender).some(size_ - received_);
  if (bytes.empty()) return false;
  received_ += bytes.size();
  passData(sender, bytes, events);
  if (received_ >= size_) {
    endTransfer(sender, true, events);
    return finish(events);
  }
  return true;
}

bool OpenNapPeer::resume(Side side, uint64_t bytes, ParserEvents& events) {
  if (!transferring(side)) return false;
  endTransfer(side, false, events);
  received_ += std::min(bytes, size_ - received_);
  return true;
}

void OpenNapPeer::closed(Side side, ParserEvents& events) {
  if (!transferring(side) || mode_ != Mode::get) return;
  // Digits at the front of the file were taken for the size: does any shorter size fit what came?
  for (size_t count = 1; count < digits_.size(); ++count) {
    const uint64_t size = decimalOf(std::string_view{digits_}.substr(0, count)).value_or(0);
    if (size == received_ + digits_.size() - count + askedNumber()) return endTransfer(side, true, events);
  }
}

}  // namespace p2pxbone::gateway
