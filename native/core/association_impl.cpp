#include "core/association_impl.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace p2pxbone {
namespace {

uint64_t randomSeed() {
  uint64_t seed = 1;
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed);
  return seed;
}

}  // namespace

AssociationMachine::Impl::Impl(AssociationSettings wanted)
    : settings(wanted),
      seed(wanted.seed ? *wanted.seed : randomSeed()),
      random(static_cast<std::minstd_rand::result_type>(seed)),
      limiter({wanted.hostAnswersPerSecond, wanted.hostAnswersBurst},
              {wanted.hostHandshakesPerSecond, wanted.hostHandshakesBurst}, randomSeed()) {}

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

// Beside the association that the slot holds already, or in its place if there is none.
Association* AssociationMachine::Impl::make(const Endpoint& peer, Role role) {
  while (lastId == 0 || associations.contains(lastId)) lastId++;
  auto owned = std::make_unique<Association>();
  Association& association = *owned;
  association.id = lastId++;
  association.peer = peer;
  association.role = role;
  association.budget = role;
  association.channel = std::make_shared<SecureChannel>(association.id);
  associations.emplace(association.id, std::move(owned));
  PeerSlot& slot = peers[peer];
  (slot.current == nullptr ? slot.current : slot.pending) = &association;
  beginHandshake(association);
  if (inDirectory(association)) directoryChanged = true;
  return &association;
}

Association* AssociationMachine::Impl::add(const Endpoint& peer, Role role, std::unique_ptr<Session> session, Millis now) {
  Association* const association = make(peer, role);
  restart(*association, std::move(session), now);
  return association;
}

// A new handshake under the same name: ours gave way to the peer's, or the peer began anew.
void AssociationMachine::Impl::restart(Association& association, std::unique_ptr<Session> session, Millis now) {
  association.session = std::move(session);
  association.early.clear();
  association.handshakeEndsAt = now + settings.handshakeTimeout;
  association.refused = false;
  association.retransmitAfter = retransmitFirst;
  association.retransmitAt = now + retransmitFirst;
  flush(association);
  schedule(association, now);
}

Association& AssociationMachine::Impl::establish(Association& association, Millis now) {
  SessionOutcome outcome = association.session->takeOutcome();
  finishHandshake(association);
  const PeerSlot slot = peers[association.peer];
  if (slot.pending == &association) {
    const Association& current = *slot.current;
    const bool samePeer = association.role == current.role && outcome.peerPublicKey == current.peerPublicKey;
    if (association.renews && samePeer) return renew(*slot.current, association, std::move(outcome), now);
    association.renews = false;
    end(*slot.current, DownReason::replaced, now);
  }
  association.known = true;
  association.liveness.emplace(settings, random, now);
  association.probe.emplace(association.peer.outerHeaderBytes(), settings.payloadBytesLimit, now);
  // The client's last flight has been answered, so it has arrived; the server's may have been lost.
  if (association.role == Role::client) association.session->forgetFlight();
  AssociationEvent& event = tell(AssociationEvent::Kind::up, association);
  event.role = association.role;
  event.serverName = association.session->credential().serverName;
  event.bytes = outcome.peerCertificate;
  useKeys(association, std::move(outcome), now);
  directoryChanged = true;
  tellMtu(association);
  keepAlive(association, now);
  endSurplus(association, now);
  return association;
}

void AssociationMachine::Impl::endSurplus(const Association& established, Millis now) {
  const auto heardAt = [](const Association& each) {
    return std::max(each.liveness->receivedAt(), each.channel->heardAt());
  };
  size_t others = 0;
  Association* quietest = nullptr;
  for (const auto& [id, each] : associations) {
    if (each.get() == &established || !each->up() || each->peerPublicKey != established.peerPublicKey) continue;
    others++;
    if (quietest == nullptr || heardAt(*each) < heardAt(*quietest)) quietest = each.get();
  }
  if (others >= settings.associationsPerPeerMax) end(*quietest, DownReason::replaced, now);
}

