#include "gateway/ja4.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace p2pxbone::gateway {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";
constexpr size_t kHashDigits = 12;
constexpr size_t kCountMax = 99;
constexpr uint16_t kServerName = 0;
constexpr uint16_t kApplicationProtocols = 16;

std::string_view versionCode(uint16_t version) {
  switch (version) {
    case 0x0304: return "13";
    case 0x0303: return "12";
    case 0x0302: return "11";
    case 0x0301: return "10";
    case 0x0300: return "s3";
    case 0xfefc: return "d3";
    case 0xfefd: return "d2";
    case 0xfeff: return "d1";
    default: return "00";
  }
}

void appendCount(std::string& to, size_t count) {
  count = std::min(count, kCountMax);
  to += static_cast<char>('0' + count / 10);
  to += static_cast<char>('0' + count % 10);
}

bool alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// First and last character of the first protocol; of their hexadecimal form where one is not a letter or digit.
void appendProtocol(std::string& to, const ClientHello& hello) {
  if (hello.applicationProtocols.empty()) {
    to += "00";
    return;
  }
  const char first = hello.applicationProtocols.front().front();
  const char last = hello.applicationProtocols.front().back();
  if (alphanumeric(first) && alphanumeric(last)) {
    to += first;
    to += last;
  } else {
    to += kHexDigits[static_cast<uint8_t>(first) >> 4];
    to += kHexDigits[static_cast<uint8_t>(last) & 15];
  }
}

void appendNumbers(std::string& to, const std::vector<uint16_t>& numbers) {
  for (const uint16_t number : numbers) {
    if (!to.empty() && to.back() != '_') to += ',';
    for (int shift = 12; shift >= 0; shift -= 4) to += kHexDigits[(number >> shift) & 15];
  }
}

std::string shortHash(const std::string& text) {
  if (text.empty()) return std::string(kHashDigits, '0');
  static EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest;
  if (EVP_Digest(text.data(), text.size(), digest.data(), nullptr, sha256, nullptr) != 1) return {};
  std::string hex;
  for (size_t i = 0; i < kHashDigits / 2; ++i) {
    hex += kHexDigits[digest[i] >> 4];
    hex += kHexDigits[digest[i] & 15];
  }
  return hex;
}

std::vector<uint16_t> withoutGrease(const std::vector<uint16_t>& numbers) {
  std::vector<uint16_t> kept;
  std::copy_if(numbers.begin(), numbers.end(), std::back_inserter(kept),
               [](uint16_t number) { return !isGrease(number); });
  return kept;
}

}  // namespace

std::string ja4Of(const ClientHello& hello, HelloTransport transport) {
  std::vector<uint16_t> ciphers = withoutGrease(hello.ciphers);
  std::vector<uint16_t> extensions = withoutGrease(hello.extensions);
  const bool named = std::find(extensions.begin(), extensions.end(), kServerName) != extensions.end();

  std::string ja4(1, static_cast<char>(transport));
  ja4 += versionCode(highestVersion(hello));
  ja4 += named ? 'd' : 'i';
  appendCount(ja4, ciphers.size());
  appendCount(ja4, extensions.size());
  appendProtocol(ja4, hello);

  std::sort(ciphers.begin(), ciphers.end());
  std::string cipherText;
  appendNumbers(cipherText, ciphers);
  // Both say where the client goes rather than what it is.
  std::erase_if(extensions, [](uint16_t type) { return type == kServerName || type == kApplicationProtocols; });
  std::sort(extensions.begin(), extensions.end());
  std::string extensionText;
  appendNumbers(extensionText, extensions);
  if (!extensionText.empty() && !hello.signatureAlgorithms.empty()) {
    extensionText += '_';
    appendNumbers(extensionText, withoutGrease(hello.signatureAlgorithms));
  }
  const std::string cipherHash = shortHash(cipherText);
  const std::string extensionHash = shortHash(extensionText);
  if (cipherHash.empty() || extensionHash.empty()) return {};
  return ja4 + '_' + cipherHash + '_' + extensionHash;
}

}  // namespace p2pxbone::gateway
