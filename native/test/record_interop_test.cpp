// Our record layer against OpenSSL's: the peer is an SSL object that keeps its session to the end.
#include <doctest/doctest.h>

#include "test/association_fixture.h"

namespace p2pxbone::testing {
namespace {

constexpr Millis now = 1000;

class OpensslPeer {
 public:
  OpensslPeer(Role role, const char* suite) : context_(SSL_CTX_new(DTLS_method())) {
    const BioPtr certificateText(BIO_new_mem_buf(identity().certificate.data(), -1));
    const BioPtr keyText(BIO_new_mem_buf(identity().privateKey.data(), -1));
    const CertificatePtr certificate(PEM_read_bio_X509(certificateText.get(), nullptr, nullptr, nullptr));
    const PrivateKeyPtr key(PEM_read_bio_PrivateKey(keyText.get(), nullptr, nullptr, nullptr));
    must(SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1);
    must(SSL_CTX_use_PrivateKey(context_.get(), key.get()) == 1);
    must(SSL_CTX_set_cipher_list(context_.get(), suite) == 1);
    if (role == Role::server) SSL_CTX_set_verify(context_.get(), SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 1; });
    SSL_CTX_set_options(context_.get(), SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(in_, -1);
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_mtu(ssl_.get(), 1200);
    if (role == Role::client) {
      SSL_set_tlsext_host_name(ssl_.get(), vi.c_str());
      SSL_set_connect_state(ssl_.get());
    } else {
      SSL_set_accept_state(ssl_.get());
    }
  }

  // One record each: it writes several into one BIO.
  std::vector<std::vector<uint8_t>> sent() {
    std::vector<uint8_t> all(65'536);
    const int bytes = BIO_read(out_, all.data(), static_cast<int>(all.size()));
    std::span<const uint8_t> rest(all.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0);
    std::vector<std::vector<uint8_t>> records;
    while (const size_t length = recordBytes(rest)) {
      records.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length));
      rest = rest.subspan(length);
    }
    return records;
  }
  // What it reads out of the datagram, and before the handshake's end nothing.
  std::vector<std::vector<uint8_t>> receive(std::span<const uint8_t> datagram) {
    BIO_write(in_, datagram.data(), static_cast<int>(datagram.size()));
    return step();
  }
  std::vector<std::vector<uint8_t>> step() {
    std::vector<std::vector<uint8_t>> messages;
    if (SSL_is_init_finished(ssl_.get()) == 0) (void)SSL_do_handshake(ssl_.get());
    if (SSL_is_init_finished(ssl_.get()) != 0) {
      std::vector<uint8_t> buffer(20'000);
      for (int bytes = 0; (bytes = SSL_read(ssl_.get(), buffer.data(), static_cast<int>(buffer.size()))) > 0;) {
        messages.emplace_back(buffer.begin(), buffer.begin() + bytes);
      }
    }
    return messages;
  }
  void write(const std::vector<uint8_t>& message) {
    must(SSL_write(ssl_.get(), message.data(), static_cast<int>(message.size())) == static_cast<int>(message.size()));
  }
  void shutdown() { SSL_shutdown(ssl_.get()); }
  [[nodiscard]] bool closed() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

 private:
  SslContextPtr context_;
  SslPtr ssl_;
  BIO* in_ = nullptr;
  BIO* out_ = nullptr;
};

struct Joined {
  Joined(Role opensslRole, const char* suite) : peer(opensslRole, suite), node(AssociationSettings{.silence = 60'000, .seed = 1}) {
    equip(node.machine);
    if (opensslRole == Role::server) REQUIRE(node.machine.associate(b, vi, now));
    else (void)peer.step();
    for (int i = 0; i < 10; i++) exchange();
    REQUIRE(node.machine.states(now).size() == 1);
    REQUIRE(node.machine.states(now)[0].up);
    association = node.machine.states(now)[0].association;
    heard.clear();
  }

  void exchange() {
    node.publish();
    while (auto transmit = node.machine.pollTransmit()) {
      for (auto& message : peer.receive(transmit->datagram)) heard.push_back(std::move(message));
    }
    for (const auto& record : peer.sent()) node.receive(b, record, now);
    node.publish();
    while (auto event = node.machine.pollEvent()) events.push_back(std::move(*event));
  }

  OpensslPeer peer;
  AssociationNode node;
  AssociationId association = 0;
  std::vector<std::vector<uint8_t>> heard;
  std::vector<AssociationEvent> events;
};

TEST_CASE("records: OpenSSL's layer opens ours and we open its, in both roles and with every cipher") {
  for (const char* suite : {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"}) {
    for (const Role role : {Role::client, Role::server}) {
      CAPTURE(suite);
      CAPTURE(static_cast<int>(role));
      Joined joined(role, suite);
      std::mt19937 random(5);
      const auto message = [&](uint8_t first, size_t bytes) {
        std::vector<uint8_t> made(bytes);
        for (auto& byte : made) byte = static_cast<uint8_t>(random());
        made[0] = first;
        return made;
      };
      for (int i = 0; i < 200; i++) {
        const auto packet = message(0x08, 1 + random() % 1400);
        const auto record = joined.node.seal(joined.association, packet);
        REQUIRE_FALSE(record.empty());
        const auto read = joined.peer.receive(record);
        REQUIRE(read.size() == 1);
        REQUIRE(read[0] == packet);
        const auto back = message(0x08, 1 + random() % 1400);
        joined.peer.write(back);
        joined.exchange();
        REQUIRE(joined.node.packets.size() == static_cast<size_t>(i) + 1);
        REQUIRE(joined.node.packets.back() == back);
      }
      joined.heard.clear();
      joined.peer.write({0x01, 0, 0, 0, 0, 0, 0, 0, 77});
      joined.exchange();
      joined.exchange();
      REQUIRE(joined.heard.size() == 1);
      CHECK(joined.heard[0][0] == 0x02);
      CHECK(joined.heard[0][8] == 77);
      CHECK(joined.node.droppedInAll() == 0);

      if (role == Role::client) {
        joined.node.machine.close(joined.association, now);
        joined.exchange();
        (void)joined.peer.step();
        CHECK(joined.peer.closed());
      } else {
        joined.peer.shutdown();
        joined.exchange();
        CHECK(joined.events.back().kind == Kind::down);
        CHECK(joined.events.back().reason == DownReason::peerClosed);
      }
      CHECK(joined.node.seal(joined.association, std::vector<uint8_t>{8}).empty());
    }
  }
}

}  // namespace
}  // namespace p2pxbone::testing
