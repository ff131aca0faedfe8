#include "os/stored_files.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>

#include "os/thread.h"

namespace p2pxbone {

using gateway::kNotStored;
using gateway::StoredFile;
using gateway::StoreId;

namespace {

// What comes in this time is taken together: the thread wakes ten times a second however much there is.
constexpr Millis kLinger = 100;
constexpr Millis kWait = 10'000;
// Pieces of one file that are taken together.
constexpr size_t kPiecesMax = 256;
// Kept free for the ends of files when data fill the queue.
constexpr size_t kSpareBytes = 64 * 1024;

}  // namespace

// Stands in the queue before the bytes of a file, or at its end before its digest, if that is known.
struct StoredFiles::Note {
  enum class Kind : uint8_t { data, complete, incomplete, crowded };
  StoreId id = kNotStored;
  uint32_t owner = 0;
  uint32_t bytes = 0;
  Kind kind = Kind::data;
};

struct StoredFiles::Incoming {
  uint32_t owner = 0;
  FileShelf::Draft draft;
  uint64_t bytes = 0;
  bool failed = false;
  std::vector<std::span<const uint8_t>> pieces;  // of the batch at hand
};

// Of one inlet, on their way back to it.
class StoredFiles::Results {
 public:
  void push(const StoredFile& result) {
    const std::lock_guard lock{mutex_};
    results_.push_back(result);
    any_.store(true);
  }
  [[nodiscard]] bool any() const { return any_.load(); }
  std::vector<StoredFile> drain() {
    const std::lock_guard lock{mutex_};
    any_.store(false);
    return std::exchange(results_, {});
  }

 private:
  std::atomic<bool> any_{false};
  std::mutex mutex_;  // guards the next
  std::vector<StoredFile> results_;
};

class StoredFiles::Inlet final : public gateway::FileStore {
 public:
  Inlet(StoredFiles& files, uint32_t owner, std::shared_ptr<Results> results)
      : files_(files), owner_(owner), results_(std::move(results)) {}

  ~Inlet() override {
    for (const auto& [id, crowded] : std::exchange(open_, {})) end({id, Note::Kind::incomplete, std::nullopt});
    files_.closeInlet(owner_);
  }

  StoreId begin() override {
    retryEnds();
    if (pending_ >= files_.settings_.openMax || files_.queue_.closed()) {
      files_.totals_.refused.fetch_add(1);
      return kNotStored;
    }
    ++pending_;
    const StoreId id = files_.nextId_.fetch_add(1);
    open_.emplace(id, false);
    return id;
  }

  bool data(StoreId id, std::span<const uint8_t> bytes) override {
    const auto file = open_.find(id);
    if (file == open_.end() || file->second) return false;
    if (bytes.empty()) return true;
    const bool taken = bytes.size() <= UINT32_MAX && push(id, Note::Kind::data, bytes, kSpareBytes);
    // From here on it has a hole.
    file->second = !taken;
    return taken;
  }

  void finish(StoreId id, bool complete, const std::optional<gateway::Sha256>& digest) override {
    const auto file = open_.find(id);
    if (file == open_.end()) return;
    const bool crowded = file->second;
    open_.erase(file);
    end({id, crowded ? Note::Kind::crowded : complete ? Note::Kind::complete : Note::Kind::incomplete, digest});
  }

  std::optional<StoredFile> poll() override {
    retryEnds();
    if (fetched_.empty() && results_->any()) {
      fetched_ = results_->drain();
      std::reverse(fetched_.begin(), fetched_.end());
    }
    if (fetched_.empty()) return std::nullopt;
    const StoredFile result = fetched_.back();
    fetched_.pop_back();
    --pending_;
    return result;
  }

 private:
  bool push(StoreId id, Note::Kind kind, std::span<const uint8_t> bytes, size_t spare) {
    Note note;
    // Its padding, too: it goes through memory as bytes.
    std::memset(static_cast<void*>(&note), 0, sizeof note);
    note.id = id;
    note.owner = owner_;
    note.bytes = static_cast<uint32_t>(bytes.size());
    note.kind = kind;
    const std::span<const uint8_t> head{reinterpret_cast<const uint8_t*>(&note), sizeof note};
    const std::array<std::span<const uint8_t>, 2> pieces{head, bytes};
    return files_.queue_.push(pieces, spare);
  }

  struct End {
    StoreId id;
    Note::Kind kind;
    std::optional<gateway::Sha256> digest;
  };

  bool tryEnd(const End& end) {
    return push(end.id, end.kind, end.digest ? std::span<const uint8_t>{*end.digest} : std::span<const uint8_t>{}, 0);
  }

  void end(const End& end) {
    if (!unended_.empty() || !tryEnd(end)) unended_.push_back(end);
  }

  void retryEnds() {
    while (!unended_.empty() && tryEnd(unended_.front())) unended_.pop_front();
  }

  StoredFiles& files_;
  const uint32_t owner_;
  const std::shared_ptr<Results> results_;
  std::unordered_map<StoreId, bool> open_;  // whether data of it found no room
  std::deque<End> unended_;
  std::vector<StoredFile> fetched_;  // latest first
  size_t pending_ = 0;
};

size_t StoredFiles::defaultMemoryMax() {
  const auto pages = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES)));
  const auto pageBytes = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  return std::min(pages * pageBytes / 16, uint64_t{256} << 20);
}

StoredFiles::StoredFiles(Settings settings)
    : settings_(std::move(settings)),
      shelf_({settings_.directory, settings_.bytesMax, settings_.filesMax, settings_.memoryMax}),
      queue_(std::max(settings_.queueBytes, 2 * kSpareBytes), kLinger) {
  thread_ = startThread("p2px-files", [this] { loop(); });
}

