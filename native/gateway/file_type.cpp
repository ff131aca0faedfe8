#include "gateway/file_type.h"

#include <algorithm>
#include <optional>

#include "gateway/byte_cursor.h"
#include "gateway/parsers/little_endian.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

using namespace std::string_view_literals;

struct Magic {
  size_t offset;
  std::string_view bytes;
  FileType type;
};

// In this order: what is more particular stands before what it could be taken for.
constexpr std::array kMagics{
    Magic{0, "\x7f" "ELF"sv, {"elf", FileKind::executable}},
    Magic{0, "\xfe\xed\xfa\xce"sv, {"macho", FileKind::executable}},
    Magic{0, "\xfe\xed\xfa\xcf"sv, {"macho", FileKind::executable}},
    Magic{0, "\xce\xfa\xed\xfe"sv, {"macho", FileKind::executable}},
    Magic{0, "\xcf\xfa\xed\xfe"sv, {"macho", FileKind::executable}},
    Magic{0, "\0asm"sv, {"wasm", FileKind::executable}},
    Magic{0, "dex\n"sv, {"dex", FileKind::executable}},
    Magic{0, "L\0\0\0\x01\x14\x02\0"sv, {"lnk", FileKind::executable}},
    Magic{0, "#!"sv, {"script", FileKind::script}},
    Magic{0, "Rar!\x1a\x07"sv, {"rar", FileKind::archive}},
    Magic{0, "7z\xbc\xaf\x27\x1c"sv, {"7z", FileKind::archive}},
    Magic{0, "\x1f\x8b\x08"sv, {"gzip", FileKind::archive}},
    Magic{0, "BZh"sv, {"bzip2", FileKind::archive}},
    Magic{0, "\xfd" "7zXZ\0"sv, {"xz", FileKind::archive}},
    Magic{0, "\x28\xb5\x2f\xfd"sv, {"zstd", FileKind::archive}},
    Magic{0, "\x04\x22\x4d\x18"sv, {"lz4", FileKind::archive}},
    Magic{0, "\x1f\x9d"sv, {"compress", FileKind::archive}},
    Magic{0, "MSCF\0\0\0\0"sv, {"cab", FileKind::archive}},
    Magic{0, "\x60\xea"sv, {"arj", FileKind::archive}},
    Magic{0, "!<arch>\ndebian"sv, {"deb", FileKind::archive}},
    Magic{0, "!<arch>\n"sv, {"ar", FileKind::archive}},
    Magic{0, "\xed\xab\xee\xdb"sv, {"rpm", FileKind::archive}},
    Magic{0, "070701"sv, {"cpio", FileKind::archive}},
    Magic{2, "-lh"sv, {"lzh", FileKind::archive}},
    Magic{257, "ustar"sv, {"tar", FileKind::archive}},
    Magic{0, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"sv, {"ole", FileKind::document}},
    Magic{0, "{\\rtf"sv, {"rtf", FileKind::document}},
    Magic{0, "%!PS"sv, {"postscript", FileKind::document}},
    Magic{0, "AT&TFORM"sv, {"djvu", FileKind::document}},
    Magic{0, "\xff\xd8\xff"sv, {"jpeg", FileKind::image}},
    Magic{0, "\x89PNG\r\n\x1a\n"sv, {"png", FileKind::image}},
    Magic{0, "GIF87a"sv, {"gif", FileKind::image}},
    Magic{0, "GIF89a"sv, {"gif", FileKind::image}},
    Magic{0, "II*\0"sv, {"tiff", FileKind::image}},
    Magic{0, "MM\0*"sv, {"tiff", FileKind::image}},
    Magic{0, "8BPS"sv, {"psd", FileKind::image}},
    Magic{0, "\0\0\x01\0"sv, {"ico", FileKind::image}},
    Magic{8, "WEBP"sv, {"webp", FileKind::image}},
    Magic{8, "WAVE"sv, {"wav", FileKind::audio}},
    Magic{8, "AVI "sv, {"avi", FileKind::video}},
    Magic{0, "ID3"sv, {"mp3", FileKind::audio}},
    Magic{0, "fLaC"sv, {"flac", FileKind::audio}},
    Magic{0, "OggS"sv, {"ogg", FileKind::audio}},
    Magic{0, "MThd"sv, {"midi", FileKind::audio}},
    Magic{4, "ftypM4A"sv, {"m4a", FileKind::audio}},
    Magic{4, "ftypheic"sv, {"heic", FileKind::image}},
    Magic{4, "ftypavif"sv, {"avif", FileKind::image}},
    Magic{4, "ftyp"sv, {"mp4", FileKind::video}},
    Magic{0, "\x1a\x45\xdf\xa3"sv, {"matroska", FileKind::video}},
    Magic{0, "\0\0\x01\xba"sv, {"mpeg", FileKind::video}},
    Magic{0, "\0\0\x01\xb3"sv, {"mpeg", FileKind::video}},
    Magic{0, "FLV\x01"sv, {"flv", FileKind::video}},
    Magic{0, "\x30\x26\xb2\x75\x8e\x66\xcf\x11"sv, {"asf", FileKind::video}},
};

bool stands(std::string_view text, size_t offset, std::string_view bytes) {
  return text.size() >= offset + bytes.size() && text.substr(offset, bytes.size()) == bytes;
}

// A DOS program, and behind its beginning what Windows runs.
std::optional<FileType> dosProgram(std::span<const uint8_t> bytes) {
  if (!stands(textOf(bytes), 0, "MZ")) return std::nullopt;
  const size_t header = bytes.size() >= 64 ? loadLe32(&bytes[60]) : SIZE_MAX;
  // A header that lies further on is not seen; nothing else has one.
  if (header < bytes.size() && !stands(textOf(bytes), header, "PE"sv)) return FileType{"dos", FileKind::executable};
  const bool library = header + 24 <= bytes.size() && header < bytes.size() && (bytes[header + 23] & 0x20) != 0;
  return FileType{library ? "dll"sv : "pe"sv, FileKind::executable};
}

// Many formats are ZIP files; the name of the first entry tells which.
std::optional<FileType> zip(std::span<const uint8_t> bytes) {
  const std::string_view text = textOf(bytes);
  if (stands(text, 0, "PK\x05\x06")) return FileType{"zip", FileKind::archive};
  if (!stands(text, 0, "PK\x03\x04")) return std::nullopt;
  constexpr size_t kEntryBytes = 30;
  if (bytes.size() < kEntryBytes) return FileType{"zip", FileKind::archive};
  const std::string_view name = text.substr(kEntryBytes, loadLe16(&bytes[26]));
  const std::string_view behind = text.substr(std::min(text.size(), kEntryBytes + name.size() + loadLe16(&bytes[28])));
  if (name == "[Content_Types].xml" || name.starts_with("_rels/")) return FileType{"ooxml", FileKind::document};
  if (name == "mimetype" && behind.starts_with("application/vnd.oasis")) return FileType{"odf", FileKind::document};
  if (name == "mimetype" && behind.starts_with("application/epub")) return FileType{"epub", FileKind::document};
  if (name == "AndroidManifest.xml") return FileType{"apk", FileKind::executable};
  if (name.starts_with("META-INF/")) return FileType{"jar", FileKind::executable};
  return FileType{"zip", FileKind::archive};
}

// Java classes and Mach-O files for several processors begin alike; the second number is a version or a small count.
std::optional<FileType> cafeBabe(std::span<const uint8_t> bytes) {
  if (bytes.size() < 8 || loadBe32(bytes.data()) != 0xcafebabe) return std::nullopt;
  return FileType{loadBe32(&bytes[4]) < 40 ? "macho"sv : "class"sv, FileKind::executable};
}

// Formats without a magic number: a frame of sound, packets of a stream, bits of a picture.
std::optional<FileType> framed(std::span<const uint8_t> bytes) {
  if (bytes.size() < 4) return std::nullopt;
  const bool sync = bytes[0] == 0xff && (bytes[1] & 0xe0) == 0xe0;
  if (sync && (bytes[1] & 0xf6) == 0xf0) return FileType{"aac", FileKind::audio};
  const bool rates = (bytes[2] & 0xf0) != 0xf0 && (bytes[2] & 0x0c) != 0x0c;
  if (sync && (bytes[1] & 0x06) != 0 && (bytes[1] & 0x18) != 0x08 && rates) return FileType{"mp3", FileKind::audio};
  if (bytes.size() > 376 && bytes[0] == 0x47 && bytes[188] == 0x47 && bytes[376] == 0x47)
    return FileType{"mpegts", FileKind::video};
  if (bytes.size() >= 18 && bytes[0] == 'B' && bytes[1] == 'M' && loadLe32(&bytes[6]) == 0 && loadLe32(&bytes[14]) <= 124)
    return FileType{"bmp", FileKind::image};
  return std::nullopt;
}

FileType textual(std::span<const uint8_t> bytes) {
  std::string_view text = textOf(bytes);
  // Readers look for it within the first kilobyte.
  if (text.find("%PDF-") != std::string_view::npos) return {"pdf", FileKind::document};
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text = trimmed(text);
  if (startsWith(text, "<!doctype html") || startsWith(text, "<html") || startsWith(text, "<head") || startsWith(text, "<script"))
    return {"html", FileKind::text};
  if (findSame(text, "<svg") != std::string_view::npos && text.starts_with('<')) return {"svg", FileKind::image};
  if (startsWith(text, "<?xml")) return {"xml", FileKind::text};
  const auto control = [](uint8_t c) { return c < 0x20 && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b; };
  // The last character may be cut in two.
  const auto whole = text.substr(0, text.size() - std::min<size_t>(text.size(), 3));
  const bool plain = !bytes.empty() && std::none_of(bytes.begin(), bytes.end(), control) && isUtf8(whole);
  return plain ? FileType{"text", FileKind::text} : FileType{};
}

}  // namespace

