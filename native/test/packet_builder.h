// Packets for tests, built independently of the code under test: checksums are summed word by word here.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/endpoint.h"
#include "core/packet.h"
#include "core/vxlan.h"

namespace p2pxbone::testing {

using Bytes = std::vector<uint8_t>;

inline uint16_t slowChecksum(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : uint32_t{bytes[i]};
    if (sum > 0xffff) sum = (sum & 0xffff) + 1;
  }
  return static_cast<uint16_t>(~sum);
}

inline void put16(Bytes& bytes, size_t at, size_t value) {
  bytes[at] = static_cast<uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

inline Address v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
  const std::array<uint8_t, 4> bytes{a, b, c, d};
  return mappedIpv4(bytes.data());
}

// fd00:: and the id in the low half.
inline Address v6(uint64_t id) {
  Address address{};
  address[0] = 0xfd;
  for (size_t i = 0; i < 8; ++i) address[8 + i] = static_cast<uint8_t>(id >> (8 * (7 - i)));
  return address;
}

// fd01::, where the link addresses are.
inline Address linkV6(uint64_t number) {
  Address address = v6(number);
  address[1] = 1;
  return address;
}

struct PacketSpec {
  Address source{};
  Address destination{};
  uint8_t hopLimit = 64;
  uint8_t protocol = kProtocolUdp;
  bool dontFragment = false;
  bool moreFragments = false;
  uint16_t fragmentOffset = 0;  // in units of 8 bytes
  Bytes options{};              // IPv4, a multiple of 4
  Bytes payload = Bytes(16, 0xaa);
};

inline Bytes ipPacket(const PacketSpec& spec) {
  if (isMappedIpv4(spec.destination)) {
    Bytes header(20, 0);
    header.insert(header.end(), spec.options.begin(), spec.options.end());
    header[0] = static_cast<uint8_t>(0x40 | header.size() / 4);
    put16(header, 2, header.size() + spec.payload.size());
    put16(header, 4, 0x1234);
    put16(header, 6, (spec.dontFragment ? 0x4000U : 0U) | (spec.moreFragments ? 0x2000U : 0U) | spec.fragmentOffset);
    header[8] = spec.hopLimit;
    header[9] = spec.protocol;
    std::copy(spec.source.begin() + 12, spec.source.end(), header.begin() + 12);
    std::copy(spec.destination.begin() + 12, spec.destination.end(), header.begin() + 16);
    put16(header, 10, slowChecksum(header));
    header.insert(header.end(), spec.payload.begin(), spec.payload.end());
    return header;
  }
  Bytes header(40, 0);
  header[0] = 0x60;
  put16(header, 4, spec.payload.size());
  header[6] = spec.protocol;
  header[7] = spec.hopLimit;
  std::copy(spec.source.begin(), spec.source.end(), header.begin() + 8);
  std::copy(spec.destination.begin(), spec.destination.end(), header.begin() + 24);
  header.insert(header.end(), spec.payload.begin(), spec.payload.end());
  return header;
}

inline Bytes udpPayload(uint16_t from, uint16_t to, size_t data) {
  Bytes payload(8 + data, 0x55);
  put16(payload, 0, from);
  put16(payload, 2, to);
  put16(payload, 4, payload.size());
  put16(payload, 6, 0);
  return payload;
}

inline Bytes tcpPayload(uint16_t from, uint16_t to, uint8_t flags) {
  Bytes payload(20, 0);
  put16(payload, 0, from);
  put16(payload, 2, to);
  payload[12] = 0x50;
  payload[13] = flags;
  return payload;
}

inline Bytes ethernet(const Bytes& ip, const Mac& destination, const Mac& source) {
  Bytes frame(14, 0);
  std::copy(destination.begin(), destination.end(), frame.begin());
  std::copy(source.begin(), source.end(), frame.begin() + 6);
  put16(frame, 12, !ip.empty() && ip[0] >> 4 == 6 ? 0x86dd : 0x0800);
  frame.insert(frame.end(), ip.begin(), ip.end());
  return frame;
}

inline Bytes vxlan(uint32_t vni, const Bytes& frame) {
  Bytes packet{8, 0, 0, 0, static_cast<uint8_t>(vni >> 16), static_cast<uint8_t>(vni >> 8), static_cast<uint8_t>(vni), 0};
  packet.insert(packet.end(), frame.begin(), frame.end());
  return packet;
}

inline Bytes tail(const Bytes& bytes, size_t from) {
  return bytes.size() < from ? Bytes{} : Bytes{bytes.begin() + static_cast<ptrdiff_t>(from), bytes.end()};
}

inline Mac macOf(uint8_t last) { return {2, 0, 0, 0, 0, last}; }

inline Endpoint endpointOf(uint8_t last, uint16_t port = 4789) {
  Endpoint endpoint;
  endpoint.ip = v4(192, 0, 2, last);
  endpoint.port = port;
  return endpoint;
}

}  // namespace p2pxbone::testing
