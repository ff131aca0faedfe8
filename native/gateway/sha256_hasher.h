// SHA-256 of bytes that come in pieces.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "gateway/sha256.h"

struct evp_md_ctx_st;

namespace p2pxbone::gateway {

class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(Sha256Hasher&&) noexcept;
  Sha256Hasher& operator=(Sha256Hasher&&) noexcept;

  void add(std::span<const uint8_t> bytes);
  // Once; nothing may be added afterwards. False if the library has failed, for want of memory, now or before.
  [[nodiscard]] bool finish(Sha256& digest);

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
  bool failed_ = false;
};

}  // namespace p2pxbone::gateway
