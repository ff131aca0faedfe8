#include "gateway/tcp_track.h"

#include <doctest/doctest.h>

#include "gateway/checks.h"
#include "gateway/test/gateway_packets.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

constexpr uint8_t kSynAck = kTcpSyn | kTcpAck;
constexpr uint8_t kFinAck = kTcpFin | kTcpAck;
const Bytes kScale7{3, 3, 7, 0};

struct Line {
  TcpVerdict send(Side side, Segment segment) {
    if (side == Side::responder) std::swap(segment.from, segment.to);
    Bytes bytes = tcpPacket(segment);
    Packet packet = parsed(bytes);
    REQUIRE(checkTransport(packet) == DropReason::none);
    return trackTcp(track, side, packet);
  }
  TcpVerdict client(const Segment& segment) { return send(Side::initiator, segment); }
  TcpVerdict server(const Segment& segment) { return send(Side::responder, segment); }

  // Client's first byte is 101, server's 501.
  void open(const Bytes& options = {}, uint16_t window = 10000) {
    REQUIRE(client({.sequence = 100, .flags = kTcpSyn, .window = window, .options = options}) == TcpVerdict::valid);
    REQUIRE(server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck, .window = window, .options = options}) ==
            TcpVerdict::valid);
    REQUIRE(client({.sequence = 101, .acknowledgement = 501, .window = window}) == TcpVerdict::valid);
    REQUIRE(track.phase == TcpPhase::open);
    REQUIRE(!track.liberal);
  }

  TcpTrack track;
};

}  // namespace

TEST_CASE("a handshake opens a connection, and two FINs with their acknowledgements close it") {
  Line line;
  line.open();
  CHECK(line.client({.sequence = 101, .acknowledgement = 501, .flags = kFinAck}) == TcpVerdict::valid);
  CHECK(line.track.phase == TcpPhase::closing);
  CHECK(line.server({.sequence = 501, .acknowledgement = 102, .flags = kFinAck}) == TcpVerdict::valid);
  CHECK(line.track.phase == TcpPhase::closing);
  CHECK(line.client({.sequence = 102, .acknowledgement = 502}) == TcpVerdict::valid);
  CHECK(line.track.phase == TcpPhase::closed);
}

TEST_CASE("simultaneous open and split handshake lead to an open connection with certain numbers") {
  for (const bool split : {false, true}) {
    Line line;
    CHECK(line.client({.sequence = 100, .flags = kTcpSyn}) == TcpVerdict::valid);
    CHECK(line.server({.sequence = 500, .flags = kTcpSyn}) == TcpVerdict::valid);
    CHECK(line.client({.sequence = 100, .acknowledgement = 501, .flags = kSynAck}) == TcpVerdict::valid);
    if (split) {
      CHECK(line.server({.sequence = 501, .acknowledgement = 101}) == TcpVerdict::valid);
    } else {
      CHECK(line.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}) == TcpVerdict::valid);
      CHECK(line.server({.sequence = 501, .acknowledgement = 101}) == TcpVerdict::valid);
    }
    CHECK(line.track.phase == TcpPhase::open);
    CHECK(line.track.of(Side::initiator).first == 101);
    CHECK(line.track.of(Side::responder).first == 501);
    CHECK(!line.track.liberal);
  }
}

TEST_CASE("a SYN-ACK that acknowledges another SYN is no answer") {
  Line line;
  REQUIRE(line.client({.sequence = 100, .flags = kTcpSyn}) == TcpVerdict::valid);
  CHECK(line.server({.sequence = 500, .acknowledgement = 100, .flags = kSynAck}) == TcpVerdict::outsideWindow);
  CHECK(line.server({.sequence = 500, .acknowledgement = 102, .flags = kSynAck}) == TcpVerdict::outsideWindow);
  CHECK(!line.track.of(Side::responder).known);
  CHECK(line.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck}) == TcpVerdict::valid);
}

TEST_CASE("data must begin within the window that was offered, in its scale") {
  for (const bool scaled : {false, true}) {
    Line line;
    line.open(scaled ? kScale7 : Bytes{}, 1000);
    const uint32_t window = scaled ? 1000U << 7 : 1000U;
    // The windows of the SYNs are not scaled; the client's own counts from its next packet on.
    REQUIRE(line.server({.sequence = 501, .acknowledgement = 101, .window = 1000}) == TcpVerdict::valid);
    const Bytes data = bytesOf("x");
    CHECK(line.client({.sequence = 101 + window + 1, .acknowledgement = 501, .data = data}) == TcpVerdict::outsideWindow);
    CHECK(line.client({.sequence = 101 + window, .acknowledgement = 501, .data = data}) == TcpVerdict::valid);
  }
}

TEST_CASE("an option of one end only does not scale") {
  Line line;
  REQUIRE(line.client({.sequence = 100, .flags = kTcpSyn, .window = 1000, .options = kScale7}) == TcpVerdict::valid);
  REQUIRE(line.server({.sequence = 500, .acknowledgement = 101, .flags = kSynAck, .window = 1000}) == TcpVerdict::valid);
  REQUIRE(line.client({.sequence = 101, .acknowledgement = 501, .window = 1000}) == TcpVerdict::valid);
  CHECK(line.server({.sequence = 1502, .acknowledgement = 101, .data = bytesOf("x")}) == TcpVerdict::outsideWindow);
}

