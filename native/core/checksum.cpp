#include "core/checksum.h"

#include "core/bytes.h"

namespace p2pxbone {

uint64_t checksumAdd(std::span<const uint8_t> bytes, uint64_t sum) {
  size_t at = 0;
  for (; at + 4 <= bytes.size(); at += 4) sum += loadBe32(&bytes[at]);
  if (at + 2 <= bytes.size()) {
    sum += loadBe16(&bytes[at]);
    at += 2;
  }
  if (at < bytes.size()) sum += uint64_t{bytes[at]} << 8;
  return sum;
}

uint16_t checksumFinish(uint64_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

uint16_t checksumOf(std::span<const uint8_t> bytes) { return checksumFinish(checksumAdd(bytes, 0)); }

uint16_t checksumUpdate(uint16_t checksum, uint16_t from, uint16_t to) {
  const auto inverted = [](uint16_t value) { return static_cast<uint16_t>(~value); };
  return checksumFinish(uint64_t{inverted(checksum)} + inverted(from) + to);
}

}  // namespace p2pxbone
