// The machine behind association.h: what it remembers of each peer, and what it does with datagrams and time.
#pragma once

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
#include "core/channel_directory.h"
#include "core/handshake_limiter.h"
#include "core/path_measurement.h"
#include "core/secure_channel.h"

namespace p2pxbone {

inline constexpr Millis retransmitFirst = 250;
inline constexpr Millis retransmitMax = 2000;
// What is left to a handshake whose peer seems to have refused it.
inline constexpr Millis refusedPatience = 2000;
inline constexpr uint8_t contentRekeyAnnounce = 0x03;
inline constexpr uint8_t contentRekeyHeard = 0x04;
inline constexpr uint8_t contentVxlan = 0x08;
inline constexpr uint8_t contentControlFirst = 0x80;

// The former keys still receive for so long after the last record under them.
inline constexpr Millis olderKeysLife = 10'000;
// Between a change of keys that failed and the next attempt.
inline constexpr Millis rekeyRetry = 5000;
// Keys are changed at a random moment in this part of the time that they may last: early enough for many attempts.
inline constexpr double rekeyEarliest = 0.85;
inline constexpr double rekeyLatest = 0.95;
// Likewise of the time that is left of the certificates; nodes have renewed theirs after two thirds of it.
inline constexpr double rekeyOfCertificate = 0.8;
// Datagrams kept of a peer that has finished the handshake before us.
inline constexpr size_t earlyDatagramsMax = 16;
inline constexpr size_t earlyDatagramBytesMax = 2048;

struct Association {
  AssociationId id;
  Endpoint peer;
  Role role;
  std::unique_ptr<Session> session;
  // Tunnels share it.
  std::shared_ptr<SecureChannel> channel;
  // The caller has heard of it, and so hears of its end.
  bool known = false;

  // While handshaking. Whose budget it counts against stays, though the role may change when both ends begin.
  Role budget;
  Millis handshakeEndsAt = 0;
  // Somebody, perhaps the peer, has said that it is refused: the reason to give when its time is over.
  bool refused = false;
  Millis retransmitAt = 0;
  Millis retransmitAfter = retransmitFirst;
  std::vector<std::vector<uint8_t>> early;
  // Of a handshake beside an association that is up: its keys are to take the place of that one's, and its ClientHello is
  // held back until the peer has heard of it there.
  bool renews = false;
  bool held = false;

  // Once up.
  std::optional<Liveness> liveness;
  std::optional<PathProbe> probe;
  std::optional<PathMeasurement> measurement;
  size_t payloadBytesTold = 0;
  Millis flightRepeatedAt = 0;
  Cipher cipher = Cipher::aes128Gcm;
  std::vector<uint8_t> peerPublicKey;
  Millis certificateEndsAt = 0;
  Millis keysSince = 0;
  Millis rekeyAt = 0;
  Millis rekeyNotBefore = 0;  // after an attempt that failed
  uint64_t rekeys = 0;
  Millis olderKeysEndAt = 0;
  // The random of the ClientHello that the peer, being client, will renew its keys with.
  std::optional<HelloRandom> announced;
  // The server sends with its new keys once the client has used them.
  std::shared_ptr<const SendingKeys> nextSending;
  // It stands in the last directory taken; the reader has that directory, and opens its records.
  bool listed = false;
  bool published = false;

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
  const uint64_t seed;
  std::minstd_rand random;
  CookieJar cookies;
  HandshakeLimiter limiter;
  std::map<std::string, std::shared_ptr<const Credential>> credentials;
  std::unordered_map<AssociationId, std::unique_ptr<Association>> associations;
  std::unordered_map<Endpoint, PeerSlot, EndpointHash> peers;
  std::set<std::pair<Millis, AssociationId>> timers;
  // Whose random the ClientHello of a change of keys will have.
  std::map<HelloRandom, AssociationId> announcers;
  size_t handshakesOut = 0;
  size_t handshakesIn = 0;
  std::unordered_map<Endpoint, size_t, EndpointHash> handshakesOfHost;
  AssociationId lastId = 0;
  AssociationDrops drops;
  bool directoryChanged = true;
  Retired retired;
  std::deque<Transmit> transmits;
  std::deque<AssociationEvent> events;