void AssociationMachine::Impl::end(Association& association, DownReason reason, Millis now) {
  // Before anything else, nothing is sent any more: tunnels fall silent, they do not fall back.
  const std::shared_ptr<const SendingKeys> keys = association.channel->stopSending();
  const PeerSlot slot = peers.at(association.peer);
  if (slot.current == &association && slot.pending != nullptr && slot.pending->renews) {
    end(*slot.pending, DownReason::closed, now);
  }
  if (association.up()) {
    static constexpr std::array<uint8_t, 2> closeNotify{1, 0};
    const bool goodbye = reason != DownReason::peerClosed && reason != DownReason::replaced && keys != nullptr;
    if (goodbye) writeRecord(association, *keys, contentAlert, closeNotify);
  } else {
    finishHandshake(association);
  }
  flush(association);
  if (association.known) tell(AssociationEvent::Kind::down, association).reason = reason;
  Association* const renewed = slot.pending == &association && association.renews ? slot.current : nullptr;
  if (keys != nullptr) retired.push_back(keys);
  expect(association, std::nullopt);
  remove(association);
  if (renewed == nullptr) return;
  renewed->rekeyNotBefore = now + rekeyRetry;
  schedule(*renewed, now);
}

void AssociationMachine::Impl::remove(Association& association) {
  association.channel->forgetAll(retired);
  if (association.queuedAt) timers.erase({*association.queuedAt, association.id});
  const auto slot = peers.find(association.peer);
  if (slot->second.pending == &association) slot->second.pending = nullptr;
  if (slot->second.current == &association) slot->second.current = std::exchange(slot->second.pending, nullptr);
  if (slot->second.current == nullptr) peers.erase(slot);
  if (inDirectory(association)) directoryChanged = true;
  associations.erase(association.id);
}

