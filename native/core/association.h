// DTLS associations between resource daemons: a machine without sockets, threads or clock.
//
// One association per peer endpoint. Inside it, the first byte of a record says what it is: 0x01 keep-alive request,
// 0x02 keep-alive answer (both handled here, padded to probe the path MTU), 0x08 a VXLAN packet (handed up), 0x80 and
// above a control message (handed up).
//
// Not thread safe: owned by the control thread, which calls handle*/tick and then drains pollTransmit and pollEvent.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/endpoint.h"

namespace p2pxbone {

// Monotonic time, milliseconds.
using Millis = int64_t;
using AssociationId = uint32_t;  // never 0

// Largest control message, bytes: passes every path that carries IPv6.
inline constexpr size_t controlBytesMax = 1100;

enum class DownReason : uint8_t { closed, peerClosed, peerSilent, handshakeTimeout, handshakeRefused, replaced };
enum class Role : uint8_t { client, server };
enum class Cipher : uint8_t { aes128Gcm, aes256Gcm, chacha20Poly1305 };

// Under what a daemon answers and starts handshakes for one virtual Internet.
struct CredentialSettings {
  std::string serverName;
  std::string certificatePem;
  std::string privateKeyPem;
  std::string caPem;
  std::vector<Cipher> ciphers;  // best first
  Millis rekey = 3'600'000;     // keys are changed at least so often
  std::string crlPem;           // empty: none
};

struct AssociationSettings {
  Millis keepAlive = 500;
  Millis silence = 2000;
  Millis handshakeTimeout = 5000;
  // Associations, half-open ones included; a further one is refused and counted.
  size_t associationsMax = 4096;
  // Unfinished handshakes that we began, and those that others began, so that strangers cannot keep us from our peers;
  // and of the latter, those from one host: an IPv4 address or an IPv6 /64.
  size_t handshakesOutMax = 256;
  size_t handshakesInMax = 256;
  size_t handshakesPerHostMax = 16;
  // Largest UDP payload worth probing for, bytes. What a path of 1280 carries is taken for granted.
  size_t payloadBytesLimit = 1472;
  // Of the jitter of keep-alives; drawn at random if absent.
  std::optional<uint64_t> seed;
};

struct Transmit {
  Endpoint peer;
  std::vector<uint8_t> datagram;
};

// `down` is told for an association that was announced by `up` or returned by associate; a stranger's handshake that
// fails is not heard of.
struct AssociationEvent {
  enum class Kind : uint8_t { up, down, mtu, moved, control, vxlan };
  Kind kind = Kind::up;
  AssociationId association = 0;
  Endpoint peer;
  Role role = Role::client;                    // up
  DownReason reason = DownReason::closed;      // down
  size_t payloadBytesMax = 0;                  // mtu
  std::string serverName;                      // up
  std::vector<uint8_t> bytes;                  // up: peer certificate, DER; control and vxlan: the message
};

struct AssociationState {
  AssociationId association = 0;
  Endpoint peer;
  bool up = false;
  double rttMs = -1;  // negative before the first answer
  size_t payloadBytesMax = 0;
  std::optional<Cipher> cipher;  // once up
  Millis keysAge = 0;            // since the present keys were made
  uint64_t rekeys = 0;
};

// Datagrams and records that were not acted upon, by cause. Counted, never answered.
struct AssociationDrops {
  uint64_t notDtls = 0;
  uint64_t unknownPeer = 0;       // a record that belongs to no association and is no ClientHello
  uint64_t badRecord = 0;         // failed to decrypt, malformed, replayed
  uint64_t badContent = 0;        // first byte inside the record is none of ours
  uint64_t tableFull = 0;
  // A ClientHello for a VI that is not here. The one that is answered, with an alert, and only once its cookie is good.
  uint64_t unknownServerName = 0;
};

class AssociationMachine {
 public:
  explicit AssociationMachine(AssociationSettings settings);
  ~AssociationMachine();
  AssociationMachine(const AssociationMachine&) = delete;
  AssociationMachine& operator=(const AssociationMachine&) = delete;

  // Empty on success, else what is wrong with the certificate, key or issuer.
  [[nodiscard]] std::optional<std::string> setCredential(const std::string& serverName, const std::string& certificatePem,
                                                         const std::string& privateKeyPem, const std::string& caPem);
  void removeCredential(const std::string& serverName);

  // The existing association with that peer, or a new one; nullopt if there is no such credential or the table is full.
  [[nodiscard]] std::optional<AssociationId> associate(const Endpoint& peer, const std::string& serverName, Millis now);
  // A control message (first byte 0x80 or above, at most controlBytesMax) or a VXLAN packet (first byte 0x08). False if
  // there is no such association, it is not up, or the message is neither or does not fit one datagram of the path.
  [[nodiscard]] bool send(AssociationId association, std::span<const uint8_t> message, Millis now);
  void close(AssociationId association, Millis now);
  void closeAll(Millis now);

  void handleDatagram(const Endpoint& from, std::span<const uint8_t> datagram, Millis now);
  void tick(Millis now);
  // When tick wants to be called next; nullopt if never.
  [[nodiscard]] std::optional<Millis> deadline() const;

  [[nodiscard]] std::optional<Transmit> pollTransmit();
  [[nodiscard]] std::optional<AssociationEvent> pollEvent();

  [[nodiscard]] std::vector<AssociationState> states() const;
  [[nodiscard]] const AssociationDrops& drops() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2pxbone
