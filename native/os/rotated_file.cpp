#include "os/rotated_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <vector>

#include "os/locked_directory.h"

namespace p2pxbone {
namespace {

// No line of ours is longer; a file whose end has none that is shorter is somebody else's.
constexpr size_t kLineBytesMax = 64 * 1024;

}  // namespace

RotatedFile::RotatedFile(Settings settings) : settings_(std::move(settings)) {
  directory_ = openLockedDirectory(settings_.directory);
  if (const int error = open(); error != 0)
    throw std::system_error{error, std::generic_category(), settings_.directory + "/" + settings_.name};
  // An earlier process may have kept more.
  for (uint32_t number = settings_.keep + 1; ::unlinkat(directory_.get(), numbered(number).c_str(), 0) == 0;) ++number;
}

std::string RotatedFile::numbered(uint32_t number) const { return settings_.name + "." + std::to_string(number); }

int RotatedFile::open() {
  int error = openFile();
  // The directory itself was removed.
  if (error == ENOENT) {
    try {
      directory_ = openLockedDirectory(settings_.directory);
      error = openFile();
    } catch (const std::system_error& failure) {
      error = failure.code().value();
    }
  }
  return error;
}

int RotatedFile::openFile() {
  // Neither a link nor a pipe that somebody has put there is followed or waited for.
  constexpr int kFlags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  file_ = UniqueFd{};
  UniqueFd file{::openat(directory_.get(), settings_.name.c_str(), kFlags, 0600)};
  struct stat status {};
  if (!file.valid() || ::fstat(file.get(), &status) != 0) return errno;
  if (!S_ISREG(status.st_mode)) return EINVAL;
  file_ = std::move(file);
  size_ = static_cast<uint64_t>(status.st_size);
  wholeLines_ = size_;
  const int error = size_ == 0 ? 0 : repair();
  if (error != 0) file_ = UniqueFd{};
  return error;
}

int RotatedFile::repair() {
  std::vector<char> end(std::min<uint64_t>(size_, kLineBytesMax));
  const auto from = static_cast<off_t>(size_ - end.size());
  const ssize_t got = ::pread(file_.get(), end.data(), end.size(), from);
  if (got != static_cast<ssize_t>(end.size())) return got < 0 ? errno : EIO;
  const size_t newline = std::string_view{end.data(), end.size()}.rfind('\n');
  if (newline == std::string_view::npos) return rotate();
  wholeLines_ = static_cast<uint64_t>(from) + newline + 1;
  return cutUnfinishedLine();
}

size_t RotatedFile::fittingBytes(std::string_view lines) const {
  const bool inLine = wholeLines_ != size_;
  const uint64_t room = settings_.bytesMax > size_ ? settings_.bytesMax - size_ : 0;
  if (lines.size() <= room) return lines.size();
  const size_t newline = room == 0 ? std::string_view::npos : lines.rfind('\n', room - 1);
  if (newline != std::string_view::npos) return newline + 1;
  return inLine || size_ == 0 ? lines.find('\n') + 1 : 0;
}

size_t RotatedFile::append(std::string_view lines, int& error) {
  size_t done = 0;
  error = 0;
  while (done < lines.size()) {
    if (!file_.valid() && (error = open()) != 0) return done;
    const std::string_view rest = lines.substr(done);
    const size_t fitting = fittingBytes(rest);
    if (fitting == 0) {
      if ((error = rotate()) != 0) return done;
      continue;
    }
    const ssize_t written = ::write(file_.get(), rest.data(), fitting);
    if (written < 0) {
      if (errno == EINTR) continue;
      error = errno;
      return done;
    }
    const size_t newline = rest.substr(0, static_cast<size_t>(written)).rfind('\n');
    if (newline != std::string_view::npos) wholeLines_ = size_ + newline + 1;
    size_ += static_cast<size_t>(written);
    done += static_cast<size_t>(written);
  }
  return done;
}

int RotatedFile::cutUnfinishedLine() {
  if (wholeLines_ == size_) return 0;
  if (::ftruncate(file_.get(), static_cast<off_t>(wholeLines_)) != 0) return errno;
  size_ = wholeLines_;
  return 0;
}

int RotatedFile::sync() { return file_.valid() && ::fdatasync(file_.get()) != 0 ? errno : 0; }

void RotatedFile::reopenIfMoved() {
  // The rest of a line belongs to its beginning.
  if (!file_.valid() || wholeLines_ != size_) return;
  struct stat ours {};
  struct stat there {};
  const bool same = ::fstat(file_.get(), &ours) == 0 &&
                    ::fstatat(directory_.get(), settings_.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
                    ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
  if (!same) file_ = UniqueFd{};
}

int RotatedFile::rotate() {
  if (const int error = sync(); error != 0) return error;
  if (const int error = renameFull(); error != 0) return error;
  ++rotations_;
  file_ = UniqueFd{};
  return open();
}

// From the oldest on, so that whatever fails, nothing is lost but the oldest.
int RotatedFile::renameFull() {
  const auto gone = [](int result) { return result == 0 || errno == ENOENT; };
  const int directory = directory_.get();
  if (settings_.keep == 0) return gone(::unlinkat(directory, settings_.name.c_str(), 0)) ? 0 : errno;
  for (uint32_t number = settings_.keep; number > 0; --number) {
    const std::string from = number == 1 ? settings_.name : numbered(number - 1);
    if (!gone(::renameat(directory, from.c_str(), directory, numbered(number).c_str()))) return errno;
  }
  return 0;
}

}  // namespace p2pxbone
