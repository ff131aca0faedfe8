// A file of lines that grows by appending. When it is full it is renamed NAME.1, what had that name NAME.2, and so on;
// the oldest goes. No line is ever divided between two files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "os/fd.h"

namespace p2pxbone {

inline constexpr uint32_t kRotatedFilesMax = 1'000;

class RotatedFile {
 public:
  struct Settings {
    std::string directory;  // see openLockedDirectory()
    std::string name;
    // A line that is longer has a file of its own.
    uint64_t bytesMax = 0;
    // Full files besides the one that grows, at most kRotatedFilesMax.
    uint32_t keep = 0;
  };

  // Goes on where an earlier process has stopped; a last line that it did not finish is cut off. Throws
  // std::system_error.
  explicit RotatedFile(Settings settings);

  // Returns the bytes of the lines that were written: all, unless `error` is an errno. The next call must then begin
  // with the first of the others, whose beginning may be in the file already. If somebody has moved or removed the
  // file, a new one begins.
  size_t append(std::string_view lines, int& error);
  // Instead of that: a line whose beginning is in the file goes. 0 or an errno.
  int cutUnfinishedLine();
  // What was appended is on the disk. 0 or an errno.
  [[nodiscard]] int sync();

  [[nodiscard]] uint64_t rotations() const { return rotations_; }

 private:
  [[nodiscard]] int prepare();
  [[nodiscard]] int open();
  [[nodiscard]] int openFile();
  [[nodiscard]] int repair();
  [[nodiscard]] bool isMoved() const;
  [[nodiscard]] int rotate();
  [[nodiscard]] int renameFull();
  [[nodiscard]] std::string numbered(uint32_t number) const;
  // How much of it the file takes; nothing if it is full.
  [[nodiscard]] size_t fittingBytes(std::string_view lines) const;
  [[nodiscard]] size_t write(std::string_view lines, int& error);

  Settings settings_;
  UniqueFd directory_;
  UniqueFd file_;
  uint64_t size_ = 0;
  uint64_t wholeLines_ = 0;  // bytes of the file up to the end of its last whole line
  bool cutting_ = false;     // what is behind them must go, and could not yet
  uint64_t rotations_ = 0;
};

}  // namespace p2pxbone
