// Anything in place of clamd's answers: pieces give the same replies, and every text can be shown.
#include <algorithm>
#include <cstdlib>
#include <vector>

#include "gateway/scanning/clamd_reply.h"

using p2pxbone::gateway::ClamdReply;
using p2pxbone::gateway::ClamdReplyReader;

namespace {

std::vector<ClamdReply> readInPieces(std::span<const uint8_t> bytes, size_t pieceBytes) {
  ClamdReplyReader reader;
  std::vector<ClamdReply> replies;
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), pieceBytes))) {
    std::span<const uint8_t> piece = bytes.first(std::min(bytes.size(), pieceBytes));
    while (!piece.empty()) {
      const size_t before = piece.size();
      auto reply = reader.take(piece);
      if (piece.size() == before) std::abort();
      if (reply) replies.push_back(std::move(*reply));
    }
  }
  return replies;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> bytes{data, size};
  const auto whole = readInPieces(bytes, size + 1);
  for (const size_t pieceBytes : {size_t{1}, size_t{7}}) {
    const auto same = [](const ClamdReply& a, const ClamdReply& b) {
      return a.kind == b.kind && a.number == b.number && a.text == b.text;
    };
    if (!std::ranges::equal(whole, readInPieces(bytes, pieceBytes), same)) std::abort();
  }
  for (const ClamdReply& reply : whole) {
    if (std::ranges::any_of(reply.text, [](char c) { return c < ' ' || c > '~'; })) std::abort();
    if (reply.kind == ClamdReply::Kind::infected && reply.text.empty()) std::abort();
  }
  return 0;
}
