// Reads captures (pcap and pcapng) for tests: the IP packets in them, whatever link layer they were taken on.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <vector>

#include "core/bytes.h"

namespace p2pxbone::gateway::testing {

using Bytes = std::vector<uint8_t>;

class PcapReader {
 public:
  explicit PcapReader(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
  }

  // Calls take(std::span<const uint8_t>) with each IP packet. False if the file is neither format.
  template <typename Take>
  bool forEachPacket(Take take) {
    if (bytes_.size() < 24) return false;
    const uint32_t magic = number(0, 4);
    if (magic == 0x0a0d0d0a) return pcapng(take);
    swapped_ = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
    const uint32_t plain = number(0, 4);
    if (plain != 0xa1b2c3d4 && plain != 0xa1b23c4d) return false;
    const uint32_t link = number(20, 4);
    for (size_t at = 24; at + 16 <= bytes_.size();) {
      const size_t length = number(at + 8, 4);
      at += 16;
      if (length > bytes_.size() - at) return false;
      deliver(link, std::span(bytes_).subspan(at, length), take);
      at += length;
    }
    return true;
  }

 private:
  [[nodiscard]] uint32_t number(size_t at, size_t count) const {
    uint32_t value = 0;
    for (size_t i = 0; i < count; ++i) value |= uint32_t{bytes_[at + (swapped_ ? count - 1 - i : i)]} << (8 * i);
    return value;
  }

  template <typename Take>
  bool pcapng(Take take) {
    std::vector<uint32_t> links;
    for (size_t at = 0; at + 12 <= bytes_.size();) {
      if (number(at, 4) == 0x0a0d0d0a) {
        swapped_ = false;
        swapped_ = number(at + 8, 4) != 0x1a2b3c4d;
        links.clear();
      }
      const uint32_t type = number(at, 4);
      const size_t length = number(at + 4, 4);
      if (length < 12 || length > bytes_.size() - at) return false;
      if (type == 1) links.push_back(number(at + 8, 2));
      if (type == 6 && length >= 32) {
        const uint32_t interface = number(at + 8, 4);
        const size_t captured = number(at + 20, 4);
        if (interface >= links.size() || captured > length - 32) return false;
        deliver(links[interface], std::span(bytes_).subspan(at + 28, captured), take);
      }
      if (type == 3 && length >= 16 && !links.empty()) {
        deliver(links[0], std::span(bytes_).subspan(at + 12, std::min<size_t>(number(at + 8, 4), length - 16)), take);
      }
      at += length;
    }
    return true;
  }

  template <typename Take>
  void deliver(uint32_t link, std::span<const uint8_t> frame, Take take) {
    size_t header = 0;
    switch (link) {
      case 1:
        header = 14;
        while (frame.size() >= header + 4 && loadBe16(&frame[header - 2]) == 0x8100) header += 4;
        break;
      case 0: header = 4; break;
      case 113: header = 16; break;
      case 276: header = 20; break;
      default: break;
    }
    if (frame.size() > header) take(frame.subspan(header));
  }

  Bytes bytes_;
  bool swapped_ = false;
};

}  // namespace p2pxbone::gateway::testing
