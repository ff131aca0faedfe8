// Which packets of one flow may be joined to one super-packet, and how: by the rules of Linux's GRO, so that cutting it up
// gives back the packets it was made of.
#pragma once

#include <cstdint>
#include <span>

#include "core/offload.h"

namespace p2pxbone {

// IP and transport headers of a packet that the rules allow to be joined with others, bytes; 0 if they do not: neither
// options nor extension headers nor fragments, so that the headers of all look alike; nothing that changes a connection's
// state, and nothing without payload. Its transport checksum is still to be verified.
[[nodiscard]] size_t joinableHeaders(std::span<const uint8_t> inner, const InnerPacket& ip);

// Neither options nor extension headers nor fragments, with ports: one whose flow is known.
[[nodiscard]] bool isPlain(const InnerPacket& ip);

// The transport header's sum and that of the payload come to what they should.
[[nodiscard]] bool transportChecksumGood(std::span<const uint8_t> inner, const InnerPacket& ip);

[[nodiscard]] bool sameFlow(const InnerPacket& a, const InnerPacket& b);

// Packets that are to become one. What it is given is IP packets with nothing behind them, for which joinableHeaders() is
// not 0. The memory is the caller's.
class Join {
 public:
  // In one super-packet; also the kernel's limit for UDP.
  static constexpr size_t kPacketsMax = 64;

  // Forgets what was before. `inner` stays in place while more are asked about.
  void begin(std::span<const uint8_t> inner, const InnerPacket& ip, size_t headers);
  // Whether the packet, of the same flow, is the next of them.
  [[nodiscard]] bool continuedBy(std::span<const uint8_t> inner, const InnerPacket& ip, size_t headers) const;
  void append(const InnerPacket& ip);
  // `headers`: those of the first packet, made those of the whole. The transport checksum is still to be completed, as of
  // a packet that the kernel made itself.
  Offload finish(std::span<uint8_t> headers) const;

  // Of the first packet.
  [[nodiscard]] const InnerPacket& ip() const { return ip_; }
  // As parseInner() would find the whole.
  [[nodiscard]] InnerPacket whole() const;
  [[nodiscard]] size_t headers() const { return headers_; }
  [[nodiscard]] size_t totalBytes() const { return headers_ + payload_; }
  [[nodiscard]] size_t packets() const { return packets_; }

 private:
  const uint8_t* first_ = nullptr;
  InnerPacket ip_;
  size_t headers_ = 0;
  size_t segment_ = 0;  // payload of the first packet, bytes
  size_t payload_ = 0;  // of all
  size_t packets_ = 0;
  uint32_t nextSequence_ = 0;
  uint16_t nextIdentification_ = 0;
  uint8_t lastFlags_ = 0;
  bool ended_ = false;  // nothing may be appended
};

}  // namespace p2pxbone
