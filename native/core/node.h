// A virtual node as the packet path sees it, and the directory in which received frames find theirs.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "core/address_plan.h"
#include "core/image.h"
#include "core/token_bucket.h"
#include "core/traffic_gate.h"
#include "core/tunnel_table.h"

namespace p2pxbone {

// As Linux limits its own ICMP errors.
inline constexpr int64_t kIcmpErrorsPerSecond = 1000;
inline constexpr int64_t kIcmpErrorsBurst = 50;

struct NodeConfig {
  Mac mac{};
  uint32_t vni = 0;
  uint64_t id = 0;
  std::string viId;
  Address ipv4{};  // mapped
  Address ipv6{};
  // What may be the source of a packet from a tunnel.
  AddressPlan plan;
};

// Everything about a node that changes, swapped whole.
struct NodeTables {
  std::shared_ptr<const ForwardingImage> image;  // null until the first is published
  TunnelTable tunnels;
  // Null: none. Does not see what P2P daemons say to each other: without that there is no ring.
  std::shared_ptr<TrafficGate> gate = nullptr;
  // Of the node's P2P daemon; 0: unknown. Only with a gate.
  uint16_t daemonPort = 0;
};

struct alignas(64) NodeLane {
  Counter packetsFromTap;
  Counter packetsToTap;
  Counter packetsTransit;
  Counter packetsPinned;
  Counter icmpErrorsSent;
  TokenBucket icmpBucket{kIcmpErrorsPerSecond, kIcmpErrorsBurst};
};

struct Node {
  // `number` is unique among all nodes that the data plane ever had, and not 0.
  Node(uint32_t number, NodeConfig settings) : serial(number), config(std::move(settings)) {}

  const uint32_t serial;
  const NodeConfig config;
  // Swapped by the control side, which frees the old ones when no worker can hold them (core/epoch.h).
  std::atomic<const NodeTables*> tables{nullptr};
  // Each entry belongs to one thread.
  std::array<NodeLane, kLanes> lanes;
};

// Immutable; nodes in it outlive it.
class Directory {
 public:
  explicit Directory(const std::vector<Node*>& nodes);

  [[nodiscard]] Node* find(uint32_t vni, const Mac& mac) const;
  // By its serial number.
  [[nodiscard]] Node* find(uint32_t serial) const;
  [[nodiscard]] bool knows(uint32_t vni) const;
  [[nodiscard]] const std::vector<Node*>& nodes() const { return bySerial_; }

 private:
  struct Entry {
    uint32_t vni;
    Mac mac;
    Node* node;
  };
  std::vector<Entry> entries_;   // sorted by network and MAC address
  std::vector<Node*> bySerial_;  // sorted
};

}  // namespace p2pxbone
