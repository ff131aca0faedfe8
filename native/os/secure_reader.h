// The underlay's reader's hands for DTLS: user data goes to its forwarder, everything else to the control thread.
#pragma once

#include "core/forward.h"
#include "core/secure_arrivals.h"
#include "os/control_loop.h"

namespace p2pxbone {

class SecureReader final : private ArrivalSink {
 public:
  SecureReader(ControlLoop& control, DropCounters& drops, Forwarder& forwarder)
      : control_(control), drops_(drops), forwarder_(forwarder) {}

  // A DTLS datagram of that slot, which is opened in place and must stay until the forwarder is flushed. Inside a batch.
  // True if a peer has sent it for certain: it holds a record that opened.
  bool handle(const Directory& directory, const DatagramSlot& slot, std::span<uint8_t> datagram, Millis now);
  // At the batch's end.
  void wakeControl();

 private:
  void packet(const SecureChannel& channel, const Endpoint& from, std::span<uint8_t> packet) override;
  void record(const ControlRecord& record, const Endpoint& from, std::span<const uint8_t> content) override;
  void handshake(const Endpoint& from, bool known, std::span<const uint8_t> datagram) override;
  bool early(const Endpoint& from, std::span<const uint8_t> datagram) override;
  const ChannelDirectory& directory() override { return control_.channels(); }
  void moved(AssociationId association, const Endpoint& to) override;
  bool proven(AssociationId association) override;
  void drop(DropReason reason) override { drops_.add(reason); }
  void note(bool queued);

  ControlLoop& control_;
  DropCounters& drops_;
  Forwarder& forwarder_;
  SecureArrivals arrivals_;
  const Directory* nodes_ = nullptr;  // of the present call
  const DatagramSlot* slot_ = nullptr;
  Millis now_ = 0;
  bool opened_ = false;
  bool wake_ = false;
};

}  // namespace p2pxbone
