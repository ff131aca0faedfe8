#include "os/emitter.h"

#include <cerrno>

namespace p2pxbone {

DropReason dropReasonOfSend(int error) {
  switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM: return DropReason::sendBlocked;
    case EMSGSIZE: return DropReason::sendTooBig;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case ENETDOWN:
    case EHOSTDOWN:
    case ECONNREFUSED:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT: return DropReason::sendUnreachable;
    default: return DropReason::sendFailed;
  }
}

void Emitter::toTunnel(const Tunnel& tunnel, std::span<const uint8_t> datagram) {
  if (pendingCount_ == kPendingMax) Emitter::flush();
  pending_[pendingCount_++] = {tunnel.peer, datagram, 0};
}

void Emitter::flush() {
  const std::span<DatagramOut> datagrams{pending_.data(), pendingCount_};
  pendingCount_ = 0;
  if (datagrams.empty()) return;
  UnderlaySocket* const underlay = underlay_.load();
  if (underlay == nullptr) return drops_.add(DropReason::sendFailed, datagrams.size());
  underlay->send(datagrams);
  for (const DatagramOut& datagram : datagrams) {
    if (datagram.error != 0) drops_.add(dropReasonOfSend(datagram.error));
  }
}

}  // namespace p2pxbone