FileType fileTypeOf(std::span<const uint8_t> beginning) {
  beginning = beginning.first(std::min(beginning.size(), kFileTypeBytes));
  if (const auto type = dosProgram(beginning)) return *type;
  if (const auto type = zip(beginning)) return *type;
  if (const auto type = cafeBabe(beginning)) return *type;
  const std::string_view text = textOf(beginning);
  if (stands(text, 0, "#!AMR")) return {"amr", FileKind::audio};
  for (const Magic& magic : kMagics) {
    // The kinds of RIFF file have their name behind its length.
    if (magic.offset == 8 && !stands(text, 0, "RIFF")) continue;
    if (stands(text, magic.offset, magic.bytes)) return magic.type;
  }
  if (const auto type = framed(beginning)) return *type;
  return textual(beginning);
}

std::string_view fileKindName(FileKind kind) {
  constexpr std::array<std::string_view, 9> kNames{"unknown", "archive", "executable", "script", "document",
                                                   "image",   "audio",   "video",      "text"};
  return kNames[static_cast<size_t>(kind)];
}

bool FileTypeProbe::data(std::span<const uint8_t> bytes) {
  const size_t count = std::min(bytes.size(), beginning_.size() - size_);
  std::copy_n(bytes.begin(), count, beginning_.begin() + static_cast<ptrdiff_t>(size_));
  size_ += count;
  return size_ == beginning_.size();
}

}  // namespace p2pxbone::gateway
