#include "core/checksum.h"

#include <bit>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/bytes.h"

namespace p2pxbone {
namespace {

// The sum is taken over words in the machine's own order and swapped at the end (RFC 1071 §2 (B)). 32-bit words in a
// 64-bit accumulator do not overflow for any length that a packet can have.
uint64_t foldTo16(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  return (sum & 0xffff) + (sum >> 16);
}

uint64_t networkOrder(uint64_t nativeSum) {
  const uint64_t folded = foldTo16(nativeSum);
  if constexpr (std::endian::native == std::endian::big) return folded;
  return ((folded & 0xff) << 8) | (folded >> 8);
}

template <typename Word>
Word loadNative(const uint8_t* from) {
  Word word = 0;
  std::memcpy(&word, from, sizeof word);
  return word;
}

uint64_t sumTail(const uint8_t* from, size_t length) {
  uint64_t sum = 0;
  for (; length >= 4; from += 4, length -= 4) sum += loadNative<uint32_t>(from);
  if (length >= 2) {
    sum += loadNative<uint16_t>(from);
    from += 2;
    length -= 2;
  }
  if (length != 0) {
    uint16_t last = 0;
    std::memcpy(&last, from, 1);
    sum += last;
  }
  return sum;
}

template <bool kCopy>
uint64_t sumPlain(uint8_t* to, const uint8_t* from, size_t length) {
  if constexpr (kCopy) std::memcpy(to, from, length);
  uint64_t even = 0;
  uint64_t odd = 0;
  for (; length >= 16; from += 16, length -= 16) {
    const auto first = loadNative<uint64_t>(from);
    const auto second = loadNative<uint64_t>(from + 8);
    even += (first & 0xffffffff) + (first >> 32);
    odd += (second & 0xffffffff) + (second >> 32);
  }
  return even + odd + sumTail(from, length);
}

#if defined(__x86_64__)

// Four independent accumulators, so that additions do not wait for each other.
template <bool kCopy>
__attribute__((target("avx2"))) uint64_t sumAvx2(uint8_t* to, const uint8_t* from, size_t length) {
  const __m256i low = _mm256_set1_epi64x(0xffffffff);
  __m256i sums[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
  for (; length >= 64; from += 64, length -= 64) {
    const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + 32));
    if constexpr (kCopy) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), first);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + 32), second);
      to += 64;
    }
    sums[0] = _mm256_add_epi64(sums[0], _mm256_and_si256(first, low));
    sums[1] = _mm256_add_epi64(sums[1], _mm256_srli_epi64(first, 32));
    sums[2] = _mm256_add_epi64(sums[2], _mm256_and_si256(second, low));
    sums[3] = _mm256_add_epi64(sums[3], _mm256_srli_epi64(second, 32));
  }
  const __m256i all = _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  alignas(32) uint64_t lanes[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), all);
  const uint64_t rest = sumPlain<kCopy>(to, from, length);
  return lanes[0] + lanes[1] + lanes[2] + lanes[3] + rest;
}

const bool kHasAvx2 = __builtin_cpu_supports("avx2") != 0;
// Shorter spans are headers, for which the wide loop only adds work.
constexpr size_t kWideBytesMin = 128;

template <bool kCopy>
uint64_t sumNative(uint8_t* to, const uint8_t* from, size_t length) {
  if (length >= kWideBytesMin && kHasAvx2) return sumAvx2<kCopy>(to, from, length);
  return sumPlain<kCopy>(to, from, length);
}

#else

template <bool kCopy>
uint64_t sumNative(uint8_t* to, const uint8_t* from, size_t length) {
  return sumPlain<kCopy>(to, from, length);
}

#endif

}  // namespace

uint64_t checksumAdd(std::span<const uint8_t> bytes, uint64_t sum) {
  return sum + networkOrder(sumNative<false>(nullptr, bytes.data(), bytes.size()));
}

uint64_t checksumCopy(uint8_t* to, std::span<const uint8_t> bytes, uint64_t sum) {
  return sum + networkOrder(sumNative<true>(to, bytes.data(), bytes.size()));
}

uint16_t checksumFold(uint64_t sum) { return static_cast<uint16_t>(foldTo16(sum)); }

uint16_t checksumFinish(uint64_t sum) { return static_cast<uint16_t>(~foldTo16(sum)); }

uint16_t checksumOf(std::span<const uint8_t> bytes) { return checksumFinish(checksumAdd(bytes, 0)); }

uint16_t checksumUpdate(uint16_t checksum, uint16_t from, uint16_t to) {
  const auto inverted = [](uint16_t value) { return static_cast<uint16_t>(~value); };
  return checksumFinish(uint64_t{inverted(checksum)} + inverted(from) + to);
}

}  // namespace p2pxbone
