// Puts one direction of a TCP connection in order, so that inspection sees what the receiver will see, whatever the
// receiver makes of overlaps: the first data to come for a place win, and packets that bring others for it later are
// rewritten, so that there is one version of the stream on the wire. For that the data are remembered until the receiver
// has acknowledged them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "gateway/byte_window.h"
#include "gateway/condition.h"
#include "gateway/flow.h"
#include "gateway/held_packets.h"
#include "gateway/limits.h"

namespace p2pxbone::gateway {

class Stream {
 public:
  enum class Outcome : uint8_t {
    next,      // continues the stream: `fresh` bytes are to be inspected, then the packet may go on
    old,       // brings nothing new
    ahead,     // something before it is missing. Its bytes are remembered
    covered,   // ahead too, but all of it was there already
    afterEnd,  // beyond the end of the stream, or an end before its end: no receiver takes it
    full,      // cannot be remembered; nothing has changed (streamFull if it lies ahead, else streamHistory)
  };
  struct Result {
    Outcome outcome;
    // Of `next`: the last so many bytes of the payload, from this place of the stream on.
    size_t fresh = 0;
    uint64_t offset = 0;
    Condition condition = Condition::streamFull;  // of `full`
  };

  // The pool is borrowed. `first`: the sequence number of the stream's first byte.
  Stream(PagePool& pool, const Limits& limits, uint32_t first)
      : window_(pool, limits.pagesPerDirection), limits_(&limits), nextSequence_(first) {}

  // Some of its data lie before what is remembered, so that they cannot be compared with what was there. To be asked before
  // take(), which counts what is new in it as seen.
  [[nodiscard]] bool reachesBack(const Packet& packet) const;
  // Some of its data were acknowledged before anybody saw them here. Whoever has acknowledged them honestly has them already.
  [[nodiscard]] bool bringsUnseen(const Packet& packet) const;
  // `packet` is a valid segment with data or FIN; its payload is rewritten where other data came first. A packet that is
  // `ahead` either goes on at once (fast pass) or is put into await().
  [[nodiscard]] Result take(Packet& packet, Millis now);

  // The next bytes that were ahead and no longer are, to be inspected: at most a page, and of one waiting packet.
  [[nodiscard]] std::optional<std::span<const uint8_t>> more(uint64_t& offset, Millis now);

  // Keeps the packet that was found `ahead` last. False if too many wait.
  [[nodiscard]] bool await(HeldId held, const Packet& packet);
  [[nodiscard]] bool mayAwait() const { return waitingCount() < limits_->waitingPerDirection; }
  // A waiting packet all of whose bytes more() has given, if there is one; it is the caller's then.
  [[nodiscard]] std::optional<HeldId> takeReady();
  // Any waiting packet.
  [[nodiscard]] std::optional<HeldId> takeAny();

  // The other end has acknowledged all before this number. `evenUnseen`: also what never came by here.
  // How many bytes of the stream are lost for inspection by it.
  uint64_t acknowledged(uint32_t acknowledgement, bool evenUnseen, Millis now);
  // Gives up what is missing; how many bytes, 0 if nothing is known beyond.
  uint64_t skipGap(Millis now);
  // Forgets what lies beyond the gap. Only right if none of it has gone on.
  void forgetAhead();
  // Forgets what has not been acknowledged yet, so that there is room again.
  void forgetHistory();

  // Since when something has been missing.
  [[nodiscard]] std::optional<Millis> gapSince() const { return gapSince_; }
  // Everything up to the FIN was given.
  [[nodiscard]] bool complete() const { return endAt_ == next_; }
  [[nodiscard]] uint64_t next() const { return next_; }
  [[nodiscard]] uint32_t nextSequence() const { return nextSequence_; }
  // More() or takeReady() has something.
  [[nodiscard]] bool hasMore() const {
    return (!pieces_.empty() && pieces_.front().begin <= next_) ||
           (waitingCount() != 0 && waiting_[waitingFirst_].begin <= next_);
  }
  [[nodiscard]] uint32_t pages() const { return window_.pages(); }
  [[nodiscard]] size_t pieces() const { return pieces_.size(); }
  [[nodiscard]] size_t waitingCount() const { return waiting_.size() - waitingFirst_; }

 private:
  struct Piece {
    uint64_t begin;
    uint64_t end;
  };
  struct Waiting {
    uint64_t begin;
    uint64_t end;
    HeldId held;
  };

  void rewriteFromWindow(Packet& packet, int64_t begin, uint64_t from, uint64_t to);
  void rewriteAhead(Packet& packet, int64_t begin, uint64_t from, uint64_t to);
  [[nodiscard]] Result takeNext(Packet& packet, uint64_t end, Millis now);
  [[nodiscard]] Result takeAhead(Packet& packet, uint64_t begin, uint64_t end, Millis now);
  void advance(uint64_t to, Millis now);
  void noteGap(bool progress, Millis now);

  ByteWindow window_;
  const Limits* limits_;
  uint64_t base_ = 0;  // [base_, next_) is remembered
  uint64_t next_ = 0;  // all before it was given for inspection
  // Around all that was acknowledged without having been seen; empty if nothing was.
  uint64_t unseenFrom_ = 0;
  uint64_t unseenTo_ = 0;
  uint32_t nextSequence_;
  std::optional<uint64_t> endAt_;  // where the FIN stands
  std::vector<Piece> pieces_;      // beyond next_, sorted, neither overlapping nor touching
  std::vector<Waiting> waiting_;   // sorted by where they begin
  size_t waitingFirst_ = 0;        // those before it are gone
  std::optional<Millis> gapSince_;
};

// Of one flow.
struct FlowStreams {
  std::array<std::optional<Stream>, 2> directions;
  std::array<bool, 2> endTold{};
};

}  // namespace p2pxbone::gateway