  // Life and death.
  // Whether there is no room for a handshake that this role begins with that peer.
  [[nodiscard]] bool full(const Endpoint& peer, Role role) const;
  void beginHandshake(const Association& association);
  void finishHandshake(const Association& association);
  // Whether the reader is to know of it: a handshake that others began is nothing to it, and must not cost it a new directory.
  [[nodiscard]] static bool inDirectory(const Association& association) {
    return association.up() || association.role == Role::client;
  }
  Association* make(const Endpoint& peer, Role role);
  Association* add(const Endpoint& peer, Role role, std::unique_ptr<Session> session, Millis now);
  void restart(Association& association, std::unique_ptr<Session> session, Millis now);
  // The handshake is done. Gives the association that now has its keys.
  Association& establish(Association& association, Millis now);
  // A member has so much of the table and no more, however often it shakes hands.
  void endSurplus(const Association& established, Millis now);
  void receiveEarly(Association& association, Millis now);
  void end(Association& association, DownReason reason, Millis now);
  void remove(Association& association);
  void endAll(const std::string* serverName, Millis now);

  // Keys.
  void useKeys(Association& association, SessionOutcome&& outcome, Millis now);
  void startSending(Association& association, std::shared_ptr<const SendingKeys> keys, Millis now);
  Association& renew(Association& current, Association& pending, SessionOutcome&& outcome, Millis now);
  [[nodiscard]] bool mayRekey(const Association& association) const;
  [[nodiscard]] bool rekeyDue(const Association& association, Millis now) const;
  [[nodiscard]] bool keysSpent(const Association& association, Millis now) const;
  void beginRekey(Association& association, Millis now);
  void announce(Association& pending);
  void handleAnnounced(Association& association, std::span<const uint8_t> message);
  void expect(Association& association, const std::optional<HelloRandom>& hello);
  // Whether another association than that endpoint's has announced the handshake: its peer is moving.
  [[nodiscard]] bool announcedElsewhere(const HelloRandom& hello, const PeerSlot& slot) const;
  void handleHeard(Association& association, std::span<const uint8_t> message, Millis now);
  [[nodiscard]] Millis drawRekeyAt(const Association& association, Millis now);

  // Datagrams.
  void handleHello(const Endpoint& from, std::span<const uint8_t> datagram, Millis now);
  void accept(const Endpoint& from, const ClientHello& hello, std::span<const uint8_t> datagram, Millis now);
  void advance(Association& association, std::span<const uint8_t> datagram, Millis now);
  void handlePlainAlert(Association& association, Millis now);
  void repeatFlight(Association& association, Millis now);
  void handleUnpublished(Association& association, std::span<const uint8_t> datagram, Millis now);
  void openUnpublished(Association& association, std::span<const uint8_t> datagram, Millis now);
  // False if the association has ended.
  bool handleOpened(Association& association, const ControlRecord& record, std::span<const uint8_t> content, Millis now);
  void handleContent(Association& association, std::span<const uint8_t> message, const ControlRecord& record, Millis now);
  void move(Association& association, const Endpoint& to, Millis now);

  // Time.
  [[nodiscard]] Millis deadlineOf(const Association& association) const;
  void schedule(Association& association, Millis now);
  void run(Association& association, Millis now);
  void runUp(Association& association, Millis now);
  void keepAlive(Association& association, Millis now);
  void measure(Association& association, Millis now);

  // Output.
  void write(Association& association, std::span<const uint8_t> content);
  void writeRecord(const Association& association, const SendingKeys& keys, uint8_t type, std::span<const uint8_t> content);
  void flush(Association& association);
  void tellMtu(Association& association);
  AssociationEvent& tell(AssociationEvent::Kind kind, const Association& association);
};

}  // namespace p2pxbone
