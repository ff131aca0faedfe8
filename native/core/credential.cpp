#include "core/credential.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <climits>
#include <vector>

namespace p2pxbone {
namespace {

constexpr const char* keyExchangeGroups = "X25519:P-256:P-384";
// Leaf, two intermediates and the anchor are more than the overlay manager ever issues.
constexpr int chainDepthMax = 4;
constexpr size_t chainCertificatesMax = 8;

// Least and most of what api.ts allows, milliseconds.
constexpr Millis rekeyMin = 10'000;
constexpr Millis rekeyMax = 3'600'000;

const char* suiteOf(Cipher cipher) {
  switch (cipher) {
    case Cipher::aes128Gcm: return "ECDHE-ECDSA-AES128-GCM-SHA256";
    case Cipher::aes256Gcm: return "ECDHE-ECDSA-AES256-GCM-SHA384";
    case Cipher::chacha20Poly1305: return "ECDHE-ECDSA-CHACHA20-POLY1305";
  }
  return "";
}

std::string suitesOf(const std::vector<Cipher>& ciphers) {
  std::string suites;
  for (const Cipher cipher : ciphers) suites += (suites.empty() ? "" : ":") + std::string(suiteOf(cipher));
  return suites;
}

// Without this OpenSSL would ask for a pass phrase on the terminal.
int refusePassPhrase(char*, int, int, void*) { return -1; }

BioPtr readerOf(const std::string& text) {
  if (text.size() > INT_MAX) return nullptr;
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// nullopt if anything that calls itself a certificate does not parse, or there is none.
std::optional<std::vector<CertificatePtr>> readCertificates(const std::string& pem) {
  const BioPtr reader = readerOf(pem);
  if (!reader) return std::nullopt;
  std::vector<CertificatePtr> certificates;
  while (CertificatePtr certificate{PEM_read_bio_X509(reader.get(), nullptr, refusePassPhrase, nullptr)}) {
    certificates.push_back(std::move(certificate));
    if (certificates.size() > chainCertificatesMax) return std::nullopt;
  }
  const bool endOfText = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates.empty() || !endOfText) return std::nullopt;
  return certificates;
}

PrivateKeyPtr readPrivateKey(const std::string& pem) {
  const BioPtr reader = readerOf(pem);
  if (!reader) return nullptr;
  return PrivateKeyPtr(PEM_read_bio_PrivateKey(reader.get(), nullptr, refusePassPhrase, nullptr));
}

// The machine checks cookies before OpenSSL sees a ClientHello, and writes HelloVerifyRequests itself.
int acceptCheckedCookie(SSL*, const unsigned char*, unsigned int) { return 1; }
int refuseToMakeCookie(SSL*, unsigned char*, unsigned int*) { return 0; }

// The overlay manager may be away for longer than its list is meant to last, and clocks differ. A list out of its time
// still says truly who is revoked; to refuse everybody instead would take the network down with its manager.
int acceptListOutOfTime(int good, X509_STORE_CTX* context) {
  const int error = X509_STORE_CTX_get_error(context);
  if (error != X509_V_ERR_CRL_HAS_EXPIRED && error != X509_V_ERR_CRL_NOT_YET_VALID) return good;
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

bool configure(SSL_CTX* context, const std::vector<Cipher>& ciphers) {
  static constexpr unsigned char sessionContext[] = {'p', '2', 'p', 'x', 'b', 'o', 'n', 'e'};
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_QUERY_MTU |
                                   SSL_OP_COOKIE_EXCHANGE | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, acceptListOutOfTime);
  SSL_CTX_set_verify_depth(context, chainDepthMax);
  SSL_CTX_set_cookie_verify_cb(context, acceptCheckedCookie);
  SSL_CTX_set_cookie_generate_cb(context, refuseToMakeCookie);
  // What the caller names as issuer is trusted, even if it is itself issued by someone else.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  return SSL_CTX_set_min_proto_version(context, DTLS1_2_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, DTLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context, suitesOf(ciphers).c_str()) == 1 &&
         SSL_CTX_set1_groups_list(context, keyExchangeGroups) == 1 &&
         SSL_CTX_set_session_id_context(context, sessionContext, sizeof sessionContext) == 1;
}

std::optional<std::string> installIdentity(SSL_CTX* context, const std::string& certificatePem,
                                           const std::string& privateKeyPem) {
  const auto certificates = readCertificates(certificatePem);
  if (!certificates) return "The certificate is not a PEM chain of at most 8 certificates.";
  const PrivateKeyPtr key = readPrivateKey(privateKeyPem);
  if (!key) return "The private key is not unencrypted PEM.";
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_EC) return "The private key is not an elliptic curve key.";
  if (X509_check_private_key(certificates->front().get(), key.get()) != 1) {
    return "The private key does not belong to the certificate.";
  }
  if (SSL_CTX_use_certificate(context, certificates->front().get()) != 1) return "The certificate is too weak or malformed.";
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) return "The private key cannot be used.";
  for (size_t i = 1; i < certificates->size(); i++) {
    if (SSL_CTX_add1_chain_cert(context, (*certificates)[i].get()) != 1) {
      return "A certificate of the chain is too weak or malformed.";
    }
  }
  return std::nullopt;
}

