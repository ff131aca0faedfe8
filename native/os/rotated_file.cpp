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
  if (settings_.keep > kRotatedFilesMax) settings_.keep = kRotatedFilesMax;
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
  cutting_ = false;
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

int RotatedFile::cutUnfinishedLine() {
  cutting_ = wholeLines_ != size_;
  if (!cutting_) return 0;
  // Making a file shorter needs no room.
  if (::ftruncate(file_.get(), static_cast<off_t>(wholeLines_)) != 0) return errno;
  size_ = wholeLines_;
  cutting_ = false;
  return 0;
}

size_t RotatedFile::fittingBytes(std::string_view lines) const {
  const uint64_t room = settings_.bytesMax > wholeLines_ ? settings_.bytesMax - wholeLines_ : 0;
  if (lines.size() <= room) return lines.size();
  const size_t newline = room == 0 ? std::string_view::npos : lines.rfind('\n', room - 1);
  if (newline != std::string_view::npos) return newline + 1;
  return wholeLines_ == 0 ? lines.find('\n') + 1 : 0;
}

size_t RotatedFile::append(std::string_view lines, int& error) {
  size_t done = 0;
  error = 0;
  while (done < lines.size()) {
    if ((error = prepare()) != 0) return done;
    const size_t fitting = fittingBytes(lines.substr(done));
    if (fitting == 0)
      error = rotate();
    else
      done += write(lines.substr(done, fitting), error);
    if (error != 0) return done;
  }
  return done;
}

int RotatedFile::prepare() {
  // A removed file would keep its room on a full disk as long as it is open.
  if (file_.valid() && isMoved()) {
    (void)cutUnfinishedLine();
    (void)sync();
    file_ = UniqueFd{};
  }
  if (!file_.valid()) return open();
  return cutting_ ? cutUnfinishedLine() : 0;
}

bool RotatedFile::isMoved() const {
  struct stat ours {};
  struct stat there {};
  return ::fstat(file_.get(), &ours) != 0 ||
         ::fstatat(directory_.get(), settings_.name.c_str(), &there, AT_SYMLINK_NOFOLLOW) != 0 ||
         ours.st_ino != there.st_ino || ours.st_dev != there.st_dev;
}

size_t RotatedFile::write(std::string_view lines, int& error) {
  const size_t before = size_ - wholeLines_;
  size_t written = before;
  while (written < lines.size() && error == 0) {
    const ssize_t result = ::write(file_.get(), lines.data() + written, lines.size() - written);
    if (result >= 0)
      written += static_cast<size_t>(result);
    else if (errno != EINTR)
      error = errno;
  }
  const size_t whole = lines.substr(0, written).rfind('\n') + 1;  // npos + 1 is 0
  size_ += written - before;
  wholeLines_ += whole;
  return whole;
}

int RotatedFile::sync() { return file_.valid() && ::fdatasync(file_.get()) != 0 ? errno : 0; }

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
