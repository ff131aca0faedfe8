#include "gateway/quic_initial.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <string_view>

#include "core/credential_handle.h"
#include "gateway/byte_cursor.h"

namespace p2pxbone::gateway {
namespace {

using Salt = std::array<uint8_t, 20>;
using Secret = std::array<uint8_t, 32>;
using ContextPtr = std::unique_ptr<EVP_CIPHER_CTX, OpensslDelete<EVP_CIPHER_CTX_free>>;

constexpr uint32_t kVersion1 = 1;
constexpr uint32_t kVersion2 = 0x6b3343cf;
constexpr uint32_t kDraft23 = 0xff000017;
constexpr uint32_t kDraft29 = 0xff00001d;
constexpr uint32_t kDraft33 = 0xff000021;
constexpr uint32_t kDraft34 = 0xff000022;

// RFC 9001 §5.2, RFC 9369 §3.3.1, and the drafts that were deployed.
constexpr Salt kSalt1{0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17,
                      0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb, 0x7f, 0x0a};
constexpr Salt kSalt2{0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93,
                      0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd, 0x2e, 0xd9};
constexpr Salt kSaltDraft29{0xaf, 0xbf, 0xec, 0x28, 0x99, 0x93, 0xd2, 0x4c, 0x9e, 0x97,
                            0x86, 0xf1, 0x9c, 0x61, 0x11, 0xe0, 0x43, 0x90, 0xa8, 0x99};
constexpr Salt kSaltDraft23{0xc3, 0xee, 0xf7, 0x12, 0xc7, 0x2e, 0xbb, 0x5a, 0x11, 0xa7,
                            0xd2, 0x43, 0x2b, 0xb4, 0x63, 0x65, 0xbe, 0xf9, 0xf5, 0x02};

constexpr size_t kSampleBytes = 16;
constexpr size_t kTagBytes = 16;
constexpr size_t kNumberBytesMax = 4;

const Salt* saltOf(uint32_t version) {
  if (version == kVersion1 || version == kDraft33 || version == kDraft34) return &kSalt1;
  if (version == kVersion2) return &kSalt2;
  if (version >= kDraft29 && version < kDraft33) return &kSaltDraft29;
  if (version >= kDraft23 && version < kDraft29) return &kSaltDraft23;
  return nullptr;
}

bool hmac(std::span<const uint8_t> key, std::span<const uint8_t> data, Secret& out) {
  static const EVP_MD* const sha256 = EVP_sha256();
  unsigned length = 0;
  return HMAC(sha256, key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(), &length) !=
             nullptr &&
         length == out.size();
}

// HKDF-Expand-Label of TLS 1.3 with an empty context, for at most one block.
bool expandLabel(const Secret& secret, std::string_view label, std::span<uint8_t> out) {
  std::vector<uint8_t> info{0, static_cast<uint8_t>(out.size()), static_cast<uint8_t>(6 + label.size())};
  constexpr std::string_view prefix = "tls13 ";
  info.insert(info.end(), prefix.begin(), prefix.end());
  info.insert(info.end(), label.begin(), label.end());
  info.push_back(0);
  info.push_back(1);
  Secret block;
  if (!hmac(secret, info, block)) return false;
  std::copy_n(block.begin(), out.size(), out.begin());
  return true;
}

// Making one takes longer than opening a packet.
EVP_CIPHER_CTX* threadContext() {
  thread_local const ContextPtr context(EVP_CIPHER_CTX_new());
  return context.get();
}

bool headerMask(const QuicInitialKeys& keys, std::span<const uint8_t> sample, std::array<uint8_t, 16>& mask) {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-128-ECB", nullptr);
  EVP_CIPHER_CTX* const context = threadContext();
  int written = 0;
  return cipher != nullptr && context != nullptr &&
         EVP_EncryptInit_ex2(context, cipher, keys.headerProtection.data(), nullptr, nullptr) == 1 &&
         EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
         EVP_EncryptUpdate(context, mask.data(), &written, sample.data(), static_cast<int>(sample.size())) == 1 &&
         static_cast<size_t>(written) == mask.size();
}

bool openGcm(const QuicInitialKeys& keys, std::span<const uint8_t> nonce, std::span<const uint8_t> associated,
             std::span<const uint8_t> sealed, std::vector<uint8_t>& out) {
  static EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  EVP_CIPHER_CTX* const context = threadContext();
  const std::span<const uint8_t> content = sealed.first(sealed.size() - kTagBytes);
  std::array<uint8_t, kTagBytes> tag;
  std::copy_n(sealed.end() - kTagBytes, kTagBytes, tag.begin());
  out.resize(content.size() + 1);
  int written = 0;
  int rest = 0;
  if (cipher == nullptr || context == nullptr ||
      EVP_DecryptInit_ex2(context, cipher, keys.key.data(), nonce.data(), nullptr) != 1 ||
      EVP_DecryptUpdate(context, nullptr, &rest, associated.data(), static_cast<int>(associated.size())) != 1 ||
      EVP_DecryptUpdate(context, out.data(), &written, content.data(), static_cast<int>(content.size())) != 1 ||
      EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) != 1 ||
      EVP_DecryptFinal_ex(context, out.data() + written, &rest) != 1) {
    return false;
  }
  out.resize(content.size());
  return true;
}

}  // namespace

