#include "os/data_plane.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace p2pxbone {
namespace {

std::string textOf(const Address& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = isMappedIpv4(address);
  ::inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &address[12] : address.data(), text.data(), text.size());
  return text.data();
}

}  // namespace

DataPlane::DataPlane(Platform& platform, const PlaneSettings& settings)
    : platform_(platform), seed_(settings.seed), receive_(settings.receive) {
  if (!underlayBell_->valid()) throw std::system_error{EMFILE, std::generic_category()};
  publishDirectory();
  shaper_ = std::make_unique<ShaperLoop>(ShaperLoop::Surroundings{underlaySlot_, directorySlot_, epochs_, seed_});
  control_ = std::make_unique<ControlLoop>(
      settings.association, ControlLoop::Surroundings{underlaySlot_, epochs_, events_, seed_});
}

DataPlane::~DataPlane() {
  // No datagram may find its way to a node or to the control thread while these end.
  underlayLoop_.reset();
  shaper_->stop();
  control_->stop();
  for (auto& [handle, entry] : nodes_) {
    entry.runtime->stop();
    if (entry.gateway != nullptr) endGateway(*entry.gateway);
  }
}

Outcome<Endpoint> DataPlane::bind(const Endpoint& local) {
  if (underlay_ != nullptr) return Failure{PlaneError::alreadyBound, 0, {}};
  UnderlayOutcome outcome = platform_.openUnderlay(local, seed_);
  if (const int* error = std::get_if<int>(&outcome)) return Failure{PlaneError::system, *error, {}};
  auto socket = std::move(std::get<std::unique_ptr<UnderlaySocket>>(outcome));
  auto loop = std::make_unique<UnderlayLoop>(
      UnderlayLoop::Surroundings{*socket, underlaySlot_, directorySlot_, epochs_, *control_, *shaper_, *underlayBell_, seed_});
  if (const int error = loop->start(); error != 0) return Failure{PlaneError::system, error, {}};
  // Only what works is seen by other threads.
  underlay_ = std::move(socket);
  underlayLoop_ = std::move(loop);
  underlaySlot_.store(underlay_.get());
  underlaySlot_.notify_all();
  return underlay_->local();
}

Failure DataPlane::setCredential(const CredentialSettings& settings) {
  std::optional<std::string> wrong;
  control_->call([&](AssociationMachine& machine, Millis) {
    wrong = machine.setCredential(settings);
  });
  return wrong ? Failure{PlaneError::credentialBad, 0, *wrong} : Failure{};
}

void DataPlane::removeCredential(const std::string& serverName) {
  control_->call([&](AssociationMachine& machine, Millis now) { machine.removeCredential(serverName, now); });
}

Outcome<NodeHandle> DataPlane::openNode(const TapOptions& tap, const NodeConfig& config) {
  if (nodes_.size() >= kNodesMax) return Failure{PlaneError::limitReached, 0, {}};
  // A multicast or foreign address of the frame would never reach the node.
  if ((config.mac[0] & 1) != 0 || config.viId.size() > kViIdBytesMax || !config.plan.valid()) {
    return Failure{PlaneError::system, EINVAL, {}};
  }
  if (directory_->find(config.vni, config.mac) != nullptr) return Failure{PlaneError::conflict, 0, {}};
  TapOutcome outcome = platform_.openTap(tap);
  if (const int* error = std::get_if<int>(&outcome)) return Failure{PlaneError::system, *error, {}};

  const NodeHandle handle = ++lastNode_;
  auto runtime = std::make_unique<NodeRuntime>(
      handle, config, std::move(std::get<std::unique_ptr<TapDevice>>(outcome)),
      NodeRuntime::Surroundings{underlaySlot_, epochs_, events_, *shaper_, seed_, receive_});
  if (const int error = runtime->start(); error != 0) return Failure{PlaneError::system, error, {}};
  NodeEntry& entry = nodes_[handle];
  entry.runtime = std::move(runtime);
  publishTables(entry);
  publishDirectory();
  return handle;
}

void DataPlane::closeNode(NodeHandle node) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return;
  const auto removed = nodes_.extract(found);
  publishDirectory();
  shaper_->reconsider();
  // From here on no worker finds the node, and after this none still holds it.
  epochs_.synchronize();
  removed.mapped().runtime->stop();
  removed.mapped().runtime->addDropsTo(closedDrops_);
  if (removed.mapped().gateway != nullptr) endGateway(*removed.mapped().gateway);
  std::erase_if(tunnelNodes_, [&](const auto& entry) { return entry.second == node; });
}

void DataPlane::publishTables(NodeEntry& entry) {
  const auto previous = entry.published;
  entry.published = std::make_shared<const NodeTables>(NodeTables{entry.image, entry.tunnels, entry.gateway, entry.daemonPort});
  entry.runtime->tables.store(entry.published.get());
  if (previous != nullptr) epochs_.retire(previous);
}

