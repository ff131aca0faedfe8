#include "gateway/classifier.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "core/bytes.h"
#include "gateway/recognisers/randomness.h"

namespace p2pxbone::gateway {
namespace {

struct Recogniser {
  bool datagrams;
  Finding (*recognise)(const FlowView&, Discoveries&);
};

// In the order in which they are asked; the first that is sure ends it.
constexpr std::array<Recogniser, 17> kRecognisers{{
    {false, recogniseTls},
    {false, recogniseBittorrentHandshake},
    {false, recogniseBittorrentTracker},
    {false, recogniseEdonkey},
    {false, recogniseDnsOverTcp},
    {false, recogniseStunOverTcp},
    {false, recogniseBittorrentEncrypted},
    {true, recogniseQuic},
    {true, recogniseDns},
    {true, recogniseStun},
    {true, recogniseDht},
    {true, recogniseUtp},
    {true, recogniseUdpTracker},
    {true, recogniseDtls},
    {true, recogniseEdonkeyUdp},
    {true, recogniseFasttrackUdp},
    {true, recogniseSkype},
}};

constexpr uint8_t kByPeer = 80;
constexpr uint8_t kByOvermatch = 40;

bool isSpecial(SignatureRank rank) { return rank == SignatureRank::subset || rank == SignatureRank::ordinary; }

// That an address is known is little on its own, since anybody can tell a tracker any address.
Finding byPeers(const FlowView& view, std::optional<Application> peer, const Finding& coded, bool last) {
  if (!peer || *peer == Application::ftpData) return Finding::undecided();
  const bool agree = coded.application == *peer;
  if (agree || (!view.datagrams && looksRandom(view.of(Side::initiator)))) return Finding::found(*peer, kByPeer);
  return last ? Finding::found(*peer, kLikely) : Finding::undecided();
}

// Whether what has come is all that a more special signature could look at: the head of a message of text, or a
// question and the beginning of its answer.
bool headIsWhole(const FlowView& view) {
  const std::span<const uint8_t> first = view.of(Side::initiator);
  const std::span<const uint8_t> second = view.of(Side::responder);
  if (!first.empty() && !second.empty()) return true;
  const std::span<const uint8_t> only = first.empty() ? second : first;
  return std::string_view(reinterpret_cast<const char*>(only.data()), only.size()).find("\r\n\r\n") !=
         std::string_view::npos;
}

bool isBlank(std::span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return byte == '\r' || byte == '\n'; });
}

// Whether the chunk ends within the first TLS record of its side.
bool isInRecord(std::span<const uint8_t> before, const Chunk& chunk) {
  constexpr size_t kHeaderBytes = 5;
  return before.size() >= kHeaderBytes && before.size() + chunk.bytes.size() < kHeaderBytes + loadBe16(&before[3]);
}

// Servers of HTTP skip any number of empty lines before a request, and nothing else begins with so many.
bool isBlankLines(const FlowView& view) {
  const std::span<const uint8_t> asked = view.of(Side::initiator);
  return !view.datagrams && !asked.empty() && view.of(Side::responder).empty() && isBlank(asked);
}

void appendStripped(std::span<const uint8_t> bytes, std::vector<uint8_t>& to) {
  while (!bytes.empty()) {
    const void* const found = std::memchr(bytes.data(), 0, bytes.size());
    const size_t run =
        found == nullptr ? bytes.size() : static_cast<size_t>(static_cast<const uint8_t*>(found) - bytes.data());
    to.insert(to.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(run));
    bytes = bytes.subspan(std::min(bytes.size(), run + 1));
  }
}

}  // namespace

Classifier::Classifier(PeerCache& peers, ClassifierLimits limits) : peers_(peers), limits_(limits) {
  stripped_.reserve(limits_.bytes);
}

Classifier::~Classifier() = default;

bool Classifier::useSignatures(std::shared_ptr<const SignatureSet> signatures) {
  std::unique_ptr<SignatureSet::Scratch> scratch = signatures ? signatures->makeScratch() : nullptr;
  if (signatures && !scratch) return false;
  scratch_ = std::move(scratch);
  signatures_ = std::move(signatures);
  return true;
}

Classified Classifier::feed(FlowClassification& flow, const FlowEnds& ends, const Chunk& chunk, Millis now,
                            bool last) {
  if (chunk.bytes.empty()) return flow.opinion_;
  const auto least = chunk.datagram ? kDatagramBytesLeast : uint16_t{1};
  const bool blank = flow.spent_ == 0 && !chunk.datagram && chunk.side == Side::initiator && isBlank(chunk.bytes);
  if (!blank) flow.spent_ += static_cast<uint32_t>(std::clamp<size_t>(chunk.bytes.size(), least, kPacketBytesFull));
  // A client's hello names the server, and some are long: it may be cut up as small as its sender likes.
  const bool inHello = !chunk.datagram && flow.opinion_.application == Application::tls;
  const bool spent = !inHello && flow.spent_ >= uint32_t{limits_.packets} * kPacketBytesFull;
  last = last || spent || flow.collected_.size() + chunk.bytes.size() >= limits_.bytes;
  // What tells nothing yet is not looked through again with each of its bytes.
  if (!last && (blank || (inHello && isInRecord(flow.collected_.view(ends).of(chunk.side), chunk)))) {
    flow.collected_.append(chunk, limits_.bytes);
    return flow.opinion_;
  }
  if (flow.collected_.empty()) {
    // Most flows are recognised by their first packet, which then need not be copied.
    const std::span<const uint8_t> front = chunk.bytes.first(std::min<size_t>(chunk.bytes.size(), limits_.bytes));
    const Piece piece{chunk.side, static_cast<uint16_t>(front.size())};
    FlowView view{ends, chunk.datagram, {}, std::span(&piece, 1)};
    view.bytes[indexOf(chunk.side)] = front;
    flow.opinion_ = evaluate(flow, view, now, last);
    if (!flow.opinion_.final) flow.collected_.append(chunk, limits_.bytes);
    return flow.opinion_;
  }
  const CollectedData::Mark before = flow.collected_.mark();
  flow.collected_.append(chunk, limits_.bytes);
  flow.opinion_ = evaluate(flow, flow.collected_.view(ends), now, last);
  if (flow.opinion_.final) flow.collected_.rewind(before);
  return flow.opinion_;
}

