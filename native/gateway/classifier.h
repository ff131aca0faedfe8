// Says what a flow carries, from its first data: ordered bytes of both directions, or datagrams.
//
// The order of evidence, best first:
//   1. a transfer that a control connection has announced for this address and port, between the ends that it may be
//   between (FTP data);
//   2. signatures under names of the operator's own;
//   3. coded recognisers that are sure;
//   4. signatures of known applications;
//   5. peers learnt from trackers and the DHT, if what is sent looks like cipher text, or a recogniser has the same
//   opinion;
//   6. behaviour;
//   7. signatures that also match the beginning of other things (HTTP), once nothing more special can follow.
// A port is never evidence; it only tells apart what shares a format.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/association.h"
#include "gateway/application.h"
#include "gateway/chunk.h"
#include "gateway/collected_data.h"
#include "gateway/peer_cache.h"
#include "gateway/recognisers/recogniser.h"
#include "gateway/signature_set.h"

namespace p2pxbone::gateway {

struct Classified {
  Application application = Application::unknown;
  // In per cent; see recognisers/recogniser.h.
  uint8_t confidence = 0;
  // Nothing more of the flow needs to be fed. Until then the application is an opinion that may change.
  bool final = false;
};

struct ClassifierLimits {
  // After so many packets with data, or so many bytes kept, a flow is what it seems. Smaller packets than
  // kPacketBytesFull count as a part of one, so that tiny segments hide nothing.
  uint16_t packets = 8;
  uint16_t bytes = 12'000;
};

inline constexpr uint16_t kPacketBytesFull = 128;
// The least that a datagram counts as.
inline constexpr uint16_t kDatagramBytesLeast = 16;

// Of one flow while it is being classified. Small until data is kept; to be destroyed when the result is final and the
// data has been handed over.
class FlowClassification {
 public:
  // While the result is not final: all that was fed. Once it is: all before the chunk that made it so. The caller hands
  // these to the flow's parser, and then that chunk.
  [[nodiscard]] const CollectedData& collected() const { return collected_; }
  // Of a TLS or QUIC client; null if there is none.
  [[nodiscard]] const ClientHelloSummary* hello() const { return hello_.get(); }
  // All memory, with this object.
  [[nodiscard]] size_t bytes() const { return sizeof(*this) + collected_.heapBytes() + (hello_ ? sizeof(*hello_) : 0); }

 private:
  friend class Classifier;
  CollectedData collected_;
  std::unique_ptr<ClientHelloSummary> hello_;
  // Recognisers that have ruled themselves out, by their place in the table.
  uint32_t excluded_ = 0;
  uint32_t spent_ = 0;
  Classified opinion_;
};

// One thread's. Signatures and recognisers have no state; all that flows share is the peer cache.
class Classifier {
 public:
  // `peers` must outlive it, and learns what recognisers find.
  explicit Classifier(PeerCache& peers, ClassifierLimits limits = {});
  ~Classifier();
  Classifier(const Classifier&) = delete;
  Classifier& operator=(const Classifier&) = delete;

  // From now on, for flows in the midst of it too. False, and nothing changes, if there is no memory.
  [[nodiscard]] bool useSignatures(std::shared_ptr<const SignatureSet> signatures);

  // The flow's next data, in order. Not to be called again once the result was final. Where bytes of a stream are
  // missing for good, conclude instead. `last`: it has to do with this, as nothing more may be kept.
  Classified feed(FlowClassification& flow, const FlowEnds& ends, const Chunk& chunk, Millis now, bool last = false);

  // Nothing more will come. The result is final; all that was fed stays collected.
  Classified conclude(FlowClassification& flow, const FlowEnds& ends, Millis now);

  [[nodiscard]] const SignatureSet* signatures() const { return signatures_.get(); }

 private:
  Classified evaluate(FlowClassification& flow, const FlowView& view, Millis now, bool last);
  Finding byRecognisers(FlowClassification& flow, const FlowView& view);
  std::optional<SignatureMatch> bySignatures(const FlowView& view);
  std::optional<Application> expectedPeer(const FlowView& view, Millis now) const;

  PeerCache& peers_;
  ClassifierLimits limits_;
  std::shared_ptr<const SignatureSet> signatures_;
  std::unique_ptr<SignatureSet::Scratch> scratch_;
  // Kept from call to call for their memory.
  std::vector<uint8_t> stripped_;
  Discoveries discoveries_;
};

}  // namespace p2pxbone::gateway
