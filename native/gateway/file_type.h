// What a file is, by its content: names and content types are what a sender says.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace p2pxbone::gateway {

enum class FileKind : uint8_t { unknown, archive, executable, script, document, image, audio, video, text };

struct FileType {
  // As policies spell it: "zip", "pe", "pdf".
  std::string_view name = "unknown";
  FileKind kind = FileKind::unknown;
};

// How much of a file's beginning is looked at. With less it may remain unknown.
inline constexpr size_t kFileTypeBytes = 1024;

[[nodiscard]] FileType fileTypeOf(std::span<const uint8_t> beginning);
[[nodiscard]] std::string_view fileKindName(FileKind kind);

// Collects the beginning while a transfer passes.
class FileTypeProbe {
 public:
  // True as soon as it has enough: what comes later is not looked at.
  bool data(std::span<const uint8_t> bytes);
  // Of what has come so far.
  [[nodiscard]] FileType type() const { return fileTypeOf(std::span{beginning_}.first(size_)); }

 private:
  std::array<uint8_t, kFileTypeBytes> beginning_{};
  size_t size_ = 0;
};

}  // namespace p2pxbone::gateway
