// A file's identity, as lists and records hold it.
#pragma once

#include <array>
#include <cstdint>

namespace p2pxbone::gateway {

using Sha256 = std::array<uint8_t, 32>;

}  // namespace p2pxbone::gateway
