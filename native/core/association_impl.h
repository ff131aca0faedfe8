// The machine behind association.h: what it remembers of each peer, and what it does with datagrams and time.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <unordered_map>

#include "core/association.h"
#include "core/association_liveness.h"
#include "core/association_probe.h"
#include "core/association_session.h"

namespace p2pxbone {

inline constexpr Millis retransmitFirst = 250;
inline constexpr Millis retransmitMax = 2000;
inline constexpr uint8_t contentVxlan = 0x08;
inline constexpr uint8_t contentControlFirst = 0x80;

struct Association {
  AssociationId id;
  Endpoint peer;
  Role role;
  std::unique_ptr<Session> session;
  // The caller has heard of it, and so hears of its end.
  bool known = false;

  // While handshaking. Whose budget it counts against stays, though the role may change when both ends begin.
  Role budget;
  Millis startedAt = 0;
  Millis retransmitAt = 0;
  Millis retransmitAfter = retransmitFirst;

  // Once up.
  std::optional<Liveness> liveness;
  std::optional<PathProbe> probe;
  size_t payloadBytesTold = 0;
  Millis flightRepeatedAt = 0;

  // Where it stands in the timer queue; never later than its deadline.
  std::optional<Millis> queuedAt;

  [[nodiscard]] bool up() const { return liveness.has_value(); }
};

// What we have with one endpoint. `pending` is a handshake beside an association that is up.
struct PeerSlot {
  Association* current = nullptr;
  Association* pending = nullptr;
};

struct AssociationMachine::Impl {
  explicit Impl(AssociationSettings wanted);

  AssociationSettings settings;
  std::minstd_rand random;
  CookieJar cookies;
  std::map<std::string, std::shared_ptr<const Credential>> credentials;
  std::unordered_map<AssociationId, std::unique_ptr<Association>> associations;
  std::unordered_map<Endpoint, PeerSlot, EndpointHash> peers;
  std::set<std::pair<Millis, AssociationId>> timers;
  size_t handshakesOut = 0;
  size_t handshakesIn = 0;
  std::unordered_map<Endpoint, size_t, EndpointHash> handshakesOfHost;
  AssociationId lastId = 0;
  AssociationDrops drops;
  std::deque<Transmit> transmits;
  std::deque<AssociationEvent> events;
  std::array<uint8_t, sessionDatagramBytesMax> content{};

  // Life and death.
  // Whether there is no room for a handshake that this role begins with that peer.
  [[nodiscard]] bool full(const Endpoint& peer, Role role) const;
  void beginHandshake(const Association& association);
  void finishHandshake(const Association& association);
  Association* add(const Endpoint& peer, Role role, std::unique_ptr<Session> session, Millis now);
  void restart(Association& association, std::unique_ptr<Session> session, Millis now);
  void establish(Association& association, Millis now);
  void end(Association& association, DownReason reason);
  void endAll(const std::string* serverName);

  // Datagrams.
  void handleHello(const Endpoint& from, std::span<const uint8_t> datagram, Millis now);
  void accept(const Endpoint& from, const ClientHello& hello, std::span<const uint8_t> datagram, Millis now);
  void advance(Association& association, std::span<const uint8_t> datagram, Millis now);
  void receive(Association& association, std::span<const uint8_t> datagram, Millis now);
  void handleContent(Association& association, std::span<const uint8_t> message, size_t datagramBytes, Millis now);

  // Time.
  [[nodiscard]] Millis deadlineOf(const Association& association) const;
  void schedule(Association& association, Millis now);
  void run(Association& association, Millis now);
  void keepAlive(Association& association, Millis now);

  // Output.
  void flush(Association& association);
  void tellMtu(Association& association);
  AssociationEvent& tell(AssociationEvent::Kind kind, const Association& association);
};

}  // namespace p2pxbone