void DataPlane::publishDirectory() {
  std::vector<Node*> nodes;
  for (const auto& [handle, entry] : nodes_) nodes.push_back(entry.runtime.get());
  const auto previous = directory_;
  directory_ = std::make_shared<const Directory>(nodes);
  directorySlot_.store(directory_.get());
  if (previous != nullptr) epochs_.retire(previous);
}

DataPlane::NodeEntry* DataPlane::entryOf(TunnelHandle tunnel) {
  const auto found = tunnelNodes_.find(tunnel);
  return found == tunnelNodes_.end() ? nullptr : &nodes_.at(found->second);
}

Outcome<TunnelHandle> DataPlane::addTunnel(NodeHandle node, const Endpoint& peer, const Mac& peerMac,
                                           AssociationId association) {
  // Never plain where a secure one was asked for.
  const auto channel = association == 0 ? nullptr : channelOf(association);
  if (association != 0 && channel == nullptr) return Failure{PlaneError::associationUnusable, 0, {}};
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return Failure{PlaneError::nodeUnknown, 0, {}};
  NodeEntry& entry = found->second;
  const bool taken = entry.tunnels.match(peer, peerMac) != nullptr ||
                     (channel != nullptr && entry.tunnels.match(*channel, peerMac) != nullptr);
  if (taken) return Failure{PlaneError::conflict, 0, {}};
  const size_t innerMtu = innerMtuOf(kOuterMtuDefault - peer.outerHeaderBytes());
  const TunnelHandle tunnel = entry.tunnels.add(++lastTunnelSerial_, peer, peerMac, innerMtu);
  if (tunnel == 0) return Failure{PlaneError::limitReached, 0, {}};
  if (channel != nullptr) (void)entry.tunnels.secure(tunnel, channel);
  tunnelNodes_.emplace(tunnel, node);
  publishTables(entry);
  return tunnel;
}

Failure DataPlane::updateTunnel(TunnelHandle tunnel, const std::optional<Endpoint>& peer,
                                std::optional<size_t> payloadBytesMax) {
  NodeEntry* const entry = entryOf(tunnel);
  if (entry == nullptr) return {PlaneError::tunnelUnknown, 0, {}};
  if (payloadBytesMax && (*payloadBytesMax < kPayloadBytesMin || *payloadBytesMax > kPayloadBytesMax)) {
    return {PlaneError::system, EINVAL, {}};
  }
  const Tunnel& before = *entry->tunnels.find(tunnel);
  const Endpoint to = peer.value_or(before.peer);
  const Tunnel* const holder = entry->tunnels.match(to, before.peerMac);
  if (holder != nullptr && holder != &before) return {PlaneError::conflict, 0, {}};
  const size_t record = before.channel == nullptr ? 0 : kRecordBytes;
  const size_t innerMtu = payloadBytesMax ? innerMtuOf(*payloadBytesMax) - record : before.innerMtu;
  if (!entry->tunnels.update(tunnel, to, innerMtu)) return {PlaneError::tunnelUnknown, 0, {}};
  publishTables(*entry);
  return {};
}

Failure DataPlane::secureTunnel(TunnelHandle tunnel, AssociationId association) {
  NodeEntry* const entry = entryOf(tunnel);
  if (entry == nullptr) return {PlaneError::tunnelUnknown, 0, {}};
  const auto channel = association == 0 ? nullptr : channelOf(association);
  if (association != 0 && channel == nullptr) return {PlaneError::associationUnusable, 0, {}};
  const Tunnel& before = *entry->tunnels.find(tunnel);
  const Tunnel* const holder = channel == nullptr ? nullptr : entry->tunnels.match(*channel, before.peerMac);
  if (holder != nullptr && holder != &before) return {PlaneError::conflict, 0, {}};
  if (!entry->tunnels.secure(tunnel, channel)) return {PlaneError::tunnelUnknown, 0, {}};
  publishTables(*entry);
  return {};
}

std::shared_ptr<const SecureChannel> DataPlane::channelOf(AssociationId association) {
  std::shared_ptr<const SecureChannel> channel;
  control_->call([&](AssociationMachine& machine, Millis) { channel = machine.channel(association); });
  return channel;
}

Failure DataPlane::shapeTunnel(TunnelHandle tunnel, const TunnelShape& shape) {
  NodeEntry* const entry = entryOf(tunnel);
  if (entry == nullptr) return {PlaneError::tunnelUnknown, 0, {}};
  const std::optional<LinkShape> out = completed(shape.out);
  const std::optional<LinkShape> in = completed(shape.in);
  if (!out || !in) return {PlaneError::system, EINVAL, {}};
  if (shape.shapes()) {
    if (const int error = shaper_->start(); error != 0) return {PlaneError::system, error, {}};
  }
  const auto complete = shape.shapes() ? std::make_shared<const TunnelShape>(TunnelShape{*out, *in}) : nullptr;
  if (!entry->tunnels.reshape(tunnel, complete)) return {PlaneError::tunnelUnknown, 0, {}};
  publishTables(*entry);
  shaper_->reconsider();
  return {};
}

