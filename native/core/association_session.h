// One DTLS session over OpenSSL: datagrams in, datagrams and content out, no socket and no clock.
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

// Largest datagram that can hold a DTLS record, bytes.
inline constexpr size_t sessionDatagramBytesMax = 16'384 + 256 + recordHeaderBytes;

class Session {
 public:
  enum class Progress : uint8_t { waiting, done, failed };
  struct Content {
    enum class Kind : uint8_t { message, none, closed };
    Kind kind = Kind::none;
    size_t bytes = 0;
  };

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
  // After the handshake: offer a datagram, then read until none or closed.
  void offer(std::span<const uint8_t> datagram) { pipe_.incoming = datagram; }
  [[nodiscard]] Content read(std::span<uint8_t> content);
  [[nodiscard]] bool write(std::span<const uint8_t> content);
  // Writes close_notify if the handshake is done.
  void sayGoodbye();

  [[nodiscard]] bool hasOutgoing() const { return !pipe_.outgoing.empty(); }
  // Writes the last flight once more, in fresh records where it is not encrypted.
  void resendFlight();
  [[nodiscard]] bool hasFlight() const { return !flight_.empty(); }
  void forgetFlight() { flight_.clear(); }

  [[nodiscard]] std::vector<std::vector<uint8_t>> takeOutgoing();

  [[nodiscard]] Progress progress() const { return progress_; }
  [[nodiscard]] const HelloRandom& clientRandom() const { return clientRandom_; }
  [[nodiscard]] const Credential& credential() const { return *credential_; }
  // Bytes by which a datagram is larger than its content. Only after the handshake.
  [[nodiscard]] size_t overheadBytes() const;
  // DER. Only after the handshake.
  [[nodiscard]] std::vector<uint8_t> peerCertificate() const;

 private:
  explicit Session(std::shared_ptr<const Credential> credential);
  [[nodiscard]] bool prepare();
  void step();
  void renumber(std::span<uint8_t> datagram);

  std::shared_ptr<const Credential> credential_;
  DatagramPipe pipe_;
  SslPtr ssl_;
  Progress progress_ = Progress::waiting;
  HelloRandom clientRandom_{};
  // Datagrams of the last flight as OpenSSL wrote them.
  std::vector<std::vector<uint8_t>> flight_;
  uint64_t nextRecordNumber_ = 0;
};

}  // namespace p2pxbone
