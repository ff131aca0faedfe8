#include "core/record_keys.h"

#include <algorithm>

namespace p2pxbone {
namespace {

constexpr size_t associatedBytes = 13;
constexpr size_t saltBytes = 4;

struct Nonce {
  std::array<uint8_t, aeadNonceBytes> bytes;
};

// `record` has a header. GCM: salt and what the record carries (RFC 5288 §3); ChaCha20-Poly1305: epoch and number laid
// over the whole (RFC 7905 §2).
Nonce nonceOf(Cipher cipher, const DirectionKeys& keys, const uint8_t* record) {
  Nonce nonce{keys.fixedNonce};
  if (cipher == Cipher::chacha20Poly1305) {
    for (size_t i = 0; i < 8; i++) nonce.bytes[saltBytes + i] = static_cast<uint8_t>(nonce.bytes[saltBytes + i] ^ record[3 + i]);
  } else {
    std::copy_n(record + recordHeaderBytes, recordExplicitNonceBytes, &nonce.bytes[saltBytes]);
  }
  return nonce;
}

// RFC 5246 §6.2.3.3 with RFC 6347's epoch and number: those, type, version, length of the content.
std::array<uint8_t, associatedBytes> associatedOf(const uint8_t* record, size_t contentBytes) {
  std::array<uint8_t, associatedBytes> associated;
  std::copy_n(record + 3, 8, associated.begin());
  std::copy_n(record, 3, &associated[8]);
  storeBe16(&associated[11], static_cast<uint16_t>(contentBytes));
  return associated;
}

constexpr size_t prefixBytes(Cipher cipher) { return recordOverheadBytes(cipher) - recordTagBytes; }

}  // namespace

SendingKeys::SendingKeys(Cipher cipher, const DirectionKeys& keys, uint64_t firstNumber, uint64_t recordsMax)
    : cipher_(cipher),
      aead_(makeAead(cipher, keys.key)),
      keys_(keys),
      first_(firstNumber),
      end_(firstNumber + recordsMax),
      next_(firstNumber) {}

size_t SendingKeys::seal(uint8_t type, std::span<const uint8_t> content, std::span<uint8_t> to) const {
  const size_t bytes = content.size() + recordOverheadBytes(cipher_);
  if (content.size() > recordContentBytesMax || to.size() < bytes) return 0;
  const uint64_t number = next_.fetch_add(1, std::memory_order_relaxed);
  if (number >= end_) return 0;
  to[0] = type;
  to[1] = dtlsMajor;
  to[2] = dtls12Minor;
  storeBe16(&to[3], epochProtected);
  storeBe16(&to[5], static_cast<uint16_t>(number >> 32));
  storeBe32(&to[7], static_cast<uint32_t>(number));
  storeBe16(&to[11], static_cast<uint16_t>(bytes - recordHeaderBytes));
  if (cipher_ != Cipher::chacha20Poly1305) std::copy_n(&to[3], recordExplicitNonceBytes, &to[recordHeaderBytes]);
  const Nonce nonce = nonceOf(cipher_, keys_, to.data());
  const auto associated = associatedOf(to.data(), content.size());
  const auto tag = to.subspan(bytes - recordTagBytes).first<recordTagBytes>();
  return aead_->seal(nonce.bytes, associated, content, &to[prefixBytes(cipher_)], tag) ? bytes : 0;
}

ReceivingKeys::ReceivingKeys(Cipher cipher, const DirectionKeys& keys)
    : cipher_(cipher), aead_(makeAead(cipher, keys.key)), keys_(keys) {}

ReceivingKeys::Outcome ReceivingKeys::open(std::span<uint8_t> record, bool restore, std::span<uint8_t>& content) {
  const size_t overhead = recordOverheadBytes(cipher_);
  if (record.size() < overhead || record.size() - overhead > recordContentBytesMax || epochOf(record) != epochProtected) {
    return Outcome::forged;
  }
  const uint64_t number = recordNumberOf(record);
  if (!window_.fresh(number)) return Outcome::replayed;
  const Nonce nonce = nonceOf(cipher_, keys_, record.data());
  const auto associated = associatedOf(record.data(), record.size() - overhead);
  content = record.subspan(prefixBytes(cipher_), record.size() - overhead);
  const auto tag = record.last<recordTagBytes>();
  if (!aead_->open(nonce.bytes, associated, content, content.data(), tag)) {
    // All three are stream ciphers: sealing what was opened gives back what had been there.
    std::array<uint8_t, recordTagBytes> unused;
    if (restore) (void)aead_->seal(nonce.bytes, associated, content, content.data(), unused);
    return Outcome::forged;
  }
  window_.mark(number);
  records_.add();
  return Outcome::opened;
}

}  // namespace p2pxbone
