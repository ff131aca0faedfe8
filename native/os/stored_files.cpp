#include "os/stored_files.h"

#include <unistd.h>

#include <algorithm>

#include "os/thread.h"

namespace p2pxbone {

using gateway::kNotStored;
using gateway::StoredFile;
using gateway::StoreId;

namespace {

// What comes in this time is taken together: the thread wakes ten times a second however much there is, but for so many
// chunks as it had better begin with.
constexpr Millis kLinger = 100;
constexpr size_t kMany = 512;
constexpr Millis kWait = 10'000;
constexpr size_t kQueueLeast = 128 * 1024;

}  // namespace

struct StoredFiles::Incoming {
  uint32_t owner = 0;
  FileShelf::Draft draft;
  uint64_t bytes = 0;
  bool failed = false;
  std::vector<DraftMemory::Chunk> chunks;  // of the batch at hand
};

// What an inlet and the writer's thread share: files that come in, and results on their way back.
class StoredFiles::Desk {
 public:
  struct Open {
    DraftMemory::Chunk chunk;
    // Data of it found no room: from there on it has a hole.
    bool crowded = false;
  };

  std::mutex mutex;  // guards all below
  std::unordered_map<StoreId, Open> open;
  std::vector<StoredFile> results;
  std::atomic<bool> any{false};  // results
};

class StoredFiles::Inlet final : public gateway::FileStore {
 public:
  Inlet(StoredFiles& files, uint32_t owner, std::shared_ptr<Desk> desk)
      : files_(files), owner_(owner), desk_(std::move(desk)) {}

  ~Inlet() override {
    {
      const std::lock_guard lock{desk_->mutex};
      for (auto& [id, file] : desk_->open) (void)hand(id, file, Handed::Kind::incomplete, std::nullopt);
      desk_->open.clear();
    }
    files_.closeInlet(owner_);
  }

  StoreId begin() override {
    if (pending_ >= files_.settings_.openMax || files_.queue_.closed()) {
      files_.totals_.refused.fetch_add(1);
      return kNotStored;
    }
    ++pending_;
    const StoreId id = files_.nextId_.fetch_add(1);
    const std::lock_guard lock{desk_->mutex};
    desk_->open.try_emplace(id);
    return id;
  }

  bool data(StoreId id, std::span<const uint8_t> bytes) override {
    const std::lock_guard lock{desk_->mutex};
    const auto found = desk_->open.find(id);
    if (found == desk_->open.end() || found->second.crowded) return false;
    Desk::Open& file = found->second;
    while (!bytes.empty()) {
      if (!file.chunk) file.chunk = files_.memory_.take();
      file.crowded = !file.chunk;
      if (file.crowded) return false;
      bytes = file.chunk.add(bytes);
      if (!file.chunk.full()) continue;
      file.crowded = !hand(id, file, Handed::Kind::data, std::nullopt);
      if (file.crowded) return false;
    }
    return true;
  }

  void finish(StoreId id, bool complete, const std::optional<gateway::Sha256>& digest) override {
    const std::lock_guard lock{desk_->mutex};
    const auto found = desk_->open.find(id);
    if (found == desk_->open.end()) return;
    const Handed::Kind kind = found->second.crowded ? Handed::Kind::crowded
                              : complete            ? Handed::Kind::complete
                                                    : Handed::Kind::incomplete;
    // If it cannot be handed over, everything ends, and the writer's thread fetches what is open.
    if (hand(id, found->second, kind, digest)) desk_->open.erase(found);
  }

  std::optional<StoredFile> poll() override {
    if (fetched_.empty() && desk_->any.load()) {
      const std::lock_guard lock{desk_->mutex};
      desk_->any.store(false);
      fetched_ = std::exchange(desk_->results, {});
      std::reverse(fetched_.begin(), fetched_.end());
    }
    if (fetched_.empty()) return std::nullopt;
    const StoredFile result = fetched_.back();
    fetched_.pop_back();
    --pending_;
    return result;
  }

 private:
  // With what there is of its chunk, unless the queue is closed.
  bool hand(StoreId id, Desk::Open& file, Handed::Kind kind, const std::optional<gateway::Sha256>& digest) {
    Handed handed{id, owner_, kind, std::exchange(file.chunk, {}), digest};
    if (files_.queue_.push(handed)) return true;
    file.chunk = std::move(handed.chunk);
    return false;
  }

