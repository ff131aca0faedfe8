// The image reader: what is not whole, or names what does not exist, is refused. Images are those of the golden cases.
#include <doctest/doctest.h>

#include <fstream>
#include <iterator>

#include "gateway/byte_cursor.h"
#include "gateway/policy/marked_words.h"
#include "gateway/policy/policy.h"
#include "gateway/stream.h"

namespace p2pxbone::gateway {
namespace {

using Bytes = std::vector<uint8_t>;

Bytes firstImage() {
  std::ifstream file(P2PXBONE_SOURCE_DIR "/gateway/test/golden/policy-cases.bin", std::ios::binary);
  const Bytes bytes{std::istreambuf_iterator<char>(file), {}};
  ByteCursor in(bytes);
  const auto image = in.bytes(in.be32());
  return {image.begin(), image.end()};
}

bool reads(std::span<const uint8_t> image) { return std::holds_alternative<PolicyImage>(readPolicyImage(image)); }

std::string whyNot(std::span<const uint8_t> image) {
  const auto read = readPolicyImage(image);
  const auto* error = std::get_if<PolicyError>(&read);
  return error != nullptr ? error->what : "";
}

// An image by hand, for what the compiler never writes.
class Draft {
 public:
  Draft& u8(unsigned value) {
    bytes_.push_back(static_cast<uint8_t>(value));
    return *this;
  }
  Draft& u16(unsigned value) { return u8(value >> 8).u8(value & 0xff); }
  Draft& u32(uint32_t value) { return u16(value >> 16).u16(value & 0xffff); }
  Draft& text(std::string_view text) {
    u16(static_cast<unsigned>(text.size()));
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return *this;
  }
  Draft& zeros(size_t count) {
    bytes_.resize(bytes_.size() + count);
    return *this;
  }
  // Up to the address sets.
  Draft& header() { return u32(0x50584750).u16(1).u8(0).u8(0).u32(0).u8(0).u16(0); }
  Draft& noTables() { return u16(0).u16(0).zeros(10).u32(0).u16(0).u16(0); }
  Draft& rule(unsigned conditions) {
    return u16(1).text("r").u32(1).u8(0).u8(0).u32(0).u16(0).u32(0).zeros(18).u8(conditions);
  }
  Draft& own(std::string_view name) { return u32(0x50584750).u16(1).u8(0).u8(0).u32(0).u8(0).u16(1).text(name); }
  [[nodiscard]] const Bytes& bytes() const { return bytes_; }

