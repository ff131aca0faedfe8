#include "os/stored_files.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <system_error>

#include "gateway/parsers/text.h"
#include "gateway/sha256_hasher.h"
#include "test/scratch_directory.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using p2pxbone::testing::contentsOf;
using p2pxbone::testing::eventually;
using p2pxbone::testing::ScratchDirectory;
using p2pxbone::testing::SmallDisk;
using State = StoredFile::State;

namespace {

std::string sha256(std::string_view bytes) {
  Sha256Hasher hasher;
  hasher.add(bytesOf(bytes));
  Sha256 digest;
  REQUIRE(hasher.finish(digest));
  return hexOf(digest);
}

std::string pathOf(std::string_view bytes) { return sha256(bytes).substr(0, 2) + "/" + sha256(bytes); }

StoredFile next(FileStore& store) {
  std::optional<StoredFile> result;
  REQUIRE(eventually([&] { return (result = store.poll()).has_value(); }));
  return *result;
}

StoredFile put(FileStore& store, std::string_view bytes, bool complete = true) {
  const StoreId id = store.begin();
  REQUIRE(id != kNotStored);
  for (size_t from = 0; from < bytes.size(); from += 10'000) CHECK(store.data(id, bytesOf(bytes.substr(from, 10'000))));
  store.finish(id, complete);
  const StoredFile result = next(store);
  CHECK(result.id == id);
  return result;
}

StoredFiles::Settings settingsIn(const std::string& directory) {
  StoredFiles::Settings settings;
  settings.directory = directory;
  return settings;
}

size_t filesUnder(const std::string& directory) {
  const std::filesystem::recursive_directory_iterator all{directory};
  const auto isFile = [](const auto& each) { return each.is_regular_file(); };
  return static_cast<size_t>(std::count_if(begin(all), end(all), isFile));
}

}  // namespace

