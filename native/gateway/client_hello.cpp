#include "gateway/client_hello.h"

#include <algorithm>

#include "gateway/byte_cursor.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kClientHello = 1;
constexpr uint32_t kHelloBytesMax = 65'536;

constexpr uint16_t kServerName = 0;
constexpr uint16_t kSignatureAlgorithms = 13;
constexpr uint16_t kApplicationProtocols = 16;
constexpr uint16_t kSupportedVersions = 43;
constexpr uint16_t kEncryptedClientHello = 0xfe0d;

void readNumbers(std::span<const uint8_t> list, std::vector<uint16_t>& into) {
  ByteCursor cursor(list);
  while (cursor.left() >= 2 && into.size() < kHelloListMax) into.push_back(cursor.be16());
}

// A name is shown to people and written to records, so only what a host name can be is taken.
bool hostNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

std::string_view readServerName(std::span<const uint8_t> body) {
  constexpr uint8_t hostName = 0;
  ByteCursor list(body);
  ByteCursor cursor(list.bytes(list.be16()));
  if (cursor.u8() != hostName) return {};
  const std::string_view name = textOf(cursor.bytes(cursor.be16()));
  if (!cursor.good() || name.size() > kServerNameBytesMax) return {};
  return std::all_of(name.begin(), name.end(), hostNameCharacter) ? name : std::string_view{};
}

void readProtocols(std::span<const uint8_t> body, std::vector<std::string_view>& into) {
  ByteCursor list(body);
  ByteCursor cursor(list.bytes(list.be16()));
  while (cursor.left() > 0 && into.size() < kHelloListMax) {
    const std::span<const uint8_t> name = cursor.bytes(cursor.u8());
    if (!cursor.good() || name.empty()) return;
    into.push_back(textOf(name));
  }
}

void readExtension(uint16_t type, std::span<const uint8_t> body, ClientHello& hello) {
  ByteCursor cursor(body);
  switch (type) {
    case kServerName: hello.serverName = readServerName(body); break;
    case kApplicationProtocols: readProtocols(body, hello.applicationProtocols); break;
    case kSignatureAlgorithms: readNumbers(cursor.bytes(cursor.be16()), hello.signatureAlgorithms); break;
    case kSupportedVersions: readNumbers(cursor.bytes(cursor.u8()), hello.versions); break;
    // The outer one; the inner, of type 1, never travels in the clear.
    case kEncryptedClientHello: hello.encryptedHello = cursor.u8() == 0 && cursor.good(); break;
    default: break;
  }
}

bool readExtensions(std::span<const uint8_t> block, ClientHello& hello) {
  ByteCursor cursor(block);
  while (cursor.left() > 0) {
    const uint16_t type = cursor.be16();
    const std::span<const uint8_t> body = cursor.bytes(cursor.be16());
    if (!cursor.good()) return false;
    // Each may come once; of a repeated one the first counts.
    if (std::find(hello.extensions.begin(), hello.extensions.end(), type) != hello.extensions.end()) continue;
    if (hello.extensions.size() == kHelloListMax) return true;
    hello.extensions.push_back(type);
    readExtension(type, body, hello);
  }
  return true;
}

}  // namespace

HelloParse parseClientHello(std::span<const uint8_t> handshake, ClientHello& hello) {
  if (!handshake.empty() && handshake[0] != kClientHello) return HelloParse::malformed;
  if (handshake.size() < 4) return HelloParse::cut;
  const uint32_t length = loadBe24(&handshake[1]);
  if (length > kHelloBytesMax) return HelloParse::malformed;
  if (handshake.size() - 4 < length) return HelloParse::cut;
  ByteCursor cursor(handshake.subspan(4, length));
  hello = {};
  hello.legacyVersion = cursor.be16();
  cursor.skip(32);
  const uint8_t sessionBytes = cursor.u8();
  cursor.skip(sessionBytes);
  const std::span<const uint8_t> ciphers = cursor.bytes(cursor.be16());
  const std::span<const uint8_t> compressions = cursor.bytes(cursor.u8());
  if (!cursor.good() || hello.legacyVersion >> 8 != 3 || sessionBytes > 32 || ciphers.size() < 2 ||
      ciphers.size() % 2 != 0 || compressions.empty()) {
    return HelloParse::malformed;
  }
  readNumbers(ciphers, hello.ciphers);
  // Before TLS 1.2 there need be no extensions.
  if (cursor.left() == 0) return HelloParse::whole;
  const std::span<const uint8_t> extensions = cursor.bytes(cursor.be16());
  return cursor.good() && readExtensions(extensions, hello) ? HelloParse::whole : HelloParse::malformed;
}

uint16_t highestVersion(const ClientHello& hello) {
  uint16_t highest = 0;
  for (const uint16_t version : hello.versions)
    if (!isGrease(version)) highest = std::max(highest, version);
  return highest == 0 ? hello.legacyVersion : highest;
}

}  // namespace p2pxbone::gateway
