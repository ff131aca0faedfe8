// What the association machine does with what has been sent to an association that is up, or soon will be.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/association_impl.h"
#include "core/record_opener.h"
#include "core/secure_arrivals.h"

namespace p2pxbone {
namespace {

// A peer that still repeats its last flight has not seen ours; more often than this, somebody else makes it up.
constexpr Millis repeatFlightMin = 100;

}  // namespace

// DTLS 1.2 refuses in the clear, so that anyone can do it in the peer's name. The handshake goes on; if it was the peer,
// nothing will come of it.
void AssociationMachine::Impl::handlePlainAlert(Association& association, Millis now) {
  drops.plainAlert++;
  // Nobody waits to hear why a change of keys fails.
  if (association.up() || association.renews) return;
  association.refused = true;
  association.handshakeEndsAt = std::min(association.handshakeEndsAt, now + refusedPatience);
  schedule(association, now);
}

// Handshake records beside an association that is up: a peer that repeats its last flight has not seen ours.
void AssociationMachine::Impl::repeatFlight(Association& association, Millis now) {
  if (!association.session->hasFlight()) {
    drops.badRecord++;
    return;
  }
  if (now - association.flightRepeatedAt < repeatFlightMin) return;
  association.session->resendFlight();
  association.flightRepeatedAt = now;
  flush(association);
}

// Records of a peer that has finished the handshake before us, or that came before the reader knew the channel.
void AssociationMachine::Impl::handleUnpublished(Association& association, std::span<const uint8_t> datagram, Millis now) {
  if (association.up() && !association.published) return openUnpublished(association, datagram, now);
  const bool room = association.early.size() < earlyDatagramsMax && datagram.size() <= earlyDatagramBytesMax;
  if (association.up() || association.role == Role::server || !room) {
    drops.badRecord++;
    return;
  }
  association.early.emplace_back(datagram.begin(), datagram.end());
}

void AssociationMachine::Impl::receiveEarly(Association& association, Millis now) {
  const AssociationId id = association.id;
  const auto early = std::exchange(association.early, {});
  for (const auto& datagram : early) {
    if (!associations.contains(id)) return;
    openUnpublished(association, datagram, now);
  }
}

void AssociationMachine::Impl::openUnpublished(Association& association, std::span<const uint8_t> datagram, Millis now) {
  std::vector<uint8_t> bytes(datagram.begin(), datagram.end());
  std::span<uint8_t> rest(bytes);
  while (!rest.empty()) {
    const size_t length = isDtls(rest) && !isOfHandshake(rest) ? recordBytes(rest) : 0;
    OpenedRecord opened;
    const DropReason reason = length == 0 ? DropReason::dtlsRecordBad
                                          : RecordOpener::open(*association.channel, rest.first(length), now, false, opened);
    if (reason != DropReason::none) {
      (reason == DropReason::recordReplayed ? drops.replayed : drops.badRecord)++;
      return;
    }
    const ControlRecord record{association.id, opened.type, datagram.size(), 0};
    if (!handleOpened(association, record, opened.content, now)) return;
    rest = rest.subspan(length);
  }
}

bool AssociationMachine::Impl::handleOpened(Association& association, const ControlRecord& record,
                                            std::span<const uint8_t> content, Millis now) {
  const uint8_t type = record.type;
  association.liveness->received(now);
  if (type == contentAlert) {
    static constexpr uint8_t fatal = 2;
    static constexpr uint8_t closeNotify = 0;
    const bool whole = content.size() == 2;
    if (!whole) drops.badContent++;
    if (!whole || (content[0] != fatal && content[1] != closeNotify)) return true;
    end(association, DownReason::peerClosed, now);
    return false;
  }
  if (type != contentApplicationData) {
    drops.badContent++;
    return true;
  }
  handleContent(association, content, record, now);
  tellMtu(association);
  schedule(association, now);
  return true;
}

void AssociationMachine::Impl::handleContent(Association& association, std::span<const uint8_t> message,
                                             const ControlRecord& record, Millis now) {
  const uint8_t kind = message.empty() ? uint8_t{0} : message[0];
  if (kind == contentKeepAliveRequest) {
    const auto answer = Liveness::answer(message, record.datagramBytes);
    if (!answer) drops.badContent++;
    else write(association, *answer);
  } else if (kind == contentKeepAliveAnswer) {
    std::optional<size_t> payloadBytes;
    if (!association.liveness->answered(message, now, payloadBytes)) {
      drops.badContent++;
    } else if (association.measurement) {
      const int64_t micros = record.arrivedMicros != 0 ? record.arrivedMicros : now * 1000;
      association.measurement->answered(Liveness::numberAnswered(message), micros);
      measure(association, now);
    }
    if (payloadBytes) association.probe->answered(*payloadBytes, now);
  } else if (kind == contentRekeyAnnounce) {
    handleAnnounced(association, message);
  } else if (kind == contentRekeyHeard) {
    handleHeard(association, message, now);
  } else if (kind == contentVxlan) {
    drops.tooEarly++;
  } else if (kind >= contentControlFirst && message.size() <= controlBytesMax) {
    tell(AssociationEvent::Kind::control, association).bytes.assign(message.begin(), message.end());
  } else {
    drops.badContent++;
  }
}

// RFC 9146 §6, which the reader has checked. Whoever has an association of his own there keeps it.
void AssociationMachine::Impl::move(Association& association, const Endpoint& to, Millis now) {
  const auto taken = peers.find(to);
  if (taken != peers.end()) return;
  // A change of keys under way began at the old address.
  if (Association* const pending = peers.at(association.peer).pending) end(*pending, DownReason::closed, now);
  peers.erase(association.peer);
  association.peer = to;
  peers[to].current = &association;
  directoryChanged = true;
  association.probe.emplace(to.outerHeaderBytes(), settings.payloadBytesLimit, now);
  tell(AssociationEvent::Kind::moved, association);
  tellMtu(association);
  keepAlive(association, now);
  schedule(association, now);
}

}  // namespace p2pxbone
