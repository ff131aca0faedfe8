#include "core/fragment.h"

namespace p2pxbone {

FragmentHeader laterFragmentHeader(std::span<const uint8_t> header) {
  FragmentHeader later;
  std::copy_n(header.begin(), kIpv4HeaderBytes, later.bytes.begin());
  later.length = kIpv4HeaderBytes;
  size_t at = kIpv4HeaderBytes;
  while (at < header.size()) {
    const uint8_t option = header[at];
    if (option == 0) break;
    const size_t length = option == 1 ? 1 : (at + 1 < header.size() ? header[at + 1] : 0);
    if (length == 0 || length > header.size() - at || (option != 1 && length < 2)) break;
    if ((option & 0x80) != 0) {
      std::copy_n(&header[at], length, &later.bytes[later.length]);
      later.length += length;
    }
    at += length;
  }
  while (later.length % 4 != 0) later.bytes[later.length++] = 0;
  later.bytes[0] = static_cast<uint8_t>(0x40 | later.length / 4);
  return later;
}

}  // namespace p2pxbone
