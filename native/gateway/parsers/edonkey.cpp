#include "gateway/parsers/edonkey.h"

#include "gateway/parsers/little_endian.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kEDonkey = 0xe3;
constexpr uint8_t kEMule = 0xc5;
constexpr uint8_t kPacked = 0xd4;
constexpr size_t kFrameHeaderBytes = 5;
// A packed part of a file may have 180 KB; the rest is less.
constexpr uint32_t kFrameBytesMax = 4 << 20;
constexpr size_t kHashBytes = 16;
constexpr uint32_t kFilesMax = 1024;
constexpr uint32_t kTagsMax = 64;

constexpr uint8_t kOfferFiles = 0x15;
constexpr uint8_t kSearchResult = 0x33;
constexpr uint8_t kFoundSources = 0x42;
constexpr uint8_t kMessage = 0x4e;
constexpr uint8_t kRequestName = 0x58;
constexpr uint8_t kNameAnswer = 0x59;
constexpr uint8_t kMultiAnswer = 0x93;
constexpr uint8_t kUdpSearchResult = 0x99;
constexpr uint8_t kUdpFoundSources = 0x9b;

// Reads what is there; `ok` says whether it was.
class Fields {
 public:
  explicit Fields(std::span<const uint8_t> bytes) : rest_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::span<const uint8_t> take(size_t count) {
    ok_ = ok_ && count <= rest_.size();
    if (!ok_) return {};
    const auto bytes = rest_.first(count);
    rest_ = rest_.subspan(count);
    return bytes;
  }
  [[nodiscard]] uint64_t number(size_t bytes) {
    uint64_t value = 0;
    const auto taken = take(bytes);
    for (size_t i = 0; i < taken.size(); ++i) value |= uint64_t{taken[i]} << (8 * i);
    return value;
  }
  [[nodiscard]] std::string_view text() { return textOf(take(static_cast<size_t>(number(2)))); }

 private:
  std::span<const uint8_t> rest_;
  bool ok_ = true;
};

struct Described {
  std::string_view name;
  std::optional<uint64_t> size;
};

// One tag; name and size are kept.
void readTag(Fields& fields, Described& file) {
  uint8_t type = static_cast<uint8_t>(fields.number(1));
  const size_t nameBytes = (type & 0x80) != 0 ? 1 : static_cast<size_t>(fields.number(2));
  const auto name = fields.take(nameBytes);
  const uint8_t id = name.size() == 1 ? name[0] : uint8_t{0};
  type &= 0x7f;
  std::string_view text;
  std::optional<uint64_t> number;
  if (type == 0x02)
    text = fields.text();
  else if (type >= 0x11 && type <= 0x20)
    text = textOf(fields.take(type - 0x10u));
  else if (type == 0x03)
    number = fields.number(4);
  else if (type == 0x08)
    number = fields.number(2);
  else if (type == 0x09)
    number = fields.number(1);
  else if (type == 0x0b)
    number = fields.number(8);
  else if (type == 0x01)
    (void)fields.take(16);
  else if (type == 0x04)
    (void)fields.take(4);
  else if (type == 0x05)
    (void)fields.take(1);
  else if (type == 0x07)
    (void)fields.take(static_cast<size_t>(fields.number(4)));
  else
    (void)fields.take(SIZE_MAX);
  if (id == 0x01 && !text.empty()) file.name = text;
  if (id == 0x02 && number) file.size = number;
}

std::string hashOf(std::span<const uint8_t> bytes) { return bytes.empty() ? std::string{} : "ed2k:" + hexOf(bytes); }

// Hash, source, tags.
void readFile(Side side, Fields& fields, FileOffer::Kind kind, ParserEvents& events) {
  const std::string hash = hashOf(fields.take(kHashBytes));
  (void)fields.take(6);
  const uint64_t tags = fields.number(4);
  Described file;
  for (uint64_t i = 0; i < tags && i < kTagsMax && fields.ok(); ++i) readTag(fields, file);
  if (file.name.empty()) return;
  const std::string name = utf8Of(file.name);
  events.request(side, {kind, lastPathPart(name), name, file.size, hash});
}

