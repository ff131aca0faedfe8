// Addresses of BitTorrent peers, in the forms in which trackers, DHT nodes and peers tell them.
#pragma once

#include <string_view>

#include "gateway/parsers/bencode.h"
#include "gateway/parsers/parser.h"

namespace p2pxbone::gateway {

// Rows of address and port; `rowBytes` 6 or 18. With more, what stands before them is a node's id.
void learnCompactPeers(std::string_view bytes, size_t rowBytes, bool v6, ParserEvents& events);
// A tracker's answer over HTTP: peers, in one text or as a list.
void learnTrackerPeers(const Bencoded& answer, ParserEvents& events);

// A DHT message, if it is one.
bool learnFromDht(Side side, std::string_view datagram, ParserEvents& events);

// "btih:" and the hash in hexadecimal; empty if it has another length than 20 bytes.
[[nodiscard]] std::string torrentHash(std::string_view bytes);

}  // namespace p2pxbone::gateway
