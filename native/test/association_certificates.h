// Certificates for tests: an authority on P-256 and leaves that serve as client and as server.
#pragma once

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdexcept>
#include <string>

#include "core/association.h"
#include "core/credential_handle.h"

namespace p2pxbone::testing {

struct PemIdentity {
  std::string certificate;
  std::string privateKey;
};

inline void must(bool done) {
  if (!done) throw std::runtime_error("OpenSSL refused");
}

template <typename Write>
std::string toPem(Write write) {
  const BioPtr out(BIO_new(BIO_s_mem()));
  must(out && write(out.get()) == 1);
  char* text = nullptr;
  const long bytes = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(bytes)};
}

inline std::string toPem(X509* certificate) {
  return toPem([&](BIO* out) { return PEM_write_bio_X509(out, certificate); });
}

inline std::string toPem(EVP_PKEY* key) {
  return toPem([&](BIO* out) { return PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); });
}

inline const std::vector<Cipher> allCiphers{Cipher::aes128Gcm, Cipher::aes256Gcm, Cipher::chacha20Poly1305};

inline CredentialSettings credentialOf(const std::string& serverName, const std::string& certificate, const std::string& privateKey,
                                       const std::string& ca, const std::vector<Cipher>& ciphers = allCiphers) {
  return {serverName, certificate, privateKey, ca, ciphers, 3'600'000, {}};
}

class Authority {
 public:
  explicit Authority(const std::string& name) : key_(EVP_EC_gen("P-256")), certificate_(X509_new()) {
    fill(certificate_.get(), name, key_.get(), 3600);
    must(X509_set_issuer_name(certificate_.get(), X509_get_subject_name(certificate_.get())) == 1);
    extend(certificate_.get(), NID_basic_constraints, "critical,CA:TRUE");
    extend(certificate_.get(), NID_key_usage, "critical,keyCertSign,cRLSign");
    must(X509_sign(certificate_.get(), key_.get(), EVP_sha256()) > 0);
  }

  [[nodiscard]] std::string pem() const { return toPem(certificate_.get()); }

  // `secondsLeft` until it expires; may be negative.
  [[nodiscard]] PemIdentity issue(const std::string& name, long secondsLeft = 3600) const {
    return certify(PrivateKeyPtr(EVP_EC_gen("P-256")), name, secondsLeft);
  }

  // Another certificate for the same key.
  [[nodiscard]] PemIdentity renew(const PemIdentity& identity, const std::string& name) const {
    const BioPtr reader(BIO_new_mem_buf(identity.privateKey.data(), static_cast<int>(identity.privateKey.size())));
    return certify(PrivateKeyPtr(PEM_read_bio_PrivateKey(reader.get(), nullptr, nullptr, nullptr)), name, 3600);
  }

  [[nodiscard]] PemIdentity certify(const PrivateKeyPtr& key, const std::string& name, long secondsLeft) const {
    const CertificatePtr leaf(X509_new());
    fill(leaf.get(), name, key.get(), secondsLeft);
    must(X509_set_issuer_name(leaf.get(), X509_get_subject_name(certificate_.get())) == 1);
    extend(leaf.get(), NID_ext_key_usage, "serverAuth,clientAuth");
    must(X509_sign(leaf.get(), key_.get(), EVP_sha256()) > 0);
    return {toPem(leaf.get()), toPem(key.get())};
  }

  // Revokes these, PEM. `secondsLeft` until the list is out of date; may be negative.
  [[nodiscard]] std::string revocationList(const std::vector<PemIdentity>& revoked, long secondsLeft = 3600) const {
    const RevocationListPtr list(X509_CRL_new());
    must(X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1);
    must(X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(certificate_.get())) == 1);
    const std::unique_ptr<ASN1_TIME, OpensslDelete<ASN1_TIME_free>> from(X509_gmtime_adj(nullptr, -7200));
    const std::unique_ptr<ASN1_TIME, OpensslDelete<ASN1_TIME_free>> until(X509_gmtime_adj(nullptr, secondsLeft));
    must(X509_CRL_set1_lastUpdate(list.get(), from.get()) == 1 && X509_CRL_set1_nextUpdate(list.get(), until.get()) == 1);
    for (const PemIdentity& identity : revoked) {
      const BioPtr reader(BIO_new_mem_buf(identity.certificate.data(), static_cast<int>(identity.certificate.size())));
      const CertificatePtr certificate(PEM_read_bio_X509(reader.get(), nullptr, nullptr, nullptr));
      X509_REVOKED* const entry = X509_REVOKED_new();
      must(X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate.get())) == 1);
      must(X509_REVOKED_set_revocationDate(entry, from.get()) == 1 && X509_CRL_add0_revoked(list.get(), entry) == 1);
    }
    must(X509_CRL_sort(list.get()) == 1 && X509_CRL_sign(list.get(), key_.get(), EVP_sha256()) > 0);
    return toPem([&](BIO* out) { return PEM_write_bio_X509_CRL(out, list.get()); });
  }

  // Empty on success.
  std::optional<std::string> equip(AssociationMachine& machine, const std::string& serverName) const {
    const PemIdentity identity = issue("node");
    return machine.setCredential(credentialOf(serverName, identity.certificate, identity.privateKey, pem()));
  }

 private:
  static void fill(X509* certificate, const std::string& name, EVP_PKEY* key, long secondsLeft) {
    static long serial = 1;
    must(key != nullptr && certificate != nullptr);
    must(X509_set_version(certificate, X509_VERSION_3) == 1);
    must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++) == 1);
    must(X509_gmtime_adj(X509_getm_notBefore(certificate), -7200) != nullptr);
    must(X509_gmtime_adj(X509_getm_notAfter(certificate), secondsLeft) != nullptr);
    must(X509_set_pubkey(certificate, key) == 1);
    must(X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                                    reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0) == 1);
  }

  static void extend(X509* certificate, int nid, const char* value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
    must(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
    X509_EXTENSION_free(extension);
  }

  PrivateKeyPtr key_;
  CertificatePtr certificate_;
};

}  // namespace p2pxbone::testing
