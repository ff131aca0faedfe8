// A bounded store for packets that wait: blocks of one size in one piece of memory, so that nothing is allocated per
// packet and no mixture of sizes can fragment it. One thread's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace p2pxbone {

class PacketStore {
 public:
  // Holds an ordinary packet with its headers in one block.
  static constexpr size_t kBlockBytes = 2048;
  static constexpr uint32_t kNone = 0xffffffff;

  // Pages that no packet has reached are never touched.
  explicit PacketStore(uint32_t blocks);

  // Copies the packet; its first block's number, which names it from now on, or kNone if there is no room.
  [[nodiscard]] uint32_t put(std::span<const uint8_t> packet);
  [[nodiscard]] static size_t blocksOf(size_t bytes) {
    return bytes <= kBlockBytes ? 1 : (bytes + kBlockBytes - 1) / kBlockBytes;
  }
  [[nodiscard]] bool fits(size_t bytes) const { return blocksOf(bytes) <= free_; }
  void free(uint32_t packet);

  [[nodiscard]] size_t bytes(uint32_t packet) const { return info_[packet].bytes; }
  // The packet itself, where it fits one block.
  [[nodiscard]] std::span<uint8_t> inPlace(uint32_t packet) { return {block(packet), bytes(packet)}; }
  // A copy in one piece; `to` has room for it.
  void copy(uint32_t packet, std::span<uint8_t> to) const;
  // Overwrites what the packet has from `at` on; it ends at or before the packet's end.
  void write(uint32_t packet, size_t at, std::span<const uint8_t> from);
  [[nodiscard]] uint32_t freeBlocks() const { return free_; }

 private:
  struct Info {
    uint32_t bytes;      // of the packet, in its first block
    uint32_t nextBlock;  // of the packet, or of the list of free blocks
  };
  [[nodiscard]] uint8_t* block(uint32_t number) const { return memory_.get() + size_t{number} * kBlockBytes; }
  [[nodiscard]] uint32_t take();

  std::unique_ptr<uint8_t[]> memory_;
  std::unique_ptr<Info[]> info_;
  uint32_t unused_ = 0;  // blocks from here on have never been taken
  uint32_t freeList_ = kNone;
  uint32_t free_;
};

}  // namespace p2pxbone