TEST_CASE("stored files: a SHA-256 that is given names the file, whole or partial; otherwise it is read from the disk") {
  const ScratchDirectory scratch;
  StoredFiles::Settings settings = settingsIn(scratch.in("files"));
  settings.keepPartial = true;
  StoredFiles files{settings};
  const auto store = files.open();
  Sha256 digest{};
  digest[0] = 0xab;
  for (const bool complete : {true, false}) {
    const StoreId id = store->begin();
    CHECK(store->data(id, bytesOf("some")));
    store->finish(id, complete, digest);
    const StoredFile result = next(*store);
    CHECK(result.kept);
    REQUIRE(result.sha256);
    CHECK(*result.sha256 == digest);
    CHECK(contentsOf(scratch.in(std::string{complete ? "files/ab/" : "files/partial/"} + hexOf(digest))) == "some");
  }
  const std::string large(100'000, 'x');
  const StoredFile found = put(*store, large);
  REQUIRE(found.sha256);
  CHECK(hexOf(*found.sha256) == sha256(large));
  CHECK(contentsOf(scratch.in("files/" + pathOf(large))) == large);
}

TEST_CASE("a file lies under its SHA-256, once") {
  const ScratchDirectory scratch;
  StoredFiles files{settingsIn(scratch.in("files"))};
  const auto store = files.open();
  std::string bytes(300'000, 'a');
  bytes[200'000] = 'b';
  const StoredFile first = put(*store, bytes);
  CHECK(first.state == State::stored);
  CHECK(first.kept);
  CHECK(first.bytes == bytes.size());
  REQUIRE(first.sha256.has_value());
  CHECK(hexOf(*first.sha256) == sha256(bytes));
  CHECK(contentsOf(scratch.in("files/" + pathOf(bytes))) == bytes);

  CHECK(put(*store, bytes).state == State::known);
  CHECK(put(*store, "").state == State::stored);
  CHECK(contentsOf(scratch.in("files/" + pathOf(""))).empty());
  CHECK(filesUnder(scratch.in("files")) == 2);
  CHECK(files.statistics().stored == 2);
  CHECK(files.statistics().known == 1);
  CHECK(files.statistics().bytes == bytes.size());
  CHECK_THROWS_AS((StoredFiles{settingsIn(scratch.in("files"))}), std::system_error);

  // Somebody has removed it.
  std::filesystem::remove(scratch.in("files/" + pathOf(bytes)));
  CHECK(put(*store, bytes).state == State::stored);
  CHECK(files.statistics().bytes == bytes.size());
}

TEST_CASE("files come in the same with much memory, little and none, whether known or not") {
  const ScratchDirectory scratch;
  std::mt19937 random{7};
  for (const size_t memory : {size_t{0}, size_t{100'000}, size_t{3'000'000}, size_t{64} << 20}) {
    CAPTURE(memory);
    StoredFiles::Settings settings = settingsIn(scratch.in(std::to_string(memory)));
    settings.memoryMax = memory;
    StoredFiles files{settings};
    const auto store = files.open();
    for (const size_t bytes : {0, 1, 65'536, 65'537, 700'000, 4'194'304, 6'000'000}) {
      CAPTURE(bytes);
      std::string contents(bytes, 'x');
      for (size_t at = 0; at < bytes; at += 1 + random() % 5'000) contents[at] = static_cast<char>(random());
      CHECK(put(*store, contents).state == State::stored);
      const StoredFile again = put(*store, contents);
      CHECK(again.state == State::known);
      CHECK(hexOf(again.sha256.value()) == sha256(contents));
      CHECK(put(*store, contents, false).state == State::partial);
      CHECK(contentsOf(settings.directory + "/" + pathOf(contents)) == contents);
    }
    CHECK(filesUnder(settings.directory) == 7);
  }
}

TEST_CASE("small files go to disk when they are whole, and not at all where there is nothing new in them") {
  const ScratchDirectory scratch;
  StoredFiles files{settingsIn(scratch.in("files"))};
  const auto store = files.open();
  const StoreId small = store->begin();
  CHECK(store->data(small, bytesOf("some")));
  // The thread has seen both when it has done with the second.
  CHECK(put(*store, "other").state == State::stored);
  CHECK(filesUnder(scratch.in("files")) == 1);
  store->finish(small, true);
  CHECK(next(*store).state == State::stored);
  CHECK(filesUnder(scratch.in("files")) == 2);
}

TEST_CASE("what did not come to its end is removed, or kept aside") {
  const ScratchDirectory scratch;
  for (const bool keep : {false, true}) {
    StoredFiles::Settings settings = settingsIn(scratch.in(keep ? "keep" : "remove"));
    settings.keepPartial = keep;
    StoredFiles files{settings};
    const auto store = files.open();
    const StoredFile partial = put(*store, "half", false);
    CHECK(partial.state == State::partial);
    CHECK(partial.kept == keep);
    CHECK((partial.sha256 ? hexOf(*partial.sha256) : "") == (keep ? sha256("half") : ""));
    CHECK(put(*store, "half").state == State::stored);
    CHECK(put(*store, "half", false).state == State::partial);
    CHECK(filesUnder(settings.directory) == (keep ? 2 : 1));
    CHECK(std::filesystem::exists(settings.directory + "/partial/" + sha256("half")) == keep);
    CHECK(files.statistics().partial == 2);
  }
}

TEST_CASE("the oldest go to make room, and one that is seen again is not old") {
  const ScratchDirectory scratch;
  StoredFiles::Settings settings = settingsIn(scratch.in("files"));
  settings.bytesMax = 130'000;  // also for a file that turns out to be known
  settings.filesMax = 5;
  settings.fileBytesMax = 90'000;
  const auto there = [&](char name, size_t bytes) {
    return std::filesystem::exists(scratch.in("files/" + pathOf(std::string(bytes, name))));
  };
  {
    StoredFiles files{settings};
    const auto store = files.open();
    for (const char name : {'a', 'b', 'c'}) CHECK(put(*store, std::string(30'000, name)).state == State::stored);
    CHECK(put(*store, std::string(30'000, 'a')).state == State::known);
    CHECK(put(*store, std::string(60'000, 'd')).state == State::stored);
    CHECK(there('a', 30'000));
    CHECK_FALSE(there('b', 30'000));
    CHECK(there('c', 30'000));
    CHECK(there('d', 60'000));
    CHECK(files.statistics().removed == 1);
    CHECK(files.statistics().bytes == 120'000);

    // Too big for any room: nothing else goes for it.
    const StoreId big = store->begin();
    CHECK(store->data(big, bytesOf(std::string(90'001, 'e'))));
    store->finish(big, true);
    CHECK(next(*store).state == State::failed);
    CHECK(files.statistics().tooBig == 1);
    CHECK(there('c', 30'000));

    for (const char name : {'1', '2', '3', '4'}) CHECK(put(*store, std::string(1, name)).state == State::stored);
    CHECK(files.statistics().files == 5);
    CHECK(there('d', 60'000));
    CHECK_FALSE(there('a', 30'000));
    CHECK_FALSE(there('c', 30'000));
  }
  CHECK(filesUnder(scratch.in("files")) == 5);
}

TEST_CASE("the next process knows what is there, in its order, and removes only what is the store's own") {
  const ScratchDirectory scratch;
  StoredFiles::Settings settings = settingsIn(scratch.in("files"));
  {
    StoredFiles files{settings};
    const auto store = files.open();
    for (const std::string bytes : {"first", "second", "third"}) {
      (void)put(*store, bytes);
      std::this_thread::sleep_for(std::chrono::milliseconds{20});  // the disk's clock is coarse
    }
    CHECK(put(*store, "first").state == State::known);
  }
  std::ofstream{scratch.in("files/incoming/17")} << "unfinished";
  std::ofstream{scratch.in("files/notes.txt")} << "mine";
  std::ofstream{scratch.in("files/" + pathOf("first").substr(0, 3) + "notes.txt")} << "mine";
  settings.filesMax = 2;
  StoredFiles files{settings};
  const auto store = files.open();
  CHECK(put(*store, "first").state == State::known);
  CHECK(files.statistics().files == 2);
  CHECK_FALSE(std::filesystem::exists(scratch.in("files/incoming/17")));
  CHECK_FALSE(std::filesystem::exists(scratch.in("files/" + pathOf("second"))));
  CHECK(std::filesystem::exists(scratch.in("files/" + pathOf("third"))));
  CHECK(filesUnder(scratch.in("files")) == 4);
}

TEST_CASE("a file that finds no memory left fails, and others do not") {
  const ScratchDirectory scratch;
  StoredFiles::Settings settings = settingsIn(scratch.in("files"));
  settings.queueBytes = 0;  // the least there is
  settings.memoryMax = 0;
  StoredFiles files{settings};
  const auto store = files.open();
  const StoreId crowded = store->begin();
  CHECK(store->data(crowded, bytesOf("begins well")));
  CHECK_FALSE(store->data(crowded, bytesOf(std::string(1 << 20, 'x'))));
  // With a hole, the rest is of no use.
  CHECK_FALSE(store->data(crowded, bytesOf("ends well")));
  store->finish(crowded, true);
  const StoredFile result = next(*store);
  CHECK(result.state == State::failed);
  CHECK_FALSE(result.kept);
  CHECK_FALSE(result.sha256.has_value());
  CHECK(files.statistics().crowded == 1);
  CHECK(put(*store, "other").state == State::stored);
  CHECK(filesUnder(scratch.in("files")) == 1);
  CHECK_FALSE(store->data(crowded, bytesOf("late")));
  CHECK_FALSE(store->data(4711, bytesOf("never begun")));
}

TEST_CASE("files that are open, or whose results nobody fetches, are bounded") {
  const ScratchDirectory scratch;
  StoredFiles::Settings settings = settingsIn(scratch.in("files"));
  settings.openMax = 2;
  StoredFiles files{settings};
  const auto store = files.open();
  const StoreId first = store->begin();
  CHECK(store->begin() != kNotStored);
  CHECK(store->begin() == kNotStored);
  CHECK(files.statistics().refused == 1);
  store->finish(first, true);
  CHECK(eventually([&] { return files.statistics().stored == 1; }));
  CHECK(store->begin() == kNotStored);
  CHECK(next(*store).id == first);
  CHECK(store->begin() != kNotStored);
}

TEST_CASE("a full disk fails one file, keeps what is there, and the next is stored when there is room") {
  const SmallDisk disk{"512k"};
  if (!disk.mounted()) return;
  StoredFiles files{settingsIn(disk.in("files"))};
  const auto store = files.open();
  CHECK(put(*store, "small").state == State::stored);
  disk.fill("filler");
  CHECK(put(*store, std::string(100'000, 'x')).state == State::failed);
  CHECK(files.statistics().failed == 1);
  CHECK(files.statistics().lastError == ENOSPC);
  CHECK(contentsOf(disk.in("files/" + pathOf("small"))) == "small");
  CHECK(filesUnder(disk.in("files")) == 1);
  CHECK(files.statistics().bytes == 5);
  std::filesystem::remove(disk.in("filler"));
  CHECK(put(*store, std::string(100'000, 'x')).state == State::stored);
}

TEST_CASE("files of many pipelines, in pieces and interleaved, are all on their place after a clean stop") {
  constexpr size_t kThreads = 4;
  constexpr size_t kFiles = 40;
  const ScratchDirectory scratch;
  StoredFiles files{settingsIn(scratch.in("files"))};
  struct Pipeline {
    std::unique_ptr<FileStore> store;
    std::map<StoreId, std::string> sent;
    std::map<StoreId, bool> complete;
  };
  std::array<Pipeline, kThreads> pipelines;
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    pipelines[t].store = files.open();
    threads.emplace_back([&pipeline = pipelines[t], t] {
      std::mt19937 random{static_cast<uint32_t>(t)};
      std::vector<StoreId> open;
      for (size_t i = 0; i < kFiles; ++i) {
        open.push_back(pipeline.store->begin());
        pipeline.sent[open.back()] = "";
      }
      while (!open.empty()) {
        const size_t which = random() % open.size();
        const StoreId id = open[which];
        const std::string piece(random() % 3'000, static_cast<char>('a' + random() % 26));
        if (pipeline.store->data(id, bytesOf(piece))) pipeline.sent[id] += piece;
        if (random() % 20 != 0) continue;
        // One in eight is left open for the stop to end.
        if (random() % 8 != 0) pipeline.store->finish(id, pipeline.complete[id] = random() % 4 != 0);
        open.erase(open.begin() + static_cast<ptrdiff_t>(which));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  files.stop();
  std::set<std::string> kept;
  for (Pipeline& pipeline : pipelines) {
    size_t results = 0;
    while (const auto result = pipeline.store->poll()) {
      ++results;
      const std::string& bytes = pipeline.sent.at(result->id);
      REQUIRE(result->state != State::failed);
      CHECK(result->bytes == bytes.size());
      // Nobody has asked for that of one that is thrown away.
      if (result->kept) CHECK(hexOf(result->sha256.value()) == sha256(bytes));
      CHECK(result->kept == pipeline.complete[result->id]);
      if (!result->kept) continue;
      CHECK(contentsOf(scratch.in("files/" + pathOf(bytes))) == bytes);
      kept.insert(sha256(bytes));
    }
    CHECK(results == kFiles);
    CHECK(pipeline.store->begin() == kNotStored);
  }
  CHECK(filesUnder(scratch.in("files")) == kept.size());
}

TEST_CASE("a pipeline that goes away leaves nothing behind") {
  const ScratchDirectory scratch;
  StoredFiles files{settingsIn(scratch.in("files"))};
  {
    const auto store = files.open();
    const StoreId id = store->begin();
    CHECK(store->data(id, bytesOf("half")));
  }
  CHECK(eventually([&] { return files.statistics().partial == 1; }));
  CHECK(filesUnder(scratch.in("files")) == 0);
}
