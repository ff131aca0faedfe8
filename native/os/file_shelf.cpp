#include "os/file_shelf.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "gateway/parsers/text.h"
#include "os/locked_directory.h"

namespace p2pxbone {
namespace {

constexpr const char* kDrafts = "incoming";
constexpr const char* kPartial = "partial";
// Each takes a descriptor of the process, which needs others.
constexpr size_t kDraftsOnDiskMax = 256;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

// Calls with the name of each entry; nothing if there is no such folder.
template <typename Each>
void forEachEntry(int directory, const char* folder, const Each& each) {
  const int fd = ::openat(directory, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  const std::unique_ptr<DIR, CloseDirectory> entries{::fdopendir(fd)};
  if (entries == nullptr) {
    ::close(fd);
    return;
  }
  while (const dirent* const entry = ::readdir(entries.get())) each(fd, entry->d_name);
}

bool digestOf(std::string_view name, gateway::Sha256& digest) {
  if (name.size() != 2 * digest.size()) return false;
  for (size_t i = 0; i < digest.size(); ++i) {
    const int high = gateway::hexDigit(name[2 * i]);
    const int low = gateway::hexDigit(name[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    digest[i] = static_cast<uint8_t>(high << 4 | low);
  }
  return true;
}

int makeFolder(int directory, const char* folder) {
  return ::mkdirat(directory, folder, 0700) == 0 || errno == EEXIST ? 0 : errno;
}

}  // namespace

FileShelf::FileShelf(Settings settings, DraftMemory& memory)
    : settings_(std::move(settings)),
      directory_(openLockedDirectory(settings_.directory)),
      room_(memory, settings_.draftBytesMax, kDraftsOnDiskMax) {
  if (const int error = makeFolder(directory_.get(), kDrafts); error != 0)
    throw std::system_error{error, std::generic_category(), settings_.directory};
}

void FileShelf::load() {
  clearDrafts();
  std::multimap<int64_t, std::pair<Name, uint64_t>> found;
  for (unsigned first = 0; first < 256; ++first) {
    const auto byte = static_cast<uint8_t>(first);
    loadFolder(gateway::hexOf({&byte, 1}), found);
  }
  loadFolder(kPartial, found);
  for (const auto& [time, file] : found) add(file.first, file.second);
  while ((keptBytes_ > settings_.bytesMax || kept_.size() > settings_.filesMax) && removeOldest()) {
  }
}

void FileShelf::clearDrafts() const {
  forEachEntry(directory_.get(), kDrafts, [](int folder, const char* name) {
    if (gateway::decimalOf(name)) ::unlinkat(folder, name, 0);
  });
}

// What is not named as our files are is not ours: neither counted nor removed.
void FileShelf::loadFolder(const std::string& folder, std::multimap<int64_t, std::pair<Name, uint64_t>>& found) const {
  forEachEntry(directory_.get(), folder.c_str(), [&](int fd, const char* entry) {
    Name name{folder == kPartial, {}};
    struct stat status {};
    if (!digestOf(entry, name.digest) || pathOf(name) != folder + "/" + entry) return;
    if (::fstatat(fd, entry, &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return;
    const int64_t seen = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
    found.emplace(seen, std::pair{name, static_cast<uint64_t>(status.st_size)});
  });
}

std::string FileShelf::folderOf(const Name& name) {
  return name.partial ? kPartial : gateway::hexOf(std::span{name.digest}.first(1));
}

std::string FileShelf::pathOf(const Name& name) { return folderOf(name) + "/" + gateway::hexOf(name.digest); }

void FileShelf::add(const Name& name, uint64_t bytes) {
  const auto file = kept_.insert_or_assign(name, Kept{bytes, nextAge_}).first;
  byAge_.emplace(nextAge_++, file);
  keptBytes_ += bytes;
}

// The time is on the disk, too, so that the order outlives the process.
void FileShelf::touch(Index::iterator file) {
  (void)::utimensat(directory_.get(), pathOf(file->first).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  byAge_.erase(file->second.age);
  file->second.age = nextAge_;
  byAge_.emplace(nextAge_++, file);
}

bool FileShelf::removeOldest() {
  if (byAge_.empty()) return false;
  const auto oldest = byAge_.begin();
  const Index::iterator file = oldest->second;
  if (::unlinkat(directory_.get(), pathOf(file->first).c_str(), 0) != 0 && errno != ENOENT) return false;
  keptBytes_ -= file->second.bytes;
  kept_.erase(file);
  byAge_.erase(oldest);
  ++removed_;
  return true;
}

FileShelf::Draft FileShelf::begin(uint64_t number) {
  const std::string path = std::string{kDrafts} + "/" + std::to_string(number);
  return {std::make_unique<FileDraft>(directory_.get(), path, room_), 0};
}

bool FileShelf::makeRoom(Draft& draft, uint64_t bytes) {
  // Not at the cost of others if it cannot succeed.
  if (bytes > settings_.bytesMax || draftBytes_ > settings_.bytesMax - bytes) return false;
  while (keptBytes_ + draftBytes_ + bytes > settings_.bytesMax)
    if (!removeOldest()) return false;
  draftBytes_ += bytes;
  draft.bytes += bytes;
  return true;
}

FileShelf::Placed FileShelf::place(Draft& draft, const gateway::Sha256& digest, bool partial, int& error) {
  const Name name{partial, digest};
  const std::string path = pathOf(name);
  if (const auto known = kept_.find(name); known != kept_.end()) {
    struct stat status {};
    if (::fstatat(directory_.get(), path.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
      touch(known);
      discard(draft);
      return Placed::known;
    }
    // Somebody has removed it.
    byAge_.erase(known->second.age);
    keptBytes_ -= known->second.bytes;
    kept_.erase(known);
  }
  while (kept_.size() >= settings_.filesMax && removeOldest()) {
  }
  error = makeFolder(directory_.get(), folderOf(name).c_str());
  if (error == 0) error = draft.file->keep(path);
  if (error != 0) {
    discard(draft);
    return Placed::failed;
  }
  draftBytes_ -= draft.bytes;
  add(name, draft.bytes);
  draft = {};
  return Placed::stored;
}

void FileShelf::discard(Draft& draft) {
  draftBytes_ -= draft.bytes;
  draft = {};
}

}  // namespace p2pxbone