// With nullptr those of every credential.
void AssociationMachine::Impl::endAll(const std::string* serverName, Millis now) {
  std::vector<AssociationId> ending;
  for (const auto& [id, association] : associations) {
    if (serverName == nullptr || association->session->credential().serverName == *serverName) ending.push_back(id);
  }
  for (const AssociationId id : ending) {
    // A change of keys ends with its association.
    const auto found = associations.find(id);
    if (found != associations.end()) end(*found->second, DownReason::closed, now);
  }
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
  // A handshake from there would be a second association of the same peer. Once a record has shown that the peer writes
  // from there, the next copy of the ClientHello is welcome; a ClientHello alone shows nothing, for anyone can copy it.
  if (announcedElsewhere(hello->random, slot)) {
    drops.unknownPeer++;
    return;
  }
  const bool weBegan = slot.current != nullptr && !slot.current->up() && slot.current->role == Role::client;
  // Both began: the larger random stays client. The peer compares the same two numbers.
  if (weBegan && slot.current->session->clientRandom() > hello->random) return;
  // Whoever writes that peer's address on his datagrams does not keep it from changing keys.
  const bool announced = slot.current != nullptr && slot.current->announced == hello->random;
  if (cookies.valid(from, hello->random, hello->cookie, now)) {
    accept(from, *hello, datagram, now);
  } else if (!announced && !limiter.mayAnswer(from, now)) {
    drops.handshakeLimited++;
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
  const bool besideUp = slot.current != nullptr && slot.current->up();
  Association* association = besideUp ? slot.pending : slot.current;
  // Who announced it inside the association is no stranger, and costs no room that he does not have already.
  const bool renews = besideUp && slot.current->role == Role::server && slot.current->announced == hello.random;
  if (association == nullptr && !renews && full(from, Role::server)) {
    drops.tableFull++;
    return;
  }
  if (!renews && !limiter.mayAccept(from, now)) {
    drops.handshakeLimited++;
    return;
  }
  // Nothing encrypted can follow a ClientHello.
  auto session = isWhole(datagram, datagram.size()) ? Session::accept(credential->second, datagram) : nullptr;
  if (!session) {
    drops.badRecord++;
    return;
  }
  if (association == nullptr) association = make(from, Role::server);
  if (inDirectory(*association)) directoryChanged = true;
  association->role = Role::server;
  association->renews = renews;
  association->held = false;
  restart(*association, std::move(session), now);
  if (association->session->progress() == Session::Progress::failed) end(*association, DownReason::handshakeRefused, now);
}

void AssociationMachine::Impl::advance(Association& association, std::span<const uint8_t> datagram, Millis now) {
  const Session::Progress progress = association.session->handshake(datagram);
  if (progress == Session::Progress::failed) return end(association, DownReason::handshakeRefused, now);
  if (association.session->hasOutgoing()) {
    association.retransmitAfter = retransmitFirst;
    association.retransmitAt = now + retransmitFirst;
  }
  flush(association);
  if (progress != Session::Progress::done) return schedule(association, now);
  Association& established = establish(association, now);
  schedule(established, now);
  receiveEarly(established, now);
}

Millis AssociationMachine::Impl::deadlineOf(const Association& association) const {
  if (!association.up()) return std::min(association.handshakeEndsAt, association.retransmitAt);
  Millis at = std::min({association.liveness->deadline(), association.probe->deadline(), association.certificateEndsAt,
                        association.keysSince + settings.keyLifeMax});
  if (association.measurement) at = std::min(at, association.measurement->deadline());
  if (mayRekey(association)) at = std::min(at, std::max(association.rekeyAt, association.rekeyNotBefore));
  return at;
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
  if (association.up()) return runUp(association, now);
  if (now >= association.handshakeEndsAt) {
    return end(association, association.refused ? DownReason::handshakeRefused : DownReason::handshakeTimeout, now);
  }
  if (now >= association.retransmitAt) {
    if (association.held) announce(association);
    else association.session->resendFlight();
    association.retransmitAfter = std::min(association.retransmitAfter * 2, retransmitMax);
    association.retransmitAt = now + association.retransmitAfter;
    flush(association);
  }
  schedule(association, now);
}

void AssociationMachine::Impl::runUp(Association& association, Millis now) {
  SecureChannel& channel = *association.channel;
  // Of user data only the reader knows.
  if (channel.heardAt() != 0) association.liveness->received(channel.heardAt());
  if (association.liveness->silent(now)) return end(association, DownReason::peerSilent, now);
  if (now >= association.certificateEndsAt || keysSpent(association, now)) return end(association, DownReason::expired, now);
  const bool olderRests = !channel.unproven() && now >= std::max(association.olderKeysEndAt, channel.olderHeardAt() + olderKeysLife);
  if (channel.hasOlder() && olderRests) channel.forgetOlder(retired);
  if (rekeyDue(association, now)) beginRekey(association, now);
  keepAlive(association, now);
  measure(association, now);
  schedule(association, now);
}

void AssociationMachine::Impl::keepAlive(Association& association, Millis now) {
  const size_t overhead = recordOverheadBytes(association.cipher);
  for (const size_t payloadBytes : association.probe->due(now)) {
    write(association, association.liveness->request(payloadBytes, overhead, now));
  }
  if (association.liveness->askDue(now)) {
    write(association, association.liveness->request(0, overhead, now));
    association.liveness->asked(now);
  }
  tellMtu(association);
}

void AssociationMachine::Impl::measure(Association& association, Millis now) {
  if (!association.measurement) return;
  PathMeasurement& measurement = *association.measurement;
  const PathMeasurement::Due due = measurement.due(now);
  for (size_t i = 0; i < due.requests; i++) {
    write(association, association.liveness->request(due.payloadBytes, recordOverheadBytes(association.cipher), now));
    measurement.asked(association.liveness->lastNumber(), now);
  }
  if (!measurement.done(now)) return;
  AssociationEvent& event = tell(AssociationEvent::Kind::measured, association);
  event.rttMs = measurement.rttMs();
  event.bitsPerSecond = measurement.bitsPerSecond();
  association.measurement.reset();
}

void AssociationMachine::Impl::write(Association& association, std::span<const uint8_t> content) {
  if (const SendingKeys* const keys = association.channel->sending()) {
    writeRecord(association, *keys, contentApplicationData, content);
  }
}

void AssociationMachine::Impl::writeRecord(const Association& association, const SendingKeys& keys, uint8_t type,
                                           std::span<const uint8_t> content) {
  std::vector<uint8_t> record(content.size() + recordOverheadBytes(keys.cipher()));
  if (keys.seal(type, content, record) != 0) transmits.push_back({association.peer, std::move(record)});
}

void AssociationMachine::Impl::flush(Association& association) {
  if (association.held) return;
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
