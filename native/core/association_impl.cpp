#include "core/association_impl.h"

#include <openssl/rand.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace p2pxbone {
namespace {

// A peer that still repeats its last flight has not seen ours; more often than this, somebody else makes it up.
constexpr Millis repeatFlightMin = 100;

uint64_t randomSeed() {
  uint64_t seed = 1;
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed);
  return seed;
}

// What one stranger can have any number of endpoints in: an IPv4 address or an IPv6 /64, with port 0.
Endpoint hostOf(const Endpoint& peer) {
  Endpoint host{peer.ip, 0};
  if (!peer.isIpv4Mapped()) std::fill(host.ip.begin() + 8, host.ip.end(), uint8_t{0});
  return host;
}

}  // namespace

AssociationMachine::Impl::Impl(AssociationSettings wanted)
    : settings(wanted), random(static_cast<std::minstd_rand::result_type>(wanted.seed ? *wanted.seed : randomSeed())) {}

bool AssociationMachine::Impl::full(const Endpoint& peer, Role role) const {
  if (associations.size() >= settings.associationsMax) return true;
  if (role == Role::client) return handshakesOut >= settings.handshakesOutMax;
  const auto ofHost = handshakesOfHost.find(hostOf(peer));
  return handshakesIn >= settings.handshakesInMax ||
         (ofHost != handshakesOfHost.end() && ofHost->second >= settings.handshakesPerHostMax);
}

void AssociationMachine::Impl::beginHandshake(const Association& association) {
  if (association.budget == Role::client) {
    handshakesOut++;
    return;
  }
  handshakesIn++;
  handshakesOfHost[hostOf(association.peer)]++;
}

void AssociationMachine::Impl::finishHandshake(const Association& association) {
  if (association.budget == Role::client) {
    handshakesOut--;
    return;
  }
  handshakesIn--;
  const auto ofHost = handshakesOfHost.find(hostOf(association.peer));
  if (--ofHost->second == 0) handshakesOfHost.erase(ofHost);
}

Association* AssociationMachine::Impl::add(const Endpoint& peer, Role role, std::unique_ptr<Session> session, Millis now) {
  while (lastId == 0 || associations.contains(lastId)) lastId++;
  auto owned = std::make_unique<Association>();
  Association& association = *owned;
  association.id = lastId++;
  association.peer = peer;
  association.role = role;
  association.budget = role;
  associations.emplace(association.id, std::move(owned));
  PeerSlot& slot = peers[peer];
  (slot.current == nullptr ? slot.current : slot.pending) = &association;
  beginHandshake(association);
  restart(association, std::move(session), now);
  return &association;
}

// A new handshake under the same name: ours gave way to the peer's, or the peer began anew.
void AssociationMachine::Impl::restart(Association& association, std::unique_ptr<Session> session, Millis now) {
  association.session = std::move(session);
  association.startedAt = now;
  association.retransmitAfter = retransmitFirst;
  association.retransmitAt = now + retransmitFirst;
  flush(association);
  schedule(association, now);
}

void AssociationMachine::Impl::establish(Association& association, Millis now) {
  PeerSlot& slot = peers[association.peer];
  if (slot.pending == &association) {
    end(*slot.current, DownReason::replaced);
  }
  finishHandshake(association);
  association.known = true;
  association.liveness.emplace(settings, random, now);
  association.probe.emplace(association.peer.outerHeaderBytes(), settings.payloadBytesLimit, now);
  // The client's last flight has been answered, so it has arrived; the server's may have been lost.
  if (association.role == Role::client) association.session->forgetFlight();
  AssociationEvent& event = tell(AssociationEvent::Kind::up, association);
  event.role = association.role;
  event.serverName = association.session->credential().serverName;
  event.bytes = association.session->peerCertificate();
  tellMtu(association);
  keepAlive(association, now);
}

