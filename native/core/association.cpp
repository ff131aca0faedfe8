#include "core/association.h"

#include <algorithm>
#include <utility>

#include "core/association_impl.h"
#include "core/secure_arrivals.h"

namespace p2pxbone {

AssociationMachine::AssociationMachine(AssociationSettings settings) : impl_(std::make_unique<Impl>(settings)) {}
AssociationMachine::~AssociationMachine() = default;

std::optional<std::string> AssociationMachine::setCredential(const CredentialSettings& settings) {
  CredentialResult made = makeCredential(settings);
  if (made.credential) impl_->credentials[settings.serverName] = std::move(made.credential);
  return made.error;
}

void AssociationMachine::removeCredential(const std::string& serverName, Millis now) {
  if (impl_->credentials.erase(serverName) != 0) impl_->endAll(&serverName, now);
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
  const size_t bytesMax = std::min(controlBytesMax, association.probe->payloadBytesMax() - recordOverheadBytes(association.cipher));
  if (message[0] < contentControlFirst || message.size() > bytesMax) return false;
  impl_->write(association, message);
  return true;
}

bool AssociationMachine::measure(AssociationId id, bool capacity, Millis now) {
  const auto found = impl_->associations.find(id);
  if (found == impl_->associations.end() || !found->second->up() || found->second->measurement) return false;
  Association& association = *found->second;
  association.measurement.emplace(capacity, association.probe->payloadBytesMax(), now);
  impl_->measure(association, now);
  impl_->schedule(association, now);
  return true;
}

void AssociationMachine::close(AssociationId association, Millis now) {
  const auto found = impl_->associations.find(association);
  if (found != impl_->associations.end()) impl_->end(*found->second, DownReason::closed, now);
}

void AssociationMachine::closeAll(Millis now) { impl_->endAll(nullptr, now); }

std::shared_ptr<SecureChannel> AssociationMachine::channel(AssociationId association) const {
  const auto found = impl_->associations.find(association);
  return found == impl_->associations.end() ? nullptr : found->second->channel;
}

void AssociationMachine::handleDatagram(const Endpoint& from, std::span<const uint8_t> datagram, Millis now) {
  if (!isDtls(datagram) || datagram.size() > recordDatagramBytesMax) {
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
  if (!isOfHandshake(datagram)) return impl_->handleUnpublished(*slot.current, datagram, now);
  // Beside an association that is up, handshake records and what is not encrypted belong to the pending one.
  Association& association = slot.pending != nullptr ? *slot.pending : *slot.current;
  if (association.held || !association.session->accepts(datagram)) {
    impl_->drops.badRecord++;
    return;
  }
  if (holdsPlainAlert(datagram)) impl_->handlePlainAlert(association, now);
  else if (association.up()) impl_->repeatFlight(association, now);
  else impl_->advance(association, datagram, now);
}

void AssociationMachine::handleRecord(const ControlRecord& record, std::span<const uint8_t> content, Millis now) {
  const auto found = impl_->associations.find(record.association);
  // It may have ended while the record was on its way from the reader.
  if (found == impl_->associations.end() || !found->second->up()) return;
  (void)impl_->handleOpened(*found->second, record, content, now);
}

void AssociationMachine::handleMoved(AssociationId association, const Endpoint& to, Millis now) {
  const auto found = impl_->associations.find(association);
  if (found != impl_->associations.end() && found->second->up()) impl_->move(*found->second, to, now);
}

std::shared_ptr<const ChannelDirectory> AssociationMachine::takeDirectory() {
  if (!std::exchange(impl_->directoryChanged, false)) return nullptr;
  std::vector<ChannelDirectory::Entry> entries;
  for (const auto& [peer, slot] : impl_->peers) {
    Association& association = *slot.current;
    if (!AssociationMachine::Impl::inDirectory(association)) continue;
    association.listed = association.up();
    entries.push_back({peer, association.up() ? association.channel : nullptr});
  }
  return std::make_shared<const ChannelDirectory>(std::move(entries));
}

void AssociationMachine::notePublished() {
  for (const auto& [id, association] : impl_->associations) association->published = association->listed;
}

std::vector<std::shared_ptr<const void>> AssociationMachine::takeRetired() { return std::exchange(impl_->retired, {}); }

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

std::vector<AssociationState> AssociationMachine::states(Millis now) const {
  std::vector<AssociationState> states;
  states.reserve(impl_->associations.size());
  for (const auto& [id, association] : impl_->associations) {
    // Part of the association whose keys it is to renew.
    if (association->renews) continue;
    AssociationState& state = states.emplace_back();
    state.association = id;
    state.peer = association->peer;
    state.up = association->up();
    if (!association->up()) continue;
    state.rttMs = association->liveness->rttMs();
    state.payloadBytesMax = association->probe->payloadBytesMax();
    state.cipher = association->cipher;
    state.keysAge = now - association->keysSince;
    state.rekeys = association->rekeys;
  }
  return states;
}

const AssociationDrops& AssociationMachine::drops() const { return impl_->drops; }

}  // namespace p2pxbone
