#include "core/segment.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "core/bytes.h"
#include "core/checksum.h"

namespace p2pxbone {
namespace {

constexpr uint8_t kTcpPsh = 0x08;
constexpr uint8_t kTcpCwr = 0x80;
constexpr size_t kTcpSequence = 4;
constexpr size_t kTcpFlags = 13;
constexpr size_t kUdpLength = 4;

// The sums of everything in the headers that does not change from one packet to the next.
struct Constant {
  uint64_t ipv4 = 0;
  uint64_t transport = 0;
};

class Segmenter {
 public:
  Segmenter(std::span<const uint8_t, kEncapsulationBytes> encapsulation, std::span<const uint8_t> bytes,
            const InnerPacket& ip, const Division& division)
      : encapsulation_(encapsulation),
        bytes_(bytes),
        ip_(ip),
        division_(division),
        tcp_(ip.protocol == kProtocolTcp),
        identification_(ip.v6 ? uint16_t{0} : loadBe16(&bytes[4])),
        sequence_(tcp_ ? loadBe32(&bytes[ip.transportOffset + kTcpSequence]) : 0),
        flags_(tcp_ ? bytes[ip.transportOffset + kTcpFlags] : uint8_t{0}),
        constant_(constantSums()) {}

  // Packet `index`, to `to`; returns its length with the encapsulation.
  size_t write(size_t index, uint8_t* to) const {
    const size_t at = index * division_.segment;
    const size_t payload = std::min(division_.segment, division_.payload - at);
    std::memcpy(to, encapsulation_.data(), kEncapsulationBytes);
    uint8_t* const header = to + kEncapsulationBytes;
    std::memcpy(header, bytes_.data(), division_.headers);
    uint64_t sum = constant_.transport;
    const size_t transportBytes = division_.headers - ip_.transportOffset + payload;
    writeIp(header, index, ip_.transportOffset + transportBytes);
    sum = checksumCopy(header + division_.headers, bytes_.subspan(division_.headers + at, payload), sum + transportBytes);
    writeTransport(header + ip_.transportOffset, index, transportBytes, sum);
    return kEncapsulationBytes + division_.headers + payload;
  }

 private:
  [[nodiscard]] Constant constantSums() const {
    std::array<uint8_t, 60> header{};
    const size_t transportHeader = division_.headers - ip_.transportOffset;
    std::copy_n(&bytes_[ip_.transportOffset], transportHeader, header.begin());
    if (tcp_) {
      storeBe32(&header[kTcpSequence], 0);
      header[kTcpFlags] = 0;
      storeBe16(&header[kTcpChecksumOffset], 0);
    } else {
      storeBe16(&header[kUdpLength], 0);
      storeBe16(&header[kUdpChecksumOffset], 0);
    }
    Constant constant;
    constant.transport =
        checksumAdd(std::span{header}.first(transportHeader), pseudoHeaderSum(bytes_, ip_.v6, ip_.protocol, 0));
    if (ip_.v6) return constant;
    std::copy_n(bytes_.begin(), ip_.headerBytes, header.begin());
    storeBe16(&header[2], 0);
    storeBe16(&header[4], 0);
    storeBe16(&header[10], 0);
    constant.ipv4 = checksumAdd(std::span{header}.first(ip_.headerBytes), 0);
    return constant;
  }

  void writeIp(uint8_t* header, size_t index, size_t totalBytes) const {
    if (ip_.v6) return storeBe16(header + 4, static_cast<uint16_t>(totalBytes - kIpv6HeaderBytes));
    const auto identification = static_cast<uint16_t>(identification_ + index);
    storeBe16(header + 2, static_cast<uint16_t>(totalBytes));
    storeBe16(header + 4, identification);
    storeBe16(header + 10, checksumFinish(constant_.ipv4 + totalBytes + identification));
  }

  void writeTransport(uint8_t* header, size_t index, size_t transportBytes, uint64_t sum) const {
    if (!tcp_) {
      storeBe16(header + kUdpLength, static_cast<uint16_t>(transportBytes));
      const uint16_t checksum = checksumFinish(sum + transportBytes);
      // RFC 768: zero would say that there is none.
      return storeBe16(header + kUdpChecksumOffset, checksum == 0 ? uint16_t{0xffff} : checksum);
    }
    const auto sequence = static_cast<uint32_t>(sequence_ + index * division_.segment);
    unsigned flags = flags_;
    if (index != 0) flags &= ~unsigned{kTcpCwr};
    if (index + 1 != division_.count) flags &= ~unsigned{kTcpFin | kTcpPsh};
    storeBe32(header + kTcpSequence, sequence);
    header[kTcpFlags] = static_cast<uint8_t>(flags);
    storeBe16(header + kTcpChecksumOffset, checksumFinish(sum + (sequence >> 16) + (sequence & 0xffff) + flags));
  }

  const std::span<const uint8_t, kEncapsulationBytes> encapsulation_;
  const std::span<const uint8_t> bytes_;
  const InnerPacket& ip_;
  const Division& division_;
  const bool tcp_;
  const uint16_t identification_;
  const uint32_t sequence_;
  const uint8_t flags_;
  const Constant constant_;
};

}  // namespace

DatagramRun segment(std::span<const uint8_t, kEncapsulationBytes> encapsulation, std::span<const uint8_t> bytes,
                    const InnerPacket& ip, const Division& division, uint8_t* to) {
  const Segmenter segmenter{encapsulation, bytes, ip, division};
  size_t written = 0;
  for (size_t index = 0; index < division.count; ++index) written += segmenter.write(index, to + written);
  return {{to, written}, kEncapsulationBytes + division.packetBytes()};
}

}  // namespace p2pxbone