void DataPlane::removeTunnel(TunnelHandle tunnel) {
  NodeEntry* const entry = entryOf(tunnel);
  if (entry == nullptr || !entry->tunnels.remove(tunnel)) return;
  tunnelNodes_.erase(tunnel);
  publishTables(*entry);
  shaper_->reconsider();
}

Failure DataPlane::publish(NodeHandle node, const ImageRoutes& routes) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return {PlaneError::nodeUnknown, 0, {}};
  std::optional<Address> twice;
  auto image = ForwardingImage::build(routes, &twice);
  if (image == nullptr) return {PlaneError::imageBad, 0, twice ? textOf(*twice) : std::string{}};
  found->second.image = std::move(image);
  publishTables(found->second);
  return {};
}

Outcome<Hop> DataPlane::lookup(NodeHandle node, const Address& destination, bool v6) const {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return Failure{PlaneError::nodeUnknown, 0, {}};
  const NodeEntry& entry = found->second;
  if (entry.image == nullptr) return Failure{PlaneError::imageMissing, 0, {}};
  const NodeConfig& config = entry.runtime->config;
  const Hop hop = entry.image->lookupAddress(destination, v6);
  if (hop.kind != HopKind::ring) return hop;
  const Hop onRing =
      entry.image->lookupRing(v6 ? ringIdOfIpv6(destination) : ringIdOfIpv4(&destination[12], config.viId));
  const bool unowned = onRing.kind == HopKind::local && !v6 && destination != config.ipv4;
  return unowned ? Hop{HopKind::unreachable, 0} : onRing;
}

Outcome<AssociationId> DataPlane::associate(const Endpoint& peer, const std::string& serverName) {
  if (underlay_ == nullptr) return Failure{PlaneError::notBound, 0, {}};
  std::optional<AssociationId> association;
  control_->call(
      [&](AssociationMachine& machine, Millis now) { association = machine.associate(peer, serverName, now); });
  if (!association) return Failure{PlaneError::credentialMissing, 0, {}};
  return *association;
}

Failure DataPlane::send(AssociationId association, std::span<const uint8_t> message) {
  bool sent = false;
  control_->call([&](AssociationMachine& machine, Millis now) { sent = machine.send(association, message, now); });
  return sent ? Failure{} : Failure{PlaneError::associationUnusable, 0, {}};
}

Failure DataPlane::measure(AssociationId association, bool capacity) {
  bool begun = false;
  control_->call([&](AssociationMachine& machine, Millis now) { begun = machine.measure(association, capacity, now); });
  return begun ? Failure{} : Failure{PlaneError::associationUnusable, 0, {}};
}

void DataPlane::closeAssociation(AssociationId association) {
  control_->call([&](AssociationMachine& machine, Millis now) { machine.close(association, now); });
}

PlaneCounters DataPlane::counters() {
  PlaneCounters counters;
  counters.drops = closedDrops_;
  if (underlayLoop_ != nullptr) underlayLoop_->addDropsTo(counters.drops);
  control_->call([&](AssociationMachine& machine, Millis now) { counters.associations = machine.states(now); });
  control_->addDropsTo(counters.drops);
  shaper_->addDropsTo(counters.drops);
  for (const auto& [handle, entry] : nodes_) {
    entry.runtime->addDropsTo(counters.drops);
    if (entry.gateway != nullptr) entry.gateway->addDropsTo(counters.drops);
    NodeCount& node = counters.nodes.emplace_back();
    node.node = handle;
    node.generation = entry.image == nullptr ? 0 : entry.image->generation();
    for (const NodeLane& lane : entry.runtime->lanes) {
      node.packetsFromTap += lane.packetsFromTap.get();
      node.packetsToTap += lane.packetsToTap.get();
      node.packetsTransit += lane.packetsTransit.get();
      node.packetsPinned += lane.packetsPinned.get();
      node.icmpErrorsSent += lane.icmpErrorsSent.get();
    }
    for (const Tunnel& tunnel : entry.tunnels.slots()) {
      if (tunnel.handle == 0) continue;
      TunnelCount& count = counters.tunnels.emplace_back();
      count.tunnel = tunnel.handle;
      for (const TunnelLane& lane : tunnel.stats->lanes) {
        count.packetsOut += lane.packetsOut.get();
        count.bytesOut += lane.bytesOut.get();
        count.packetsIn += lane.packetsIn.get();
        count.bytesIn += lane.bytesIn.get();
      }
    }
  }
  epochs_.reclaim();
  return counters;
}

}  // namespace p2pxbone
