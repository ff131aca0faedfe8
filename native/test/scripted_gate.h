// A gate that does what it is told, and a forwarder that asks it.
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "test/forward_world.h"

namespace p2pxbone::testing {

class ScriptedGate final : public TrafficGate {
 public:
  struct Seen {
    TunnelHandle arrival;
    Bytes inner;
    Offload offload;
    size_t packets;
  };

  Passed pass(Lane, TunnelHandle arrival, std::span<uint8_t>& inner, const Offload& offload, size_t packets, Millis) override {
    seen.push_back({arrival, {inner.begin(), inner.end()}, offload, packets});
    if (onPass) return onPass(inner);
    return {};
  }
  std::span<const Parting> takeReady(Lane) override {
    if (waiting.empty()) return {};
    Held held = std::move(waiting.front());
    waiting.pop_front();
    left.push_back(std::move(held));
    Held& kept = left.back();
    kept.parting.packet = kept.bytes;
    return {&kept.parting, 1};
  }
  void endBatch(Lane) override {
    ++batches;
    if (onEnd) onEnd();
  }
  void settle(Lane) override { left.clear(); }

  void letGo(const Bytes& ip, TunnelHandle arrival, const Offload& offload = {}, bool made = false) {
    Bytes packet = vxlan(0, ethernet(ip, {}, {}));
    waiting.push_back({packet, {{}, offload, arrival, made}});
  }

  std::function<Passed(std::span<uint8_t>&)> onPass;
  std::function<void()> onEnd;
  std::vector<Seen> seen;
  int batches = 0;

 private:
  struct Held {
    Bytes bytes;
    Parting parting;
  };
  std::deque<Held> waiting;
  std::deque<Held> left;  // a deque: what it holds stays in place
};

struct GateWorld : ForwardWorld {
  GateWorld() {
    tables.gate = gate;
    tables.daemonPort = 4747;
  }
  std::shared_ptr<ScriptedGate> gate = std::make_shared<ScriptedGate>();
};

}  // namespace p2pxbone::testing
