#include "core/association_session.h"

#include <openssl/err.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace p2pxbone {
namespace {

constexpr size_t recordNumberOffset = 5;
constexpr size_t recordNumberBytes = 6;
// Calls OpenSSL needs at most to digest what one datagram can hold: it returns early after a misplaced record.
constexpr int stepsMax = 16;
// OpenSSL counts retransmission time with the wall clock; ours is an argument. So its timer is set beyond any
// handshake, and flights are kept here.
constexpr unsigned int openSslTimerUs = 3'600'000'000U;

unsigned int neverSoon(SSL*, unsigned int) { return openSslTimerUs; }

DatagramPipe& pipeOf(BIO* bio) { return *static_cast<DatagramPipe*>(BIO_get_data(bio)); }

int pipeWrite(BIO* bio, const char* data, int length) {
  BIO_clear_retry_flags(bio);
  if (length <= 0) return 0;
  const auto* first = reinterpret_cast<const uint8_t*>(data);
  pipeOf(bio).outgoing.emplace_back(first, first + length);
  return length;
}

int pipeRead(BIO* bio, char* data, int length) {
  BIO_clear_retry_flags(bio);
  DatagramPipe& pipe = pipeOf(bio);
  if (pipe.incoming.empty() || length <= 0) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t bytes = std::min(pipe.incoming.size(), static_cast<size_t>(length));
  std::memcpy(data, pipe.incoming.data(), bytes);
  if (!pipe.peeking) pipe.incoming = {};
  return static_cast<int>(bytes);
}

long pipeControl(BIO* bio, int command, long number, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
    case BIO_CTRL_DUP:
    case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:
      return 1;
    case BIO_CTRL_DGRAM_SET_PEEK_MODE:
      pipeOf(bio).peeking = number != 0;
      return 1;
    case BIO_CTRL_DGRAM_QUERY_MTU:
    case BIO_CTRL_DGRAM_GET_MTU:
    case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
      return handshakePayloadBytes;
    case BIO_CTRL_DGRAM_SET_MTU:
      return number;
    default:
      return 0;
  }
}

int pipeCreate(BIO* bio) {
  BIO_set_init(bio, 1);
  return 1;
}

BIO_METHOD* makePipeMethod() {
  BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "datagram pipe");
  if (method == nullptr) return nullptr;
  BIO_meth_set_write(method, pipeWrite);
  BIO_meth_set_read(method, pipeRead);
  BIO_meth_set_ctrl(method, pipeControl);
  BIO_meth_set_create(method, pipeCreate);
  return method;
}

BIO* newPipeBio(DatagramPipe& pipe) {
  static const BioMethodPtr method(makePipeMethod());
  BIO* bio = method ? BIO_new(method.get()) : nullptr;
  if (bio != nullptr) BIO_set_data(bio, &pipe);
  return bio;
}

std::optional<Cipher> cipherOf(const SSL_CIPHER* suite) {
  switch (SSL_CIPHER_get_cipher_nid(suite)) {
    case NID_aes_128_gcm: return Cipher::aes128Gcm;
    case NID_aes_256_gcm: return Cipher::aes256Gcm;
    case NID_chacha20_poly1305: return Cipher::chacha20Poly1305;
    default: return std::nullopt;
  }
}

// Number of the first record that may follow the encrypted ones in the flight that ended our part; those are encrypted
// once, however often they are sent. nullopt if a nonce of theirs could come again: our record layer's explicit nonces
// are epoch and number, but OpenSSL draws its own at random, and once in four thousand million handshakes it could hit
// upon one of ours. Such a handshake counts as failed.
std::optional<uint64_t> firstFreeRecord(const std::vector<std::vector<uint8_t>>& flight, Cipher cipher) {
  constexpr uint32_t oursAbove = uint32_t{epochProtected} << 16;
  uint64_t first = 0;
  for (std::span<const uint8_t> datagram : flight) {
    for (size_t bytes = recordBytes(datagram); bytes != 0; bytes = recordBytes(datagram)) {
      if (epochOf(datagram) != 0) {
        const bool explicitNonce = cipher != Cipher::chacha20Poly1305;
        const uint8_t* const nonce = &datagram[recordHeaderBytes];
        const bool ownNumber = loadBe64(nonce) << 16 >> 16 == recordNumberOf(datagram);
        if (explicitNonce && loadBe32(nonce) == oursAbove && !ownNumber) return std::nullopt;
        first = std::max(first, recordNumberOf(datagram) + 1);
      }
      datagram = datagram.subspan(bytes);
    }
  }
  return first;
}

