// Files that are to be stored: each is finished once, however it ends.
#include <doctest/doctest.h>

#include <set>

#include "gateway/file_watch.h"

namespace p2pxbone::gateway::testing {
namespace {

class CountingStore final : public FileStore {
 public:
  StoreId begin() override {
    open.insert(++last);
    return last;
  }
  bool data(StoreId id, std::span<const uint8_t>) override { return open.contains(id); }
  void finish(StoreId id, bool complete, const std::optional<Sha256>&) override {
    CHECK(open.erase(id) == 1);
    ++(complete ? whole : cut);
  }
  std::optional<StoredFile> poll() override { return std::nullopt; }

  StoreId last = 0;
  std::set<StoreId> open;
  int whole = 0;
  int cut = 0;
};

// A policy that stores everything, and denies programs.
Decision decided(const FileFacts& facts) {
  Decision decision;
  decision.store = true;
  decision.needs = kNeedsFileType;
  const bool known = facts.type || facts.final;
  if (known) decision.needs = 0;
  decision.decided = known;
  if (facts.type && facts.type->kind == FileKind::executable) decision.action = Decision::Action::drop;
  return decision;
}

std::unique_ptr<FileWatch> watched(CountingStore& store) {
  FileWatch::Parts parts;
  parts.store = &store;
  parts.decide = decided;
  Transfer transfer;
  transfer.name = "file";
  auto watch = std::make_unique<FileWatch>(transfer, Side::responder, std::move(parts));
  CHECK(watch->begin() == FileWatch::Answer::goOn);
  CHECK(store.open.size() == 1);
  return watch;
}

std::span<const uint8_t> spanOf(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

TEST_CASE("a stored file that comes to its end is whole") {
  CountingStore store;
  auto watch = watched(store);
  CHECK(watch->data(spanOf("some text"), 0) == FileWatch::Answer::goOn);
  CHECK(watch->end(true, 0) == FileWatch::Answer::goOn);
  watch.reset();
  CHECK(store.whole == 1);
  CHECK(store.cut == 0);
}

TEST_CASE("a file of unknown size is asked about again when it has grown to the size in question") {
  int asked = 0;
  FileWatch::Parts parts;
  parts.decide = [&](const FileFacts& facts) {
    ++asked;
    Decision decision;
    decision.decided = facts.atLeast >= 1000 || facts.final;
    if (facts.atLeast >= 1000) decision.action = Decision::Action::drop;
    decision.sizeOpen = 1000;
    return decision;
  };
  FileWatch watch({}, Side::responder, std::move(parts));
  CHECK(watch.begin() == FileWatch::Answer::goOn);
  CHECK(watch.data(spanOf(std::string(999, 'a')), 0) == FileWatch::Answer::goOn);
  CHECK(asked == 1);
  CHECK(watch.data(spanOf("a"), 0) == FileWatch::Answer::deny);
}

TEST_CASE("a size that its sender alone has told is the least that comes, to the policy and to the scan") {
  std::vector<FileFacts> asked;
  FileWatch::Parts parts;
  parts.decide = [&](const FileFacts& facts) {
    asked.push_back(facts);
    Decision decision;
    decision.decided = facts.final;
    decision.sizeOpen = 1000;
    return decision;
  };
  Transfer transfer;
  transfer.size = 10;
  transfer.mayExceed = true;
  FileWatch watch(transfer, Side::responder, std::move(parts));
  CHECK(watch.begin() == FileWatch::Answer::goOn);
  CHECK(watch.data(spanOf(std::string(1000, 'a')), 0) == FileWatch::Answer::goOn);
  CHECK(watch.end(true, 0) == FileWatch::Answer::goOn);
  REQUIRE(asked.size() == 3);
  for (const FileFacts& facts : asked) CHECK(!facts.size);
  CHECK(asked[0].atLeast == 10);
  CHECK(asked[1].atLeast == 1000);
  CHECK(asked[2].final);
}

TEST_CASE("one that is denied on its way, let go, or forgotten with its flow gives its place back") {
  CountingStore store;
  auto denied = watched(store);
  const std::string program = std::string{"\x7f" "ELF\x02\x01\x01", 7} + std::string(5000, '\0');
  CHECK(denied->data(spanOf(program), 0) == FileWatch::Answer::deny);
  CHECK(denied->stored() != kNotStored);
  denied->letGo();
  CHECK(store.open.empty());
  denied.reset();
  auto forgotten = watched(store);
  CHECK(forgotten->data(spanOf("some text"), 0) == FileWatch::Answer::goOn);
  forgotten.reset();
  CHECK(store.open.empty());
  CHECK(store.whole == 0);
  CHECK(store.cut == 2);
}

}  // namespace
}  // namespace p2pxbone::gateway::testing
