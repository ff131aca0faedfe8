// What the underlay's reader does with DTLS datagrams: opens records of user data and passes them on, hands what is
// control's to the control side, and notices when a peer writes from a new address.
#pragma once

#include <array>

#include "core/channel_directory.h"
#include "core/record_opener.h"
#include "core/token_bucket.h"

namespace p2pxbone {

// A message inside a channel that the control side is to handle.
struct ControlRecord {
  AssociationId association = 0;
  uint8_t type = 0;           // of the record
  size_t datagramBytes = 0;   // of the UDP payload it came in
  int64_t arrivedMicros = 0;  // by the clock of Millis; 0: not noted
};

class ArrivalSink {
 public:
  virtual ~ArrivalSink() = default;
  // A VXLAN packet out of a channel. The bytes stay until the batch ends.
  virtual void packet(const SecureChannel& channel, const Endpoint& from, std::span<uint8_t> packet) = 0;
  // A control message, keep-alive or alert; valid during the call.
  virtual void record(const ControlRecord& record, const Endpoint& from, std::span<const uint8_t> content) = 0;
  // Handshake records, and all that follows them in the datagram. `known`: there is an association with that endpoint, or a
  // handshake that we began.
  virtual void handshake(const Endpoint& from, bool known, std::span<const uint8_t> datagram) = 0;
  // A record from an endpoint with which we are shaking hands: it has overtaken the end, which the control side may be
  // digesting. True if that side has taken it, false if the channel is open by now and a look at the directory finds it.
  [[nodiscard]] virtual bool early(const Endpoint& from, std::span<const uint8_t> datagram) = 0;
  // The present directory, which may be newer than the one handed in.
  [[nodiscard]] virtual const ChannelDirectory& directory() = 0;
  // The peer of that association writes from here now.
  virtual void moved(AssociationId association, const Endpoint& to) = 0;
  // A record came under keys under which none had come before. False if it must be told again.
  [[nodiscard]] virtual bool proven(AssociationId association) = 0;
  virtual void drop(DropReason reason) = 0;
};

class SecureArrivals {
 public:
  // A record from nowhere is tried with channels that have been silent so long: others have not moved.
  static constexpr Millis kQuietMin = 50;
  static constexpr size_t kCandidatesMax = 64;
  // Channels that one record is compared with; the next record goes on from there.
  static constexpr size_t kLooksMax = 512;
  static constexpr int64_t kTrialsPerSecond = 2000;
  static constexpr int64_t kTrialsBurst = 256;

  // `datagram` is one of DTLS by its first byte; it is overwritten. Inside a batch, in which `directory` was loaded.
  void handle(const ChannelDirectory& directory, const Endpoint& from, std::span<uint8_t> datagram, Millis now,
              ArrivalSink& sink);

 private:
  // A peer that has moved, until the directory says so.
  struct Move {
    Endpoint to;
    AssociationId association = 0;  // 0: a free entry
    Millis at = 0;
  };
  static constexpr size_t kMoves = 64;
  // By then the directory says so, or the control side did not hear of it and must be told again.
  static constexpr Millis kMoveLife = 1000;

  [[nodiscard]] SecureChannel* findMoved(const ChannelDirectory& directory, const Endpoint& from, Millis now) const;
  void remember(const Move& move);
  void handleRecord(SecureChannel& channel, const Endpoint& from, std::span<uint8_t> record, size_t datagramBytes,
                    Millis now, ArrivalSink& sink);
  void passOn(SecureChannel& channel, const Endpoint& from, const OpenedRecord& opened, size_t datagramBytes,
              ArrivalSink& sink);
  // The channel that a record from an unknown endpoint belongs to, having passed it on; null if none.
  SecureChannel* tryMove(const ChannelDirectory& directory, const Endpoint& from, std::span<uint8_t> record,
                         size_t datagramBytes, Millis now, ArrivalSink& sink);
  [[nodiscard]] static size_t moveSlot(const Endpoint& endpoint) { return EndpointHash{}(endpoint) % kMoves; }

  TokenBucket trials_{kTrialsPerSecond, kTrialsBurst};
  size_t nextCandidate_ = 0;
  std::array<Move, kMoves> moves_;
};

}  // namespace p2pxbone
