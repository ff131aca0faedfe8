// A directory that one process writes to: made if it is missing, and locked against a second writer.
#pragma once

#include <string>

#include "os/fd.h"

namespace p2pxbone {

// For its owner only, mode 0700, where it is made; the one above must exist. Throws std::system_error: EWOULDBLOCK if
// another writer has it.
[[nodiscard]] UniqueFd openLockedDirectory(const std::string& path);

}  // namespace p2pxbone
