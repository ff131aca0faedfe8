// Intel's library, called one record at a time: at the size of packets its AVX-512 code needs a little more than half of
// the time that OpenSSL 3.5 takes for AES-GCM. It has no state of its own between calls, so threads share the keys.
#include "core/aead.h"

#ifdef P2PXBONE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <openssl/crypto.h>

#include <algorithm>

namespace p2pxbone {
namespace {

struct ManagerDelete {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};

// Null where the processor does not have the vector instructions with which the library beats OpenSSL.
IMB_MGR* manager() {
  static const std::unique_ptr<IMB_MGR, ManagerDelete> shared = [] {
    std::unique_ptr<IMB_MGR, ManagerDelete> made(alloc_mb_mgr(0));
    constexpr uint64_t needed = IMB_FEATURE_AVX512_SKX | IMB_FEATURE_VAES | IMB_FEATURE_VPCLMULQDQ;
    if (!made || (made->features & needed) != needed) return std::unique_ptr<IMB_MGR, ManagerDelete>();
    init_mb_mgr_avx512(made.get());
    if (imb_get_errno(made.get()) != 0) made.reset();
    return made;
  }();
  return shared.get();
}

bool sameTag(const std::array<uint8_t, aeadTagBytes>& computed, AeadExpectedTag tag) {
  return CRYPTO_memcmp(computed.data(), tag.data(), tag.size()) == 0;
}

class IpsecMbGcm final : public Aead {
 public:
  IpsecMbGcm(IMB_MGR* shared, Cipher cipher, std::span<const uint8_t> key)
      : encrypt_(cipher == Cipher::aes128Gcm ? shared->gcm128_enc : shared->gcm256_enc),
        decrypt_(cipher == Cipher::aes128Gcm ? shared->gcm128_dec : shared->gcm256_dec) {
    (cipher == Cipher::aes128Gcm ? shared->gcm128_pre : shared->gcm256_pre)(key.data(), &key_);
  }
  ~IpsecMbGcm() override { OPENSSL_cleanse(&key_, sizeof key_); }
  IpsecMbGcm(const IpsecMbGcm&) = delete;
  IpsecMbGcm& operator=(const IpsecMbGcm&) = delete;

  bool seal(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> plain, uint8_t* out,
            AeadTag tag) const override {
    alignas(64) gcm_context_data context;
    encrypt_(&key_, &context, out, plain.data(), plain.size(), nonce.data(), associated.data(), associated.size(),
             tag.data(), tag.size());
    return true;
  }

  bool open(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> sealed, uint8_t* out,
            AeadExpectedTag tag) const override {
    alignas(64) gcm_context_data context;
    std::array<uint8_t, aeadTagBytes> computed;
    decrypt_(&key_, &context, out, sealed.data(), sealed.size(), nonce.data(), associated.data(), associated.size(),
             computed.data(), computed.size());
    return sameTag(computed, tag);
  }

 private:
  const aes_gcm_enc_dec_t encrypt_;
  const aes_gcm_enc_dec_t decrypt_;
  alignas(64) gcm_key_data key_{};
};

class IpsecMbChacha final : public Aead {
 public:
  IpsecMbChacha(IMB_MGR* shared, std::span<const uint8_t> key) : manager_(shared) {
    std::copy_n(key.begin(), key_.size(), key_.begin());
  }
  ~IpsecMbChacha() override { OPENSSL_cleanse(key_.data(), key_.size()); }
  IpsecMbChacha(const IpsecMbChacha&) = delete;
  IpsecMbChacha& operator=(const IpsecMbChacha&) = delete;

  bool seal(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> plain, uint8_t* out,
            AeadTag tag) const override {
    alignas(64) chacha20_poly1305_context_data context;
    manager_->chacha20_poly1305_init(key_.data(), &context, nonce.data(), associated.data(), associated.size());
    manager_->chacha20_poly1305_enc_update(key_.data(), &context, out, plain.data(), plain.size());
    manager_->chacha20_poly1305_finalize(&context, tag.data(), tag.size());
    OPENSSL_cleanse(&context, sizeof context);
    return true;
  }

  bool open(AeadNonce nonce, std::span<const uint8_t> associated, std::span<const uint8_t> sealed, uint8_t* out,
            AeadExpectedTag tag) const override {
    alignas(64) chacha20_poly1305_context_data context;
    std::array<uint8_t, aeadTagBytes> computed;
    manager_->chacha20_poly1305_init(key_.data(), &context, nonce.data(), associated.data(), associated.size());
    manager_->chacha20_poly1305_dec_update(key_.data(), &context, out, sealed.data(), sealed.size());
    manager_->chacha20_poly1305_finalize(&context, computed.data(), computed.size());
    OPENSSL_cleanse(&context, sizeof context);
    return sameTag(computed, tag);
  }

 private:
  IMB_MGR* const manager_;
  std::array<uint8_t, aeadKeyBytesMax> key_{};
};

}  // namespace

std::unique_ptr<Aead> makeIpsecMbAead(Cipher cipher, std::span<const uint8_t> key) {
  IMB_MGR* const shared = manager();
  if (shared == nullptr) return nullptr;
  if (cipher == Cipher::chacha20Poly1305) return std::make_unique<IpsecMbChacha>(shared, key);
  return std::make_unique<IpsecMbGcm>(shared, cipher, key);
}

}  // namespace p2pxbone

#else

namespace p2pxbone {

std::unique_ptr<Aead> makeIpsecMbAead(Cipher, std::span<const uint8_t>) { return nullptr; }

}  // namespace p2pxbone

#endif
