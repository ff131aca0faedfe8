#include "gateway/sha256_hasher.h"

#include <openssl/evp.h>

namespace p2pxbone::gateway {

void Sha256Hasher::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256Hasher::Sha256Hasher() : context_(EVP_MD_CTX_new()) {
  // Fetched once: looking it up costs more than hashing a packet.
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  failed_ = context_ == nullptr || EVP_DigestInit_ex2(context_.get(), sha256, nullptr) != 1;
}

Sha256Hasher::~Sha256Hasher() = default;
Sha256Hasher::Sha256Hasher(Sha256Hasher&&) noexcept = default;
Sha256Hasher& Sha256Hasher::operator=(Sha256Hasher&&) noexcept = default;

void Sha256Hasher::add(std::span<const uint8_t> bytes) {
  if (!failed_) failed_ = EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1;
}

bool Sha256Hasher::finish(Sha256& digest) {
  return !failed_ && EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1;
}

}  // namespace p2pxbone::gateway
