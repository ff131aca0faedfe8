// The data plane's nodes with gateways.
#include <cerrno>
#include <system_error>
#include <utility>

#include "os/data_plane.h"

namespace p2pxbone {

Failure DataPlane::setGateway(NodeHandle node, const GatewaySettings& settings, const GatewayRules& rules,
                              uint16_t daemonPort) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end()) return {PlaneError::nodeUnknown, 0, {}};
  NodeEntry& entry = found->second;
  if (entry.gateway != nullptr) return {PlaneError::conflict, 0, {}};
  try {
    const LaneBells bells{underlayBell_, entry.runtime->bell(), shaper_->bell()};
    entry.gateway = std::make_shared<NodeGateway>(settings, rules, entry.runtime->config, bells);
  } catch (const std::system_error& error) {
    return {PlaneError::system, error.code().value(), error.what()};
  }
  entry.daemonPort = daemonPort;
  publishTables(entry);
  return {};
}

Failure DataPlane::useGatewayRules(NodeHandle node, const GatewayRules& rules) {
  if (!nodes_.contains(node)) return {PlaneError::nodeUnknown, 0, {}};
  NodeGateway* const gateway = gatewayOf(node);
  if (gateway == nullptr) return {PlaneError::gatewayUnknown, 0, {}};
  return gateway->use(rules) ? Failure{} : Failure{PlaneError::system, ENOMEM, {}};
}

Failure DataPlane::useGatewaySets(NodeHandle node, std::span<const uint8_t> replaced) {
  if (!nodes_.contains(node)) return {PlaneError::nodeUnknown, 0, {}};
  NodeGateway* const gateway = gatewayOf(node);
  if (gateway == nullptr) return {PlaneError::gatewayUnknown, 0, {}};
  // Made without the gateway's lock: there may be many addresses. Nobody else exchanges its policy meanwhile.
  const std::shared_ptr<const gateway::Policy> before = gateway->policy();
  if (before == nullptr) return {PlaneError::gatewayUnknown, 0, {}};
  gateway::Policy::Build build = before->withSets(replaced);
  if (const auto* error = std::get_if<gateway::PolicyError>(&build)) return {PlaneError::system, EINVAL, error->what};
  gateway->useSets(std::get<std::shared_ptr<const gateway::Policy>>(std::move(build)));
  return {};
}

void DataPlane::removeGateway(NodeHandle node) {
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || found->second.gateway == nullptr) return;
  const std::shared_ptr<NodeGateway> gateway = std::exchange(found->second.gateway, nullptr);
  publishTables(found->second);
  epochs_.synchronize();
  endGateway(*gateway);
}

void DataPlane::endGateway(NodeGateway& gateway) {
  gateway.stop();
  gateway.addDropsTo(closedDrops_);
}

NodeGateway* DataPlane::gatewayOf(NodeHandle node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : found->second.gateway.get();
}

Outcome<std::string> DataPlane::gatewayStatistics(NodeHandle node) const {
  NodeGateway* const gateway = gatewayOf(node);
  if (gateway == nullptr) return Failure{PlaneError::gatewayUnknown, 0, {}};
  return gateway->statistics();
}

Outcome<std::string> DataPlane::gatewayFlows(NodeHandle node, size_t most) const {
  NodeGateway* const gateway = gatewayOf(node);
  if (gateway == nullptr) return Failure{PlaneError::gatewayUnknown, 0, {}};
  return gateway->flows(most);
}

}  // namespace p2pxbone
