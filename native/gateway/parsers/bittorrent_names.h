// What bencoded BitTorrent messages say about torrents: their hash, and the names in their description.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gateway/parsers/parser.h"

namespace p2pxbone::gateway {

[[nodiscard]] std::optional<std::string_view> bencodedText(std::span<const uint8_t> dictionary, std::string_view key);
[[nodiscard]] std::optional<uint64_t> bencodedNumber(std::span<const uint8_t> dictionary, std::string_view key);

// "btih:" and the hash in hexadecimal; empty if it has another length than 20 bytes.
[[nodiscard]] std::string torrentHash(std::string_view bytes);

// The name of a torrent and its files, of a description of which the end may be missing. False if the name is.
bool tellTorrentNames(Side from, std::span<const uint8_t> description, std::string_view hash, ParserEvents& events);

// Peers in anything bencoded that has some.
void learnBencodedPeers(std::span<const uint8_t> dictionary, ParserEvents& events);

// False if it is no DHT message.
bool tellDhtMessage(Side from, std::span<const uint8_t> datagram, ParserEvents& events);

}  // namespace p2pxbone::gateway
