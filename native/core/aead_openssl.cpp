// OpenSSL's contexts may not be shared between threads, and making one for each record would allocate. So a key has one for
// every thread and direction that has used it, and they go with the key: nothing of it stays behind with threads, which may
// not work again for long.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <utility>

#include "core/aead.h"
#include "core/credential_handle.h"

namespace p2pxbone {
namespace {

// Keys whose contexts a thread finds at once; with more that are busy at the same time it looks for some now and then.
constexpr size_t rememberedKeys = 64;

using CipherPtr = std::unique_ptr<EVP_CIPHER, OpensslDelete<EVP_CIPHER_free>>;
using CipherContextPtr = std::unique_ptr<EVP_CIPHER_CTX, OpensslDelete<EVP_CIPHER_CTX_free>>;

// Null if OpenSSL lacks it. Fetched once: a fetch takes locks.
const EVP_CIPHER* fetched(Cipher cipher) {
  static const CipherPtr aes128(EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr));
  static const CipherPtr aes256(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr));
  static const CipherPtr chacha20(EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr));
  switch (cipher) {
    case Cipher::aes128Gcm: return aes128.get();
    case Cipher::aes256Gcm: return aes256.get();
    case Cipher::chacha20Poly1305: break;
  }
  return chacha20.get();
}

// Of keys and of threads; never 0, and none is given twice.
uint64_t nextSerial() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1) + 1;
}

// One thread's, for one direction of one key.
struct Context {
  uint64_t thread;
  bool sealing;
  CipherContextPtr handle;
  const Context* next;
};

struct Remembered {
  uint64_t key = 0;
  EVP_CIPHER_CTX* handle = nullptr;  // gone with the key, whose serial number then comes no more
};

struct ThreadMemory {
  const uint64_t thread = nextSerial();
  // By direction: sealing, opening.
  std::array<std::array<Remembered, rememberedKeys>, 2> of;
};

ThreadMemory& threadMemory() {
  thread_local const std::unique_ptr<ThreadMemory> memory = std::make_unique<ThreadMemory>();
  return *memory;
}

class OpensslAead final : public Aead {
 public:
  OpensslAead(Cipher cipher, std::span<const uint8_t> key) : cipher_(cipher), serial_(nextSerial()) {
    std::copy_n(key.begin(), aeadKeyBytes(cipher), key_.begin());
    if (fetched(cipher) == nullptr) throw std::runtime_error("OpenSSL lacks a cipher of DTLS 1.2.");
  }
  // OpenSSL wipes a context that is freed.
  ~OpensslAead() override {
    for (const Context* each = contexts_.load(); each != nullptr;) delete std::exchange(each, each->next);
    OPENSSL_cleanse(key_.data(), key_.size());
  }
  OpensslAead(const OpensslAead&) = delete;
  OpensslAead& operator=(const OpensslAead&) = delete;

  bool seal(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> plain, uint8_t* out,
            AeadTag tag) const override {
    EVP_CIPHER_CTX* const context = begin(nonce, true);
    int length = 0;
    return context != nullptr && update(context, nullptr, associated) && update(context, out, plain) &&
           EVP_CipherFinal_ex(context, tag.data(), &length) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, aeadTagBytes, tag.data()) == 1;
  }

  bool open(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> sealed, uint8_t* out,
            AeadExpectedTag tag) const override {
    EVP_CIPHER_CTX* const context = begin(nonce, false);
    if (context == nullptr || !update(context, nullptr, associated) || !update(context, out, sealed)) return false;
    std::array<uint8_t, aeadTagBytes> expected;
    std::copy(tag.begin(), tag.end(), expected.begin());
    int length = 0;
    return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, aeadTagBytes, expected.data()) == 1 &&
           EVP_CipherFinal_ex(context, expected.data(), &length) == 1;
  }

 private:
  static bool update(EVP_CIPHER_CTX* context, uint8_t* out, std::span<const uint8_t> in) {
    int length = 0;
    return in.empty() || EVP_CipherUpdate(context, out, &length, in.data(), static_cast<int>(in.size())) == 1;
  }

  EVP_CIPHER_CTX* begin(AeadNonce nonce, bool sealing) const {
    ThreadMemory& memory = threadMemory();
    Remembered& remembered = memory.of[sealing ? 0 : 1][serial_ % rememberedKeys];
    if (remembered.key != serial_) {
      EVP_CIPHER_CTX* const handle = contextOf(memory.thread, sealing);
      if (handle == nullptr) return nullptr;
      remembered = {serial_, handle};
    }
    const bool ready = EVP_CipherInit_ex(remembered.handle, nullptr, nullptr, nullptr, nonce.data(), sealing ? 1 : 0) == 1;
    return ready ? remembered.handle : nullptr;
  }

  // Only the thread itself adds one of its own, so that looking and adding need not be one step. Null if OpenSSL is out of
  // memory.
  EVP_CIPHER_CTX* contextOf(uint64_t thread, bool sealing) const {
    const Context* const first = contexts_.load(std::memory_order_acquire);
    for (const Context* each = first; each != nullptr; each = each->next) {
      if (each->thread == thread && each->sealing == sealing) return each->handle.get();
    }
    CipherContextPtr handle(EVP_CIPHER_CTX_new());
    if (!handle || EVP_CipherInit_ex(handle.get(), fetched(cipher_), nullptr, key_.data(), nullptr, sealing ? 1 : 0) != 1) {
      return nullptr;
    }
    auto* const added = new Context{thread, sealing, std::move(handle), first};
    while (!contexts_.compare_exchange_weak(added->next, added, std::memory_order_acq_rel)) {
    }
    return added->handle.get();
  }

  const Cipher cipher_;
  const uint64_t serial_;
  std::array<uint8_t, aeadKeyBytesMax> key_{};
  mutable std::atomic<const Context*> contexts_{nullptr};
};

}  // namespace

std::unique_ptr<Aead> makeOpensslAead(Cipher cipher, std::span<const uint8_t> key) {
  return std::make_unique<OpensslAead>(cipher, key);
}

}  // namespace p2pxbone
