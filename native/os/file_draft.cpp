#include "os/file_draft.h"

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "gateway/sha256_hasher.h"

namespace p2pxbone {
namespace {

constexpr size_t kSmallFileBytes = size_t{4} << 20;
// Of a larger one, what is written at once: 500 KB cost a third of what they cost in parts of 8 KB.
constexpr size_t kPartBytes = size_t{512} << 10;
// Pieces of memory that are written at once.
constexpr size_t kPiecesMax = 256;

size_t bytesOf(std::span<const std::span<const uint8_t>> pieces) {
  size_t bytes = 0;
  for (const auto piece : pieces) bytes += piece.size();
  return bytes;
}

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

DraftRoom::Chunk DraftRoom::take() {
  if (left_ == 0) return nullptr;
  --left_;
  if (spare_.empty()) return std::make_unique_for_overwrite<uint8_t[]>(kChunkBytes);
  Chunk chunk = std::move(spare_.back());
  spare_.pop_back();
  return chunk;
}

bool DraftRoom::takeFile() {
  if (filesLeft_ == 0) return false;
  --filesLeft_;
  return true;
}

void DraftRoom::giveBack(std::vector<Chunk>& chunks) {
  left_ += chunks.size();
  for (Chunk& chunk : chunks) spare_.push_back(std::move(chunk));
  chunks.clear();
}

FileDraft::~FileDraft() {
  room_.giveBack(chunks_);
  if (!file_.valid()) return;
  (void)::unlinkat(directory_, path_.c_str(), 0);
  close();
}

void FileDraft::close() {
  file_ = {};
  room_.giveBackFile();
}

int FileDraft::append(std::span<const std::span<const uint8_t>> pieces) {
  const size_t most = file_.valid() ? kPartBytes : kSmallFileBytes;
  if (chunkBytes_ + bytesOf(pieces) <= most && copy(pieces)) return 0;
  if (const int error = flush(); error != 0) return error;
  return write(pieces);
}

// All of them, or none.
bool FileDraft::copy(std::span<const std::span<const uint8_t>> pieces) {
  const size_t needed = (chunkBytes_ + bytesOf(pieces) + DraftRoom::kChunkBytes - 1) / DraftRoom::kChunkBytes;
  while (chunks_.size() < needed) {
    DraftRoom::Chunk chunk = room_.take();
    if (chunk == nullptr) return false;
    chunks_.push_back(std::move(chunk));
  }
  for (auto piece : pieces) {
    while (!piece.empty()) {
      const size_t within = chunkBytes_ % DraftRoom::kChunkBytes;
      const size_t count = std::min(piece.size(), DraftRoom::kChunkBytes - within);
      std::memcpy(&chunks_[chunkBytes_ / DraftRoom::kChunkBytes][within], piece.data(), count);
      chunkBytes_ += count;
      piece = piece.subspan(count);
    }
  }
  return true;
}

int FileDraft::flush() {
  std::vector<std::span<const uint8_t>> pieces;
  for (size_t at = 0; at < chunkBytes_; at += DraftRoom::kChunkBytes) {
    const size_t bytes = std::min(DraftRoom::kChunkBytes, chunkBytes_ - at);
    pieces.emplace_back(chunks_[at / DraftRoom::kChunkBytes].get(), bytes);
  }
  if (const int error = write(pieces); error != 0) return error;
  room_.giveBack(chunks_);
  chunkBytes_ = 0;
  return 0;
}

int FileDraft::write(std::span<const std::span<const uint8_t>> pieces) {
  if (!file_.valid()) {
    if (!room_.takeFile()) return EMFILE;
    constexpr int kFlags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
    file_ = UniqueFd{::openat(directory_, path_.c_str(), kFlags, 0600)};
    if (!file_.valid()) {
      const int error = errno;
      room_.giveBackFile();
      return error;
    }
  }
  std::array<iovec, kPiecesMax> some;
  while (!pieces.empty()) {
    const size_t count = std::min(pieces.size(), some.size());
    for (size_t i = 0; i < count; ++i) some[i] = {const_cast<uint8_t*>(pieces[i].data()), pieces[i].size()};
    if (const int error = writeAll(file_.get(), std::span{some}.first(count)); error != 0) return error;
    pieces = pieces.subspan(count);
  }
  return 0;
}

int FileDraft::hash(gateway::Sha256& digest) {
  gateway::Sha256Hasher hasher;
  if (file_.valid()) {
    if (const int error = hashFile(file_.get(), hasher); error != 0) return error;
  }
  for (size_t at = 0; at < chunkBytes_; at += DraftRoom::kChunkBytes) {
    const size_t bytes = std::min(DraftRoom::kChunkBytes, chunkBytes_ - at);
    hasher.add({chunks_[at / DraftRoom::kChunkBytes].get(), bytes});
  }
  return hasher.finish(digest) ? 0 : ENOMEM;
}

int FileDraft::keep(const std::string& path) {
  if (const int error = flush(); error != 0) return error;
  if (::renameat(directory_, path_.c_str(), directory_, path.c_str()) != 0) return errno;
  close();
  return 0;
}

}  // namespace p2pxbone