template <typename Object, typename Encode>
std::vector<uint8_t> derOf(Object* object, Encode encode) {
  const int length = object == nullptr ? 0 : encode(object, nullptr);
  if (length <= 0) return {};
  std::vector<uint8_t> der(static_cast<size_t>(length));
  unsigned char* out = der.data();
  encode(object, &out);
  return der;
}

// Until the certificate expires, by the wall clock.
std::optional<int64_t> secondsLeftOf(const X509* certificate) {
  int days = 0;
  int seconds = 0;
  const bool known =
      certificate != nullptr && ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate)) == 1;
  return known ? std::optional{int64_t{days} * 86'400 + seconds} : std::nullopt;
}

}  // namespace

Session::Session(std::shared_ptr<const Credential> credential) : credential_(std::move(credential)) {}

bool Session::prepare() {
  ERR_clear_error();
  ssl_.reset(SSL_new(credential_->context.get()));
  BIO* bio = ssl_ ? newPipeBio(pipe_) : nullptr;
  if (bio == nullptr) return false;
  SSL_set_bio(ssl_.get(), bio, bio);
  DTLS_set_timer_cb(ssl_.get(), neverSoon);
  return SSL_set_mtu(ssl_.get(), handshakePayloadBytes) > 0;
}

std::unique_ptr<Session> Session::connect(std::shared_ptr<const Credential> credential) {
  std::unique_ptr<Session> session(new Session(std::move(credential)));
  if (!session->prepare()) return nullptr;
  SSL* ssl = session->ssl_.get();
  if (SSL_set_tlsext_host_name(ssl, session->credential_->serverName.c_str()) != 1) return nullptr;
  SSL_set_connect_state(ssl);
  session->step();
  return session->progress_ == Progress::waiting ? std::move(session) : nullptr;
}

std::unique_ptr<Session> Session::accept(std::shared_ptr<const Credential> credential,
                                         std::span<const uint8_t> clientHello) {
  std::unique_ptr<Session> session(new Session(std::move(credential)));
  const BioAddressPtr unused(BIO_ADDR_new());
  if (!unused || !session->prepare()) return nullptr;
  SSL* ssl = session->ssl_.get();
  SSL_set_accept_state(ssl);
  session->pipe_.incoming = clientHello;
  // It peeks at the ClientHello, and makes the session expect message 1 rather than 0.
  const bool listened = DTLSv1_listen(ssl, unused.get()) == 1;
  session->pipe_.outgoing.clear();
  session->pipe_.peeking = false;
  if (!listened) {
    ERR_clear_error();
    return nullptr;
  }
  session->step();
  // A failed one is kept for its alert.
  return session;
}

Session::Progress Session::handshake(std::span<const uint8_t> datagram) {
  pipe_.incoming = datagram;
  step();
  return progress_;
}

void Session::step() {
  const size_t before = pipe_.outgoing.size();
  for (int i = 0; i < stepsMax; i++) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
      progress_ = Progress::done;
      break;
    }
    if (SSL_get_error(ssl_.get(), result) != SSL_ERROR_WANT_READ) {
      progress_ = Progress::failed;
      break;
    }
    if (pipe_.incoming.empty() && SSL_has_pending(ssl_.get()) == 0) break;
  }
  pipe_.incoming = {};
  SSL_get_client_random(ssl_.get(), clientRandom_.data(), clientRandom_.size());
  if (progress_ != Progress::failed && pipe_.outgoing.size() > before) {
    flight_.assign(pipe_.outgoing.begin() + static_cast<std::ptrdiff_t>(before), pipe_.outgoing.end());
  }
  if (progress_ == Progress::done && !finish()) progress_ = Progress::failed;
  ERR_clear_error();
}

