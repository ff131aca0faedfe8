#include "os/file_draft.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "gateway/sha256_hasher.h"

namespace p2pxbone {
namespace {

constexpr size_t kSmallFileBytes = size_t{4} << 20;
// Of a larger one, what is written at once: 500 KB cost a third of what they cost in parts of 8 KB.
constexpr size_t kPartBytes = size_t{512} << 10;
// Pieces of memory that are written at once.
constexpr size_t kPiecesMax = 256;

// 0 or an errno.
int writeAll(int file, std::span<iovec> pieces) {
  while (!pieces.empty()) {
    const ssize_t written = ::writev(file, pieces.data(), static_cast<int>(pieces.size()));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    auto rest = static_cast<size_t>(written);
    while (!pieces.empty() && rest >= pieces.front().iov_len) {
      rest -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (pieces.empty()) break;
    pieces.front().iov_base = static_cast<uint8_t*>(pieces.front().iov_base) + rest;
    pieces.front().iov_len -= rest;
  }
  return 0;
}

int hashFile(int file, gateway::Sha256Hasher& hasher) {
  std::array<uint8_t, 16'384> room;
  for (off_t at = 0;;) {
    const ssize_t count = ::pread(file, room.data(), room.size(), at);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return 0;
    hasher.add(std::span{room}.first(static_cast<size_t>(count)));
    at += count;
  }
}

}  // namespace

bool DraftRoom::hold() {
  if (left_ == 0) return false;
  --left_;
  return true;
}

bool DraftRoom::takeFile() {
  if (filesLeft_ == 0) return false;
  --filesLeft_;
  return true;
}

void DraftRoom::giveBack(std::vector<DraftMemory::Chunk>& chunks, size_t held) {
  left_ += held;
  memory_.giveBack(chunks);
  chunks.clear();
}

FileDraft::~FileDraft() {
  room_.giveBack(chunks_, held_);
  if (!file_.valid()) return;
  (void)::unlinkat(directory_, path_.c_str(), 0);
  close();
}

void FileDraft::close() {
  file_ = {};
  room_.giveBackFile();
}

int FileDraft::append(DraftMemory::Chunk chunk) {
  const size_t most = file_.valid() ? kPartBytes : kSmallFileBytes;
  chunkBytes_ += chunk.bytes().size();
  chunks_.push_back(std::move(chunk));
  const bool holds = chunkBytes_ <= most && room_.hold();
  if (!holds) return flush();
  ++held_;
  return 0;
}

int FileDraft::flush() {
  if (const int error = write(); error != 0) return error;
  room_.giveBack(chunks_, held_);
  chunkBytes_ = 0;
  held_ = 0;
  return 0;
}

int FileDraft::open() {
  if (file_.valid()) return 0;
  if (!room_.takeFile()) return EMFILE;
  constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  file_ = UniqueFd{::openat(directory_, path_.c_str(), kFlags, 0600)};
  if (file_.valid()) return 0;
  const int error = errno;
  room_.giveBackFile();
  return error;
}

int FileDraft::write() {
  if (const int error = open(); error != 0) return error;
  std::array<iovec, kPiecesMax> some;
  for (std::span<const DraftMemory::Chunk> rest = chunks_; !rest.empty();) {
    const size_t count = std::min(rest.size(), some.size());
    for (size_t i = 0; i < count; ++i) {
      const std::span<const uint8_t> bytes = rest[i].bytes();
      some[i] = {const_cast<uint8_t*>(bytes.data()), bytes.size()};
    }
    if (const int error = writeAll(file_.get(), std::span{some}.first(count)); error != 0) return error;
    rest = rest.subspan(count);
  }
  return 0;
}

int FileDraft::hash(gateway::Sha256& digest) {
  gateway::Sha256Hasher hasher;
  if (file_.valid()) {
    if (const int error = hashFile(file_.get(), hasher); error != 0) return error;
  }
  for (const DraftMemory::Chunk& chunk : chunks_) hasher.add(chunk.bytes());
  return hasher.finish(digest) ? 0 : ENOMEM;
}

int FileDraft::keep(const std::string& path) {
  if (const int error = flush(); error != 0) return error;
  if (::renameat(directory_, path_.c_str(), directory_, path.c_str()) != 0) return errno;
  close();
  return 0;
}

}  // namespace p2pxbone
