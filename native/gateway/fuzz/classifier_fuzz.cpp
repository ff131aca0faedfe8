// Flows of any content through the whole classification: all recognisers, signatures, the peer cache. Whatever comes,
// the memory of a flow stays in its bounds, a result comes in time, and the parser gets back what was fed.
//
// Input: one mode byte (bit 0: datagrams; bit 1: the usual port of DNS; bit 2: the peer is known), then records of one
// byte (bit 0: the responder's), two length bytes and data.
#include <cstdlib>
#include <vector>

#include "core/bytes.h"
#include "gateway/classifier.h"

namespace {

using namespace p2pxbone;
using namespace p2pxbone::gateway;

constexpr size_t kRecordsMax = 4096;
constexpr ClassifierLimits kLimits{};

void require(bool holds) {
  if (!holds) std::abort();
}

const std::shared_ptr<const SignatureSet>& signatures() {
  static const std::shared_ptr<const SignatureSet> set = [] {
    std::vector<Signature> read;
    for (const std::string_view text :
         {"ssh\n^ssh-2\\.0-\n", "# Pattern attributes: superset\nhttp\n^get [!-~]+ http/1\n", "own\n^mine$\n",
          "# Pattern attributes: overmatch\nany\nzz\n"}) {
      read.push_back(std::get<Signature>(readSignature("fuzz.pat", text)));
    }
    return SignatureSet::build(std::move(read)).set;
  }();
  return set;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const uint8_t mode = data[0];
  std::span<const uint8_t> rest{data + 1, size - 1};
  PeerCache peers(1, 64);
  Classifier classifier(peers, kLimits);
  require(classifier.useSignatures(signatures()));
  FlowEnds ends;
  ends.initiator[15] = 1;
  ends.responder[15] = 2;
  ends.initiatorPort = 40'000;
  ends.responderPort = (mode & 2) != 0 ? 53 : 50'000;
  if ((mode & 4) != 0) peers.learn(ends.responder, ends.responderPort, Application::bittorrent, 0);

  FlowClassification flow;
  Classified result;
  std::vector<uint8_t> fed;
  std::array<uint64_t, 2> offsets{};
  for (size_t record = 0; record < kRecordsMax && rest.size() >= 3 && !result.final; ++record) {
    const Side side = (rest[0] & 1) != 0 ? Side::responder : Side::initiator;
    const size_t length = std::min<size_t>(loadBe16(&rest[1]), rest.size() - 3);
    // A block of its own, so that a read beyond its end is found.
    const std::vector<uint8_t> bytes{rest.begin() + 3, rest.begin() + 3 + static_cast<ptrdiff_t>(length)};
    rest = rest.subspan(3 + length);
    result = classifier.feed(flow, ends, {side, offsets[indexOf(side)], bytes, (mode & 1) != 0}, 1);
    offsets[indexOf(side)] += length;
    require(flow.collected().size() <= kLimits.bytes && flow.bytes() < size_t{4} * kLimits.bytes);
    require(result.confidence <= 100);
    if (!result.final) fed.insert(fed.end(), bytes.begin(), bytes.end());
  }
  if (!result.final) result = classifier.conclude(flow, ends, 1);
  require(result.final);
  std::vector<uint8_t> handed;
  flow.collected().forEachChunk(
      [&](const Chunk& chunk) { handed.insert(handed.end(), chunk.bytes.begin(), chunk.bytes.end()); });
  require(handed == fed);
  return 0;
}
