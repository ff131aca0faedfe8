// A script, read from the input, of what happens to one association machine: datagrams from strangers and from peers,
// whole, damaged, repeated or withheld, any content inside a session, calls of its owner, and time passing.
//
// Byte 0, bit 0: whether peer 0 is already up. Then steps of one byte each, kind in the low 4 bits, peer in the next 2,
// followed by the operands that each kind reads.
#include <array>
#include <cstdlib>
#include <deque>
#include <map>

#include "core/association.h"
#include "core/association_session.h"
#include "test/association_certificates.h"
#include "test/association_world.h"
#include "test/record_peer.h"

namespace p2pxbone {
namespace {

using testing::Authority;

constexpr size_t peersCount = 4;
constexpr size_t stepsMax = 200;
constexpr int exchangesMax = 12;
const std::string vi = "vi";

void hold(bool condition) {
  if (!condition) std::abort();
}

class Script {
 public:
  explicit Script(std::span<const uint8_t> bytes) : rest_(bytes) {}
  [[nodiscard]] bool empty() const { return rest_.empty(); }
  uint8_t byte() { return empty() ? uint8_t{0} : take(1)[0]; }
  size_t word() {
    const size_t high = byte();
    return (high << 8) | byte();
  }
  std::span<const uint8_t> take(size_t count) {
    const auto taken = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const uint8_t> rest_;
};

struct Peer {
  Endpoint endpoint;
  std::unique_ptr<Session> session;
  std::unique_ptr<testing::RecordPeer> records;
  std::deque<std::vector<uint8_t>> toMachine;
  std::deque<std::vector<uint8_t>> toPeer;
  std::vector<uint8_t> lastSent;
};

struct Identity {
  Authority authority{"authority"};
  testing::PemIdentity node = authority.issue("node");
  std::shared_ptr<const Credential> credential = makeCredential(testing::credentialOf(vi, node.certificate, node.privateKey, authority.pem())).credential;
};

const Identity& identity() {
  static const Identity shared;
  return shared;
}

class Run {
 public:
  explicit Run(Script script) : script_(script), node_(settings()) {
    hold(!machine_.setCredential(testing::credentialOf(vi, identity().node.certificate, identity().node.privateKey, identity().authority.pem())));
    for (size_t i = 0; i < peersCount; i++) {
      const auto host = static_cast<uint8_t>(i + 1);
      peers_[i].endpoint = i % 2 == 0 ? testing::ipv4(host) : testing::ipv6(host);
    }
  }

  void all() {
    if ((script_.byte() & 1) != 0) {
      connect(peers_[0]);
      exchange(peers_[0]);
      hold(machine_.states(now_).size() == 1 && machine_.states(now_)[0].up);
    }
    for (size_t i = 0; i < stepsMax && !script_.empty(); i++) step();
    machine_.closeAll(now_);
    drain();
    hold(machine_.states(now_).empty());
    hold(!machine_.deadline());
  }

 private:
  static AssociationSettings settings() {
    AssociationSettings settings;
    settings.associationsMax = 3;
    settings.associationsPerPeerMax = 2;
    settings.handshakesInMax = 2;
    settings.handshakesOutMax = 2;
    settings.seed = 1;
    return settings;
  }

  void step() {
    const uint8_t code = script_.byte();
    Peer& peer = peers_[(code >> 4) % peersCount];
    switch (code & 0x0f) {
      case 0: raw(peer, script_.take(script_.word() % 2048)); break;
      case 1: pass(script_.byte()); break;
      case 2: pass(static_cast<Millis>(script_.word())); break;
      case 3: connect(peer); break;
      case 4: exchange(peer); break;
      case 5: deliver(peer); break;
      case 6: damage(peer); break;
      case 7: lose(peer); break;
      case 8: receive(peer); break;
      case 9: content(peer, script_.take(script_.word() % 1500)); break;
      case 10: associate(peer); break;
      case 11: repeat(peer); break;
      case 12: send(script_.byte(), script_.take(script_.word() % 1500)); break;
      case 13: machine_.close(script_.byte(), now_); break;
      case 14: goodbye(peer); break;
      default: rare(script_.byte()); break;
    }
    drain();
  }

  size_t up() const {
    size_t count = 0;
    for (const auto& state : machine_.states(now_)) count += state.up ? 1 : 0;
    return count;
  }

  [[nodiscard]] bool known(const Endpoint& endpoint) const {
    for (const auto& state : machine_.states(now_)) {
      if (state.peer == endpoint) return true;
    }
    return false;
  }

  // Made up by someone who is on no path: a stranger gets no more than he gave, and nothing that is up falls.
  void raw(Peer& peer, std::span<const uint8_t> datagram) {
    const size_t before = up();
    const size_t handshakes = machine_.states(now_).size() - before;
    const bool stranger = !known(peer.endpoint);
    node_.receive(peer.endpoint, datagram, now_);
    hold(up() == before);
    // What is not encrypted and says that it is the end is not.
    const bool alert = isDtls(datagram) && contentTypeOf(datagram) == contentAlert && isWhole(datagram, 24);
    hold(!alert || machine_.states(now_).size() - before == handshakes);
    const size_t answered = drain();
    hold(!stranger || answered <= datagram.size());
    hold(!stranger || !known(peer.endpoint));
  }

