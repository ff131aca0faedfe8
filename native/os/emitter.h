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

// Datagrams of one tunnel that have the same size become one message, as long as no datagram of another size comes between
// them: a tunnel's order is kept, order among tunnels is not. What cannot be sent is taken back from the tunnel's counters.
class Emitter : public Sink {
 public:
  static constexpr size_t kMessagesMax = 64;

  // `lane`: of the forwarder whose packets these are.
  Emitter(const UnderlaySlot& underlay, DropCounters& drops, Lane lane, SendPatience patience)
      : underlay_(underlay), drops_(drops), lane_(lane), patience_(patience) {}

  void toTunnel(const Tunnel& tunnel, ConstDatagramRun run) final;
  void flush() override;

 protected:
  [[nodiscard]] DropCounters& drops() { return drops_; }

 private:
  // Of whose packets a message's datagrams are made.
  struct Origin {
    TunnelLane* counted = nullptr;
    size_t overheadBytes = 0;  // by which each is larger than its inner packet
    Endpoint to;

    friend bool operator==(const Origin&, const Origin&) = default;
  };
  struct Message {
    Origin origin;
    size_t segmentBytes = 0;
    size_t bytes = 0;
    size_t datagrams = 0;
    bool ended = false;  // by a datagram that is shorter than the others
    size_t pieceCount = 0;
    std::array<std::span<const uint8_t>, kMessageDatagramsMax> pieces;
  };

  void gather(const Origin& origin, ConstDatagramRun run);
  // Likewise, each datagram inside a record of the channel; dropped if that has no keys.
  void gatherSealed(const Endpoint& to, TunnelLane& counted, const SecureChannel& channel, ConstDatagramRun run);
  // The latest message of that origin, if it takes datagrams of that size.
  [[nodiscard]] Message* openMessage(const Origin& origin, size_t datagramBytes);
  [[nodiscard]] Message& beginMessage(const Origin& origin, size_t datagramBytes);
  void send();
  // `bytes`: of the datagrams.
  void drop(DropReason reason, const Origin& origin, size_t datagrams, size_t bytes);

  const UnderlaySlot& underlay_;
  DropCounters& drops_;
  const Lane lane_;
  const SendPatience patience_;
  std::array<Message, kMessagesMax> messages_;
  size_t messageCount_ = 0;
  // Records of secure tunnels' datagrams, until the flush; made when the first one is sent.
  static constexpr size_t kSealedBytes = size_t{256} << 10;
  std::unique_ptr<uint8_t[]> sealed_;
  size_t sealedUsed_ = 0;
};

}  // namespace p2pxbone
