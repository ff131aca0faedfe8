#include "core/aead.h"

#include <doctest/doctest.h>

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <future>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace p2pxbone::testing {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr std::array<Cipher, 3> ciphers{Cipher::aes128Gcm, Cipher::aes256Gcm, Cipher::chacha20Poly1305};

Bytes hex(const std::string& text) {
  Bytes bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  return bytes;
}

using Make = std::unique_ptr<Aead> (*)(Cipher, std::span<const uint8_t>);

// Those that can be used here.
std::vector<std::unique_ptr<Aead>> all(Cipher cipher, std::span<const uint8_t> key) {
  std::vector<std::unique_ptr<Aead>> made;
  for (const Make make : {Make{makeOpensslAead}, Make{makeIpsecMbAead}}) {
    if (auto aead = make(cipher, key)) made.push_back(std::move(aead));
  }
  return made;
}

struct Vector {
  Cipher cipher;
  Bytes key, nonce, associated, plain, sealed, tag;
};

Bytes textOf(const std::string& text) { return {text.begin(), text.end()}; }

// McGrew and Viega's cases 4 and 16 for GCM, RFC 8439 §2.8.2 for ChaCha20-Poly1305.
std::vector<Vector> vectors() {
  const std::string gcmKey = "feffe9928665731c6d6a8f9467308308";
  const Bytes nonce = hex("cafebabefacedbaddecaf888");
  const Bytes associated = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
  const Bytes plain = hex(
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  Bytes chachaKey(32);
  for (size_t i = 0; i < chachaKey.size(); i++) chachaKey[i] = static_cast<uint8_t>(0x80 + i);
  return {
      {Cipher::aes128Gcm, hex(gcmKey), nonce, associated, plain,
       hex("42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"),
       hex("5bc94fbc3221a5db94fae95ae7121a47")},
      {Cipher::aes256Gcm, hex(gcmKey + gcmKey), nonce, associated, plain,
       hex("522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"),
       hex("76fc6ece0f4e1768cddf8853bb2d551b")},
      {Cipher::chacha20Poly1305, chachaKey, hex("070000004041424344454647"), hex("50515253c0c1c2c3c4c5c6c7"),
       textOf("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."),
       hex("d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b6"
           "7ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116"),
       hex("1ae10b594f09e26a7e902ecbd0600691")},
  };
}

AeadNonce nonceOf(const Bytes& bytes) { return AeadNonce{bytes.data(), aeadNonceBytes}; }

TEST_CASE("aead: every implementation agrees with the published vectors") {
  for (const Vector& vector : vectors()) {
    CAPTURE(static_cast<int>(vector.cipher));
    for (const auto& aead : all(vector.cipher, vector.key)) {
      Bytes sealed(vector.plain.size());
      std::array<uint8_t, aeadTagBytes> tag;
      REQUIRE(aead->seal(nonceOf(vector.nonce), vector.associated, vector.plain, sealed.data(), tag));
      CHECK(sealed == vector.sealed);
      CHECK(Bytes(tag.begin(), tag.end()) == vector.tag);
      CHECK(aead->open(nonceOf(vector.nonce), vector.associated, sealed, sealed.data(), tag));
      CHECK(sealed == vector.plain);
    }
  }
}

TEST_CASE("aead: implementations are interchangeable, in place and not, for every length") {
  std::mt19937 random(1);
  const auto fill = [&](auto& bytes) { std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<uint8_t>(random()); }); };
  for (const Cipher cipher : ciphers) {
    Bytes key(32);
    fill(key);
    const auto made = all(cipher, key);
    for (size_t length = 0; length < 1700; length += length < 300 ? 1 : 37) {
      CAPTURE(length);
      Bytes plain(length);
      Bytes nonce(aeadNonceBytes);
      Bytes associated(13);
      fill(plain);
      fill(nonce);
      fill(associated);
      Bytes first;
      std::array<uint8_t, aeadTagBytes> firstTag;
      for (const auto& aead : made) {
        Bytes sealed(length);
        Bytes inPlace = plain;
        std::array<uint8_t, aeadTagBytes> tag;
        std::array<uint8_t, aeadTagBytes> tagInPlace;
        REQUIRE(aead->seal(nonceOf(nonce), associated, plain, sealed.data(), tag));
        REQUIRE(aead->seal(nonceOf(nonce), associated, inPlace, inPlace.data(), tagInPlace));
        REQUIRE(sealed == inPlace);
        REQUIRE(tag == tagInPlace);
        if (aead == made.front()) {
          first = sealed;
          firstTag = tag;
        }
        REQUIRE(sealed == first);
        REQUIRE(tag == firstTag);
        for (const auto& opener : made) {
          Bytes opened(length);
          REQUIRE(opener->open(nonceOf(nonce), associated, sealed, opened.data(), tag));
          REQUIRE(opened == plain);
          std::array<uint8_t, aeadTagBytes> wrong = tag;
          wrong[random() % wrong.size()] ^= static_cast<uint8_t>(1U << (random() % 8));
          REQUIRE_FALSE(opener->open(nonceOf(nonce), associated, sealed, opened.data(), wrong));
        }
      }
    }
  }
}

