// Recognisers know one protocol each, where a regular expression cannot: lengths, checks across messages, decryption,
// behaviour. Each is a function without state that looks at all that a flow has sent so far, so it is asked again when
// more has come, and however the data was cut, the answer is the same. All work is bounded by the size of that data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "gateway/application.h"
#include "gateway/flow_view.h"

namespace p2pxbone::gateway {

// In per cent; what the words mean is the same for all recognisers.
inline constexpr uint8_t kCertain = 100;    // proven, or a match by chance is out of the question
inline constexpr uint8_t kStrong = 90;      // several fields agree
inline constexpr uint8_t kLikely = 70;      // one message of the right shape
inline constexpr uint8_t kBehaviour = 60;   // nothing but sizes, order and randomness

struct Finding {
  enum class Kind : uint8_t {
    no,     // never, whatever comes
    more,   // cannot tell yet; `application` is the opinion meanwhile
    found,
  };
  Kind kind = Kind::no;
  Application application = Application::unknown;
  uint8_t confidence = 0;

  [[nodiscard]] static Finding never() { return {}; }
  [[nodiscard]] static Finding undecided(Application opinion = Application::unknown, uint8_t confidence = 0) {
    return {Kind::more, opinion, confidence};
  }
  [[nodiscard]] static Finding found(Application application, uint8_t confidence) {
    return {Kind::found, application, confidence};
  }
};

// What the first message of a TLS or QUIC client says in the clear.
struct ClientHelloSummary {
  std::string serverName;        // empty: none
  std::string applicationProtocol;  // the first of ALPN
  std::string ja4;
  uint16_t version = 0;          // the highest that is offered
  // There is an encrypted hello inside, so the server's name may be that of a front.
  bool encryptedHello = false;
};

struct LearntPeer {
  Address address;
  uint16_t port;
  Application application;
};

// What recognisers learn by the way.
struct Discoveries {
  static constexpr size_t kPeersMax = 64;
  std::vector<LearntPeer> peers;
  std::optional<ClientHelloSummary> hello;

  void learnPeer(const Address& address, uint16_t port, Application application) {
    if (peers.size() < kPeersMax) peers.push_back({address, port, application});
  }
};

// TCP
[[nodiscard]] Finding recogniseBittorrentHandshake(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseBittorrentTracker(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseBittorrentEncrypted(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseEdonkey(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseTls(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseDnsOverTcp(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseStunOverTcp(const FlowView& flow, Discoveries& discoveries);

// UDP
[[nodiscard]] Finding recogniseUtp(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseDht(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseUdpTracker(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseEdonkeyUdp(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseFasttrackUdp(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseSkype(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseQuic(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseDns(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseStun(const FlowView& flow, Discoveries& discoveries);
[[nodiscard]] Finding recogniseDtls(const FlowView& flow, Discoveries& discoveries);

}  // namespace p2pxbone::gateway