std::optional<QuicLongHeader> parseQuicLongHeader(std::span<const uint8_t> datagram) {
  ByteCursor cursor(datagram);
  const uint8_t first = cursor.u8();
  QuicLongHeader header;
  header.version = cursor.be32();
  // Form and fixed bit.
  if (first < 0xc0 || saltOf(header.version) == nullptr) return std::nullopt;
  for (std::span<const uint8_t>* id : {&header.destination, &header.source}) {
    const uint8_t length = cursor.u8();
    if (length > kConnectionIdBytesMax) return std::nullopt;
    *id = cursor.bytes(length);
  }
  const uint8_t type = (first >> 4) & 3;
  header.initial = type == (header.version == kVersion2 ? 1 : 0);
  if (!cursor.good()) return std::nullopt;
  if (!header.initial) return header;
  const uint64_t tokenBytes = cursor.quicInteger();
  if (tokenBytes > cursor.left()) return std::nullopt;
  cursor.skip(static_cast<size_t>(tokenBytes));
  const uint64_t length = cursor.quicInteger();
  if (!cursor.good() || length > cursor.left() || length < kNumberBytesMax + kSampleBytes) return std::nullopt;
  header.numberOffset = datagram.size() - cursor.left();
  header.bytes = header.numberOffset + static_cast<size_t>(length);
  return header;
}

std::optional<QuicInitialKeys> clientInitialKeys(uint32_t version, std::span<const uint8_t> destination) {
  const Salt* const salt = saltOf(version);
  if (salt == nullptr) return std::nullopt;
  const bool second = version == kVersion2;
  Secret initial;
  Secret client;
  QuicInitialKeys keys;
  if (!hmac(*salt, destination, initial) || !expandLabel(initial, "client in", client) ||
      !expandLabel(client, second ? "quicv2 key" : "quic key", keys.key) ||
      !expandLabel(client, second ? "quicv2 iv" : "quic iv", keys.iv) ||
      !expandLabel(client, second ? "quicv2 hp" : "quic hp", keys.headerProtection)) {
    return std::nullopt;
  }
  return keys;
}

std::optional<std::vector<uint8_t>> openQuicInitial(std::span<const uint8_t> datagram, const QuicLongHeader& header,
                                                    const QuicInitialKeys& keys) {
  std::array<uint8_t, 16> mask;
  const std::span<const uint8_t> sample = datagram.subspan(header.numberOffset + kNumberBytesMax, kSampleBytes);
  if (!headerMask(keys, sample, mask)) return std::nullopt;
  std::vector<uint8_t> associated(datagram.begin(), datagram.begin() + static_cast<ptrdiff_t>(header.numberOffset));
  associated[0] = static_cast<uint8_t>(associated[0] ^ (mask[0] & 0x0f));
  const size_t numberBytes = (associated[0] & 3) + size_t{1};
  // Packet numbers of a first flight are small, so what is left out of this one is zero.
  std::array<uint8_t, 12> nonce = keys.iv;
  for (size_t i = 0; i < numberBytes; ++i) {
    const auto byte = static_cast<uint8_t>(datagram[header.numberOffset + i] ^ mask[1 + i]);
    associated.push_back(byte);
    nonce[nonce.size() - numberBytes + i] ^= byte;
  }
  const std::span<const uint8_t> sealed = datagram.first(header.bytes).subspan(header.numberOffset + numberBytes);
  std::vector<uint8_t> frames;
  if (sealed.size() < kTagBytes || !openGcm(keys, nonce, associated, sealed, frames)) return std::nullopt;
  return frames;
}

}  // namespace p2pxbone::gateway
