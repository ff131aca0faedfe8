// How much of the control thread handshakes may take. Anyone who reaches the port can begin one, it costs up to a
// millisecond, and the same thread keeps alive all associations that are up. All of the numbers stand here.
//
// What arrives waits in three queues, by what is known of its sender, and a turn of the thread takes some of each in this
// order, before timers have theirs:
//   1. records that have opened: keep-alives, control messages, announcements of new keys;
//   2. handshake datagrams from where there is an association, or a handshake that we began: changes of keys, our own joins;
//   3. all other handshake datagrams: strangers'.
// So a flood of strangers, from however many hosts, costs others one short turn's delay and no datagram. A handshake that
// was announced inside an association needs no room and no host's share: its association has them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace p2pxbone {

// Waiting for the thread; more are dropped, as controlQueueFull. Each is at most a record datagram.
inline constexpr size_t kRecordsWaitingMax = 4096;
inline constexpr size_t kPeerHandshakesWaitingMax = 1024;
inline constexpr size_t kStrangerHandshakesWaitingMax = 1024;
// Of each, in one turn.
inline constexpr size_t kRecordsTurnMax = 64;
inline constexpr size_t kPeerHandshakesTurnMax = 16;
inline constexpr size_t kStrangerHandshakesTurnMax = 4;

// Unfinished handshakes that we began, and those that others began, so that strangers cannot keep us from our peers; and
// of the latter, those from one host: an IPv4 address or an IPv6 /64. More are refused, as dtlsTableFull.
inline constexpr size_t kHandshakesOutMax = 256;
inline constexpr size_t kHandshakesInMax = 256;
inline constexpr size_t kHandshakesOfHostMax = 16;

// ClientHellos that one host may have answered, and handshakes that it may begin with us, at once and in a second; more
// are dropped, as handshakeLimited. Generous: a NAT, or a test bed, has many daemons behind one address, which all start
// when the power comes back.
inline constexpr int64_t kHostAnswersBurstMax = 512;
inline constexpr int64_t kHostAnswersPerSecondMax = 64;
inline constexpr int64_t kHostHandshakesBurstMax = 128;
inline constexpr int64_t kHostHandshakesPerSecondMax = 16;

}  // namespace p2pxbone