void readFiles(Side side, Fields& fields, FileOffer::Kind kind, ParserEvents& events) {
  const uint64_t count = fields.number(4);
  for (uint64_t i = 0; i < count && i < kFilesMax && fields.ok(); ++i) readFile(side, fields, kind, events);
}

void readSources(Fields& fields, ParserEvents& events) {
  (void)fields.take(kHashBytes);
  const uint64_t count = fields.number(1);
  for (uint64_t i = 0; i < count && fields.ok(); ++i) {
    const auto address = fields.take(4);
    const auto port = static_cast<uint16_t>(fields.number(2));
    // Clients behind firewalls have small numbers for addresses, which are none.
    if (fields.ok() && address[3] != 0 && port != 0)
      events.learnPeer(mappedIpv4(address.data()), port, Application::edonkey, {});
  }
}

}  // namespace

bool EDonkeyParser::step(Side side, ParserEvents& events) {
  std::optional<Frame>& frame = frames_[indexOf(side)];
  std::span<const uint8_t> bytes;
  if (!frame) {
    if (reader(side).exactly(kFrameHeaderBytes, bytes) != Reader::Got::yes) return false;
    frame = Frame{bytes[0], loadLe32(&bytes[1])};
    const bool known = frame->protocol == kEDonkey || frame->protocol == kEMule || frame->protocol == kPacked;
    if (!known || frame->bytes == 0 || frame->bytes > kFrameBytesMax) return giveUp(events);
    if (frame->protocol == kPacked || frame->bytes > kParserBytesMax) {
      reader(side).discard(frame->bytes);
      frame.reset();
      return true;
    }
  }
  if (reader(side).exactly(frame->bytes, bytes) != Reader::Got::yes) return false;
  const uint8_t protocol = frame->protocol;
  frame.reset();
  operation(side, protocol, bytes, events);
  return true;
}

bool EDonkeyParser::resume(Side side, uint64_t bytes, ParserEvents&) {
  std::optional<Frame>& frame = frames_[indexOf(side)];
  if (!frame || bytes > frame->bytes) return false;
  reader(side).discard(frame->bytes - bytes);
  frame.reset();
  return true;
}

void EDonkeyParser::datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) {
  if (bytes.size() < 2 || bytes[0] != kEDonkey) return;
  Fields fields{bytes.subspan(2)};
  if (bytes[1] == kUdpSearchResult) readFile(side, fields, FileOffer::Kind::listed, events);
  if (bytes[1] == kUdpFoundSources) readSources(fields, events);
}

void EDonkeyParser::operation(Side side, uint8_t protocol, std::span<const uint8_t> bytes, ParserEvents& events) {
  const uint8_t code = bytes[0];
  Fields fields{bytes.subspan(1)};
  if (protocol == kEMule && code == kMultiAnswer) {
    const std::string hash = hashOf(fields.take(kHashBytes));
    if (fields.number(1) != kNameAnswer) return;
    const std::string name = utf8Of(fields.text());
    if (fields.ok()) events.request(side, {FileOffer::Kind::offer, lastPathPart(name), name, std::nullopt, hash});
  }
  if (protocol != kEDonkey) return;
  switch (code) {
    case kOfferFiles:
      return readFiles(side, fields, FileOffer::Kind::offer, events);
    case kSearchResult:
      return readFiles(side, fields, FileOffer::Kind::listed, events);
    case kFoundSources:
      return readSources(fields, events);
    case kRequestName: {
      const std::string hash = hashOf(fields.take(kHashBytes));
      if (fields.ok()) events.request(side, {FileOffer::Kind::request, {}, {}, std::nullopt, hash});
      return;
    }
    case kNameAnswer: {
      const std::string hash = hashOf(fields.take(kHashBytes));
      const std::string name = utf8Of(fields.text());
      if (fields.ok()) events.request(side, {FileOffer::Kind::offer, lastPathPart(name), name, std::nullopt, hash});
      return;
    }
    case kMessage: {
      const std::string_view text = fields.text();
      if (fields.ok()) events.chat(side, {ChatMessage::Kind::text, {}, {}, utf8Of(text)});
      return;
    }
    default:
      return;
  }
}

}  // namespace p2pxbone::gateway
