// Flows written down for tests: who sends what, in which order.
#pragma once

#include <algorithm>
#include <array>
#include <random>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "gateway/collected_data.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway::testing {

using Bytes = std::vector<uint8_t>;

inline Bytes bytesOf(std::string_view text) { return {text.begin(), text.end()}; }

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes be16(uint32_t value) { return {static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)}; }
inline Bytes be24(uint32_t value) { return Bytes{static_cast<uint8_t>(value >> 16)} + be16(value & 0xffff); }
inline Bytes be32(uint32_t value) { return be16(value >> 16) + be16(value & 0xffff); }
inline Bytes le16(uint32_t value) { return {static_cast<uint8_t>(value), static_cast<uint8_t>(value >> 8)}; }
inline Bytes le32(uint32_t value) { return le16(value & 0xffff) + le16(value >> 16); }

inline Bytes hex(std::string_view digits) {
  const auto value = [](char c) { return static_cast<uint8_t>(c <= '9' ? c - '0' : c - 'a' + 10); };
  Bytes bytes;
  for (size_t i = 0; i + 1 < digits.size(); i += 2)
    bytes.push_back(static_cast<uint8_t>(value(digits[i]) * 16 + value(digits[i + 1])));
  return bytes;
}

inline Bytes randomBytes(std::mt19937& random, size_t count) {
  Bytes bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

inline Address v4(uint8_t last) {
  const std::array<uint8_t, 4> bytes{10, 0, 0, last};
  return mappedIpv4(bytes.data());
}

struct FlowScript {
  struct Step {
    Side side;
    Bytes bytes;
  };
  FlowEnds ends{v4(1), v4(2), 40'000, 50'000, kProtocolTcp};
  std::vector<Step> steps;

  static FlowScript tcp() { return {}; }
  static FlowScript udp() {
    FlowScript script;
    script.ends.protocol = kProtocolUdp;
    return script;
  }
  FlowScript& initiator(const Bytes& bytes) {
    steps.push_back({Side::initiator, bytes});
    return *this;
  }
  FlowScript& responder(const Bytes& bytes) {
    steps.push_back({Side::responder, bytes});
    return *this;
  }
  FlowScript& initiator(std::string_view text) { return initiator(bytesOf(text)); }
  FlowScript& responder(std::string_view text) { return responder(bytesOf(text)); }
  FlowScript& ports(uint16_t initiatorPort, uint16_t responderPort) {
    ends.initiatorPort = initiatorPort;
    ends.responderPort = responderPort;
    return *this;
  }

  [[nodiscard]] bool datagrams() const { return ends.protocol == kProtocolUdp; }

  // Calls take(const Chunk&) with each step; of a stream, cut into pieces of at most so many bytes.
  template <typename Take>
  void forEachChunk(size_t bytesMax, Take take) const {
    std::array<uint64_t, 2> offsets{};
    for (const Step& step : steps) {
      for (size_t at = 0; at < step.bytes.size();) {
        const size_t count = datagrams() ? step.bytes.size() : std::min(bytesMax, step.bytes.size() - at);
        // A copy, so that a read beyond its end is found.
        const Bytes piece(step.bytes.begin() + static_cast<ptrdiff_t>(at),
                          step.bytes.begin() + static_cast<ptrdiff_t>(at + count));
        take(Chunk{step.side, offsets[indexOf(step.side)], piece, datagrams()});
        offsets[indexOf(step.side)] += count;
        at += count;
      }
    }
  }

  // What a recogniser says once all of it has come.
  template <typename Recognise>
  Finding ask(Recognise recognise, Discoveries& discoveries) const {
    CollectedData data;
    forEachChunk(SIZE_MAX, [&](const Chunk& chunk) { data.append(chunk, 12'000); });
    return recognise(data.view(ends), discoveries);
  }
  template <typename Recognise>
  Finding ask(Recognise recognise) const {
    Discoveries discoveries;
    return ask(recognise, discoveries);
  }
};

inline bool isFound(const Finding& finding, Application application) {
  return finding.kind == Finding::Kind::found && finding.application == application;
}
inline bool isOpen(const Finding& finding) { return finding.kind == Finding::Kind::more; }
inline bool isNever(const Finding& finding) { return finding.kind == Finding::Kind::no; }

}  // namespace p2pxbone::gateway::testing
