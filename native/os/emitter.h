// Where one thread's forwarder leaves its packets: tunnels' datagrams are gathered and sent together.
#pragma once

#include <array>
#include <atomic>

#include "core/forward.h"
#include "os/underlay.h"

namespace p2pxbone {

// Set once, when the data plane is bound; null before. Outlives all threads that read it.
using UnderlaySlot = std::atomic<UnderlaySocket*>;

[[nodiscard]] DropReason dropReasonOfSend(int error);

// Datagrams to one peer that have the same size become one message, as long as no datagram of another size comes between
// them: order towards a peer is kept, order among peers is not.
class Emitter : public Sink {
 public:
  static constexpr size_t kMessagesMax = 64;

  Emitter(const UnderlaySlot& underlay, DropCounters& drops, SendPatience patience)
      : underlay_(underlay), drops_(drops), patience_(patience) {}

  void toTunnel(const Tunnel& tunnel, ConstDatagramRun run) final;
  void flush() override;

 protected:
  [[nodiscard]] DropCounters& drops() { return drops_; }

 private:
  struct Message {
    Endpoint to;
    size_t segmentBytes = 0;
    size_t bytes = 0;
    size_t datagrams = 0;
    bool ended = false;  // by a datagram that is shorter than the others
    size_t pieceCount = 0;
    std::array<std::span<const uint8_t>, kMessageDatagramsMax> pieces;
  };

  void gather(const Endpoint& to, ConstDatagramRun run);
  // Likewise, each datagram inside a record of the channel; dropped if that has no keys.
  void gatherSealed(const Endpoint& to, const SecureChannel& channel, ConstDatagramRun run);
  // The latest message to that peer, if it takes datagrams of that size.
  [[nodiscard]] Message* openMessage(const Endpoint& to, size_t datagramBytes);
  [[nodiscard]] Message& beginMessage(const Endpoint& to, size_t datagramBytes);
  void send();

  const UnderlaySlot& underlay_;
  DropCounters& drops_;
  const SendPatience patience_;
  std::array<Message, kMessagesMax> messages_;
  size_t messageCount_ = 0;
  // Records of secure tunnels' datagrams, until the flush; made when the first one is sent.
  static constexpr size_t kSealedBytes = size_t{256} << 10;
  std::unique_ptr<uint8_t[]> sealed_;
  size_t sealedUsed_ = 0;
};

}  // namespace p2pxbone