  StoredFiles& files_;
  const uint32_t owner_;
  const std::shared_ptr<Desk> desk_;
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
      memory_(settings_.memoryMax + std::max(settings_.queueBytes, kQueueLeast)),
      shelf_({settings_.directory, settings_.bytesMax, settings_.filesMax, settings_.memoryMax}, memory_),
      queue_(kMany, kLinger) {
  thread_ = startThread("p2px-files", [this] { loop(); });
}

StoredFiles::~StoredFiles() { stop(); }

void StoredFiles::stop() {
  queue_.close();
  if (thread_.joinable()) thread_.join();
}

std::unique_ptr<gateway::FileStore> StoredFiles::open() {
  const std::lock_guard lock{mutex_};
  const auto desk = std::make_shared<Desk>();
  const uint32_t owner = nextOwner_++;
  desks_.emplace(owner, desk);
  return std::make_unique<Inlet>(*this, owner, desk);
}

void StoredFiles::closeInlet(uint32_t owner) {
  const std::lock_guard lock{mutex_};
  desks_.erase(owner);
}

std::shared_ptr<StoredFiles::Desk> StoredFiles::deskOf(uint32_t owner) {
  const std::lock_guard lock{mutex_};
  const auto found = desks_.find(owner);
  return found == desks_.end() ? nullptr : found->second;
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
  std::vector<Handed> batch;
  for (bool last = false; !last;) {
    // Before taking: what is pushed before the queue is closed is in the last batch.
    last = queue_.closed();
    queue_.take(batch, kWait);
    if (batch.empty()) memory_.release();
    take(batch);
  }
  endAll();
}

// What is still open, of which some has not been handed over.
void StoredFiles::endAll() {
  std::vector<std::pair<uint32_t, std::shared_ptr<Desk>>> desks;
  {
    const std::lock_guard lock{mutex_};
    desks.assign(desks_.begin(), desks_.end());
  }
  for (const auto& [owner, desk] : desks) {
    std::unordered_map<StoreId, Desk::Open> open;
    {
      const std::lock_guard lock{desk->mutex};
      open.swap(desk->open);
    }
    for (auto& [id, file] : open) {
      Handed handed{id, owner, file.crowded ? Handed::Kind::crowded : Handed::Kind::incomplete, std::move(file.chunk), {}};
      take({&handed, 1});
    }
  }
  while (!incoming_.empty()) conclude(incoming_.begin()->first, false, std::nullopt);
}

void StoredFiles::take(std::span<Handed> batch) {
  for (Handed& handed : batch) {
    Incoming& file = incoming_[handed.id];
    file.owner = handed.owner;
    if (handed.chunk) {
      if (file.chunks.empty()) touched_.push_back(handed.id);
      file.chunks.push_back(std::move(handed.chunk));
    }
    if (handed.kind == Handed::Kind::data) continue;
    if (handed.kind == Handed::Kind::crowded) giveUp(file, totals_.crowded);
    conclude(handed.id, handed.kind == Handed::Kind::complete, handed.digest);
  }
  for (const StoreId id : touched_)
    if (const auto file = incoming_.find(id); file != incoming_.end()) write(id, file->second);
  touched_.clear();
}

void StoredFiles::write(StoreId id, Incoming& file) {
  if (file.draft.file == nullptr && !file.failed) file.draft = shelf_.begin(id);
  uint64_t bytes = 0;
  for (const DraftMemory::Chunk& chunk : file.chunks) bytes += chunk.bytes().size();
  if (!file.failed && (file.bytes + bytes > settings_.fileBytesMax || !shelf_.makeRoom(file.draft, bytes))) {
    giveUp(file, totals_.tooBig);
  }
  if (!file.failed) file.bytes += bytes;
  for (DraftMemory::Chunk& chunk : file.chunks) {
    if (file.failed) break;
    if (const int error = file.draft.file->append(std::move(chunk)); error != 0) giveUp(file, totals_.failed, error);
  }
  memory_.giveBack(file.chunks);
  file.chunks.clear();
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
  const std::shared_ptr<Desk> desk = deskOf(owner);
  if (desk == nullptr) return;
  const std::lock_guard lock{desk->mutex};
  desk->results.push_back(result);
  desk->any.store(true);
}

}  // namespace p2pxbone
