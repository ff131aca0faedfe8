// One DTLS handshake over OpenSSL: datagrams in, datagrams and at last keys out, no socket and no clock. OpenSSL does
// nothing else: after the handshake its state is dropped, and records are the record layer's (core/record_keys.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/association_hello.h"
#include "core/credential.h"

namespace p2pxbone {

// Datagram boundaries for OpenSSL: every read is one datagram, every write is one datagram.
struct DatagramPipe {
  std::span<const uint8_t> incoming;  // empty: nothing to read
  bool peeking = false;
  std::vector<std::vector<uint8_t>> outgoing;
};

// What a handshake leaves.
struct SessionOutcome {
  KeyBlock keys;
  // Of the first record that the record layer may send: OpenSSL has used those below, for its Finished.
  uint64_t firstRecordNumber = 0;
  std::vector<uint8_t> peerCertificate;  // DER
  std::vector<uint8_t> peerPublicKey;    // DER, SubjectPublicKeyInfo
  // Until the first of both ends' certificates expires, by the clock of this machine, by which OpenSSL has checked them.
  int64_t secondsLeft = 0;
};

class Session {
 public:
  enum class Progress : uint8_t { waiting, done, failed };

  // nullptr if OpenSSL cannot make one. The first flight is in takeOutgoing().
  [[nodiscard]] static std::unique_ptr<Session> connect(std::shared_ptr<const Credential> credential);
  // `clientHello` is a datagram whose cookie has been checked. nullptr if OpenSSL rejects it.
  [[nodiscard]] static std::unique_ptr<Session> accept(std::shared_ptr<const Credential> credential,
                                                       std::span<const uint8_t> clientHello);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // False for what OpenSSL must not see: see isWhole.
  [[nodiscard]] bool accepts(std::span<const uint8_t> datagram) const;
  // Only before it answers done or failed.
  [[nodiscard]] Progress handshake(std::span<const uint8_t> datagram);
  // Once, when it is done.
  [[nodiscard]] SessionOutcome takeOutcome();

  [[nodiscard]] bool hasOutgoing() const { return !pipe_.outgoing.empty(); }
  // Writes the last flight once more, in fresh records where it is not encrypted.
  void resendFlight();
  [[nodiscard]] bool hasFlight() const { return !flight_.empty(); }
  void forgetFlight() { flight_.clear(); }

  [[nodiscard]] std::vector<std::vector<uint8_t>> takeOutgoing();

  [[nodiscard]] Progress progress() const { return progress_; }
  [[nodiscard]] const HelloRandom& clientRandom() const { return clientRandom_; }
  [[nodiscard]] const Credential& credential() const { return *credential_; }

 private:
  explicit Session(std::shared_ptr<const Credential> credential);
  [[nodiscard]] bool prepare();
  void step();
  // Takes what is needed out of OpenSSL and drops it. False if that cannot be had.
  [[nodiscard]] bool finish();
  void renumber(std::span<uint8_t> datagram);

  std::shared_ptr<const Credential> credential_;
  DatagramPipe pipe_;
  SslPtr ssl_;
  Progress progress_ = Progress::waiting;
  HelloRandom clientRandom_{};
  // Datagrams of the last flight as OpenSSL wrote them.
  std::vector<std::vector<uint8_t>> flight_;
  uint64_t nextRecordNumber_ = 0;
  SessionOutcome outcome_;
};

}  // namespace p2pxbone
