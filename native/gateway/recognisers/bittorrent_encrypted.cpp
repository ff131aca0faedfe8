// Message stream encryption between BitTorrent peers, which is made to look like nothing. What remains is its rhythm:
// each side first sends a Diffie-Hellman key of 96 bytes and up to 512 bytes of padding, and the initiator goes on only
// when it has the responder's; then come at least 56 bytes from it, and at least 14 in answer. Everything is random to
// the eye.
#include "gateway/recognisers/randomness.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kKeyBytes = 96;
constexpr size_t kPaddingMax = 512;
// Two hashes of 20 bytes; verification constant, choice of cipher, two lengths.
constexpr size_t kThirdBytesMin = 56;
// Enough to judge; what follows may be plain.
constexpr size_t kThirdBytesJudged = 256;

}  // namespace

Finding recogniseBittorrentEncrypted(const FlowView& flow, Discoveries&) {
  // The lengths of the turns; the initiator has the first and the third.
  std::array<size_t, 3> turns{};
  size_t turn = 0;
  for (const Piece& piece : flow.pieces) {
    const Side expected = turn % 2 == 0 ? Side::initiator : Side::responder;
    if (piece.side != expected) {
      if (turn == 2) break;
      if (turns[turn] == 0) return Finding::never();
      ++turn;
    }
    turns[turn] += piece.bytes;
    if (turn < 2 && turns[turn] > kKeyBytes + kPaddingMax) return Finding::never();
  }
  if (turn > 0 && turns[0] < kKeyBytes) return Finding::never();
  if (turn > 1 && turns[1] < kKeyBytes) return Finding::never();
  const std::span<const uint8_t> first = flow.of(Side::initiator).first(turns[0]);
  if (turns[0] >= kKeyBytes && !looksRandom(first)) return Finding::never();
  const std::span<const uint8_t> second = flow.of(Side::responder).first(turns[1]);
  if (turns[1] >= kKeyBytes && !looksRandom(second)) return Finding::never();
  if (turns[2] < kThirdBytesMin) return Finding::undecided();
  const std::span<const uint8_t> third =
      flow.of(Side::initiator).subspan(turns[0], std::min(turns[2], kThirdBytesJudged));
  if (!looksRandom(third)) return Finding::never();
  return Finding::found(Application::bittorrent, kBehaviour);
}

}  // namespace p2pxbone::gateway
