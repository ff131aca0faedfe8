#include "os/locked_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <system_error>

namespace p2pxbone {

UniqueFd openLockedDirectory(const std::string& path) {
  const auto failed = [&] { return std::system_error{errno, std::generic_category(), path}; };
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throw failed();
  UniqueFd directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // The lock goes with the last descriptor, however the process ends.
  if (!directory.valid() || ::flock(directory.get(), LOCK_EX | LOCK_NB) != 0) throw failed();
  return directory;
}

}  // namespace p2pxbone