StoredFiles::~StoredFiles() { stop(); }

void StoredFiles::stop() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<gateway::FileStore> StoredFiles::open() {
  const std::lock_guard lock{mutex_};
  const auto results = std::make_shared<Results>();
  const uint32_t owner = nextOwner_++;
  results_.emplace(owner, results);
  return std::make_unique<Inlet>(*this, owner, results);
}

void StoredFiles::closeInlet(uint32_t owner) {
  const std::lock_guard lock{mutex_};
  results_.erase(owner);
}

StoredFiles::Statistics StoredFiles::statistics() const {
  const Totals& all = totals_;
  return {all.stored.load(), all.known.load(),   all.partial.load(), all.refused.load(), all.crowded.load(),
          all.tooBig.load(), all.failed.load(),  all.removed.load(), all.files.load(),   all.bytes.load(),
          all.lastError.load()};
}

void StoredFiles::loop() {
  shelf_.load();
  tell();
  for (bool last = false; !last;) {
    // Before taking: what is pushed before the queue is closed is in the last batch.
    last = queue_.closed();
    const std::span<const uint8_t> batch = queue_.take(kWait);
    if (batch.empty()) shelf_.rest();
    take(batch);
  }
  while (!incoming_.empty()) conclude(incoming_.begin()->first, false, std::nullopt);
}

void StoredFiles::take(std::span<const uint8_t> batch) {
  while (!batch.empty()) {
    Note note;
    std::memcpy(&note, batch.data(), sizeof note);
    const std::span<const uint8_t> bytes = batch.subspan(sizeof note, note.bytes);
    batch = batch.subspan(sizeof note + note.bytes);
    Incoming& file = incoming_[note.id];
    file.owner = note.owner;
    if (note.kind == Note::Kind::data) {
      if (file.pieces.empty()) touched_.push_back(note.id);
      file.pieces.push_back(bytes);
      if (file.pieces.size() == kPiecesMax) write(note.id, file);
      continue;
    }
    if (note.kind == Note::Kind::crowded) giveUp(file, totals_.crowded);
    std::optional<gateway::Sha256> digest;
    if (bytes.size() == sizeof(gateway::Sha256)) std::copy(bytes.begin(), bytes.end(), digest.emplace().begin());
    conclude(note.id, note.kind == Note::Kind::complete, digest);
  }
  for (const StoreId id : touched_)
    if (const auto file = incoming_.find(id); file != incoming_.end()) write(id, file->second);
  touched_.clear();
}

void StoredFiles::write(StoreId id, Incoming& file) {
  if (!file.failed) {
    if (file.draft.file == nullptr) file.draft = shelf_.begin(id);
    uint64_t bytes = 0;
    for (const auto piece : file.pieces) bytes += piece.size();
    if (file.bytes + bytes > settings_.fileBytesMax || !shelf_.makeRoom(file.draft, bytes)) {
      giveUp(file, totals_.tooBig);
    } else {
      file.bytes += bytes;
      if (const int error = file.draft.file->append(file.pieces); error != 0) giveUp(file, totals_.failed, error);
    }
  }
  file.pieces.clear();
}

void StoredFiles::giveUp(Incoming& file, std::atomic<uint64_t>& counter, int error) {
  if (file.failed) return;
  file.failed = true;
  counter.fetch_add(1);
  if (error != 0) totals_.lastError.store(error);
  shelf_.discard(file.draft);
}

void StoredFiles::conclude(StoreId id, bool complete, const std::optional<gateway::Sha256>& digest) {
  Incoming& file = incoming_.at(id);
  write(id, file);
  StoredFile result;
  result.id = id;
  result.bytes = file.bytes;
  if (!file.failed) finishDraft(file, complete, digest, result);
  // Before the result: who has it sees it in the figures.
  tell();
  publish(file.owner, result);
  incoming_.erase(id);
}

void StoredFiles::tell() {
  totals_.removed.store(shelf_.removed());
  totals_.files.store(shelf_.files());
  totals_.bytes.store(shelf_.bytes());
}

void StoredFiles::finishDraft(Incoming& file, bool complete, const std::optional<gateway::Sha256>& known,
                              StoredFile& result) {
  if (!complete && !settings_.keepPartial) {
    shelf_.discard(file.draft);
    result.sha256 = known;
    result.state = StoredFile::State::partial;
    totals_.partial.fetch_add(1);
    return;
  }
  gateway::Sha256 digest;
  if (known) {
    digest = *known;
  } else if (const int error = file.draft.file->hash(digest); error != 0) {
    return giveUp(file, totals_.failed, error);
  }
  result.sha256 = digest;
  int error = 0;
  switch (shelf_.place(file.draft, digest, !complete, error)) {
    case FileShelf::Placed::failed:
      result.sha256.reset();
      return giveUp(file, totals_.failed, error);
    case FileShelf::Placed::stored:
      result.state = StoredFile::State::stored;
      if (complete) totals_.stored.fetch_add(1);
      break;
    case FileShelf::Placed::known:
      result.state = StoredFile::State::known;
      if (complete) totals_.known.fetch_add(1);
      break;
  }
  result.kept = true;
  if (complete) return;
  result.state = StoredFile::State::partial;
  totals_.partial.fetch_add(1);
}

void StoredFiles::publish(uint32_t owner, const StoredFile& result) {
  std::shared_ptr<Results> results;
  {
    const std::lock_guard lock{mutex_};
    if (const auto found = results_.find(owner); found != results_.end()) results = found->second;
  }
  if (results != nullptr) results->push(result);
}

}  // namespace p2pxbone