std::optional<std::string> installIssuers(SSL_CTX* context, const std::string& caPem) {
  const auto issuers = readCertificates(caPem);
  if (!issuers) return "The issuer is not a PEM list of at most 8 certificates.";
  for (const CertificatePtr& issuer : *issuers) {
    if (X509_check_ca(issuer.get()) < 1) return "The issuer is not a certificate authority.";
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), issuer.get()) != 1) return "The issuer cannot be used.";
  }
  return std::nullopt;
}

// The leaf alone is looked up: the chain above it is the operator's own choice.
std::optional<std::string> installRevocations(SSL_CTX* context, const std::string& crlPem) {
  if (crlPem.empty()) return std::nullopt;
  const BioPtr reader = readerOf(crlPem);
  const RevocationListPtr list(reader ? PEM_read_bio_X509_CRL(reader.get(), nullptr, refusePassPhrase, nullptr) : nullptr);
  if (!list) return "The revocation list is not PEM.";
  if (X509_STORE_add_crl(SSL_CTX_get_cert_store(context), list.get()) != 1) return "The revocation list cannot be used.";
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_CRL_CHECK);
  return std::nullopt;
}

CredentialResult refused(std::string error) {
  ERR_clear_error();
  return {nullptr, std::move(error)};
}

}  // namespace

CredentialResult makeCredential(const CredentialSettings& settings) {
  ERR_clear_error();
  const std::string& serverName = settings.serverName;
  if (serverName.empty() || serverName.size() > serverNameBytesMax || serverName.find('\0') != std::string::npos) {
    return refused("The server name is not 1 to 255 bytes without NUL.");
  }
  if (settings.ciphers.empty()) return refused("There is no cipher to offer.");
  if (settings.rekey < rekeyMin || settings.rekey > rekeyMax) return refused("Keys are changed every 10 to 3600 seconds.");
  SslContextPtr context(SSL_CTX_new(DTLS_method()));
  if (!context || !configure(context.get(), settings.ciphers)) return refused("OpenSSL lacks what DTLS 1.2 needs here.");
  if (auto error = installIdentity(context.get(), settings.certificatePem, settings.privateKeyPem)) return refused(std::move(*error));
  if (auto error = installIssuers(context.get(), settings.caPem)) return refused(std::move(*error));
  if (auto error = installRevocations(context.get(), settings.crlPem)) return refused(std::move(*error));
  ERR_clear_error();
  return {std::make_shared<const Credential>(Credential{serverName, std::move(context), settings.rekey}), std::nullopt};
}

}  // namespace p2pxbone
