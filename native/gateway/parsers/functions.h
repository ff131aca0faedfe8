// Which management functions each application supports: the paper's table 2, and the same for what came after it. A policy
// that asks for more than is feasible is refused.
#pragma once

#include <cstdint>
#include <span>

#include "gateway/application.h"

namespace p2pxbone::gateway {

struct Functions {
  Application application = Application::unknown;
  bool classify = false;
  // By file name, hash or chat text; not merely as an application.
  bool filter = false;
  // The content of transferred files.
  bool scan = false;
  // Messages and transferred files are recorded.
  bool audit = false;
  bool limit = false;
};

// Of an application that is not listed: it is classified, if at all, by a signature, and can be blocked and limited.
[[nodiscard]] Functions functionsOf(Application application);
[[nodiscard]] std::span<const Functions> allFunctions();

}  // namespace p2pxbone::gateway
