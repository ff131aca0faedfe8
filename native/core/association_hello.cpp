#include "core/association_hello.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <algorithm>

namespace p2pxbone {
namespace {

constexpr uint8_t dtls10Minor = 0xff;
constexpr uint8_t messageClientHello = 1;
constexpr uint8_t messageHelloVerifyRequest = 3;
constexpr size_t messageHeaderBytes = 12;
constexpr uint16_t extensionServerName = 0;
constexpr uint8_t nameTypeHost = 0;
constexpr int64_t secretLifeMs = 60'000;

// Takes bytes off the front; after the first shortage everything it gives is empty and `ok` stays false.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  std::span<const uint8_t> take(size_t count) {
    if (count > rest_.size()) ok_ = false;
    if (!ok_) return {};
    const auto taken = rest_.first(count);
    rest_ = rest_.subspan(count);
    return taken;
  }
  // Big-endian, at most 4 bytes.
  uint32_t number(size_t bytes) {
    uint32_t value = 0;
    for (const uint8_t byte : take(bytes)) value = (value << 8) | byte;
    return value;
  }
  std::span<const uint8_t> vector(size_t lengthBytes) { return take(number(lengthBytes)); }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool empty() const { return rest_.empty(); }

 private:
  std::span<const uint8_t> rest_;
  bool ok_ = true;
};

// RFC 6066 §3. False if malformed; the name stays empty if there is no such extension.
bool readServerName(std::span<const uint8_t> extensions, std::string& name) {
  Reader reader(extensions);
  while (reader.ok() && !reader.empty()) {
    const uint32_t type = reader.number(2);
    const auto body = reader.vector(2);
    if (type != extensionServerName) continue;
    Reader list(body);
    Reader entry(list.vector(2));
    const bool isHost = entry.number(1) == nameTypeHost;
    const auto host = entry.vector(2);
    if (!list.ok() || !entry.ok() || !isHost || !name.empty()) return false;
    name.assign(host.begin(), host.end());
  }
  return reader.ok();
}

void append(std::vector<uint8_t>& out, std::initializer_list<uint8_t> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

// The record number of the ClientHello is used for the answer, which needs no memory (RFC 6347 §4.2.1).
std::vector<uint8_t> record(uint8_t type, uint8_t minor, const ClientHello& hello, size_t length) {
  std::vector<uint8_t> out{type, dtlsMajor, minor, 0, 0};
  out.insert(out.end(), hello.recordSequence.begin(), hello.recordSequence.end());
  append(out, {0, static_cast<uint8_t>(length)});
  return out;
}

}  // namespace

bool isWhole(std::span<const uint8_t> dtls, size_t encryptedBytesMin) {
  while (!dtls.empty()) {
    const size_t bytes = recordBytes(dtls);
    if (bytes == 0 || !isDtls(dtls)) return false;
    if (epochOf(dtls) != 0 && bytes < recordHeaderBytes + encryptedBytesMin) return false;
    dtls = dtls.subspan(bytes);
  }
  return true;
}

bool holdsPlainAlert(std::span<const uint8_t> dtls) {
  for (size_t bytes = recordBytes(dtls); bytes != 0; bytes = recordBytes(dtls)) {
    if (epochOf(dtls) == 0 && contentTypeOf(dtls) == contentAlert) return true;
    dtls = dtls.subspan(bytes);
  }
  return false;
}

bool isClientHello(std::span<const uint8_t> dtls) {
  return contentTypeOf(dtls) == contentHandshake && epochOf(dtls) == 0 && dtls.size() > recordHeaderBytes &&
         dtls[recordHeaderBytes] == messageClientHello;
}

