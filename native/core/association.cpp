#include "core/association.h"

#include "core/association_impl.h"

namespace p2pxbone {

AssociationMachine::AssociationMachine(AssociationSettings settings) : impl_(std::make_unique<Impl>(settings)) {}
AssociationMachine::~AssociationMachine() = default;

std::optional<std::string> AssociationMachine::setCredential(const std::string& serverName,
                                                             const std::string& certificatePem,
                                                             const std::string& privateKeyPem, const std::string& caPem) {
  CredentialResult made = makeCredential(serverName, certificatePem, privateKeyPem, caPem);
  if (made.credential) impl_->credentials[serverName] = std::move(made.credential);
  return made.error;
}

void AssociationMachine::removeCredential(const std::string& serverName) {
  if (impl_->credentials.erase(serverName) != 0) impl_->endAll(&serverName);
}

std::optional<AssociationId> AssociationMachine::associate(const Endpoint& peer, const std::string& serverName, Millis now) {
  const auto found = impl_->peers.find(peer);
  if (found != impl_->peers.end()) {
    found->second.current->known = true;
    return found->second.current->id;
  }
  const auto credential = impl_->credentials.find(serverName);
  if (credential == impl_->credentials.end()) return std::nullopt;
  if (impl_->full(peer, Role::client)) {
    impl_->drops.tableFull++;
    return std::nullopt;
  }
  auto session = Session::connect(credential->second);
  if (!session) return std::nullopt;
  Association* association = impl_->add(peer, Role::client, std::move(session), now);
  association->known = true;
  return association->id;
}

bool AssociationMachine::send(AssociationId id, std::span<const uint8_t> message, Millis) {
  const auto found = impl_->associations.find(id);
  if (found == impl_->associations.end() || !found->second->up() || message.empty()) return false;
  Association& association = *found->second;
  const size_t bytesMax = association.probe->payloadBytesMax() - association.session->overheadBytes();
  const bool control = message[0] >= contentControlFirst && message.size() <= controlBytesMax;
  const bool vxlan = message[0] == contentVxlan;
  if ((!control && !vxlan) || message.size() > bytesMax) return false;
  const bool written = association.session->write(message);
  impl_->flush(association);
  return written;
}

void AssociationMachine::close(AssociationId association, Millis) {
  const auto found = impl_->associations.find(association);
  if (found != impl_->associations.end()) impl_->end(*found->second, DownReason::closed);
}

void AssociationMachine::closeAll(Millis) { impl_->endAll(nullptr); }

void AssociationMachine::handleDatagram(const Endpoint& from, std::span<const uint8_t> datagram, Millis now) {
  if (!isDtls(datagram) || datagram.size() > sessionDatagramBytesMax) {
    impl_->drops.notDtls++;
    return;
  }
  if (isClientHello(datagram)) return impl_->handleHello(from, datagram, now);
  const auto found = impl_->peers.find(from);
  if (found == impl_->peers.end()) {
    impl_->drops.unknownPeer++;
    return;
  }
  const PeerSlot slot = found->second;
  // Beside an association that is up, handshake records and what is not encrypted belong to the pending one.
  const bool ofHandshake = epochOf(datagram) == 0 || contentTypeOf(datagram) == contentHandshake;
  Association& association = slot.pending != nullptr && ofHandshake ? *slot.pending : *slot.current;
  if (!association.session->accepts(datagram)) {
    impl_->drops.badRecord++;
    return;
  }
  if (association.up()) impl_->receive(association, datagram, now);
  else impl_->advance(association, datagram, now);
}

void AssociationMachine::tick(Millis now) {
  while (!impl_->timers.empty() && impl_->timers.begin()->first <= now) {
    const AssociationId id = impl_->timers.begin()->second;
    impl_->timers.erase(impl_->timers.begin());
    Association& association = *impl_->associations.at(id);
    association.queuedAt.reset();
    impl_->run(association, now);
  }
}

std::optional<Millis> AssociationMachine::deadline() const {
  if (impl_->timers.empty()) return std::nullopt;
  return impl_->timers.begin()->first;
}

std::optional<Transmit> AssociationMachine::pollTransmit() {
  if (impl_->transmits.empty()) return std::nullopt;
  Transmit transmit = std::move(impl_->transmits.front());
  impl_->transmits.pop_front();
  return transmit;
}

std::optional<AssociationEvent> AssociationMachine::pollEvent() {
  if (impl_->events.empty()) return std::nullopt;
  AssociationEvent event = std::move(impl_->events.front());
  impl_->events.pop_front();
  return event;
}

std::vector<AssociationState> AssociationMachine::states() const {
  std::vector<AssociationState> states;
  states.reserve(impl_->associations.size());
  for (const auto& [id, association] : impl_->associations) {
    AssociationState& state = states.emplace_back();
    state.association = id;
    state.peer = association->peer;
    state.up = association->up();
    if (!association->up()) continue;
    state.rttMs = association->liveness->rttMs();
    state.payloadBytesMax = association->probe->payloadBytesMax();
  }
  return states;
}

const AssociationDrops& AssociationMachine::drops() const { return impl_->drops; }

}  // namespace p2pxbone
