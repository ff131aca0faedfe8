// BitTorrent: which torrent, its name where peers tell it each other, and where more peers are. Pieces arrive in any order
// and are not followed. A flow is a connection of peers, a tracker's HTTP, or datagrams of DHT and trackers.
#pragma once

#include <array>
#include <string>

#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class BitTorrentParser final : public ParserBase {
 public:
  explicit BitTorrentParser(const FlowContext& context) : addresses_{context.initiator, context.responder} {}

 private:
  struct Direction {
    bool shookHands = false;
    // Numbers under which this side wants to be sent extension messages; 0 until it has said so.
    uint8_t metadataNumber = 0;
    uint8_t peersNumber = 0;
    // Of the torrent's description, while its pieces come in order.
    std::string metadata;
    bool named = false;
  };

  bool step(Side side, ParserEvents& events) override;
  void datagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events) override;
  bool handshake(Side side, ParserEvents& events);
  bool message(Side side, ParserEvents& events);
  void extended(Side side, std::string_view payload, ParserEvents& events);
  void extendedHandshake(Side side, std::string_view payload, ParserEvents& events);
  void metadataPiece(Side side, std::string_view payload, ParserEvents& events);
  void tellName(Side side, ParserEvents& events);
  void trackerDatagram(Side side, std::span<const uint8_t> bytes, ParserEvents& events);

  std::array<Address, 2> addresses_;
  std::array<Direction, 2> directions_;
  std::string torrent_;
  bool announced_ = false;
  bool announcedV6_ = false;
};

}  // namespace p2pxbone::gateway
