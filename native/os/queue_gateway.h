// The gateway on an ordinary Linux router: packets that the firewall queues (NFQUEUE) pass it, on a thread of their own.
#pragma once

#include <mutex>
#include <thread>

#include "os/gateway.h"
#include "os/netfilter_queue.h"
#include "os/raw_sender.h"

namespace p2pxbone {

class QueueGateway final : private gateway::Outlet {
 public:
  // Throws std::system_error; see NetfilterQueue, RawSender and Gateway.
  QueueGateway(const NetfilterQueue::Settings& queue, const GatewaySettings& settings, const GatewayRules& rules);
  // As stop().
  ~QueueGateway() override;
  QueueGateway(const QueueGateway&) = delete;
  QueueGateway& operator=(const QueueGateway&) = delete;

  // Any thread. See Gateway.
  [[nodiscard]] bool use(const GatewayRules& rules);
  // Lines of JSON; the queue's own counters, and the rest.
  [[nodiscard]] std::string queueStatistics();
  [[nodiscard]] std::string statistics();
  [[nodiscard]] std::string flows(size_t most);

  // One thread. Packets that wait are dropped by the kernel; everything is recorded when it returns.
  void stop();

 private:
  void release(std::span<uint8_t> bytes, const Offload& offload, uint64_t tag) override;
  void discard(uint64_t tag, DropReason reason) override;
  void emit(std::span<uint8_t> bytes) override;

  void loop();
  void sleep();
  void take(const NetfilterQueue::Arrival& arrival, Nanos now);
  // In the packet's place. The kernel expects whole checksums in what it is given.
  void replace(uint32_t id, uint32_t mark, std::span<uint8_t> bytes, const Offload& offload);

  std::mutex mutex_;  // guards all below but the wake-up and the thread
  NetfilterQueue queue_;
  RawSender sender_;
  uint64_t unsent_ = 0;
  std::unique_ptr<Gateway> gateway_;
  bool stopping_ = false;
  Wakeup wakeup_;
  std::thread thread_;
};

}  // namespace p2pxbone
