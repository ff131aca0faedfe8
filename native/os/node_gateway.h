// The gateway of a virtual node, in the data path: the threads that forward ask it about each packet, and carry on what it
// lets go later. A thread of its own sees to what is due when no packet comes, and to the scanner's answers.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>

#include "core/counters.h"
#include "core/node.h"
#include "os/bell.h"
#include "os/gateway.h"
#include "os/parting_line.h"

namespace p2pxbone {

// Of the threads by which a node's packets come.
struct LaneBells {
  std::shared_ptr<Bell> underlay;
  std::shared_ptr<Bell> tap;
  std::shared_ptr<Bell> shaper;
};

class NodeGateway final : public TrafficGate, private gateway::Outlet {
 public:
  // `own`: the node's addresses; what the gateway says in their name goes the way of what comes from the TAP. Throws
  // std::system_error; see Gateway.
  NodeGateway(const GatewaySettings& settings, const GatewayRules& rules, const NodeConfig& own, const LaneBells& bells);
  // As stop().
  ~NodeGateway() override;
  NodeGateway(const NodeGateway&) = delete;
  NodeGateway& operator=(const NodeGateway&) = delete;

  Passed pass(Lane lane, TunnelHandle arrival, std::span<uint8_t>& inner, const Offload& offload, size_t packets,
              Millis now) override;
  std::span<const Parting> takeReady(Lane lane) override;
  void endBatch(Lane lane) override;
  void settle(Lane lane) override;

  // Any thread. See Gateway.
  [[nodiscard]] bool use(const GatewayRules& rules);
  [[nodiscard]] std::shared_ptr<const gateway::Policy> policy();
  void useSets(std::shared_ptr<const gateway::Policy> policy);
  [[nodiscard]] std::string statistics();
  [[nodiscard]] std::string flows(size_t most);
  void addDropsTo(std::array<uint64_t, kDropReasonCount>& totals);

  // Control side, when no worker can ask it any more. What waits is dropped and counted; everything is recorded when it
  // returns.
  void stop();

 private:
  void release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) override;
  void discard(uint64_t tag, DropReason reason) override;
  void emit(std::span<uint8_t> bytes) override;

  void push(Lane lane, std::span<const uint8_t> bytes, const Parting& about);
  // Calls the threads for which something has been left, but for the one that is here.
  void callOthers(Lane here);
  void callAll();
  void ring(size_t lane);
  // By whose thread packets come whose source is that of the packet given.
  [[nodiscard]] Lane laneOfSender(std::span<const uint8_t> bytes) const;
  [[nodiscard]] PartingLine& lineOf(Lane lane) { return *lines_[static_cast<size_t>(lane)]; }
  void loop();
  void sleep();

  const Address ownIpv4_;
  const Address ownIpv6_;
  const LaneBells bells_;
  Wakeup wakeup_;     // the thread's; outlives who signals it
  std::mutex mutex_;  // guards all below but the thread
  std::array<std::unique_ptr<PartingLine>, kLanes> lines_;
  uint32_t left_ = 0;  // a bit for each lane: something was left for it
  DropCounters drops_;
  // The packet in pass().
  Lane lane_ = Lane::underlay;
  std::span<const uint8_t> atHand_;
  std::unique_ptr<Gateway> gateway_;
  Nanos wakesAt_ = 0;  // the thread, unless it is called
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace p2pxbone
