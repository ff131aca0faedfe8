// A file of lines that grows by appending. When it is full it is renamed NAME.1, what had that name NAME.2, and so on;
// the oldest goes. No line is ever divided between two files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "os/fd.h"

namespace p2pxbone {

class RotatedFile {
 public:
  struct Settings {
    std::string directory;  // see openLockedDirectory()
    std::string name;
    // A line that is longer has a file of its own.
    uint64_t bytesMax = 0;
    // Full files besides the one that grows.
    uint32_t keep = 0;
  };

  // Goes on where an earlier process has stopped; a last line that it did not finish is cut off. Throws
  // std::system_error.
  explicit RotatedFile(Settings settings);

  // `lines` is whole lines, or the rest of them where the last call could not write all. Returns what was written,
  // which is all but when `error` is an errno; then the same again later.
  size_t append(std::string_view lines, int& error);
  // The last line, if only its beginning could be written, goes. 0 or an errno.
  [[nodiscard]] int cutUnfinishedLine();
  // What was appended is on the disk. 0 or an errno.
  [[nodiscard]] int sync();
  // Somebody has moved or removed the file: the next line begins a new one.
  void reopenIfMoved();

  [[nodiscard]] uint64_t rotations() const { return rotations_; }

 private:
  [[nodiscard]] int open();
  [[nodiscard]] int openFile();
  [[nodiscard]] int repair();
  [[nodiscard]] int rotate();
  [[nodiscard]] int renameFull();
  [[nodiscard]] std::string numbered(uint32_t number) const;
  // How much of it the file takes; nothing if it is full.
  [[nodiscard]] size_t fittingBytes(std::string_view lines) const;

  const Settings settings_;
  UniqueFd directory_;
  UniqueFd file_;
  uint64_t size_ = 0;
  uint64_t wholeLines_ = 0;  // bytes of the file up to the end of its last whole line
  uint64_t rotations_ = 0;
};

}  // namespace p2pxbone
