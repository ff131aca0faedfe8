// Memory that flows take while it is found out what they carry, beyond a fixed part of each: what classification collects,
// parsers keep and records will tell. Of all flows of a gateway together, so that very many of them with a little each are
// bounded, too. One thread's.
#pragma once

#include <cstdint>

namespace p2pxbone::gateway {

class KeptData {
 public:
  explicit KeptData(uint64_t bytesMax) : bytesMax_(bytesMax) {}

  // Nobody is to keep more; what is kept stays, so that the bound may be exceeded by what one packet brings.
  [[nodiscard]] bool full() const { return bytes_ >= bytesMax_; }
  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  [[nodiscard]] uint64_t bytesMax() const { return bytesMax_; }

  // What one owner keeps, given back with it. All shares end before the whole.
  class Share {
   public:
    explicit Share(KeptData& whole) : whole_(whole) {}
    ~Share() { set(0); }
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;
    void set(uint64_t bytes) {
      whole_.bytes_ += bytes - bytes_;
      bytes_ = bytes;
    }

   private:
    KeptData& whole_;
    uint64_t bytes_ = 0;
  };

 private:
  uint64_t bytesMax_;
  uint64_t bytes_ = 0;
};

}  // namespace p2pxbone::gateway