TEST_CASE("aead: more keys than a thread keeps contexts for, from several threads") {
  std::vector<std::unique_ptr<Aead>> keys;
  for (uint8_t i = 0; i < 200; i++) keys.push_back(makeOpensslAead(ciphers[i % 3], Bytes(32, i)));
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint8_t thread = 0; thread < 3; thread++) {
    threads.emplace_back([&, thread] {
      std::mt19937 random(thread);
      for (int i = 0; i < 3000; i++) {
        const Aead& aead = *keys[random() % keys.size()];
        const Bytes nonce(aeadNonceBytes, static_cast<uint8_t>(i));
        const Bytes plain(50, static_cast<uint8_t>(random()));
        Bytes sealed(plain.size());
        std::array<uint8_t, aeadTagBytes> tag;
        const bool done = aead.seal(nonceOf(nonce), {}, plain, sealed.data(), tag) &&
                          aead.open(nonceOf(nonce), {}, sealed, sealed.data(), tag) && sealed == plain;
        if (!done) wrong.fetch_add(1);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong.load() == 0);
}

// How often bytes stand in this process's writable memory. They are given inverted, so as not to be found here.
size_t copiesInMemory(std::span<const uint8_t> inverted) {
  constexpr size_t windowBytes = size_t{1} << 20;
  // Larger ones are the sanitizers' own.
  constexpr size_t mappingBytesMax = size_t{256} << 20;
  auto* const window = static_cast<uint8_t*>(
      ::mmap(nullptr, windowBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  REQUIRE(window != MAP_FAILED);
  size_t found = 0;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t at = 0;
    uintptr_t end = 0;
    std::array<char, 5> access{};
    REQUIRE(std::sscanf(line.c_str(), "%lx-%lx %4s", &at, &end, access.data()) == 3);
    const auto own = reinterpret_cast<uintptr_t>(window);
    if (access[1] != 'w' || end - at > mappingBytesMax || (own >= at && own < end)) continue;
    // Windows overlap, so that nothing is missed between two.
    for (; at + inverted.size() <= end; at += windowBytes - inverted.size()) {
      const iovec local{window, windowBytes};
      const iovec remote{reinterpret_cast<void*>(at), std::min<size_t>(windowBytes, end - at)};
      const ssize_t bytes = ::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0);
      if (bytes <= 0) break;
      const std::span<const uint8_t> content(window, static_cast<size_t>(bytes));
      const auto isKey = [](uint8_t here, uint8_t there) { return here == static_cast<uint8_t>(~there); };
      for (auto next = content.begin();;) {
        next = std::search(next, content.end(), inverted.begin(), inverted.end(), isKey);
        if (next == content.end()) break;
        found++;
        ++next;
      }
    }
  }
  ::munmap(window, windowBytes);
  return found;
}

TEST_CASE("aead: nothing of a key is left in memory when it goes, also of threads that have used it and sleep") {
  for (const Cipher cipher : ciphers) {
    CAPTURE(static_cast<int>(cipher));
    std::mt19937 random(static_cast<uint32_t>(cipher) + 7);
    Bytes key(aeadKeyBytes(cipher));
    for (auto& byte : key) byte = static_cast<uint8_t>(random());
    // The first words are those that ciphers keep as they are.
    Bytes inverted(key.begin(), key.begin() + 16);
    for (auto& byte : inverted) byte = static_cast<uint8_t>(~byte);
    auto aead = makeOpensslAead(cipher, key);
    OPENSSL_cleanse(key.data(), key.size());
    std::array<std::promise<void>, 2> used;
    std::promise<void> end;
    const std::shared_future<void> over = end.get_future().share();
    std::vector<std::thread> threads;
    for (auto& each : used) {
      threads.emplace_back([&, over] {
        const Bytes nonce(aeadNonceBytes);
        Bytes text(100);
        std::array<uint8_t, aeadTagBytes> tag;
        const auto nonceBytes = std::span<const uint8_t>(nonce).first<aeadNonceBytes>();
        CHECK(aead->seal(nonceBytes, {}, text, text.data(), tag));
        CHECK(aead->open(nonceBytes, {}, text, text.data(), tag));
        each.set_value();
        over.wait();
      });
    }
    for (auto& each : used) each.get_future().wait();
    CHECK(copiesInMemory(inverted) >= 1 + 2 * 2);
    aead.reset();
    CHECK(copiesInMemory(inverted) == 0);
    end.set_value();
    for (std::thread& thread : threads) thread.join();
  }
}

}  // namespace
}  // namespace p2pxbone::testing
