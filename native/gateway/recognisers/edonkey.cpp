// eDonkey and eMule over TCP: messages of a protocol byte, a little-endian length and an opcode, between client and
// server and between clients.
#include <algorithm>

#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kEdonkey = 0xe3;
constexpr uint8_t kEmule = 0xc5;
constexpr uint8_t kPacked = 0xd4;
constexpr size_t kHeaderBytes = 6;
constexpr uint32_t kMessageBytesMax = 2'000'000;
constexpr size_t kHashBytes = 16;
constexpr uint32_t kTagsMax = 64;

// Messages of a protocol byte with which a conversation can begin or go on, and the least they hold after the opcode.
struct Message {
  uint8_t protocol;
  uint8_t opcode;
  uint32_t bytesMin;
};

constexpr std::array<Message, 34> kMessages{{
    {kEdonkey, 0x01, 26},  // log in to a server; hello between clients
    {kEdonkey, 0x14, 0},   // ask for the list of servers
    {kEdonkey, 0x15, 4},   // offer files
    {kEdonkey, 0x16, 1},   // search
    {kEdonkey, 0x19, 16},  // ask for sources
    {kEdonkey, 0x1c, 4},   // ask for a call back
    {kEdonkey, 0x32, 1},   // list of servers
    {kEdonkey, 0x33, 4},   // result of a search
    {kEdonkey, 0x34, 8},   // state of the server
    {kEdonkey, 0x38, 2},   // message of the server
    {kEdonkey, 0x40, 4},   // the client's id
    {kEdonkey, 0x41, 26},  // the server introduces itself
    {kEdonkey, 0x42, 17},  // sources
    {kEdonkey, 0x46, 24},  // a part of a file
    {kEdonkey, 0x47, 40},  // ask for parts
    {kEdonkey, 0x4c, 26},  // answer to hello
    {kEdonkey, 0x4e, 2},   // chat
    {kEdonkey, 0x4f, 16},  // file to be asked for
    {kEdonkey, 0x50, 18},  // state of a file
    {kEdonkey, 0x51, 16},  // ask for part hashes
    {kEdonkey, 0x52, 18},  // part hashes
    {kEdonkey, 0x54, 0},   // ask to upload
    {kEdonkey, 0x55, 0},   // upload accepted
    {kEdonkey, 0x58, 16},  // ask for a file's name
    {kEdonkey, 0x59, 18},  // a file's name
    {kEmule, 0x01, 6},     // eMule's own hello
    {kEmule, 0x02, 6},     // its answer
    {kEmule, 0x40, 24},    // a compressed part
    {kEmule, 0x60, 2},     // place in the queue
    {kEmule, 0x81, 16},    // ask for sources
    {kEmule, 0x82, 18},    // sources
    {kEmule, 0x85, 1},     // public key
    {kEmule, 0x86, 1},     // signature
    {kEmule, 0x87, 5},     // state of identification
}};

enum class Shape : uint8_t { wrong, cut, right, certain };

// Hello and log in: hash, id, port, number of tags; hello has the length of the hash in front.
bool introduces(std::span<const uint8_t> body, bool hello) {
  ByteCursor cursor(body);
  if (hello && cursor.u8() != kHashBytes) return false;
  cursor.skip(kHashBytes + 4 + 2);
  const uint32_t tags = cursor.le32();
  if (!cursor.good() || tags == 0 || tags > kTagsMax) return false;
  // The first tag: its type, and a name of one byte or more.
  const uint8_t type = cursor.u8();
  const uint16_t nameBytes = cursor.le16();
  return cursor.good() && (type & 0x7f) >= 1 && (type & 0x7f) <= 0x20 &&
         (type >= 0x80 || (nameBytes >= 1 && nameBytes < 64));
}

// Of the message at the front; `bytes` becomes its length.
Shape shapeOf(std::span<const uint8_t> data, size_t& bytes) {
  const uint8_t protocol = data[0];
  if (protocol != kEdonkey && protocol != kEmule && protocol != kPacked) return Shape::wrong;
  if (data.size() < kHeaderBytes) return Shape::cut;
  ByteCursor cursor(data.subspan(1));
  const uint32_t length = cursor.le32();
  const uint8_t opcode = cursor.u8();
  if (length == 0 || length > kMessageBytesMax) return Shape::wrong;
  bytes = kHeaderBytes - 1 + size_t{length};
  const std::span<const uint8_t> body = cursor.rest().first(std::min<size_t>(cursor.left(), length - 1));
  // A packed message is compressed by zlib behind its opcode.
  if (protocol == kPacked) return body.size() < 2 ? Shape::cut : body[0] == 0x78 ? Shape::right : Shape::wrong;
  const auto known = std::find_if(kMessages.begin(), kMessages.end(), [&](const Message& message) {
    return message.protocol == protocol && message.opcode == opcode;
  });
  if (known == kMessages.end() || length - 1 < known->bytesMin) return Shape::wrong;
  const bool introduction = protocol == kEdonkey && (opcode == 0x01 || opcode == 0x4c);
  if (!introduction) return Shape::right;
  if (introduces(body, true) || introduces(body, false)) return Shape::certain;
  return body.size() < length - 1 && body.size() < 64 ? Shape::cut : Shape::wrong;
}

}  // namespace

Finding recogniseEdonkey(const FlowView& flow, Discoveries& discoveries) {
  size_t right = 0;
  for (const Side side : {Side::initiator, Side::responder}) {
    std::span<const uint8_t> rest = flow.of(side);
    while (!rest.empty()) {
      size_t bytes = 0;
      const Shape shape = shapeOf(rest, bytes);
      if (shape == Shape::wrong) return Finding::never();
      if (shape == Shape::certain) {
        // Only by its own words: else a caller could make anybody's address look like a peer's.
        if (side == Side::responder)
          discoveries.learnPeer(flow.ends.responder, flow.ends.responderPort, Application::edonkey);
        return Finding::found(Application::edonkey, kCertain);
      }
      if (shape == Shape::cut) break;
      // Two headers in a row, or one from each side: five bytes each that could be anything.
      if (++right >= 2) return Finding::found(Application::edonkey, kStrong);
      rest = rest.subspan(std::min(bytes, rest.size()));
    }
  }
  return Finding::undecided();
}

}  // namespace p2pxbone::gateway
