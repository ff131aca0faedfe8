#include "os/secure_reader.h"

namespace p2pxbone {

void SecureReader::handle(const Directory& directory, const Endpoint& from, std::span<uint8_t> datagram, Millis now) {
  nodes_ = &directory;
  now_ = now;
  arrivals_.handle(control_.channels(), from, datagram, now, *this);
}

void SecureReader::wakeControl() {
  if (wake_) control_.wake();
  wake_ = false;
}

void SecureReader::note(bool queued) {
  if (queued) wake_ = true;
  else drops_.add(DropReason::controlQueueFull);
}

void SecureReader::packet(const SecureChannel& channel, const Endpoint& from, std::span<uint8_t> packet) {
  forwarder_.fromTunnel(*nodes_, from, packet, now_, &channel);
}

void SecureReader::record(const ControlRecord& record, const Endpoint& from, std::span<const uint8_t> content) {
  note(control_.offerRecord(record, from, content));
}

void SecureReader::handshake(const Endpoint& from, std::span<const uint8_t> datagram) {
  note(control_.offerHandshake(from, datagram));
}

bool SecureReader::early(const Endpoint& from, std::span<const uint8_t> datagram) {
  const ControlLoop::Early outcome = control_.offerEarly(from, datagram);
  if (outcome == ControlLoop::Early::opened) return false;
  note(outcome == ControlLoop::Early::queued);
  return true;
}

void SecureReader::moved(AssociationId association, const Endpoint& to) {
  // If it is lost, the next record from there tells again.
  if (control_.offerMoved(association, to)) wake_ = true;
}

bool SecureReader::proven(AssociationId association) {
  const bool queued = control_.offerProven(association);
  if (queued) wake_ = true;
  return queued;
}

}  // namespace p2pxbone
