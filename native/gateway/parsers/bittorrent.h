// BitTorrent: which torrent, its name where peers tell it each other, and where more peers are. Pieces arrive in any order
// and are not followed. A flow is a connection of peers, a tracker's HTTP, or datagrams of DHT and trackers.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class BitTorrentParser final : public ParserBase {
 public:
  explicit BitTorrentParser(const FlowEnds& ends) : ends_(ends) {}

 private:
  struct Direction {
    bool shookHands = false;
    // Numbers under which this side wants to be sent extension messages; 0 until it has said so.
    uint8_t metadataNumber = 0;
    uint8_t peersNumber = 0;
    // Of the torrent's description, while its pieces come in order.
    std::vector<uint8_t> metadata;
    bool named = false;
  };

  bool step(Side side, ParserEvents& events) override;
  void datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) override;
  [[nodiscard]] bool mayAnnounce() const override;
  [[nodiscard]] size_t otherBytes() const override {
    return directions_[0].metadata.capacity() + directions_[1].metadata.capacity();
  }
  bool handshake(Side side, ParserEvents& events);
  bool message(Side side, ParserEvents& events);
  void extended(Side side, std::span<const uint8_t> payload, ParserEvents& events);
  void extendedHandshake(Side side, std::span<const uint8_t> payload, ParserEvents& events);
  void metadataPiece(Side side, std::span<const uint8_t> payload, ParserEvents& events);
  void learnOwn(Side side, uint64_t port, ParserEvents& events);
  // False: it is none.
  bool trackerDatagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events);

  FlowEnds ends_;
  std::array<Direction, 2> directions_;
  std::string torrent_;
  bool announced_ = false;
  bool transports_ = false;  // datagrams that are of neither DHT nor trackers
};

}  // namespace p2pxbone::gateway
