// Consecutive TCP packets of one flow that came by one tunnel, about which a gate is asked as about one. What may go on as
// it is leaves as the packets that came.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "core/join.h"
#include "core/node.h"

namespace p2pxbone {

class GateRun {
 public:
  struct Way {
    Node* node = nullptr;
    const NodeTables* tables = nullptr;
    const Tunnel* arrival = nullptr;
    Millis now = 0;
  };
  // All of them in one, with room for the encapsulation before it, of which only the EtherType is written.
  struct Whole {
    std::span<uint8_t> packet;
    Offload offload;
    InnerPacket ip;
    Division division;
  };

  // IP and transport headers of a packet that may be one of a run, bytes; otherwise 0.
  [[nodiscard]] static size_t headersOf(std::span<const uint8_t> inner, const InnerPacket& ip) {
    return ip.protocol == kProtocolTcp ? joinableHeaders(inner, ip) : 0;
  }

  [[nodiscard]] bool empty() const { return count_ == 0; }
  // `packet`: the room for the encapsulation and the IP packet without padding, for which headersOf() is `headers`. It stays
  // in place until clear(). The run is empty before.
  void begin(const Way& way, std::span<uint8_t> packet, const InnerPacket& ip, size_t headers);
  // Takes the packet if it is the next of the run.
  [[nodiscard]] bool extend(const Way& way, std::span<uint8_t> packet, const InnerPacket& ip, size_t headers);
  void clear() { count_ = 0; }

  [[nodiscard]] const Way& way() const { return way_; }
  // Of the first packet.
  [[nodiscard]] const InnerPacket& ip() const { return join_.ip(); }
  // Oldest first.
  [[nodiscard]] std::span<const std::span<uint8_t>> packets() const { return std::span{packets_}.first(count_); }
  // A copy that holds until the next one is made; nullopt if a packet's checksum is wrong, whose place is not among others.
  [[nodiscard]] std::optional<Whole> join();

 private:
  Way way_;
  Join join_;
  size_t count_ = 0;
  std::array<std::span<uint8_t>, Join::kPacketsMax> packets_;
  std::unique_ptr<uint8_t[]> room_;  // made when it is first needed
};

}  // namespace p2pxbone
