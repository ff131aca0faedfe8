// Changing keys without losing a packet. DTLS would renegotiate inside the session; that is off here as everywhere, so it
// is a new handshake beside the running association (RFC 6347 §4.2.8). A restarted peer does the same, and to tell the two
// apart, whoever renews its keys first announces the handshake's ClientHello inside the association that exists.
#include <algorithm>
#include <utility>

#include "core/association_impl.h"

namespace p2pxbone {
namespace {

constexpr size_t announcementBytes = 1 + std::tuple_size_v<HelloRandom>;

std::vector<uint8_t> announcement(uint8_t kind, const HelloRandom& random) {
  std::vector<uint8_t> content(announcementBytes);
  content[0] = kind;
  std::copy(random.begin(), random.end(), content.begin() + 1);
  return content;
}

HelloRandom randomOf(std::span<const uint8_t> message) {
  HelloRandom random;
  std::copy_n(message.begin() + 1, random.size(), random.begin());
  return random;
}

}  // namespace

Millis AssociationMachine::Impl::drawRekeyAt(const Association& association, Millis now) {
  std::uniform_real_distribution<double> factor(rekeyEarliest, rekeyLatest);
  const auto wanted = static_cast<Millis>(static_cast<double>(association.session->credential().rekey) * factor(random));
  // A certificate that is about to expire has been renewed by then, or will be; a handshake shows the new one.
  const auto ending = static_cast<Millis>(static_cast<double>(association.certificateEndsAt - now) * rekeyOfCertificate);
  return now + std::min(wanted, std::max(ending, rekeyRetry));
}

// The keys of a handshake that is done: receive with them at once; send with them at once if we are the client, or if
// there are no others.
void AssociationMachine::Impl::useKeys(Association& association, SessionOutcome&& outcome, Millis now) {
  association.certificateEndsAt = now + std::max<int64_t>(outcome.secondsLeft, 0) * 1000;
  const bool client = association.role == Role::client;
  const KeyBlock& keys = outcome.keys;
  association.channel->receiveWith(std::make_shared<ReceivingKeys>(keys.cipher, client ? keys.server : keys.client), retired);
  auto sending = std::make_shared<const SendingKeys>(keys.cipher, client ? keys.client : keys.server,
                                                     outcome.firstRecordNumber, settings.recordsMax);
  if (client || association.channel->sending() == nullptr) {
    startSending(association, std::move(sending), now);
  } else {
    association.nextSending = std::move(sending);
  }
  association.peerPublicKey = std::move(outcome.peerPublicKey);
}

void AssociationMachine::Impl::startSending(Association& association, std::shared_ptr<const SendingKeys> keys, Millis now) {
  association.cipher = keys->cipher();
  association.channel->sendWith(std::move(keys), retired);
  association.keysSince = now;
  association.rekeyAt = drawRekeyAt(association, now);
  association.olderKeysEndAt = now + olderKeysLife;
  association.rekeyNotBefore = 0;
}

Association& AssociationMachine::Impl::renew(Association& current, Association& pending, SessionOutcome&& outcome,
                                             Millis now) {
  current.session = std::move(pending.session);
  expect(current, std::nullopt);
  current.nextSending.reset();
  current.flightRepeatedAt = 0;
  remove(pending);
  useKeys(current, std::move(outcome), now);
  if (current.role == Role::client) {
    current.rekeys++;
    // Tells the server at once that it may use them too.
    write(current, current.liveness->request(0, recordOverheadBytes(current.cipher), now));
  }
  return current;
}

void AssociationMachine::handleProven(AssociationId id, Millis now) {
  const auto found = impl_->associations.find(id);
  if (found == impl_->associations.end() || !found->second->up()) return;
  Association& association = *found->second;
  // It may have been told of the keys before these, and come late.
  if (association.channel->unproven()) return;
  // The peer talks inside the session, so it has our last flight.
  association.session->forgetFlight();
  if (association.nextSending == nullptr) return;
  impl_->startSending(association, std::exchange(association.nextSending, nullptr), now);
  association.rekeys++;
  impl_->schedule(association, now);
}

bool AssociationMachine::Impl::mayRekey(const Association& association) const {
  return association.role == Role::client && peers.at(association.peer).pending == nullptr;
}

bool AssociationMachine::Impl::rekeyDue(const Association& association, Millis now) const {
  if (!mayRekey(association)) return false;
  const uint64_t half = settings.recordsMax / 2;
  const SendingKeys* const sending = association.channel->sending();
  const bool worn = (sending != nullptr && sending->records() >= half) || association.channel->recordsReceived() >= half;
  return now >= association.rekeyNotBefore && (worn || now >= association.rekeyAt);
}

bool AssociationMachine::Impl::keysSpent(const Association& association, Millis now) const {
  const SendingKeys* const sending = association.channel->sending();
  return now >= association.keysSince + settings.keyLifeMax || sending == nullptr || sending->records() >= settings.recordsMax;
}

void AssociationMachine::Impl::beginRekey(Association& association, Millis now) {
  // With the credential as it is now: the certificate may have been renewed.
  const auto renewed = credentials.find(association.session->credential().serverName);
  auto session = renewed == credentials.end() ? nullptr : Session::connect(renewed->second);
  if (!session) {
    association.rekeyNotBefore = now + rekeyRetry;
    return;
  }
  Association* const pending = make(association.peer, Role::client);
  pending->renews = true;
  pending->held = true;
  restart(*pending, std::move(session), now);
  announce(*pending);
}

void AssociationMachine::Impl::announce(Association& pending) {
  write(*peers.at(pending.peer).current, announcement(contentRekeyAnnounce, pending.session->clientRandom()));
}

void AssociationMachine::Impl::handleAnnounced(Association& association, std::span<const uint8_t> message) {
  if (message.size() != announcementBytes || association.role != Role::server) {
    drops.badContent++;
    return;
  }
  expect(association, randomOf(message));
  write(association, announcement(contentRekeyHeard, *association.announced));
}

void AssociationMachine::Impl::expect(Association& association, const std::optional<HelloRandom>& hello) {
  if (association.announced) announcers.erase(*association.announced);
  association.announced = hello;
  if (hello) announcers[*hello] = association.id;
}

bool AssociationMachine::Impl::announcedElsewhere(const HelloRandom& hello, const PeerSlot& slot) const {
  const auto found = announcers.find(hello);
  return found != announcers.end() && (slot.current == nullptr || slot.current->id != found->second);
}

void AssociationMachine::Impl::handleHeard(Association& association, std::span<const uint8_t> message, Millis now) {
  if (message.size() != announcementBytes) {
    drops.badContent++;
    return;
  }
  Association* const pending = peers.at(association.peer).pending;
  if (pending == nullptr || !pending->held || pending->session->clientRandom() != randomOf(message)) return;
  pending->held = false;
  pending->retransmitAfter = retransmitFirst;
  pending->retransmitAt = now + retransmitFirst;
  flush(*pending);
  schedule(*pending, now);
}

}  // namespace p2pxbone
