#include "os/reply_sources.h"

#include <algorithm>
#include <cstring>

namespace p2pxbone {
namespace {

using Words = std::array<uint64_t, 6>;

void copyIn(const std::array<uint8_t, 16>& bytes, uint64_t* words) { std::memcpy(words, bytes.data(), bytes.size()); }
void copyOut(const uint64_t* words, std::array<uint8_t, 16>& bytes) { std::memcpy(bytes.data(), words, bytes.size()); }

}  // namespace

// Acquire and release on the words themselves rather than fences, which TSan cannot follow: who reads a word of a later
// writing also sees that writing's odd version.
std::optional<ReplySources::Note> ReplySources::Entry::read() const {
  const uint64_t before = version_.load(std::memory_order_acquire);
  Words words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = words_[i].load(std::memory_order_acquire);
  if (before % 2 != 0 || version_.load(std::memory_order_relaxed) != before) return std::nullopt;
  Note note;
  copyOut(&words[0], note.peer.ip);
  copyOut(&words[2], note.local);
  note.peer.port = static_cast<uint16_t>(words[4]);
  note.heardAt = static_cast<Millis>(words[5]);
  return note;
}

void ReplySources::Entry::write(const Note& note) {
  uint64_t before = version_.load(std::memory_order_relaxed);
  if (before % 2 != 0 || !version_.compare_exchange_strong(before, before + 1, std::memory_order_acquire)) return;
  Words words{};
  copyIn(note.peer.ip, &words[0]);
  copyIn(note.local, &words[2]);
  words[4] = note.peer.port;
  words[5] = static_cast<uint64_t>(note.heardAt);
  for (size_t i = 0; i < words.size(); ++i) words_[i].store(words[i], std::memory_order_release);
  version_.store(before + 2, std::memory_order_release);
}

void ReplySources::heard(const Endpoint& peer, const HostAddress& local, Millis now) {
  Set& set = setOf(peer);
  for (Entry& entry : set) {
    const std::optional<Note> note = entry.read();
    if (!note || note->peer != peer) continue;
    if (note->local != local || now - note->heardAt >= kNoteEvery) entry.write({peer, local, now});
    return;
  }
  std::min_element(set.begin(), set.end(), [](const Entry& a, const Entry& b) {
    return a.heardAt() < b.heardAt();
  })->write({peer, local, now});
}

std::optional<HostAddress> ReplySources::find(const Endpoint& peer, Millis now) const {
  for (const Entry& entry : setOf(peer)) {
    const std::optional<Note> note = entry.read();
    if (note && note->peer == peer && now - note->heardAt < kSilenceMax) return note->local;
  }
  return std::nullopt;
}

void ReplySources::forget(const Endpoint& peer, const HostAddress& local) {
  for (Entry& entry : setOf(peer)) {
    const std::optional<Note> note = entry.read();
    if (note && note->peer == peer && note->local == local) entry.write({});
  }
}

}  // namespace p2pxbone
