// What a DTLS server says before it remembers anything (RFC 6347 §4.2.1): reads a ClientHello, hands out and checks
// cookies, refuses. Everything here is stateless towards the peer.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/endpoint.h"
#include "core/key_block.h"
#include "core/record_format.h"

namespace p2pxbone {

using Cookie = std::array<uint8_t, 32>;

// Spans point into the datagram it was read from.
struct ClientHello {
  std::array<uint8_t, 6> recordSequence{};
  HelloRandom random{};
  std::span<const uint8_t> cookie;
  std::string serverName;  // empty if none was sent
};

// Whether the datagram is a sequence of whole records, the encrypted ones of at least `encryptedBytesMin`. OpenSSL 3.0
// takes a record too short for its nonce and tag for an internal error and gives up the session, though anyone can send it.
[[nodiscard]] bool isWhole(std::span<const uint8_t> dtls, size_t encryptedBytesMin);

// Whether there is an unencrypted alert among the records of a datagram that is whole.
[[nodiscard]] bool holdsPlainAlert(std::span<const uint8_t> dtls);

// Whether the first record is unencrypted and begins with a handshake message of type ClientHello, well formed or not.
[[nodiscard]] bool isClientHello(std::span<const uint8_t> dtls);
// nullopt if malformed or fragmented: ours fit one datagram, and a stateless answer cannot wait for the rest.
[[nodiscard]] std::optional<ClientHello> parseClientHello(std::span<const uint8_t> dtls);

[[nodiscard]] std::vector<uint8_t> helloVerifyRequest(const ClientHello& hello, const Cookie& cookie);
// Fatal alert `unrecognized_name` (RFC 6066 §3), unencrypted.
[[nodiscard]] std::vector<uint8_t> unrecognizedNameAlert(const ClientHello& hello);

// Cookies bound to an endpoint and a ClientHello random, under a secret that changes every minute.
class CookieJar {
 public:
  CookieJar();
  // nullopt if OpenSSL has no randomness or no SHA-256.
  [[nodiscard]] std::optional<Cookie> make(const Endpoint& peer, const HelloRandom& random, int64_t now);
  // A cookie is good for one to two minutes.
  [[nodiscard]] bool valid(const Endpoint& peer, const HelloRandom& random, std::span<const uint8_t> cookie, int64_t now);

 private:
  using Secret = std::array<uint8_t, 32>;
  void rotate(int64_t now);

  std::optional<Secret> current_;
  std::optional<Secret> previous_;
  int64_t rotatedAt_ = 0;
};

}  // namespace p2pxbone
