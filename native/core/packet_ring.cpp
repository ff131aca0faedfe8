#include "core/packet_ring.h"

#include <cstring>

namespace p2pxbone {

// Not zeroed: pages that are never used are never touched.
PacketRing::PacketRing() : memory_(std::make_unique_for_overwrite<uint8_t[]>(kBytes)) {}

bool PacketRing::push(std::span<const std::span<const uint8_t>> pieces) {
  size_t length = 0;
  for (const std::span<const uint8_t> piece : pieces) length += piece.size();
  const uint64_t written = written_.load(std::memory_order_relaxed);
  const uint64_t used = written - read_.load(std::memory_order_acquire);
  const size_t needed = recordBytes(length);
  const size_t at = written % kBytes;
  const size_t tail = kBytes - at;
  // A record never wraps: a marker sends the reader to the beginning. Records are multiples of 8, so it always fits.
  const size_t skipped = tail < needed ? tail : 0;
  if (used + skipped + needed > kBytes) return false;
  uint8_t* record = memory_.get() + at;
  if (skipped != 0) {
    std::memcpy(record, &kWrap, kHeaderBytes);
    record = memory_.get();
  }
  const auto stored = static_cast<uint32_t>(length);
  std::memcpy(record, &stored, kHeaderBytes);
  record += kHeaderBytes;
  for (const std::span<const uint8_t> piece : pieces) {
    std::memcpy(record, piece.data(), piece.size());
    record += piece.size();
  }
  // Sequentially consistent, as is the consumer's look at it after it has said that it sleeps: one of the two sees the
  // other.
  written_.store(written + skipped + needed);
  return true;
}

void PacketRing::wake() {
  if (sleeping_.load() == 0) return;
  sleeping_.store(0);
  sleeping_.notify_one();
}

std::span<const uint8_t> PacketRing::front() {
  uint64_t read = read_.load(std::memory_order_relaxed);
  if (read == written_.load(std::memory_order_acquire)) return {};
  uint8_t* record = memory_.get() + read % kBytes;
  uint32_t length = 0;
  std::memcpy(&length, record, kHeaderBytes);
  if (length == kWrap) {
    read += kBytes - read % kBytes;
    read_.store(read, std::memory_order_release);
    record = memory_.get();
    std::memcpy(&length, record, kHeaderBytes);
  }
  return {record + kHeaderBytes, length};
}

void PacketRing::pop() {
  const std::span<const uint8_t> packet = front();
  read_.store(read_.load(std::memory_order_relaxed) + recordBytes(packet.size()), std::memory_order_release);
}

bool PacketRing::wait() {
  for (;;) {
    if (read_.load(std::memory_order_relaxed) != written_.load()) return true;
    if (closed_.load()) return false;
    sleeping_.store(1);
    if (read_.load(std::memory_order_relaxed) == written_.load() && !closed_.load()) sleeping_.wait(1);
    sleeping_.store(0);
  }
}

void PacketRing::close() {
  closed_.store(true);
  sleeping_.store(0);
  sleeping_.notify_one();
}

}  // namespace p2pxbone
