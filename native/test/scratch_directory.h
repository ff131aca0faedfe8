// Folders and small disks for tests that write files.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/mount.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

namespace p2pxbone::testing {

// A folder that vanishes with this.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "p2pxbone-test-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::string in(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// A file system in memory with so little room, which only root can make.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& size)
      : mounted_(::mount("tmpfs", folder_.path().c_str(), "tmpfs", MS_NODEV, ("size=" + size).c_str()) == 0) {
    if (!mounted_) MESSAGE("skipped: a small disk takes the right to mount a tmpfs; run the tests as root");
  }
  ~SmallDisk() {
    if (mounted_) CHECK(::umount(folder_.path().c_str()) == 0);
  }
  [[nodiscard]] bool mounted() const { return mounted_; }
  [[nodiscard]] std::string in(const std::string& name) const { return folder_.in(name); }
  // Takes all the room there is; removing the file gives it back.
  void fill(const std::string& name) const {
    std::ofstream file{in(name), std::ios::binary};
    const std::string block(4096, 'f');
    while (file.write(block.data(), static_cast<std::streamsize>(block.size())).flush()) {
    }
  }

 private:
  ScratchDirectory folder_;
  const bool mounted_;
};

inline std::string contentsOf(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// Waits for another thread, at most ten seconds.
template <typename Condition>
[[nodiscard]] bool eventually(const Condition& condition) {
  for (int i = 0; i < 2'000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return false;
}

}  // namespace p2pxbone::testing
