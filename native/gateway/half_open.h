// TCP connections of which only the handshake has been seen, 32 bytes each: a flood of SYNs costs no more than that. An
// entry knows its connection by a keyed 64-bit hash, which two connections practically never share.
#pragma once

#include <memory>

#include "core/counters.h"
#include "gateway/flow_key.h"
#include "gateway/limits.h"
#include "gateway/tcp_track.h"

namespace p2pxbone::gateway {

class HalfOpenFlows {
 public:
  enum class Outcome : uint8_t {
    handshake,  // belongs to a handshake and is remembered here; it may go on
    forged,     // contradicts the handshake; no end would accept it
    promoted,   // the connection goes further and gets a full record; the entry is gone
    unknown,    // no handshake of this connection was seen
  };
  struct Promotion {
    TcpHandshake handshake;
    bool initiatorIsB = false;
    Millis seen = 0;  // first
    std::array<uint16_t, 2> packets{};
    std::array<uint32_t, 2> bytes{};
  };
  struct Counters {
    Counter begun;
    Counter promoted;
    Counter refused;  // by RST
    Counter evicted;  // before their time, for want of room
  };

  explicit HalfOpenFlows(const Limits& limits);

  // `packet` is TCP, has passed the checks and has no full record. SYNs with data are not for here: they are unknown.
  [[nodiscard]] Outcome look(const Packet& packet, const DirectedKey& directed, uint64_t hash, Millis now,
                             Promotion& promotion);

  // A SYN without data, of a connection that may take the place of one that has a full record: the latest one counts.
  void expect(const Packet& packet, const DirectedKey& directed, uint64_t hash, Millis now);

  [[nodiscard]] const Counters& counters() const { return counters_; }
  // Live ones; looks at every entry, so it is for tests and rare statistics.
  [[nodiscard]] uint32_t countLive(Millis now) const;
  [[nodiscard]] static constexpr size_t entryBytes() { return sizeof(Entry); }
  [[nodiscard]] size_t memoryBytes() const { return size_t{sets_} * kWays * sizeof(Entry); }

 private:
  static constexpr uint32_t kWays = 8;
  struct Entry {
    uint64_t fingerprint;  // 0: free
    uint32_t initiatorSequence;
    uint32_t responderSequence;
    uint32_t seen;  // ticks of 16 ms
    uint16_t initiatorWindow;
    uint16_t responderWindow;
    uint16_t initiatorBytes;
    uint16_t responderBytes;
    uint8_t initiatorPackets;
    uint8_t responderPackets;
    uint8_t scales;  // initiator's in the high half; 15: none
    uint8_t flags;
  };
  static_assert(sizeof(Entry) == 32);
  struct Free {
    void operator()(Entry* entries) const;
  };

  [[nodiscard]] bool alive(const Entry& entry, uint32_t tick) const;
  [[nodiscard]] Entry* find(Entry* set, uint64_t fingerprint, uint32_t tick) const;
  [[nodiscard]] Entry* place(Entry* set, uint32_t tick);
  [[nodiscard]] Outcome begin(const Packet& packet, const DirectedKey& directed, uint64_t hash, Entry* known,
                              uint32_t tick);
  [[nodiscard]] Outcome answer(const Packet& packet, const DirectedKey& directed, Entry& entry);
  [[nodiscard]] static TcpHandshake handshakeOf(const Entry& entry);
  [[nodiscard]] Outcome promote(Entry& entry, Promotion& promotion);

  uint32_t sets_;
  uint32_t timeoutTicks_;
  // From calloc: pages that no SYN has reached are never touched.
  std::unique_ptr<Entry[], Free> entries_;
  Counters counters_;
};

}  // namespace p2pxbone::gateway
