// The address server's messages as a client writes and reads them: see overlay/messages/address.ts and
// overlay/address-seal.ts.
#pragma once

#include <openssl/evp.h>
#include <openssl/params.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace bench {

using Bytes = std::vector<uint8_t>;

// CBOR (RFC 8949): what a message needs of it. Keys come as the codec writes them, the shortest first.
class CborWriter {
 public:
  void map(uint64_t fields) { head(5, fields); }
  void text(std::string_view value) {
    head(3, value.size());
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }
  void number(std::string_view key, uint64_t value) {
    text(key);
    head(0, value);
  }
  void bytes(std::string_view key, std::span<const uint8_t> value) {
    text(key);
    head(2, value.size());
    bytes_.insert(bytes_.end(), value.begin(), value.end());
  }
  // An item that is CBOR already.
  void raw(std::string_view key, std::span<const uint8_t> item) {
    text(key);
    bytes_.insert(bytes_.end(), item.begin(), item.end());
  }
  const Bytes& done() const { return bytes_; }

 private:
  void head(uint8_t major, uint64_t value) {
    const int size = value < 24 ? 0 : value <= 0xff ? 1 : value <= 0xffff ? 2 : value <= 0xffff'ffff ? 4 : 8;
    const auto low = static_cast<uint8_t>(size == 0 ? value : size == 1 ? 24 : size == 2 ? 25 : size == 4 ? 26 : 27);
    bytes_.push_back(static_cast<uint8_t>(major << 5 | low));
    for (int i = size - 1; i >= 0; --i) bytes_.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }

  Bytes bytes_;
};

struct Answer {
  std::string_view kind;
  uint64_t counter = 0;
  uint64_t epoch = 0;
  uint64_t highest = 0;
  std::string_view code;
  // The array, as it came.
  std::span<const uint8_t> pairs;
  uint64_t pairCount = 0;
};

class CborReader {
 public:
  explicit CborReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  // False for what is no answer. The views in it point into the bytes.
  bool read(Answer& answer) {
    const uint64_t fields = head(5);
    for (uint64_t i = 0; ok_ && i < fields; ++i) {
      const std::string_view key = text();
      if (key == "t") answer.kind = text();
      else if (key == "code") answer.code = text();
      else if (key == "counter") answer.counter = head(0);
      else if (key == "epoch") answer.epoch = head(0);
      else if (key == "highest") answer.highest = head(0);
      else if (key == "pairs") {
        const size_t from = at_;
        answer.pairCount = head(4);
        for (uint64_t j = 0; ok_ && j < answer.pairCount; ++j) head(0);
        if (ok_) answer.pairs = bytes_.subspan(from, at_ - from);
      } else ok_ = false;
    }
    return ok_ && at_ == bytes_.size();
  }

 private:
  uint64_t head(uint8_t major) {
    if (at_ >= bytes_.size() || bytes_[at_] >> 5 != major) return fail();
    const uint8_t low = bytes_[at_++] & 31;
    if (low < 24) return low;
    const size_t size = low <= 27 ? size_t{1} << (low - 24) : 0;
    if (size == 0 || size > bytes_.size() - at_) return fail();
    uint64_t value = 0;
    for (size_t i = 0; i < size; ++i) value = value << 8 | bytes_[at_++];
    return value;
  }
  std::string_view text() {
    const uint64_t size = head(3);
    if (!ok_ || size > bytes_.size() - at_) return fail(), std::string_view{};
    at_ += size;
    return {reinterpret_cast<const char*>(bytes_.data() + at_ - size), size};
  }
  uint64_t fail() {
    ok_ = false;
    return 0;
  }

  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
  bool ok_ = true;
};

// Direction and version (1 byte), serial number (16), message, first half of an HMAC-SHA-256 of all that (16).
class Sealer {
 public:
  Sealer(std::span<const uint8_t> serial, std::span<const uint8_t> secret) : serial_(serial.begin(), serial.end()) {
    char digest[] = "SHA256";
    const std::array params{OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
    EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
    context_ = EVP_MAC_CTX_new(mac);
    EVP_MAC_free(mac);
    if (EVP_MAC_init(context_, secret.data(), secret.size(), params.data()) != 1) std::abort();
  }
  Sealer(const Sealer&) = delete;
  Sealer& operator=(const Sealer&) = delete;
  ~Sealer() { EVP_MAC_CTX_free(context_); }

  Bytes seal(const Bytes& message) {
    Bytes sealed;
    sealed.reserve(message.size() + kHeader + kMac);
    sealed.push_back(0x11);
    sealed.insert(sealed.end(), serial_.begin(), serial_.end());
    sealed.insert(sealed.end(), message.begin(), message.end());
    const std::array<uint8_t, 32> mac = macOf(sealed);
    sealed.insert(sealed.end(), mac.begin(), mac.begin() + kMac);
    return sealed;
  }

  // Empty unless the server sealed it for us.
  std::span<const uint8_t> open(std::span<const uint8_t> sealed) {
    if (sealed.size() <= kHeader + kMac || sealed[0] != 0x21) return {};
    const auto signedPart = sealed.first(sealed.size() - kMac);
    const std::array<uint8_t, 32> mac = macOf(signedPart);
    if (std::memcmp(mac.data(), sealed.data() + signedPart.size(), kMac) != 0) return {};
    return signedPart.subspan(kHeader);
  }

 private:
  static constexpr size_t kHeader = 17;
  static constexpr ptrdiff_t kMac = 16;

  std::array<uint8_t, 32> macOf(std::span<const uint8_t> bytes) {
    std::array<uint8_t, 32> mac{};
    size_t size = 0;
    if (EVP_MAC_init(context_, nullptr, 0, nullptr) != 1 ||
        EVP_MAC_update(context_, bytes.data(), bytes.size()) != 1 ||
        EVP_MAC_final(context_, mac.data(), &size, mac.size()) != 1) {
      std::abort();
    }
    return mac;
  }

  Bytes serial_;
  EVP_MAC_CTX* context_;
};

}  // namespace bench
