#include "gateway/scanning/nested_archive.h"

#include <span>
#include <string_view>

namespace p2pxbone::gateway {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr std::string_view kName = "a.zip";
constexpr uint16_t kVersion = 10;

uint32_t crc32(std::span<const uint8_t> bytes) {
  uint32_t crc = 0xffffffff;
  for (const uint8_t byte : bytes) {
    crc ^= byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  return ~crc;
}

void put(Bytes& bytes, uint64_t value, int count) {
  for (int i = 0; i < count; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

void put(Bytes& bytes, std::string_view text) { bytes.insert(bytes.end(), text.begin(), text.end()); }

// What local and central headers have in common: from the version that is needed to the length of the extra field.
void putEntry(Bytes& bytes, std::span<const uint8_t> content) {
  put(bytes, kVersion, 2);
  put(bytes, 0, 2 + 2 + 2);        // flags, stored, time
  put(bytes, (1 << 5) | 1, 2);     // the first of January 1980
  put(bytes, crc32(content), 4);
  put(bytes, content.size(), 4);
  put(bytes, content.size(), 4);
  put(bytes, kName.size(), 2);
  put(bytes, 0, 2);
}

Bytes archiveOf(std::span<const uint8_t> content) {
  Bytes archive;
  archive.reserve(content.size() + 128);
  put(archive, "PK\x03\x04");
  putEntry(archive, content);
  put(archive, kName);
  archive.insert(archive.end(), content.begin(), content.end());
  const size_t directory = archive.size();
  put(archive, "PK\x01\x02");
  put(archive, kVersion, 2);
  putEntry(archive, content);
  put(archive, 0, 2 + 2 + 2);  // comment, disk, internal attributes
  put(archive, 0, 4 + 4);      // external attributes, where the local header is
  put(archive, kName);
  const size_t directoryBytes = archive.size() - directory;
  put(archive, "PK\x05\x06");
  put(archive, 0, 2 + 2);
  put(archive, 1, 2);
  put(archive, 1, 2);
  put(archive, directoryBytes, 4);
  put(archive, directory, 4);
  put(archive, 0, 2);
  return archive;
}

}  // namespace

Bytes nestedArchive(int depth) {
  Bytes content{'e', 'n', 'd', '\n'};
  for (int i = 0; i < depth; ++i) content = archiveOf(content);
  return content;
}

}  // namespace p2pxbone::gateway
