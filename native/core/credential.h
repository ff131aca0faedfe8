// Certificate, key and issuer under which DTLS handshakes for one virtual internet are made, both as client and server.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/association.h"
#include "core/credential_handle.h"

namespace p2pxbone {

struct Credential {
  // Server name (SNI) that reaches this virtual internet.
  std::string serverName;
  SslContextPtr context;
  // Keys are changed at least so often, milliseconds.
  Millis rekey = 0;
};

// Longest name that fits the server name extension as OpenSSL sends it, bytes.
inline constexpr size_t serverNameBytesMax = 255;

// Bytes of the largest handshake datagram: passes every path that carries IPv6, whatever the outer headers.
inline constexpr long handshakePayloadBytes = 1200;

// Exactly one of the two is set. `error` is one sentence without secrets.
struct CredentialResult {
  std::shared_ptr<const Credential> credential;
  std::optional<std::string> error;
};

// `certificatePem`: leaf first, then its chain. `caPem`: one or more issuers, each of them a trust anchor. With a
// revocation list, peers' certificates must be of the issuer whose list it is, and not on it.
[[nodiscard]] CredentialResult makeCredential(const CredentialSettings& settings);

}  // namespace p2pxbone
