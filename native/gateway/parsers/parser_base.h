// What every parser of a stream has: a reader for each direction, at most one open transfer of each, and a way to give up.
#pragma once

#include <array>
#include <span>

#include "gateway/parsers/parser.h"
#include "gateway/parsers/reader.h"
#include "gateway/parsers/transfers.h"

namespace p2pxbone::gateway {

class ParserBase : public Parser {
 public:
  void data(const Chunk& chunk, ParserEvents& events) final;
  void gap(Side side, uint64_t bytes, ParserEvents& events) final;
  void end(Side side, ParserEvents& events) final;
  void hint(const FlowHint& hint) override;
  [[nodiscard]] bool finished() const final { return finished_ || (inner_ && inner_->finished()); }
  void stop(ParserEvents& events) final;
  [[nodiscard]] size_t keptBytes() const final;
  [[nodiscard]] bool transferring() const final;
  [[nodiscard]] bool announces() const final { return !finished() && (inner_ ? inner_->announces() : mayAnnounce()); }

 protected:
  // Reads one item of this side. False: it needs more bytes, and has left what there is to the reader.
  virtual bool step(Side side, ParserEvents& events) = 0;
  // One datagram, whole. Unless overridden, it is read like a stream of its own.
  virtual void datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events);
  // Bytes are missing that the reader had not been told to discard: that many before what comes next, what the reader had
  // kept of an unfinished item among them. True if the parser can go on there.
  virtual bool resume(Side, uint64_t, ParserEvents&) { return false; }
  // The side will send no more. An open transfer of it is ended as incomplete afterwards.
  virtual void closed(Side, ParserEvents&) {}
  // Memory beside the readers, where it may be much.
  [[nodiscard]] virtual size_t otherBytes() const { return 0; }
  [[nodiscard]] virtual bool mayAnnounce() const { return false; }
  // Gave up: nothing more will be told.
  virtual void abandoned(ParserEvents&) {}

  [[nodiscard]] bool transferring(Side side) const { return transfers_.open(side); }
  [[nodiscard]] Transfers& transfers() { return transfers_; }
  [[nodiscard]] Reader& reader(Side side) { return readers_[indexOf(side)]; }

  void beginTransfer(Side sender, const Transfer& transfer, ParserEvents& events) {
    transfers_.begin(sender, transfer, events);
  }
  void passData(Side sender, std::span<const uint8_t> bytes, ParserEvents& events) {
    transfers_.pass(sender, bytes, events);
  }
  void endTransfer(Side sender, bool complete, ParserEvents& events) { transfers_.end(sender, complete, events); }

  // A side whose bytes were left unread can be read again.
  void readOn(Side side, ParserEvents& events);

  // Always false, so that a step can end with it.
  bool giveUp(ParserEvents& events);
  // The reader's positions are where the other protocol begins.
  bool handOver(Application application, std::string_view protocol, ParserEvents& events);
  // Another parser reads everything that is unread and all that comes. Always false.
  bool delegate(std::unique_ptr<Parser> inner, Side current, ParserEvents& events);
  // Nothing more is of interest on this flow.
  bool finish(ParserEvents& events);

 private:
  void forward(Side side, ParserEvents& events);

  std::unique_ptr<Parser> inner_;
  std::array<Reader, 2> readers_;
  Transfers transfers_;
  bool finished_ = false;
};

}  // namespace p2pxbone::gateway