 private:
  Bytes bytes_;
};

TEST_CASE("an image that is cut short or too long is refused, wherever it ends") {
  const Bytes image = firstImage();
  REQUIRE(reads(image));
  for (size_t size = 0; size < image.size(); ++size) CHECK_FALSE(reads(std::span(image).first(size)));
  Bytes longer = image;
  longer.push_back(0);
  CHECK(whyNot(longer).find("something follows") != std::string::npos);
}

TEST_CASE("another magic or version is refused with what to do") {
  Bytes image = firstImage();
  image[5] = 9;
  CHECK(whyNot(image).find("compile the policy with this release") != std::string::npos);
  image[0] ^= 1;
  CHECK(whyNot(image).find("it is none") != std::string::npos);
}

TEST_CASE("numbers that name nothing, orders that do not hold and contradictions are refused") {
  CHECK(reads(Draft().header().noTables().u16(0).bytes()));
  CHECK(reads(Draft().header().noTables().rule(0).bytes()));
  CHECK(reads(Draft().header().noTables().rule(1).u8(0).u16(1).u16(54).bytes()));
  // An application, a set, a time, a list, a limit, a kind of condition.
  CHECK_FALSE(reads(Draft().header().noTables().rule(1).u8(0).u16(1).u16(kApplicationsBuiltIn).bytes()));
  CHECK_FALSE(reads(Draft().header().noTables().rule(1).u8(0).u16(1).u16(kApplicationUserFirst).bytes()));
  CHECK_FALSE(reads(Draft().header().noTables().rule(1).u8(1).u8(0).u16(0).bytes()));
  CHECK_FALSE(reads(Draft().header().noTables().rule(1).u8(4).u16(1).u16(0).bytes()));
  CHECK_FALSE(reads(Draft().header().noTables().rule(1).u8(8).u16(1).u16(0).bytes()));
  CHECK_FALSE(reads(Draft().header().noTables().rule(1).u8(5).u8(0).u16(0).bytes()));
  CHECK_FALSE(reads(Draft().header().noTables().rule(1).u8(11).bytes()));
  // A size without a file; a file and a message.
  CHECK(whyNot(Draft().header().noTables().rule(1).u8(6).zeros(16).bytes()).find("contradict") != std::string::npos);
  CHECK(reads(Draft().header().noTables().rule(2).u8(9).u8(6).zeros(16).bytes()));
  CHECK_FALSE(reads(Draft().header().noTables().rule(2).u8(9).u8(10).bytes()));
  // Two ranges, the second before the first.
  const auto ranges = [](unsigned first, unsigned second) {
    Draft draft;
    draft.header().u16(1).u32(2);
    for (const unsigned last : {first, first, second, second}) draft.zeros(15).u8(last);
    return draft.u16(0).zeros(10).u32(0).u16(0).u16(0).u16(0).bytes();
  };
  CHECK(reads(ranges(1, 2)));
  CHECK_FALSE(reads(ranges(2, 1)));
  CHECK_FALSE(reads(ranges(1, 1)));
  // A count without its entries takes no memory.
  CHECK(whyNot(Draft().header().u16(1).u32(0xffffffff).bytes()).find("longer than the image") != std::string::npos);
  // A text that is not UTF-8.
  CHECK_FALSE(reads(Draft().own("\xff").noTables().u16(0).bytes()));
}

// Drops what comes from its only set, which is empty.
Bytes imageWithSet() {
  Draft draft;
  draft.header().u16(1).u32(0).u16(0).zeros(10).u32(0).u16(0).u16(0);
  draft.u16(1).text("r").u32(1).u8(1).u8(0).u32(0).u16(0).u32(0).zeros(18).u8(1).u8(1).u8(0).u16(0);
  return draft.bytes();
}

// One address, which ends with this byte.
Bytes replacedBy(unsigned address, unsigned index = 0) {
  Draft draft;
  draft.u16(1).u16(index).u32(1).zeros(15).u8(address).zeros(15).u8(address);
  return draft.bytes();
}

bool drops(const Policy& policy, Policy::Scratch& scratch, uint8_t address) {
  Flow flow;
  flow.key.a[15] = address;
  return policy.flow(FlowFacts{flow}, scratch).action == Decision::Action::drop;
}

TEST_CASE("a policy with other addresses shares the rest, and the one before stays as it was") {
  const Policy::Build built = Policy::build(imageWithSet(), {});
  REQUIRE(std::holds_alternative<std::shared_ptr<const Policy>>(built));
  auto before = std::get<std::shared_ptr<const Policy>>(built);
  const auto scratch = before->makeScratch();
  CHECK_FALSE(drops(*before, *scratch, 7));
  auto after = std::get<std::shared_ptr<const Policy>>(before->withSets(replacedBy(7)));
  CHECK(drops(*after, *scratch, 7));
  CHECK_FALSE(drops(*after, *scratch, 8));
  CHECK_FALSE(drops(*before, *scratch, 7));
  before.reset();
  CHECK(drops(*after, *scratch, 7));
  CHECK(after->ruleName(1) == "r");
  after = std::get<std::shared_ptr<const Policy>>(after->withSets(replacedBy(8)));
  CHECK_FALSE(drops(*after, *scratch, 7));
  CHECK(drops(*after, *scratch, 8));
}

TEST_CASE("sets that are cut short, too long, out of order or not the policy's are refused") {
  const auto whyNot = [](std::span<const uint8_t> bytes) {
    const auto read = readReplacedSets(bytes, 1);
    const auto* error = std::get_if<PolicyError>(&read);
    return error != nullptr ? error->what : "";
  };
  const Bytes good = replacedBy(7);
  REQUIRE(whyNot(good).empty());
  for (size_t size = 0; size < good.size(); ++size) CHECK_FALSE(whyNot(std::span(good).first(size)).empty());
  Bytes longer = good;
  longer.push_back(0);
  CHECK(whyNot(longer).find("something follows") != std::string::npos);
  CHECK(whyNot(replacedBy(7, 1)).find("does not exist") != std::string::npos);
  Draft twice;
  twice.u16(1).u16(0).u32(2).zeros(64);
  CHECK(whyNot(twice.bytes()).find("out of order") != std::string::npos);
  const auto policy = std::get<std::shared_ptr<const Policy>>(Policy::build(imageWithSet(), {}));
  CHECK(std::holds_alternative<PolicyError>(policy->withSets(replacedBy(7, 1))));
}

TEST_CASE("a pattern that cannot be compiled is told with its place, an application without signature by name") {
  Draft draft;
  draft.header().u16(0).u16(0).u16(1).zeros(8).u32(1).u8(0).u16(0).u8(1).u32(7).u32(9).text("a(").u16(0).u16(0).u16(0);
  const Policy::Build built = Policy::build(draft.bytes(), {});
  const auto* error = std::get_if<PolicyError>(&built);
  REQUIRE(error != nullptr);
  CHECK(error->line == 7);
  CHECK(error->column == 9);
  const Bytes own = Draft().own("ourgame").noTables().u16(0).bytes();
  const Policy::Build nameless = Policy::build(own, {});
  REQUIRE(std::holds_alternative<PolicyError>(nameless));
  CHECK(std::get<PolicyError>(nameless).what.find("'ourgame'") != std::string::npos);
}

TEST_CASE("words are marked at both ends, and marks in the text are none") {
  const auto marked = [](std::string_view text) {
    std::string to = "rest";
    markWords(text, to);
    return to;
  };
  CHECK(marked("") == "");
  CHECK(marked("a-b") == "\1a\2-\1b\2");
  CHECK(marked("!x_9 ") == "!\1x_9\2 ");
  CHECK(marked("\1a\2") == " \1a\2 ");
  CHECK(marked("\xc3\xa9t\xc3\xa9\xc2\xa0\xe2\x82\xac") == "\1\xc3\xa9t\xc3\xa9\2\xc2\xa0\xe2\x82\xac");
  CHECK(marked("\xf0\x9f\x98\x80z") == "\xf0\x9f\x98\x80\1z\2");
  CHECK(marked("\xe7\xa7\x98") == "\1\xe7\xa7\x98\2");
}

}  // namespace
}  // namespace p2pxbone::gateway