Classified Classifier::conclude(FlowClassification& flow, const FlowEnds& ends, Millis now) {
  if (flow.opinion_.final) return flow.opinion_;
  flow.opinion_ = evaluate(flow, flow.collected_.view(ends), now, true);
  return flow.opinion_;
}

Classified Classifier::evaluate(FlowClassification& flow, const FlowView& view, Millis now, bool last) {
  const std::optional<Application> peer = expectedPeer(view, now);
  if (peer == Application::ftpData && !view.datagrams) return {Application::ftpData, kStrong, true};

  Finding coded = byRecognisers(flow, view);
  for (const LearntPeer& learnt : discoveries_.peers)
    peers_.learn(learnt.address, learnt.port, learnt.application, now);
  const bool found = coded.kind == Finding::Kind::found;
  const bool mayBeOwn = signatures_ && signatures_->namesOwn();
  if (found && coded.confidence >= kStrong && !mayBeOwn) return {coded.application, coded.confidence, true};

  const std::optional<SignatureMatch> match = bySignatures(view);
  if (match && isSpecial(match->rank) && isUserApplication(match->application))
    return {match->application, kStrong, true};
  if (found && coded.confidence >= kStrong) return {coded.application, coded.confidence, true};
  if (match && isSpecial(match->rank)) return {match->application, kStrong, true};

  const Finding known = byPeers(view, peer, coded, last);
  if (known.kind == Finding::Kind::found && known.confidence >= coded.confidence)
    return {known.application, known.confidence, true};
  if (found) return {coded.application, coded.confidence, true};
  if (match) {
    const bool superset = match->rank == SignatureRank::superset;
    const bool final = last || (superset && headIsWhole(view));
    return {match->application, !superset ? kByOvermatch : final ? kStrong : kLikely, final};
  }
  if (last && isBlankLines(view)) return {Application::http, kLikely, true};
  return {coded.application, coded.confidence, last};
}

Finding Classifier::byRecognisers(FlowClassification& flow, const FlowView& view) {
  Finding best = Finding::undecided();
  discoveries_.peers.clear();
  discoveries_.hello.reset();
  for (size_t i = 0; i < kRecognisers.size(); ++i) {
    const uint32_t bit = uint32_t{1} << i;
    if (kRecognisers[i].datagrams != view.datagrams || (flow.excluded_ & bit) != 0) continue;
    const Finding finding = kRecognisers[i].recognise(view, discoveries_);
    if (finding.kind == Finding::Kind::no) flow.excluded_ |= bit;
    const bool firmer = finding.kind == Finding::Kind::found && best.kind != Finding::Kind::found;
    if (finding.kind == best.kind ? finding.confidence > best.confidence : firmer) best = finding;
    if (best.kind == Finding::Kind::found && best.confidence >= kStrong) break;
  }
  if (discoveries_.hello) flow.hello_ = std::make_unique<ClientHelloSummary>(std::move(*discoveries_.hello));
  return best;
}

std::optional<Application> Classifier::expectedPeer(const FlowView& view, Millis now) const {
  if (auto found = peers_.find(view.ends.responder, view.ends.responderPort, view.ends.initiator, now)) return found;
  // Who calls by TCP does so from a port of the moment; over UDP it is the one that others know.
  return view.datagrams ? peers_.find(view.ends.initiator, view.ends.initiatorPort, view.ends.responder, now)
                        : std::nullopt;
}

// Both directions together as l7-filter has them; and, because then one side can put a byte in front of the other's,
// what each has sent alone, or the newest datagram alone.
std::optional<SignatureMatch> Classifier::bySignatures(const FlowView& view) {
  if (!signatures_ || signatures_->size() == 0) return std::nullopt;
  stripped_.clear();
  view.forEachPiece([&](Side, std::span<const uint8_t> bytes) {
    appendStripped(bytes, stripped_);
    return true;
  });
  std::optional<SignatureMatch> best = signatures_->match(stripped_, *scratch_);
  const auto tryAlone = [&](std::span<const uint8_t> bytes) {
    stripped_.clear();
    appendStripped(bytes, stripped_);
    const auto match = signatures_->match(stripped_, *scratch_);
    if (match && (!best || match->order < best->order)) best = match;
  };
  if (view.datagrams) {
    if (view.pieces.size() < 2) return best;
    const Piece& newest = view.pieces.back();
    tryAlone(view.of(newest.side).last(newest.bytes));
  } else if (!view.of(Side::initiator).empty() && !view.of(Side::responder).empty()) {
    tryAlone(view.of(Side::initiator));
    tryAlone(view.of(Side::responder));
  }
  return best;
}

}  // namespace p2pxbone::gateway