TEST_CASE("acknowledgements of what was never sent are refused, and keep-alives and window probes are not") {
  Line line;
  line.open();
  CHECK(line.server({.sequence = 501, .acknowledgement = 102}) == TcpVerdict::outsideWindow);
  CHECK(line.server({.sequence = 501, .acknowledgement = 101, .window = 0}) == TcpVerdict::valid);
  REQUIRE(line.client({.sequence = 101, .acknowledgement = 501, .data = Bytes(10000, 'x')}) == TcpVerdict::valid);
  CHECK(line.server({.sequence = 501, .acknowledgement = 10101, .window = 0}) == TcpVerdict::valid);
  CHECK(line.client({.sequence = 10101, .acknowledgement = 501, .data = bytesOf("p")}) == TcpVerdict::valid);
  CHECK(line.client({.sequence = 10100, .acknowledgement = 501}) == TcpVerdict::valid);
  CHECK(line.client({.sequence = 10100, .acknowledgement = 501, .data = bytesOf("k")}) == TcpVerdict::valid);
  CHECK(line.client({.sequence = 10101U - 200000U, .acknowledgement = 501, .data = bytesOf("o")}) ==
        TcpVerdict::outsideWindow);
}

TEST_CASE("an RST counts only where its receiver could accept it, and data after it show that the connection lives") {
  Line line;
  line.open();
  CHECK(line.client({.sequence = 100, .flags = kTcpRst}) == TcpVerdict::outsideWindow);
  CHECK(line.client({.sequence = 20000, .flags = kTcpRst}) == TcpVerdict::outsideWindow);
  CHECK(line.track.phase == TcpPhase::open);
  CHECK(line.client({.sequence = 101, .flags = kTcpRst}) == TcpVerdict::valid);
  CHECK(line.track.phase == TcpPhase::reset);
  CHECK(line.client({.sequence = 101, .acknowledgement = 501, .data = bytesOf("still here")}) == TcpVerdict::valid);
  CHECK(line.track.phase == TcpPhase::open);
}

TEST_CASE("a refusal must acknowledge the SYN") {
  Line line;
  REQUIRE(line.client({.sequence = 100, .flags = kTcpSyn}) == TcpVerdict::valid);
  CHECK(line.server({.acknowledgement = 99, .flags = kTcpRst | kTcpAck}) == TcpVerdict::outsideWindow);
  CHECK(line.server({.flags = kTcpRst}) == TcpVerdict::outsideWindow);
  CHECK(line.server({.acknowledgement = 101, .flags = kTcpRst | kTcpAck}) == TcpVerdict::valid);
}

TEST_CASE("a SYN in an open connection changes nothing until it is answered") {
  Line line;
  line.open();
  CHECK(line.client({.sequence = 90000, .flags = kTcpSyn, .data = bytesOf("data")}) == TcpVerdict::badState);
  CHECK(line.client({.sequence = 90000, .flags = kTcpSyn}) == TcpVerdict::valid);
  CHECK(line.track.phase == TcpPhase::open);
  CHECK(line.client({.sequence = 101, .acknowledgement = 501, .data = bytesOf("as before")}) == TcpVerdict::valid);
  CHECK(line.server({.sequence = 7000, .acknowledgement = 90002, .flags = kSynAck}) == TcpVerdict::badState);
  CHECK(line.client({.sequence = 7000, .acknowledgement = 90001, .flags = kSynAck}) == TcpVerdict::badState);
  CHECK(line.server({.sequence = 7000, .acknowledgement = 90001, .flags = kSynAck}) == TcpVerdict::restart);
}

TEST_CASE("a SYN after the end begins a new connection") {
  Line line;
  line.open();
  REQUIRE(line.server({.sequence = 501, .acknowledgement = 101, .flags = kTcpRst | kTcpAck}) == TcpVerdict::valid);
  CHECK(line.client({.sequence = 90000, .flags = kTcpSyn}) == TcpVerdict::restart);
}

TEST_CASE("where only one end is seen, or not the beginning, windows are not held against it") {
  Line line;
  REQUIRE(line.client({.sequence = 100, .flags = kTcpSyn, .window = 1000}) == TcpVerdict::valid);
  CHECK(line.client({.sequence = 101, .acknowledgement = 501, .data = bytesOf("x")}) == TcpVerdict::valid);
  CHECK(line.track.liberal);
  for (uint32_t sent = 0; sent < 1000; ++sent) {
    CHECK(line.client({.sequence = 102 + sent * 1000, .acknowledgement = 501 + sent, .data = Bytes(1000, 'x')}) ==
          TcpVerdict::valid);
  }
  CHECK(line.client({.sequence = 102 + 1000000 + (3U << 29), .acknowledgement = 501}) == TcpVerdict::outsideWindow);

  Line middle;
  CHECK(middle.server({.sequence = 5, .acknowledgement = 77, .data = bytesOf("mid")}) == TcpVerdict::valid);
  CHECK(middle.client({.sequence = 77, .acknowledgement = 50000}) == TcpVerdict::valid);
  CHECK(middle.track.phase == TcpPhase::open);
}
