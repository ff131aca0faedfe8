// Keys of one direction of one DTLS session, as the record layer uses them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "core/counters.h"
#include "core/key_block.h"
#include "core/record_format.h"
#include "core/replay_window.h"

namespace p2pxbone {

// Bytes by which a record is larger than its content.
[[nodiscard]] constexpr size_t recordOverheadBytes(Cipher cipher) {
  return recordHeaderBytes + recordTagBytes + (cipher == Cipher::chacha20Poly1305 ? 0 : recordExplicitNonceBytes);
}

// Shared by all threads that send: each record takes its number with one atomic addition.
class SendingKeys {
 public:
  // Records carry the numbers from `firstNumber` on, `recordsMax` of them at most.
  SendingKeys(Cipher cipher, const DirectionKeys& keys, uint64_t firstNumber, uint64_t recordsMax);

  // Bytes of the record written to `to`; 0 if the keys are used up or it has no room. `to` either does not overlap the
  // content or has it in its place: after the header and, for GCM, the explicit nonce.
  [[nodiscard]] size_t seal(uint8_t type, std::span<const uint8_t> content, std::span<uint8_t> to) const;

  [[nodiscard]] Cipher cipher() const { return cipher_; }
  // Records sealed so far.
  [[nodiscard]] uint64_t records() const { return next_.load(std::memory_order_relaxed) - first_; }

 private:
  const Cipher cipher_;
  const std::unique_ptr<Aead> aead_;
  const DirectionKeys keys_;
  const uint64_t first_;
  const uint64_t end_;
  alignas(64) mutable std::atomic<uint64_t> next_;
};

// Used by one thread, the reader; others may ask for the counts.
class ReceivingKeys {
 public:
  ReceivingKeys(Cipher cipher, const DirectionKeys& keys);

  enum class Outcome : uint8_t { opened, forged, replayed };
  // Opens the whole record in place and gives where its content stands. If it is forged, `restore` says whether the
  // bytes are needed as they were.
  [[nodiscard]] Outcome open(std::span<uint8_t> record, bool restore, std::span<uint8_t>& content);
  // Whether the record's number is higher than that of every record opened.
  [[nodiscard]] bool isNewest(std::span<const uint8_t> record) const { return window_.newest(recordNumberOf(record)); }
  [[nodiscard]] bool unused() const { return window_.empty(); }

  [[nodiscard]] Cipher cipher() const { return cipher_; }
  [[nodiscard]] uint64_t records() const { return records_.get(); }

 private:
  const Cipher cipher_;
  const std::unique_ptr<Aead> aead_;
  const DirectionKeys keys_;
  ReplayWindow window_;
  Counter records_;
};

}  // namespace p2pxbone
