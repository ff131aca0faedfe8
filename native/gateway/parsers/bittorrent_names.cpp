#include "gateway/parsers/bittorrent_names.h"

#include "gateway/parsers/text.h"
#include "gateway/recognisers/bencode.h"
#include "gateway/recognisers/bittorrent_peers.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kFilesMax = 256;
constexpr size_t kPathBytesMax = 4096;

}  // namespace

std::optional<std::string_view> bencodedText(std::span<const uint8_t> dictionary, std::string_view key) {
  const auto value = bencodedMember(dictionary, key);
  const auto bytes = value ? bencodedString(*value) : std::nullopt;
  return bytes ? std::optional{textOf(*bytes)} : std::nullopt;
}

std::optional<uint64_t> bencodedNumber(std::span<const uint8_t> dictionary, std::string_view key) {
  const auto value = bencodedMember(dictionary, key);
  const auto number = value ? bencodedInteger(*value) : std::nullopt;
  return number && *number >= 0 ? std::optional{static_cast<uint64_t>(*number)} : std::nullopt;
}

std::string torrentHash(std::string_view bytes) {
  return bytes.size() == 20 ? "btih:" + hexOf(bytesOf(bytes)) : std::string{};
}

bool tellTorrentNames(Side from, std::span<const uint8_t> description, std::string_view hash, ParserEvents& events) {
  const auto name = bencodedText(description, "name");
  if (!name) return false;
  const std::string path = utf8Of(*name);
  events.request(from, {FileOffer::Kind::offer, lastPathPart(path), path, bencodedNumber(description, "length"), hash});
  const auto files = bencodedMember(description, "files");
  if (!files) return true;
  size_t count = 0;
  forEachBencoded(*files, [&](std::span<const uint8_t> file) {
    std::string whole = path;
    if (const auto parts = bencodedMember(file, "path")) {
      forEachBencoded(*parts, [&](std::span<const uint8_t> part) {
        if (const auto text = bencodedString(part)) whole += '/' + utf8Of(textOf(*text));
        return whole.size() < kPathBytesMax;
      });
    }
    events.request(from, {FileOffer::Kind::listed, lastPathPart(whole), whole, bencodedNumber(file, "length"), hash});
    return ++count < kFilesMax;
  });
  return true;
}

void learnBencodedPeers(std::span<const uint8_t> dictionary, ParserEvents& events) {
  peersInBencoded(dictionary, [&](const Address& address, uint16_t port) {
    events.learnPeer(address, port, Application::bittorrent, {});
  });
}

bool tellDhtMessage(Side from, std::span<const uint8_t> datagram, ParserEvents& events) {
  if (!bencodedText(datagram, "y")) return false;
  const auto arguments = bencodedMember(datagram, "a");
  const auto method = bencodedText(datagram, "q");
  if (method) events.attribute("bittorrent.dht", utf8Of(*method));
  const std::string hash = arguments ? torrentHash(bencodedText(*arguments, "info_hash").value_or("")) : std::string{};
  if (!hash.empty()) events.request(from, {FileOffer::Kind::request, {}, {}, std::nullopt, hash});
  learnBencodedPeers(datagram, events);
  return true;
}

}  // namespace p2pxbone::gateway