void AssociationMachine::Impl::end(Association& association, DownReason reason) {
  if (association.up()) {
    if (reason != DownReason::peerClosed && reason != DownReason::replaced) association.session->sayGoodbye();
  } else {
    finishHandshake(association);
  }
  flush(association);
  if (association.known) tell(AssociationEvent::Kind::down, association).reason = reason;
  if (association.queuedAt) timers.erase({*association.queuedAt, association.id});
  const auto slot = peers.find(association.peer);
  if (slot->second.pending == &association) slot->second.pending = nullptr;
  if (slot->second.current == &association) slot->second.current = std::exchange(slot->second.pending, nullptr);
  if (slot->second.current == nullptr) peers.erase(slot);
  associations.erase(association.id);
}

// With nullptr those of every credential.
void AssociationMachine::Impl::endAll(const std::string* serverName) {
  std::vector<Association*> ending;
  for (const auto& [id, association] : associations) {
    if (serverName == nullptr || association->session->credential().serverName == *serverName) {
      ending.push_back(association.get());
    }
  }
  for (Association* association : ending) end(*association, DownReason::closed);
}

void AssociationMachine::Impl::handleHello(const Endpoint& from, std::span<const uint8_t> datagram, Millis now) {
  const auto hello = parseClientHello(datagram);
  if (!hello) {
    drops.badRecord++;
    return;
  }
  const auto found = peers.find(from);
  const PeerSlot slot = found == peers.end() ? PeerSlot{} : found->second;
  for (const Association* association : {slot.current, slot.pending}) {
    // A copy of the one being answered already, or our own come back. Retransmission is the flight's business.
    if (association != nullptr && association->session->clientRandom() == hello->random) return;
  }
  const bool weBegan = slot.current != nullptr && !slot.current->up() && slot.current->role == Role::client;
  // Both began: the larger random stays client. The peer compares the same two numbers.
  if (weBegan && slot.current->session->clientRandom() > hello->random) return;
  if (cookies.valid(from, hello->random, hello->cookie, now)) {
    accept(from, *hello, datagram, now);
  } else if (const auto cookie = cookies.make(from, hello->random, now)) {
    transmits.push_back({from, helloVerifyRequest(*hello, *cookie)});
  }
}

void AssociationMachine::Impl::accept(const Endpoint& from, const ClientHello& hello, std::span<const uint8_t> datagram,
                                      Millis now) {
  const auto credential = credentials.find(hello.serverName);
  if (credential == credentials.end()) {
    drops.unknownServerName++;
    transmits.push_back({from, unrecognizedNameAlert(hello)});
    return;
  }
  const auto found = peers.find(from);
  const PeerSlot slot = found == peers.end() ? PeerSlot{} : found->second;
  Association* association = slot.current != nullptr && slot.current->up() ? slot.pending : slot.current;
  if (association == nullptr && full(from, Role::server)) {
    drops.tableFull++;
    return;
  }
  // Nothing encrypted can follow a ClientHello.
  auto session = isWhole(datagram, datagram.size()) ? Session::accept(credential->second, datagram) : nullptr;
  if (!session) {
    drops.badRecord++;
    return;
  }
  if (association == nullptr) {
    association = add(from, Role::server, std::move(session), now);
  } else {
    association->role = Role::server;
    restart(*association, std::move(session), now);
  }
  if (association->session->progress() == Session::Progress::failed) end(*association, DownReason::handshakeRefused);
}

void AssociationMachine::Impl::advance(Association& association, std::span<const uint8_t> datagram, Millis now) {
  const Session::Progress progress = association.session->handshake(datagram);
  if (progress == Session::Progress::failed) return end(association, DownReason::handshakeRefused);
  if (association.session->hasOutgoing()) {
    association.retransmitAfter = retransmitFirst;
    association.retransmitAt = now + retransmitFirst;
  }
  flush(association);
  if (progress == Session::Progress::done) establish(association, now);
  schedule(association, now);
}

void AssociationMachine::Impl::receive(Association& association, std::span<const uint8_t> datagram, Millis now) {
  Session& session = *association.session;
  session.offer(datagram);
  bool authentic = false;
  Session::Content read = session.read(content);
  for (; read.kind == Session::Content::Kind::message; read = session.read(content)) {
    authentic = true;
    association.liveness->received(now);
    // The peer talks inside the session, so it has our last flight.
    session.forgetFlight();
    handleContent(association, std::span(content).first(read.bytes), datagram.size(), now);
  }
  if (read.kind == Session::Content::Kind::closed) return end(association, DownReason::peerClosed);
  const bool ofHandshake = contentTypeOf(datagram) <= contentHandshake && contentTypeOf(datagram) != contentAlert;
  if (ofHandshake && session.hasFlight()) {
    if (now - association.flightRepeatedAt >= repeatFlightMin) session.resendFlight();
    if (session.hasOutgoing()) association.flightRepeatedAt = now;
  } else if (!authentic) {
    drops.badRecord++;
  }
  flush(association);
  tellMtu(association);
  schedule(association, now);
}

