// eDonkey and eMule over UDP: questions to servers and clients, and Kademlia. A datagram is a protocol byte, an opcode,
// and content whose length follows from the opcode.
#include "gateway/byte_cursor.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kEdonkey = 0xe3;
constexpr uint8_t kEmule = 0xc5;
constexpr uint8_t kKad = 0xe4;
constexpr uint8_t kKadPacked = 0xe5;

// Lengths of the content: first, then any number of steps; a step of 1 allows every length from the first on.
struct Message {
  uint8_t protocol;
  uint8_t opcode;
  size_t first;
  size_t step;  // 0: exactly the first
};

constexpr std::array<Message, 34> kMessages{{
    {kEdonkey, 0x96, 4, 0},      // state of a server: question
    {kEdonkey, 0x97, 12, 1},     // and answer
    {kEdonkey, 0x98, 2, 1},      // search
    {kEdonkey, 0x92, 2, 1},
    {kEdonkey, 0x90, 2, 1},
    {kEdonkey, 0x99, 26, 1},     // result of a search
    {kEdonkey, 0x9a, 16, 16},    // sources: question
    {kEdonkey, 0x94, 20, 20},
    {kEdonkey, 0x9b, 17, 6},     // and answer
    {kEdonkey, 0xa2, 0, 4},      // description of a server: question
    {kEdonkey, 0xa3, 4, 1},      // and answer
    {kEmule, 0x90, 16, 1},       // is this file still wanted
    {kEmule, 0x91, 2, 1},
    {kEmule, 0x92, 0, 0},
    {kEmule, 0x93, 0, 0},
    {kKad, 0x01, 0, 0},          // first contact: question
    {kKad, 0x09, 21, 25},        // and answer
    {kKad, 0x11, 20, 1},         // hello: question
    {kKad, 0x19, 20, 1},         // and answer
    {kKad, 0x22, 16, 0},
    {kKad, 0x21, 33, 0},         // nodes near an id: question
    {kKad, 0x29, 17, 25},        // and answer
    {kKad, 0x33, 18, 1},         // search by word
    {kKad, 0x34, 26, 0},         // search for sources
    {kKad, 0x35, 24, 0},         // search for notes
    {kKad, 0x3b, 34, 1},         // results
    {kKad, 0x43, 18, 1},         // publish
    {kKad, 0x44, 33, 1},
    {kKad, 0x4b, 17, 0},
    {kKad, 0x4c, 0, 0},
    {kKad, 0x50, 2, 0},          // is this client behind a firewall
    {kKad, 0x53, 3, 16},
    {kKad, 0x60, 0, 0},          // alive: question
    {kKad, 0x61, 2, 0},          // and answer
}};

enum class Shape : uint8_t { wrong, right, certain };

Shape shapeOf(std::span<const uint8_t> datagram) {
  if (datagram.size() < 2) return Shape::wrong;
  const std::span<const uint8_t> content = datagram.subspan(2);
  if (datagram[0] == kKadPacked) {
    return content.size() > 8 && content[0] == 0x78 && content[1] == 0xda ? Shape::right : Shape::wrong;
  }
  for (const Message& message : kMessages) {
    if (message.protocol != datagram[0] || message.opcode != datagram[1]) continue;
    if (content.size() < message.first) return Shape::wrong;
    const size_t over = content.size() - message.first;
    if (message.step == 0 ? over != 0 : over % message.step != 0) return Shape::wrong;
    // A question for nodes says how many are wanted, which is one of three numbers; an answer how many there are.
    if (message.protocol == kKad && message.opcode == 0x21) {
      return content[0] == 2 || content[0] == 4 || content[0] == 11 ? Shape::certain : Shape::wrong;
    }
    if (message.protocol == kKad && message.opcode == 0x29)
      return over / 25 == content[16] ? Shape::certain : Shape::wrong;
    return Shape::right;
  }
  return Shape::wrong;
}

}  // namespace

Finding recogniseEdonkeyUdp(const FlowView& flow, Discoveries&) {
  size_t right = 0;
  std::array<bool, 2> spoke{};
  bool wrong = false;
  bool certain = false;
  flow.forEachPiece([&](Side side, std::span<const uint8_t> datagram) {
    const Shape shape = shapeOf(datagram);
    wrong = shape == Shape::wrong;
    certain = shape == Shape::certain;
    ++right;
    spoke[indexOf(side)] = true;
    return !wrong && !certain;
  });
  if (wrong) return Finding::never();
  if (certain) return Finding::found(Application::edonkey, kStrong);
  // Of the others, question and answer; or three questions.
  if ((spoke[0] && spoke[1]) || right >= 3) return Finding::found(Application::edonkey, kStrong);
  return Finding::undecided();
}

}  // namespace p2pxbone::gateway
