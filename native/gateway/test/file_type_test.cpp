#include "gateway/file_type.h"

#include <doctest/doctest.h>

#include <random>
#include <string>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

using namespace std::string_literals;

std::string typed(const std::string& bytes) {
  const FileType type = fileTypeOf(bytesOf(bytes));
  return std::string{type.name} + " " + std::string{fileKindName(type.kind)};
}

std::string zipEntry(const std::string& name, const std::string& content = {}) {
  std::string bytes = "PK\x03\x04"s + std::string(22, '\0');
  bytes += static_cast<char>(name.size());
  return bytes + "\0\0\0"s + name + content;
}

std::string program(uint8_t characteristics, size_t headerAt) {
  std::string bytes = "MZ"s + std::string(58, '\0') + static_cast<char>(headerAt) + static_cast<char>(headerAt >> 8) + "\0\0"s;
  bytes.resize(headerAt, '\0');
  bytes += "PE\0\0"s + std::string(19, '\0') + static_cast<char>(characteristics);
  return bytes;
}

}  // namespace

TEST_CASE("file type: by content, whatever the name says") {
  CHECK(typed(program(0x01, 128)) == "pe executable");
  CHECK(typed(program(0x21, 128)) == "dll executable");
  CHECK(typed(program(0x01, 4000)) == "pe executable");
  CHECK(typed("MZ"s + std::string(58, '\0') + "\x50\0\0\0"s + std::string(100, 'x')) == "dos executable");
  CHECK(typed("MZ") == "pe executable");
  CHECK(typed("\x7f" "ELF\x02\x01") == "elf executable");
  CHECK(typed("\xca\xfe\xba\xbe\0\0\0\x34"s) == "class executable");
  CHECK(typed("\xca\xfe\xba\xbe\0\0\0\x02"s) == "macho executable");
  CHECK(typed("#!/bin/sh\n") == "script script");
  CHECK(typed("#!AMR\n") == "amr audio");
  CHECK(typed(zipEntry("a.txt")) == "zip archive");
  CHECK(typed(zipEntry("[Content_Types].xml")) == "ooxml document");
  CHECK(typed(zipEntry("mimetype", "application/vnd.oasis.opendocument.text")) == "odf document");
  CHECK(typed(zipEntry("mimetype", "application/epub+zip")) == "epub document");
  CHECK(typed(zipEntry("META-INF/MANIFEST.MF")) == "jar executable");
  CHECK(typed(zipEntry("AndroidManifest.xml")) == "apk executable");
  CHECK(typed("PK\x03\x04") == "zip archive");
  CHECK(typed("Rar!\x1a\x07\0"s) == "rar archive");
  CHECK(typed("\x1f\x8b\x08\0"s) == "gzip archive");
  CHECK(typed(std::string(257, 'n') + "ustar\0"s) == "tar archive");
  CHECK(typed("junk before %PDF-1.4\n\xe2\xe3\xcf\xd3") == "pdf document");
  CHECK(typed("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") == "ole document");
  CHECK(typed("\xff\xd8\xff\xe0") == "jpeg image");
  CHECK(typed("RIFF\x10\0\0\0WEBPVP8 "s) == "webp image");
  CHECK(typed("RIFF\x10\0\0\0WAVEfmt "s) == "wav audio");
  CHECK(typed("xxxx\x10\0\0\0WAVEfmt "s) == "unknown unknown");
  CHECK(typed("\xff\xfb\x90\x64"s) == "mp3 audio");
  CHECK(typed("\xff\xf1\x50\x80"s) == "aac audio");
  CHECK(typed("ID3\x03") == "mp3 audio");
  CHECK(typed("\0\0\0\x18" "ftypisom"s) == "mp4 video");
  CHECK(typed("BM\x36\x10\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"s) == "bmp image");
  CHECK(typed("BMW is a car, and this is text.") == "text text");
  CHECK(typed("\xef\xbb\xbf  <!DOCTYPE html><p>") == "html text");
  CHECK(typed("<?xml version='1.0'?><svg>") == "svg image");
  CHECK(typed("<?xml version='1.0'?><a>") == "xml text");
  CHECK(typed("caf\xc3") == "text text");
  CHECK(typed("bin\x01\x02") == "unknown unknown");
  CHECK(typed("") == "unknown unknown");
}

TEST_CASE("file type: pieces tell what the whole tells, and anything is harmless") {
  std::mt19937 random{7};
  const std::string file = program(0x01, 300) + std::string(3000, 'x');
  FileTypeProbe probe;
  size_t at = 0;
  for (bool enough = false; !enough; ++at) enough = probe.data(bytesOf(file.substr(at, 1)));
  CHECK(at == kFileTypeBytes);
  CHECK(probe.data(bytesOf(file)));
  CHECK(probe.type().name == "pe");
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = i % 2 == 0 ? program(1, 100 + random() % 200) : zipEntry("mimetype", "application/epub");
    bytes.resize(random() % (bytes.size() + 1));
    for (int k = 0; k < 3 && !bytes.empty(); ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    const std::vector<uint8_t> exact(bytes.begin(), bytes.end());
    CHECK(!fileTypeOf(exact).name.empty());
  }
}

}  // namespace p2pxbone::gateway
