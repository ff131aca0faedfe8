#include "core/gate_run.h"

#include <algorithm>

#include "core/checksum.h"
#include "core/vxlan.h"

namespace p2pxbone {
namespace {

constexpr size_t kRoomBytes = kEncapsulationBytes + 65'535;

}  // namespace

void GateRun::begin(const Way& way, std::span<uint8_t> packet, const InnerPacket& ip, size_t headers) {
  way_ = way;
  join_.begin(packet.subspan(kEncapsulationBytes), ip, headers);
  packets_[0] = packet;
  count_ = 1;
}

bool GateRun::extend(const Way& way, std::span<uint8_t> packet, const InnerPacket& ip, size_t headers) {
  if (count_ == 0 || way.node != way_.node || way.tables != way_.tables || way.arrival != way_.arrival) return false;
  if (!sameFlow(join_.ip(), ip) || !join_.continuedBy(packet.subspan(kEncapsulationBytes), ip, headers)) return false;
  join_.append(ip);
  packets_[count_++] = packet;
  return true;
}

// The payload is copied and summed in one pass.
std::optional<GateRun::Whole> GateRun::join() {
  if (!room_) room_ = std::make_unique_for_overwrite<uint8_t[]>(kRoomBytes);
  const InnerPacket& ip = join_.ip();
  const size_t headers = join_.headers();
  std::copy_n(packets_[0].begin(), kEncapsulationBytes + headers, room_.get());
  uint8_t* to = room_.get() + kEncapsulationBytes + headers;
  for (const std::span<const uint8_t> packet : packets()) {
    const std::span<const uint8_t> inner = packet.subspan(kEncapsulationBytes);
    const std::span<const uint8_t> payload = inner.subspan(headers);
    const uint64_t pseudo = pseudoHeaderSum(inner, ip.v6, ip.protocol, inner.size() - ip.transportOffset);
    const uint64_t sum = checksumAdd(inner.subspan(ip.transportOffset, headers - ip.transportOffset), pseudo);
    if (checksumFinish(checksumCopy(to, payload, sum)) != 0) return std::nullopt;
    to += payload.size();
  }
  const std::span<uint8_t> packet{room_.get(), to};
  const Offload offload = join_.finish(packet.subspan(kEncapsulationBytes, headers));
  const InnerPacket whole = join_.whole();
  return Whole{packet, offload, whole, divide(offload, whole, packet.subspan(kEncapsulationBytes)).value_or(Division{})};
}

}  // namespace p2pxbone
