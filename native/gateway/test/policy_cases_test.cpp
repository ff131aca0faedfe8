// Policies compiled by gateway/core, with questions and the answers that their YAML means by a plain evaluator
// (gateway/core/test/oracle.ts). P2PXBONE_POLICY_CASES names another file of such cases.
//
// Until the end: u32 length and bytes of an image; u16 number of questions; each: u8 about (0 flow, 1 file, 2 chat); 16
// bytes from, 16 bytes to, u16 port, u8 protocol; u8 whether the application is known, u16 its number; u8 whether the
// host is known, text; i64 now; i32 offset of local time; of a file: text name, u8 whether and u64 size, u64 how much it has
// at least, u8 whether and u8 kind, text type, u8 whether and 32 bytes hash, u8 sender, u8 final; of a message: texts
// from, to, text; then the answer: u8 action, u8 decided, u32 rule, u8 whether and u32 mark, u16 limit, u8 each log,
// scan, store, dry run, u32 needs, u32 denyFor. A text has its length, u16, in front.
#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "gateway/byte_cursor.h"
#include "gateway/policy/policy.h"
#include "gateway/stream.h"

namespace p2pxbone::gateway {
namespace {

// Numbers that signatures could have given, other than those in the images.
constexpr uint16_t kOwnShift = 40;

std::vector<uint8_t> casesFile() {
  const char* other = std::getenv("P2PXBONE_POLICY_CASES");
  const char* golden = P2PXBONE_SOURCE_DIR "/gateway/test/golden/policy-cases.bin";
  std::ifstream file(other != nullptr ? other : golden, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string_view textIn(ByteCursor& in) { return textOf(in.bytes(in.be16())); }

template <size_t Size>
std::array<uint8_t, Size> bytesIn(ByteCursor& in) {
  std::array<uint8_t, Size> bytes{};
  const auto from = in.bytes(Size);
  std::copy(from.begin(), from.end(), bytes.begin());
  return bytes;
}

std::optional<Application> ownApplication(std::string_view name) {
  if (name == "ourgame") return static_cast<Application>(kApplicationUserFirst + kOwnShift);
  if (name == "ourchat") return static_cast<Application>(kApplicationUserFirst + kOwnShift + 1);
  return std::nullopt;
}

struct Question {
  Flow flow;
  FlowFacts facts{flow};
  FileFacts file;
  ChatFacts chat;
  Sha256 hash{};
  uint8_t about = 0;
};

void readFile(ByteCursor& in, Question& question) {
  FileFacts& file = question.file;
  file.name = textIn(in);
  const bool sized = in.u8() != 0;
  const uint64_t size = in.be64();
  if (sized) file.size = size;
  file.atLeast = in.be64();
  const bool typed = in.u8() != 0;
  const auto kind = static_cast<FileKind>(in.u8());
  const std::string_view type = textIn(in);
  if (typed) file.type = FileType{type, kind};
  const bool hashed = in.u8() != 0;
  question.hash = bytesIn<32>(in);
  if (hashed) file.sha256 = &question.hash;
  file.sender = in.u8() == 0 ? Side::initiator : Side::responder;
  file.final = in.u8() != 0;
}

void readQuestion(ByteCursor& in, Question& question) {
  question.about = in.u8();
  FlowKey& key = question.flow.key;
  key.a = bytesIn<16>(in);
  key.b = bytesIn<16>(in);
  key.portA = 40'000;
  key.portB = in.be16();
  key.protocol = in.u8();
  // As a table holds it: the ends in their order, and who began.
  if (std::pair{key.b, key.portB} < std::pair{key.a, key.portA}) {
    std::swap(key.a, key.b);
    std::swap(key.portA, key.portB);
    question.flow.initiatorIsB = true;
  }
  FlowFacts& facts = question.facts;
  facts.applicationKnown = in.u8() != 0;
  const uint16_t application = in.be16();
  const bool own = application >= kApplicationUserFirst;
  facts.application = static_cast<Application>(application + (own ? kOwnShift : 0));
  facts.hostKnown = in.u8() != 0;
  facts.host = textIn(in);
  facts.now = static_cast<WallTime>(in.be64());
  facts.utcOffsetSeconds = static_cast<int32_t>(in.be32());
  if (question.about == 1) readFile(in, question);
  if (question.about == 2) {
    question.chat.from = textIn(in);
    question.chat.to = textIn(in);
    question.chat.text = textIn(in);
  }
}

Decision readAnswer(ByteCursor& in) {
  Decision decision;
  decision.action = static_cast<Decision::Action>(in.u8());
  decision.decided = in.u8() != 0;
  decision.rule = in.be32();
  const bool marked = in.u8() != 0;
  const uint32_t mark = in.be32();
  if (marked) decision.mark = mark;
  decision.limit = in.be16();
  decision.log = in.u8() != 0;
  decision.scan = in.u8() != 0;
  decision.store = in.u8() != 0;
  decision.dryRun = in.u8() != 0;
  decision.needs = in.be32();
  decision.denyFor = in.be32();
  return decision;
}

Decision ask(const Policy& policy, const Question& question, Policy::Scratch& scratch) {
  if (question.about == 1) return policy.file(question.facts, question.file, scratch);
  if (question.about == 2) return policy.chat(question.facts, question.chat, scratch);
  return policy.flow(question.facts, scratch);
}

std::string shown(const Decision& d) {
  std::string text = "action " + std::to_string(static_cast<int>(d.action)) + (d.decided ? " decided" : " open");
  text += " rule " + std::to_string(d.rule) + " mark " + (d.mark ? std::to_string(*d.mark) : "-");
  text += " limit " + std::to_string(d.limit) + (d.log ? " log" : "") + (d.scan ? " scan" : "");
  text += std::string(d.store ? " store" : "") + (d.dryRun ? " dry" : "") + " needs " + std::to_string(d.needs);
  return text + " denyFor " + std::to_string(d.denyFor);
}

TEST_CASE("policies answer what their text means") {
  const std::vector<uint8_t> bytes = casesFile();
  REQUIRE(bytes.size() > 10'000);
  ByteCursor in(bytes);
  size_t policies = 0, questions = 0, sizesOpen = 0;
  while (in.left() > 0) {
    const auto image = in.bytes(in.be32());
    const Policy::Build built = Policy::build(image, ownApplication);
    const auto* error = std::get_if<PolicyError>(&built);
    REQUIRE_MESSAGE(error == nullptr, "policy " << policies << ": " << (error != nullptr ? error->what : ""));
    const Policy& policy = *std::get<std::shared_ptr<const Policy>>(built);
    const auto scratch = policy.makeScratch();
    REQUIRE(scratch);
    for (size_t left = in.be16(); left > 0; --left) {
      Question question;
      readQuestion(in, question);
      const Decision wanted = readAnswer(in);
      Decision got = ask(policy, question, *scratch);
      const uint64_t sizeOpen = std::exchange(got.sizeOpen, UINT64_MAX);
      CHECK_MESSAGE(got == wanted, "policy " << policies << ", question " << questions << ": " << shown(got) << ", not "
                                             << shown(wanted));
      ++questions;
      if (sizeOpen != UINT64_MAX) {
        // Until so much has been seen, more bytes change nothing.
        CHECK(question.about == 1);
        CHECK(sizeOpen > question.file.atLeast);
        const uint64_t atLeast = std::exchange(question.file.atLeast, sizeOpen - 1);
        Decision later = ask(policy, question, *scratch);
        question.file.atLeast = atLeast;
        CHECK(std::exchange(later.sizeOpen, UINT64_MAX) == sizeOpen);
        CHECK(later == got);
        ++sizesOpen;
      }
      // Before there is a flow, nothing but the packet is known.
      if (question.about != 0 || question.facts.applicationKnown || question.facts.hostKnown) continue;
      Packet packet;
      packet.ip.source = question.flow.address(Side::initiator);
      packet.ip.destination = question.flow.address(Side::responder);
      packet.ip.destinationPort = question.flow.port(Side::responder);
      packet.ip.protocol = question.flow.key.protocol;
      CHECK(policy.syn(packet, question.facts.now, question.facts.utcOffsetSeconds) == wanted);
    }
    REQUIRE(in.good());
    ++policies;
  }
  CHECK(sizesOpen > 0);
  MESSAGE(policies << " policies, " << questions << " questions");
}

}  // namespace
}  // namespace p2pxbone::gateway
