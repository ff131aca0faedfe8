// DTLS associations between resource daemons: a machine without sockets, threads or clock.
//
// One association per peer endpoint. Inside it, the first byte of a record says what it is: 0x01 keep-alive request,
// 0x02 keep-alive answer (both handled here, padded to probe the path MTU), 0x03 announcement of new keys, 0x04 its
// answer, 0x08 a VXLAN packet (the packet path's), 0x80 and above a control message (handed up).
//
// Records of an association that is up are opened by the underlay's reader (core/secure_arrivals.h) and come here
// through handleRecord; handshakes come as datagrams. Not thread safe: owned by the control thread, which calls handle*
// and tick and then takes what there is to publish, to free, to send and to tell.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/cipher.h"
#include "core/endpoint.h"
#include "core/handshake_budget.h"
#include "core/millis.h"

namespace p2pxbone {

using AssociationId = uint32_t;  // never 0

// Largest control message, bytes: passes every path that carries IPv6.
inline constexpr size_t controlBytesMax = 1100;

enum class DownReason : uint8_t { closed, peerClosed, peerSilent, handshakeTimeout, handshakeRefused, replaced, expired };
enum class Role : uint8_t { client, server };

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
  // After an unencrypted alert, which may be forged, a handshake has at most 2 s left.
  Millis handshakeTimeout = 5000;
  // Associations, half-open ones included; a further one is refused and counted.
  size_t associationsMax = 4096;
  // Of those that are up, with one peer as its certificate's key tells it; with a further one, the one that has been silent
  // for longest ends, as replaced. A peer has one, and for a while some more when it has moved or started anew.
  size_t associationsPerPeerMax = 8;
  // See core/handshake_budget.h.
  size_t handshakesOutMax = kHandshakesOutMax;
  size_t handshakesInMax = kHandshakesInMax;
  size_t handshakesPerHostMax = kHandshakesOfHostMax;
  int64_t hostAnswersPerSecond = kHostAnswersPerSecondMax;
  int64_t hostAnswersBurst = kHostAnswersBurstMax;
  int64_t hostHandshakesPerSecond = kHostHandshakesPerSecondMax;
  int64_t hostHandshakesBurst = kHostHandshakesBurstMax;
  // Records that one key may protect. The limits of AES-GCM (RFC 9147 §4.5.3) and ChaCha20-Poly1305 lie far beyond for
  // records of our size; keys are changed at the half of this, and not used beyond it.
  uint64_t recordsMax = uint64_t{1} << 31;
  // Keys are not used for longer, even if they cannot be changed.
  Millis keyLifeMax = 3'600'000;
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
  enum class Kind : uint8_t { up, down, mtu, moved, control, measured };
  Kind kind = Kind::up;
  AssociationId association = 0;
  Endpoint peer;
  Role role = Role::client;                    // up
  DownReason reason = DownReason::closed;      // down
  size_t payloadBytesMax = 0;                  // mtu
  double rttMs = -1;                           // measured; negative: no answer
  double bitsPerSecond = -1;                   // measured; negative: not asked for, or no estimate
  std::string serverName;                      // up
  std::vector<uint8_t> bytes;                  // up: peer certificate, DER; control: the message
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
  uint64_t plainAlert = 0;        // an unencrypted alert; OpenSSL is not told
  uint64_t badContent = 0;        // first byte inside the record is none of ours
  uint64_t tableFull = 0;
  // A ClientHello for a VI that is not here. The one that is answered, with an alert, and only once its cookie is good.
  uint64_t unknownServerName = 0;
  uint64_t handshakeLimited = 0;
  uint64_t replayed = 0;
  uint64_t tooEarly = 0;  // a VXLAN packet in an association that nobody has been told of
};

class ChannelDirectory;
class SecureChannel;
struct ControlRecord;

class AssociationMachine {
 public:
  explicit AssociationMachine(AssociationSettings settings);
  ~AssociationMachine();
  AssociationMachine(const AssociationMachine&) = delete;
  AssociationMachine& operator=(const AssociationMachine&) = delete;

  // Empty on success, else what is wrong with the certificate, key or issuer.
  [[nodiscard]] std::optional<std::string> setCredential(const CredentialSettings& settings);
  void removeCredential(const std::string& serverName, Millis now);

  // The existing association with that peer, or a new one; nullopt if there is no such credential or the table is full.
  [[nodiscard]] std::optional<AssociationId> associate(const Endpoint& peer, const std::string& serverName, Millis now);
  // A control message (first byte 0x80 or above, at most controlBytesMax). False if there is no such association, it is
  // not up, or the message is none or does not fit one datagram of the path.
  [[nodiscard]] bool send(AssociationId association, std::span<const uint8_t> message, Millis now);
  // Measures the path (core/path_measurement.h) and tells by an event, unless the association ends before. False if there
  // is no such association, it is not up, or a measurement is going on.
  [[nodiscard]] bool measure(AssociationId association, bool capacity, Millis now);
  void close(AssociationId association, Millis now);
  void closeAll(Millis now);

  // Null if there is no such association. It exists before the association is up, and has keys while it is.
  [[nodiscard]] std::shared_ptr<SecureChannel> channel(AssociationId association) const;

  // Handshake records, and records of a handshake's peer that came before its end.
  void handleDatagram(const Endpoint& from, std::span<const uint8_t> datagram, Millis now);
  // What the reader opened; that a peer writes from another address; that it uses the keys last agreed upon.
  void handleRecord(const ControlRecord& record, std::span<const uint8_t> content, Millis now);
  void handleMoved(AssociationId association, const Endpoint& to, Millis now);
  void handleProven(AssociationId association, Millis now);
  void tick(Millis now);
  // When tick wants to be called next; nullopt if never.
  [[nodiscard]] std::optional<Millis> deadline() const;

  // The channels as they are now, if anything has changed since the last call. To be published before anything is sent:
  // until notePublished all records of a new association go to handleDatagram, and from then on none does.
  [[nodiscard]] std::shared_ptr<const ChannelDirectory> takeDirectory();
  void notePublished();
  // What the packet path may still hold, unlinked already.
  [[nodiscard]] std::vector<std::shared_ptr<const void>> takeRetired();
  [[nodiscard]] std::optional<Transmit> pollTransmit();
  [[nodiscard]] std::optional<AssociationEvent> pollEvent();

  [[nodiscard]] std::vector<AssociationState> states(Millis now) const;
  [[nodiscard]] const AssociationDrops& drops() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2pxbone
