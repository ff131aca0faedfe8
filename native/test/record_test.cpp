#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "core/record_keys.h"
#include "core/record_opener.h"
#include "core/record_sealer.h"

namespace p2pxbone::testing {
namespace {

using Bytes = std::vector<uint8_t>;
constexpr std::array<Cipher, 3> ciphers{Cipher::aes128Gcm, Cipher::aes256Gcm, Cipher::chacha20Poly1305};

// As slow and obvious as it can be.
class SlowWindow {
 public:
  [[nodiscard]] bool fresh(uint64_t number) const {
    const bool old = any_ && number + ReplayWindow::kRecords <= highest_;
    return !old && !seen_.contains(number);
  }
  void mark(uint64_t number) {
    seen_.insert(number);
    highest_ = any_ ? std::max(highest_, number) : number;
    any_ = true;
  }
  // Whether the two may differ: the fast window forgets by words of 64.
  [[nodiscard]] bool atTheEdge(uint64_t number) const {
    return any_ && number + ReplayWindow::kRecords <= highest_ && number + ReplayWindow::kRecords + 64 > highest_;
  }

 private:
  std::set<uint64_t> seen_;
  uint64_t highest_ = 0;
  bool any_ = false;
};

TEST_CASE("replay window: agrees with a slow twin") {
  for (uint32_t seed = 0; seed < 20; seed++) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    ReplayWindow window;
    SlowWindow slow;
    uint64_t at = seed % 2 == 0 ? 0 : (uint64_t{1} << 48) - 200'000;
    for (int i = 0; i < 20'000; i++) {
      const uint64_t dice = random() % 100;
      if (dice < 50) at += 1;
      else if (dice < 52) at += random() % 40'000;
      uint64_t number = at;
      if (dice >= 60) number -= std::min(at, random() % (dice >= 95 ? 40'000 : 200));
      const bool expected = slow.fresh(number);
      // What is older than the window may still be known for fresh, but never what was seen.
      if (slow.atTheEdge(number) ? window.fresh(number) : window.fresh(number) != expected) {
        REQUIRE(slow.atTheEdge(number));
        continue;
      }
      if (!expected) continue;
      window.mark(number);
      slow.mark(number);
      REQUIRE_FALSE(window.fresh(number));
    }
  }
}

TEST_CASE("replay window: everything inside it is accepted once, in any order") {
  static_assert(ReplayWindow::kRecords >= 8192);
  ReplayWindow window;
  window.mark(100'000);
  for (uint64_t back = 1; back < ReplayWindow::kRecords; back++) REQUIRE(window.fresh(100'000 - back));
  window.mark(100'000 - ReplayWindow::kRecords + 1);
  CHECK_FALSE(window.fresh(100'000 - ReplayWindow::kRecords + 1));
  CHECK_FALSE(window.fresh(100'000 - ReplayWindow::kRecords - 64));
  CHECK(window.newest(100'001));
  CHECK_FALSE(window.newest(100'000));
}

struct Ends {
  explicit Ends(Cipher cipher, uint64_t recordsMax = 1'000'000)
      : sending(cipher, keys(), 1, recordsMax), receiving(std::make_shared<ReceivingKeys>(cipher, keys())) {}
  static DirectionKeys keys(uint8_t fill = 7) {
    DirectionKeys made;
    made.key.fill(fill);
    made.fixedNonce.fill(fill);
    return made;
  }
  Bytes seal(const Bytes& content) {
    Bytes record(content.size() + recordOverheadBytes(sending.cipher()));
    record.resize(sending.seal(contentApplicationData, content, record));
    return record;
  }
  ReceivingKeys::Outcome open(Bytes record) {
    std::span<uint8_t> content;
    const Bytes before = record;
    const auto outcome = receiving->open(record, true, content);
    opened.assign(content.begin(), content.end());
    if (outcome != ReceivingKeys::Outcome::opened) CHECK(record == before);
    return outcome;
  }
  SendingKeys sending;
  std::shared_ptr<ReceivingKeys> receiving;
  Bytes opened;
};

using Outcome = ReceivingKeys::Outcome;

TEST_CASE("records: sealed ones open once, and damaged ones never") {
  for (const Cipher cipher : ciphers) {
    CAPTURE(static_cast<int>(cipher));
    Ends ends(cipher);
    for (size_t bytes : {0, 1, 15, 16, 17, 300, 1400, 16'384}) {
      const Bytes content(bytes, static_cast<uint8_t>(bytes));
      const Bytes record = ends.seal(content);
      REQUIRE(record.size() == bytes + recordOverheadBytes(cipher));
      for (size_t bit = 0; bit < record.size() * 8; bit += bytes > 1000 ? 97 : 1) {
        // The length is what the datagram is cut by, before this.
        if (bit / 8 == 11 || bit / 8 == 12) continue;
        Bytes damaged = record;
        damaged[bit / 8] = static_cast<uint8_t>(damaged[bit / 8] ^ (1U << (bit % 8)));
        // Numbers that were seen are refused before anything else.
        REQUIRE(ends.open(damaged) != Outcome::opened);
      }
      for (size_t cut = 0; cut < record.size(); cut += 1 + record.size() / 50) {
        if (cut >= recordHeaderBytes) REQUIRE(ends.open({record.begin(), record.begin() + static_cast<std::ptrdiff_t>(cut)}) == Outcome::forged);
      }
      REQUIRE(ends.open(record) == Outcome::opened);
      CHECK(ends.opened == content);
      REQUIRE(ends.open(record) == Outcome::replayed);
    }
    CHECK(ends.seal(Bytes(16'385)).empty());
  }
}

TEST_CASE("records: keys that are used up seal no more") {
  Ends ends(Cipher::aes128Gcm, 3);
  for (int i = 0; i < 3; i++) CHECK_FALSE(ends.seal({1}).empty());
  for (int i = 0; i < 3; i++) CHECK(ends.seal({1}).empty());
}

TEST_CASE("records: content that stands in its place already is sealed there") {
  for (const Cipher cipher : ciphers) {
    Ends ends(cipher);
    Bytes record(100 + recordOverheadBytes(cipher), 9);
    const std::span<const uint8_t> content = std::span(record).subspan(recordOverheadBytes(cipher) - recordTagBytes, 100);
    REQUIRE(ends.sending.seal(contentApplicationData, content, record) == record.size());
    REQUIRE(ends.open(record) == Outcome::opened);
    CHECK(ends.opened == Bytes(100, 9));
  }
}

// The sending half of one generation of a channel's keys, as the peer has it.
struct Generation {
  explicit Generation(uint8_t byte) : sending(Cipher::aes128Gcm, Ends::keys(byte), 1, 1'000'000), fill(byte) {}
  [[nodiscard]] std::shared_ptr<ReceivingKeys> receiving() const {
    return std::make_shared<ReceivingKeys>(Cipher::aes128Gcm, Ends::keys(fill));
  }
  Bytes seal(const Bytes& content) {
    Bytes record(recordRoomBytes(content.size()));
    record.resize(sending.seal(contentApplicationData, content, record));
    return record;
  }
  SendingKeys sending;
  uint8_t fill;
};

TEST_CASE("channel: records of old and new keys, in any order across the change") {
  std::mt19937 random(3);
  SecureChannel channel(1);
  Retired retired;
  Generation first(1);
  Generation second(2);
  channel.receiveWith(first.receiving(), retired);
  const auto open = [&](Bytes record) {
    OpenedRecord opened;
    return RecordOpener::open(channel, record, 1, false, opened);
  };
  CHECK(open(first.seal({1})) == DropReason::none);
  channel.receiveWith(second.receiving(), retired);
  std::vector<Bytes> records;
  for (int i = 0; i < 1000; i++) records.push_back(i % 2 == 0 ? first.seal({1}) : second.seal({2}));
  std::shuffle(records.begin(), records.end(), random);
  for (const Bytes& record : records) REQUIRE(open(record) == DropReason::none);
  for (const Bytes& record : records) REQUIRE(open(record) == DropReason::recordReplayed);
  channel.forgetOlder(retired);
  CHECK(open(first.seal({1})) == DropReason::dtlsRecordBad);
  CHECK(open(second.seal({1})) == DropReason::none);
  channel.forgetAll(retired);
  CHECK(open(second.seal({1})) == DropReason::keysMissing);
}

TEST_CASE("channel: keys that the peer never used give way, the ones in use stay") {
  SecureChannel channel(1);
  Retired retired;
  Generation used(1);
  Generation unused(2);
  Generation next(3);
  const auto open = [&](Bytes record) {
    OpenedRecord opened;
    return RecordOpener::open(channel, record, 1, false, opened);
  };
  channel.receiveWith(used.receiving(), retired);
  CHECK(open(used.seal({1})) == DropReason::none);
  channel.receiveWith(unused.receiving(), retired);
  channel.receiveWith(next.receiving(), retired);
  CHECK(open(used.seal({1})) == DropReason::none);
  CHECK(open(next.seal({1})) == DropReason::none);
  CHECK(open(unused.seal({1})) != DropReason::none);
}

TEST_CASE("channel: without keys nothing is sealed") {
  SecureChannel channel(1);
  Retired retired;
  Bytes room(100, 0xee);
  CHECK(RecordSealer::seal(channel, Bytes{8, 0, 0}, room) == 0);
  channel.sendWith(std::make_shared<const SendingKeys>(Cipher::aes256Gcm, Ends::keys(), 1, 10), retired);
  CHECK(RecordSealer::seal(channel, Bytes{8, 0, 0}, room) == 3 + 37);
  CHECK(channel.stopSending() != nullptr);
  std::fill(room.begin(), room.end(), uint8_t{0xee});
  CHECK(RecordSealer::seal(channel, Bytes{8, 0, 0}, room) == 0);
  CHECK(room == Bytes(100, 0xee));
}

}  // namespace
}  // namespace p2pxbone::testing
