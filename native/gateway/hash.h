// A keyed hash (SipHash-1-3 over whole words): without the key nobody can choose connections that meet in one bucket.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>

#include "core/packet.h"

namespace p2pxbone::gateway {

// From a source of real randomness, once per process or node.
struct HashSeed {
  uint64_t first = 0;
  uint64_t second = 0;
};

class KeyedHash {
 public:
  explicit KeyedHash(const HashSeed& seed)
      : a_(seed.first ^ 0x736f6d6570736575),
        b_(seed.second ^ 0x646f72616e646f6d),
        c_(seed.first ^ 0x6c7967656e657261),
        d_(seed.second ^ 0x7465646279746573) {}

  KeyedHash& add(uint64_t word) {
    d_ ^= word;
    round();
    a_ ^= word;
    return *this;
  }

  KeyedHash& add(const Address& address) {
    uint64_t words[2];
    std::memcpy(words, address.data(), sizeof words);
    return add(words[0]).add(words[1]);
  }

  [[nodiscard]] uint64_t finish() {
    c_ ^= 0xff;
    round();
    round();
    round();
    return a_ ^ b_ ^ c_ ^ d_;
  }

 private:
  void round() {
    a_ += b_;
    b_ = std::rotl(b_, 13) ^ a_;
    a_ = std::rotl(a_, 32);
    c_ += d_;
    d_ = std::rotl(d_, 16) ^ c_;
    a_ += d_;
    d_ = std::rotl(d_, 21) ^ a_;
    c_ += b_;
    b_ = std::rotl(b_, 17) ^ c_;
    c_ = std::rotl(c_, 32);
  }

  uint64_t a_, b_, c_, d_;
};

}  // namespace p2pxbone::gateway