std::optional<ClientHello> parseClientHello(std::span<const uint8_t> dtls) {
  ClientHello hello;
  std::copy_n(dtls.begin() + 5, hello.recordSequence.size(), hello.recordSequence.begin());
  Reader datagram(dtls.subspan(recordHeaderBytes - 2));
  Reader message(datagram.vector(2));
  const uint32_t type = message.number(1);
  const uint32_t length = message.number(3);
  message.take(2);
  const uint32_t fragmentOffset = message.number(3);
  const uint32_t fragmentLength = message.number(3);
  Reader body(message.take(fragmentLength));
  if (!datagram.ok() || !message.ok()) return std::nullopt;
  if (type != messageClientHello || fragmentOffset != 0 || fragmentLength != length) return std::nullopt;

  body.take(2);
  const auto random = body.take(hello.random.size());
  body.vector(1);
  hello.cookie = body.vector(1);
  body.vector(2);
  body.vector(1);
  const auto extensions = body.empty() ? std::span<const uint8_t>() : body.vector(2);
  if (!body.ok() || !readServerName(extensions, hello.serverName)) return std::nullopt;
  std::copy(random.begin(), random.end(), hello.random.begin());
  return hello;
}

std::vector<uint8_t> helloVerifyRequest(const ClientHello& hello, const Cookie& cookie) {
  static constexpr size_t bodyBytes = 3 + std::tuple_size_v<Cookie>;
  // RFC 6347 §4.2.1: the version here is 1.0 whatever will be negotiated.
  std::vector<uint8_t> out = record(contentHandshake, dtls10Minor, hello, messageHeaderBytes + bodyBytes);
  append(out, {messageHelloVerifyRequest, 0, 0, bodyBytes, 0, 0, 0, 0, 0, 0, 0, bodyBytes});
  append(out, {dtlsMajor, dtls10Minor, static_cast<uint8_t>(cookie.size())});
  out.insert(out.end(), cookie.begin(), cookie.end());
  return out;
}

std::vector<uint8_t> unrecognizedNameAlert(const ClientHello& hello) {
  static constexpr uint8_t fatal = 2;
  static constexpr uint8_t unrecognizedName = 112;
  std::vector<uint8_t> out = record(contentAlert, dtls12Minor, hello, 2);
  append(out, {fatal, unrecognizedName});
  return out;
}

static std::optional<Cookie> sign(const std::array<uint8_t, 32>& secret, const Endpoint& peer, const HelloRandom& random) {
  std::array<uint8_t, 16 + 2 + 32> input{};
  auto end = std::copy(peer.ip.begin(), peer.ip.end(), input.begin());
  *end++ = static_cast<uint8_t>(peer.port >> 8);
  *end++ = static_cast<uint8_t>(peer.port & 0xff);
  std::copy(random.begin(), random.end(), end);
  Cookie cookie{};
  unsigned int length = 0;
  const unsigned char* done = HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), input.data(), input.size(),
                                   cookie.data(), &length);
  if (done == nullptr || length != cookie.size()) return std::nullopt;
  return cookie;
}

CookieJar::CookieJar() = default;

void CookieJar::rotate(int64_t now) {
  if (current_ && now - rotatedAt_ < secretLifeMs) return;
  previous_ = current_ && now - rotatedAt_ < 2 * secretLifeMs ? current_ : std::nullopt;
  Secret fresh{};
  current_ = std::nullopt;
  if (RAND_bytes(fresh.data(), static_cast<int>(fresh.size())) == 1) current_ = fresh;
  rotatedAt_ = now;
}

std::optional<Cookie> CookieJar::make(const Endpoint& peer, const HelloRandom& random, int64_t now) {
  rotate(now);
  if (!current_) return std::nullopt;
  return sign(*current_, peer, random);
}

bool CookieJar::valid(const Endpoint& peer, const HelloRandom& random, std::span<const uint8_t> cookie, int64_t now) {
  rotate(now);
  for (const auto& secret : {current_, previous_}) {
    const auto expected = secret ? sign(*secret, peer, random) : std::nullopt;
    if (!expected || cookie.size() != expected->size()) continue;
    if (CRYPTO_memcmp(cookie.data(), expected->data(), expected->size()) == 0) return true;
  }
  return false;
}

}  // namespace p2pxbone
