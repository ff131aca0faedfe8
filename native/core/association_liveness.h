// Keep-alives of one association: when to ask, what was answered, how long it took, when the peer counts as gone.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "core/association.h"

namespace p2pxbone {

inline constexpr uint8_t contentKeepAliveRequest = 0x01;
inline constexpr uint8_t contentKeepAliveAnswer = 0x02;
// Request: kind, number (8 bytes, big-endian), padding.
inline constexpr size_t keepAliveRequestBytesMin = 9;

class Liveness {
 public:
  Liveness(const AssociationSettings& settings, std::minstd_rand& random, Millis now);

  // An authenticated record arrived.
  void received(Millis at) { receivedAt_ = std::max(receivedAt_, at); }
  [[nodiscard]] Millis receivedAt() const { return receivedAt_; }
  [[nodiscard]] bool silent(Millis now) const { return now >= receivedAt_ + silence_; }
  [[nodiscard]] bool askDue(Millis now) const { return now >= askAt(); }
  [[nodiscard]] Millis deadline() const { return std::min(receivedAt_ + silence_, askAt()); }
  // Draws the next interval; call it when askDue.
  void asked(Millis now);

  // Content that makes a datagram of `payloadBytes`, or the smallest there is. `overheadBytes`: of the session.
  [[nodiscard]] std::vector<uint8_t> request(size_t payloadBytes, size_t overheadBytes, Millis now);
  // Answer to a request that came in a datagram of `payloadBytes`; nullopt if the request is malformed.
  [[nodiscard]] static std::optional<std::vector<uint8_t>> answer(std::span<const uint8_t> request, size_t payloadBytes);
  // False if malformed. `payloadBytes` is set if it answers a request of ours of that UDP payload size.
  [[nodiscard]] bool answered(std::span<const uint8_t> answer, Millis now, std::optional<size_t>& payloadBytes);

  // Of the latest request.
  [[nodiscard]] uint64_t lastNumber() const { return lastNumber_; }
  // Which request an answer that is not malformed is to.
  [[nodiscard]] static uint64_t numberAnswered(std::span<const uint8_t> answer);

  [[nodiscard]] double rttMs() const { return rttMs_; }

 private:
  struct Asked {
    uint64_t number = 0;  // 0: none
    Millis at = 0;
    size_t payloadBytes = 0;
  };
  [[nodiscard]] Millis askAt() const { return std::max(receivedAt_, askedAt_) + interval_; }
  [[nodiscard]] Millis drawInterval();

  Millis keepAlive_;
  Millis silence_;
  std::minstd_rand& random_;
  Millis receivedAt_;
  Millis askedAt_;
  Millis interval_;
  double rttMs_ = -1;
  uint64_t lastNumber_ = 0;
  // More than one round of path probes asks.
  std::array<Asked, 64> unanswered_{};
};

}  // namespace p2pxbone
