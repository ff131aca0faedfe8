// The whole data plane as JavaScript uses it. Everything here is called from one thread, JavaScript's; the packet path
// runs in threads of its own and reads what is published here.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "core/link_shape.h"
#include "os/control_loop.h"
#include "os/event_queue.h"
#include "os/node_gateway.h"
#include "os/node_runtime.h"
#include "os/platform.h"
#include "os/shaper_loop.h"
#include "os/underlay_loop.h"

namespace p2pxbone {

enum class PlaneError : uint8_t {
  none,
  system,  // with an errno
  alreadyBound,
  notBound,
  nodeUnknown,
  tunnelUnknown,
  gatewayUnknown,       // the node has none
  associationUnusable,  // no such association, it is not up, or it is being measured already
  credentialBad,        // with a text
  credentialMissing,    // or too many associations
  limitReached,
  conflict,
  imageBad,             // the text is an address that stands there twice, if that is why
  imageMissing,
};

struct Failure {
  PlaneError error = PlaneError::none;
  int systemError = 0;
  std::string text;
};

template <typename Value>
using Outcome = std::variant<Value, Failure>;

struct PlaneSettings {
  AssociationSettings association;
  ReceivePath receive = ReceivePath::uring;
  // Unpredictable to others.
  uint64_t seed = 0;
};

struct TunnelCount {
  TunnelHandle tunnel = 0;
  uint64_t packetsOut = 0;
  uint64_t bytesOut = 0;
  uint64_t packetsIn = 0;
  uint64_t bytesIn = 0;
};

struct NodeCount {
  NodeHandle node = 0;
  uint64_t generation = 0;  // 0 before the first image
  uint64_t packetsFromTap = 0;
  uint64_t packetsToTap = 0;
  uint64_t packetsTransit = 0;
  uint64_t packetsPinned = 0;
  uint64_t icmpErrorsSent = 0;
};

struct PlaneCounters {
  std::array<uint64_t, kDropReasonCount> drops{};
  std::vector<TunnelCount> tunnels;
  std::vector<NodeCount> nodes;
  std::vector<AssociationState> associations;
};

class DataPlane {
 public:
  static constexpr size_t kNodesMax = 256;
  static constexpr size_t kViIdBytesMax = 256;
  static constexpr size_t kPayloadBytesMin = 576;
  static constexpr size_t kPayloadBytesMax = 65507;
  // Of an Ethernet base network, until the path has been measured.
  static constexpr size_t kOuterMtuDefault = 1500;

  // Throws std::system_error if the system has no thread or descriptor left.
  DataPlane(Platform& platform, const PlaneSettings& settings);
  // Says goodbye to all peers, stops all threads, removes all TAPs.
  ~DataPlane();
  DataPlane(const DataPlane&) = delete;
  DataPlane& operator=(const DataPlane&) = delete;

  [[nodiscard]] EventQueue& events() { return events_; }

  // Once; one that has failed has changed nothing.
  [[nodiscard]] Outcome<Endpoint> bind(const Endpoint& local);
  [[nodiscard]] Failure setCredential(const CredentialSettings& settings);
  void removeCredential(const std::string& serverName);

  [[nodiscard]] Outcome<NodeHandle> openNode(const TapOptions& tap, const NodeConfig& config);
  void closeNode(NodeHandle node);
  // Association 0: plain.
  [[nodiscard]] Outcome<TunnelHandle> addTunnel(NodeHandle node, const Endpoint& peer, const Mac& peerMac,
                                                AssociationId association);
  [[nodiscard]] Failure secureTunnel(TunnelHandle tunnel, AssociationId association);
  [[nodiscard]] Failure shapeTunnel(TunnelHandle tunnel, const TunnelShape& shape);
  [[nodiscard]] Failure updateTunnel(TunnelHandle tunnel, const std::optional<Endpoint>& peer,
                                     std::optional<size_t> payloadBytesMax);
  void removeTunnel(TunnelHandle tunnel);
  [[nodiscard]] Failure publish(NodeHandle node, const ImageRoutes& routes);
  [[nodiscard]] Outcome<Hop> lookup(NodeHandle node, const Address& destination, bool v6) const;

  // Of a node that has none: from now on its traffic passes one. `daemonPort`: the UDP port of its P2P daemon, whose
  // messages do not; 0: unknown. The text of a failure says what the system refused.
  [[nodiscard]] Failure setGateway(NodeHandle node, const GatewaySettings& settings, const GatewayRules& rules,
                                   uint16_t daemonPort);
  // Other rules; no packet and no flow is lost.
  [[nodiscard]] Failure useGatewayRules(NodeHandle node, const GatewayRules& rules);
  // Other addresses in sets of the policy in force, as Policy::withSets() takes them; likewise.
  [[nodiscard]] Failure useGatewaySets(NodeHandle node, std::span<const uint8_t> replaced);
  // Its flows end, what waits is dropped, and everything is recorded when this returns.
  void removeGateway(NodeHandle node);
  // JSON; see Gateway.
  [[nodiscard]] Outcome<std::string> gatewayStatistics(NodeHandle node) const;
  [[nodiscard]] Outcome<std::string> gatewayFlows(NodeHandle node, size_t most) const;

  [[nodiscard]] Outcome<AssociationId> associate(const Endpoint& peer, const std::string& serverName);
  [[nodiscard]] Failure send(AssociationId association, std::span<const uint8_t> message);
  [[nodiscard]] Failure measure(AssociationId association, bool capacity);
  void closeAssociation(AssociationId association);

  [[nodiscard]] PlaneCounters counters();

 private:
  // What JavaScript's thread has made of a node; `published` is what workers see.
  struct NodeEntry {
    std::shared_ptr<const ForwardingImage> image;
    TunnelTable tunnels;
    std::shared_ptr<NodeGateway> gateway;  // null: none
    uint16_t daemonPort = 0;
    std::shared_ptr<const NodeTables> published;
    // Last, so that its threads end before what they read.
    std::unique_ptr<NodeRuntime> runtime;
  };

  void publishTables(NodeEntry& entry);
  // When no worker can ask it any more.
  void endGateway(NodeGateway& gateway);
  [[nodiscard]] NodeGateway* gatewayOf(NodeHandle node) const;
  void publishDirectory();
  [[nodiscard]] NodeEntry* entryOf(TunnelHandle tunnel);
  // Null if there is no such association.
  [[nodiscard]] std::shared_ptr<const SecureChannel> channelOf(AssociationId association);

  Platform& platform_;
  const uint64_t seed_;
  const ReceivePath receive_;
  EpochDomain epochs_;
  EventQueue events_;
  UnderlaySlot underlaySlot_{nullptr};
  DirectorySlot directorySlot_{nullptr};
  const std::shared_ptr<Bell> underlayBell_ = std::make_shared<Bell>();
  std::shared_ptr<const Directory> directory_;
  std::array<uint64_t, kDropReasonCount> closedDrops_{};  // of nodes that are gone
  NodeHandle lastNode_ = 0;
  uint64_t lastTunnelSerial_ = 0;
  std::unordered_map<TunnelHandle, NodeHandle> tunnelNodes_;

  // Destroyed from the last to the first: nodes' threads and the underlay's reader before what they use.
  std::unique_ptr<UnderlaySocket> underlay_;
  std::unique_ptr<ShaperLoop> shaper_;
  std::unique_ptr<ControlLoop> control_;
  std::map<NodeHandle, NodeEntry> nodes_;
  std::unique_ptr<UnderlayLoop> underlayLoop_;
};

}  // namespace p2pxbone