bool Session::finish() {
  SSL* ssl = ssl_.get();
  const SSL_CIPHER* suite = SSL_get_current_cipher(ssl);
  const EVP_MD* hash = suite == nullptr ? nullptr : SSL_CIPHER_get_handshake_digest(suite);
  const std::optional<Cipher> cipher = suite == nullptr ? std::nullopt : cipherOf(suite);
  const CertificatePtr certificate(SSL_get1_peer_certificate(ssl));
  if (hash == nullptr || !cipher || !certificate) return false;
  HelloRandom serverRandom{};
  std::array<uint8_t, SSL_MAX_MASTER_KEY_LENGTH> secret{};
  const size_t secretBytes = SSL_SESSION_get_master_key(SSL_get_session(ssl), secret.data(), secret.size());
  const bool complete = SSL_get_client_random(ssl, clientRandom_.data(), clientRandom_.size()) == clientRandom_.size() &&
                        SSL_get_server_random(ssl, serverRandom.data(), serverRandom.size()) == serverRandom.size() &&
                        secretBytes > 0;
  const auto keys = complete ? deriveKeyBlock(*cipher, EVP_MD_get0_name(hash), std::span(secret).first(secretBytes),
                                              clientRandom_, serverRandom)
                             : std::nullopt;
  OPENSSL_cleanse(secret.data(), secret.size());
  const auto first = firstFreeRecord(flight_, *cipher);
  if (!keys || !first) return false;
  outcome_.keys = *keys;
  outcome_.firstRecordNumber = *first;
  outcome_.peerCertificate = derOf(certificate.get(), i2d_X509);
  outcome_.peerPublicKey = derOf(X509_get0_pubkey(certificate.get()), i2d_PUBKEY);
  const std::optional<int64_t> ours = secondsLeftOf(SSL_get_certificate(ssl_.get()));
  const std::optional<int64_t> theirs = secondsLeftOf(certificate.get());
  if (!ours || !theirs) return false;
  outcome_.secondsLeft = std::min(*ours, *theirs);
  ssl_.reset();
  return !outcome_.peerCertificate.empty() && !outcome_.peerPublicKey.empty();
}

SessionOutcome Session::takeOutcome() { return std::exchange(outcome_, {}); }

void Session::resendFlight() {
  for (const auto& datagram : flight_) pipe_.outgoing.push_back(datagram);
}

std::vector<std::vector<uint8_t>> Session::takeOutgoing() {
  std::vector<std::vector<uint8_t>> taken;
  taken.swap(pipe_.outgoing);
  for (auto& datagram : taken) renumber(datagram);
  return taken;
}

// Unencrypted records get numbers from our own counter, so that a flight sent again is not taken for a replay. An
// encrypted record (Finished) stays as it is: number and nonce are one, and identical bytes reveal nothing.
void Session::renumber(std::span<uint8_t> datagram) {
  for (size_t bytes = recordBytes(datagram); bytes != 0; bytes = recordBytes(datagram)) {
    if (epochOf(datagram) == 0) {
      uint64_t number = 0;
      for (size_t i = 0; i < recordNumberBytes; i++) number = (number << 8) | datagram[recordNumberOffset + i];
      number = std::max(number, nextRecordNumber_);
      nextRecordNumber_ = number + 1;
      for (size_t i = recordNumberBytes; i-- > 0; number >>= 8) {
        datagram[recordNumberOffset + i] = static_cast<uint8_t>(number & 0xff);
      }
    }
    datagram = datagram.subspan(bytes);
  }
}

bool Session::accepts(std::span<const uint8_t> datagram) const {
  // What a handshake encrypts is longer than this with every cipher.
  return isWhole(datagram, recordExplicitNonceBytes + recordTagBytes);
}

}  // namespace p2pxbone