void AssociationMachine::Impl::handleContent(Association& association, std::span<const uint8_t> message,
                                             size_t datagramBytes, Millis now) {
  const uint8_t kind = message.empty() ? uint8_t{0} : message[0];
  if (kind == contentKeepAliveRequest) {
    const auto answer = Liveness::answer(message, datagramBytes);
    if (!answer) drops.badContent++;
    else (void)association.session->write(*answer);
  } else if (kind == contentKeepAliveAnswer) {
    std::optional<size_t> payloadBytes;
    if (!association.liveness->answered(message, now, payloadBytes)) drops.badContent++;
    if (payloadBytes) association.probe->answered(*payloadBytes, now);
  } else if (kind == contentVxlan) {
    tell(AssociationEvent::Kind::vxlan, association).bytes.assign(message.begin(), message.end());
  } else if (kind >= contentControlFirst && message.size() <= controlBytesMax) {
    tell(AssociationEvent::Kind::control, association).bytes.assign(message.begin(), message.end());
  } else {
    drops.badContent++;
  }
}

Millis AssociationMachine::Impl::deadlineOf(const Association& association) const {
  if (association.up()) return std::min(association.liveness->deadline(), association.probe->deadline());
  return std::min(association.startedAt + settings.handshakeTimeout, association.retransmitAt);
}

// Deadlines mostly move away, at every record received; the queue is told only when one comes closer, and finds out
// about the others when it wakes.
void AssociationMachine::Impl::schedule(Association& association, Millis now) {
  const Millis at = std::max(deadlineOf(association), now + 1);
  if (association.queuedAt && *association.queuedAt <= at) return;
  if (association.queuedAt) timers.erase({*association.queuedAt, association.id});
  timers.emplace(at, association.id);
  association.queuedAt = at;
}

void AssociationMachine::Impl::run(Association& association, Millis now) {
  if (association.up()) {
    if (association.liveness->silent(now)) return end(association, DownReason::peerSilent);
    keepAlive(association, now);
  } else {
    if (now >= association.startedAt + settings.handshakeTimeout) return end(association, DownReason::handshakeTimeout);
    if (now >= association.retransmitAt) {
      association.session->resendFlight();
      association.retransmitAfter = std::min(association.retransmitAfter * 2, retransmitMax);
      association.retransmitAt = now + association.retransmitAfter;
      flush(association);
    }
  }
  schedule(association, now);
}

void AssociationMachine::Impl::keepAlive(Association& association, Millis now) {
  const size_t overhead = association.session->overheadBytes();
  for (const size_t payloadBytes : association.probe->due(now)) {
    (void)association.session->write(association.liveness->request(payloadBytes, overhead, now));
  }
  if (association.liveness->askDue(now)) {
    (void)association.session->write(association.liveness->request(0, overhead, now));
    association.liveness->asked(now);
  }
  flush(association);
  tellMtu(association);
}

void AssociationMachine::Impl::flush(Association& association) {
  for (auto& datagram : association.session->takeOutgoing()) transmits.push_back({association.peer, std::move(datagram)});
}

void AssociationMachine::Impl::tellMtu(Association& association) {
  const size_t bytes = association.probe->payloadBytesMax();
  if (bytes == association.payloadBytesTold) return;
  association.payloadBytesTold = bytes;
  tell(AssociationEvent::Kind::mtu, association).payloadBytesMax = bytes;
}

AssociationEvent& AssociationMachine::Impl::tell(AssociationEvent::Kind kind, const Association& association) {
  AssociationEvent& event = events.emplace_back();
  event.kind = kind;
  event.association = association.id;
  event.peer = association.peer;
  return event;
}

}  // namespace p2pxbone
