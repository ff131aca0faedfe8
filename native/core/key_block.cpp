#include "core/key_block.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <algorithm>

#include "core/credential_handle.h"

namespace p2pxbone {
namespace {

using KdfPtr = std::unique_ptr<EVP_KDF, OpensslDelete<EVP_KDF_free>>;
using KdfContextPtr = std::unique_ptr<EVP_KDF_CTX, OpensslDelete<EVP_KDF_CTX_free>>;

// TLS's pseudo-random function (RFC 5246 §5). False if OpenSSL cannot.
bool expand(const std::string& hash, std::span<const uint8_t> secret, std::span<const uint8_t> labelAndSeed,
            std::span<uint8_t> out) {
  const KdfPtr kdf(EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr));
  const KdfContextPtr context(kdf ? EVP_KDF_CTX_new(kdf.get()) : nullptr);
  if (!context) return false;
  std::string hashName = hash;
  // OpenSSL's parameters are of one type for both directions; these are only read.
  const auto octets = [](const char* name, std::span<const uint8_t> bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<uint8_t*>(bytes.data()), bytes.size());
  };
  const std::array<OSSL_PARAM, 4> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hashName.data(), 0),
      octets(OSSL_KDF_PARAM_SECRET, secret), octets(OSSL_KDF_PARAM_SEED, labelAndSeed), OSSL_PARAM_construct_end()};
  return EVP_KDF_derive(context.get(), out.data(), out.size(), parameters.data()) == 1;
}

}  // namespace

std::optional<KeyBlock> deriveKeyBlock(Cipher cipher, const std::string& hash, std::span<const uint8_t> masterSecret,
                                       const HelloRandom& client, const HelloRandom& server) {
  static constexpr std::string_view label = "key expansion";
  std::array<uint8_t, label.size() + 2 * std::tuple_size_v<HelloRandom>> seed{};
  auto end = std::copy(label.begin(), label.end(), seed.begin());
  end = std::copy(server.begin(), server.end(), end);
  std::copy(client.begin(), client.end(), end);

  const size_t keyBytes = aeadKeyBytes(cipher);
  const size_t fixedBytes = cipher == Cipher::chacha20Poly1305 ? 12 : 4;
  std::array<uint8_t, 2 * (aeadKeyBytesMax + aeadNonceBytes)> block{};
  if (!expand(hash, masterSecret, seed, std::span(block).first(2 * (keyBytes + fixedBytes)))) return std::nullopt;
  // No MAC keys: these ciphers authenticate themselves.
  KeyBlock keys;
  keys.cipher = cipher;
  const uint8_t* from = block.data();
  for (DirectionKeys* each : {&keys.client, &keys.server}) {
    std::copy_n(from, keyBytes, each->key.data());
    from += keyBytes;
  }
  for (DirectionKeys* each : {&keys.client, &keys.server}) {
    std::copy_n(from, fixedBytes, each->fixedNonce.data());
    from += fixedBytes;
  }
  OPENSSL_cleanse(block.data(), block.size());
  return keys;
}

}  // namespace p2pxbone
