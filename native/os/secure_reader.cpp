#include "os/secure_reader.h"

#include "os/thread.h"

namespace p2pxbone {

bool SecureReader::handle(const Directory& directory, const DatagramSlot& slot, std::span<uint8_t> datagram, Millis now) {
  nodes_ = &directory;
  slot_ = &slot;
  now_ = now;
  opened_ = false;
  arrivals_.handle(control_.channels(), slot.from, datagram, now, *this);
  return opened_;
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
  opened_ = true;
  forwarder_.fromTunnel(*nodes_, from, packet, now_, &channel);
}

void SecureReader::record(const ControlRecord& record, const Endpoint& from, std::span<const uint8_t> content) {
  opened_ = true;
  // Before it waits for the control thread: measurements of the path go by this.
  ControlRecord stamped = record;
  stamped.arrivedMicros = monotonicMicros();
  note(control_.offerRecord(stamped, from, content));
}

void SecureReader::handshake(const Endpoint& from, bool known, std::span<const uint8_t> datagram) {
  note(control_.offerHandshake(from, known, slot_->to, datagram));
}

bool SecureReader::early(const Endpoint& from, std::span<const uint8_t> datagram) {
  const ControlLoop::Early outcome = control_.offerEarly(from, slot_->to, datagram);
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