  void pass(Millis duration) {
    now_ += duration;
    machine_.tick(now_);
    hold(!machine_.deadline() || *machine_.deadline() > now_);
  }

  void connect(Peer& peer) {
    peer.records.reset();
    peer.session = Session::connect(identity().credential);
    hold(peer.session != nullptr);
    collect(peer);
  }

  void collect(Peer& peer) {
    for (auto& datagram : peer.session->takeOutgoing()) peer.toMachine.push_back(std::move(datagram));
  }

  void deliver(Peer& peer) {
    if (peer.toMachine.empty()) return;
    peer.lastSent = std::move(peer.toMachine.front());
    peer.toMachine.pop_front();
    node_.receive(peer.endpoint, peer.lastSent, now_);
    node_.publish();
  }

  void damage(Peer& peer) {
    if (peer.toMachine.empty()) return;
    auto& datagram = peer.toMachine.front();
    const size_t at = script_.word() % datagram.size();
    datagram[at] = static_cast<uint8_t>(datagram[at] ^ script_.byte());
    if (const uint8_t cut = script_.byte(); cut != 0) datagram.resize(std::min<size_t>(datagram.size(), cut * 8U));
    deliver(peer);
  }

  void repeat(Peer& peer) {
    if (!peer.lastSent.empty()) node_.receive(peer.endpoint, peer.lastSent, now_);
  }

  void lose(Peer& peer) {
    if (!peer.toPeer.empty()) peer.toPeer.pop_front();
    if (peer.session && peer.session->progress() == Session::Progress::waiting) peer.session->resendFlight();
    if (peer.session) collect(peer);
  }

  void receive(Peer& peer) {
    if (peer.toPeer.empty()) return;
    const auto datagram = std::move(peer.toPeer.front());
    peer.toPeer.pop_front();
    if (!peer.session || !isDtls(datagram) || !peer.session->accepts(datagram) || isClientHello(datagram)) return;
    if (peer.session->progress() == Session::Progress::waiting) {
      if (peer.session->handshake(datagram) == Session::Progress::done) {
        peer.records = std::make_unique<testing::RecordPeer>(peer.session->takeOutcome(), Role::client);
      }
    } else if (peer.records) {
      (void)peer.records->open(datagram);
    }
    collect(peer);
  }

  void exchange(Peer& peer) {
    for (int i = 0; i < exchangesMax; i++) {
      while (!peer.toMachine.empty()) deliver(peer);
      drain();
      while (!peer.toPeer.empty()) receive(peer);
    }
  }

  void content(Peer& peer, std::span<const uint8_t> bytes) {
    if (!peer.records) return;
    peer.toMachine.push_back(peer.records->seal(contentApplicationData, bytes));
    while (!peer.toMachine.empty()) deliver(peer);
  }

  void goodbye(Peer& peer) {
    static constexpr std::array<uint8_t, 2> closeNotify{1, 0};
    if (peer.records) peer.toMachine.push_back(peer.records->seal(contentAlert, closeNotify));
  }

  void rare(uint8_t what) {
    if (what % 8 == 1) (void)machine_.measure(script_.byte(), what >= 128, now_);
    else machine_.removeCredential(what % 8 == 0 ? vi : "other", now_);
  }

  void associate(Peer& peer) { (void)machine_.associate(peer.endpoint, vi, now_); }
  void send(AssociationId id, std::span<const uint8_t> message) { (void)machine_.send(id, message, now_); }

  // Bytes that the machine sent.
  size_t drain() {
    size_t bytes = 0;
    node_.publish();
    while (auto transmit = machine_.pollTransmit()) {
      bytes += transmit->datagram.size();
      hold(!transmit->datagram.empty());
      for (auto& peer : peers_) {
        if (peer.endpoint == transmit->peer) peer.toPeer.push_back(std::move(transmit->datagram));
      }
    }
    while (auto event = machine_.pollEvent()) {
      using Kind = AssociationEvent::Kind;
      if (event->kind == Kind::up) hold(!event->bytes.empty() && ++ups_[event->association] == 1);
      if (event->kind == Kind::down) hold(++downs_[event->association] == 1);
      if (event->kind == Kind::control) {
        hold(!event->bytes.empty() && ups_[event->association] == 1 && downs_[event->association] == 0);
      }
    }
    hold(machine_.states(now_).size() <= settings().associationsMax);
    return bytes;
  }

  Script script_;
  testing::AssociationNode node_;
  AssociationMachine& machine_ = node_.machine;
  std::array<Peer, peersCount> peers_;
  std::map<AssociationId, int> ups_;
  std::map<AssociationId, int> downs_;
  Millis now_ = 1000;
};

}  // namespace
}  // namespace p2pxbone

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  p2pxbone::Run(p2pxbone::Script({data, size})).all();
  return 0;
}
