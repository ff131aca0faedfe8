// OpenSSL's contexts may not be shared between threads, and making one for each record would allocate. So every thread
// keeps a few of each kind and remembers whose key each holds.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "core/aead.h"
#include "core/credential_handle.h"

namespace p2pxbone {
namespace {

// More associations than this that are busy at the same time share contexts and set their keys anew now and then.
constexpr size_t contextsPerKind = 64;
constexpr size_t ciphers = 3;

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

struct Context {
  CipherContextPtr handle;
  uint64_t serial = 0;  // of the key it holds; 0: none
};

struct ThreadContexts {
  // By cipher, and by direction: sealing, opening.
  std::array<std::array<std::array<Context, contextsPerKind>, 2>, ciphers> of;
};

ThreadContexts& threadContexts() {
  thread_local const std::unique_ptr<ThreadContexts> contexts = std::make_unique<ThreadContexts>();
  return *contexts;
}

class OpensslAead final : public Aead {
 public:
  OpensslAead(Cipher cipher, std::span<const uint8_t> key) : cipher_(cipher), serial_(nextSerial()) {
    std::copy_n(key.begin(), aeadKeyBytes(cipher), key_.begin());
    if (fetched(cipher) == nullptr) throw std::runtime_error("OpenSSL lacks a cipher of DTLS 1.2.");
  }
  ~OpensslAead() override { OPENSSL_cleanse(key_.data(), key_.size()); }
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
  static uint64_t nextSerial() {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1) + 1;
  }

  static bool update(EVP_CIPHER_CTX* context, uint8_t* out, std::span<const uint8_t> in) {
    int length = 0;
    return in.empty() || EVP_CipherUpdate(context, out, &length, in.data(), static_cast<int>(in.size())) == 1;
  }

  EVP_CIPHER_CTX* begin(AeadNonce nonce, bool sealing) const {
    auto& ofKind = threadContexts().of[static_cast<size_t>(cipher_)][sealing ? 0 : 1];
    Context& context = ofKind[serial_ % contextsPerKind];
    const EVP_CIPHER* cipher = nullptr;
    const uint8_t* key = nullptr;
    if (!context.handle) {
      context.handle.reset(EVP_CIPHER_CTX_new());
      cipher = fetched(cipher_);
    }
    if (context.serial != serial_) key = key_.data();
    context.serial = 0;
    if (!context.handle || EVP_CipherInit_ex(context.handle.get(), cipher, nullptr, key, nonce.data(), sealing ? 1 : 0) != 1) {
      context.handle.reset();
      return nullptr;
    }
    context.serial = serial_;
    return context.handle.get();
  }

  const Cipher cipher_;
  const uint64_t serial_;
  std::array<uint8_t, aeadKeyBytesMax> key_{};
};

}  // namespace

std::unique_ptr<Aead> makeOpensslAead(Cipher cipher, std::span<const uint8_t> key) {
  return std::make_unique<OpensslAead>(cipher, key);
}

}  // namespace p2pxbone
