#include "gateway/stream.h"

#include <doctest/doctest.h>

#include <map>
#include <random>

#include "gateway/checks.h"
#include "gateway/rewrite.h"
#include "gateway/test/gateway_packets.h"

using namespace p2pxbone;
using namespace p2pxbone::gateway;
using namespace p2pxbone::gateway::testing;

namespace {

using Outcome = Stream::Outcome;

enum class Mode { hold, fastPass };

// One direction of a connection, with what goes on along the wire and what inspection sees.
struct Line {
  explicit Line(uint32_t firstSequence, Mode how = Mode::hold, const Limits& chosen = {})
      : mode(how), first(firstSequence), limits(chosen), pool(limits.streamPages), held(limits), stream(pool, limits, first) {}

  ~Line() {
    while (const auto id = stream.takeAny()) held.discard(*id, DropReason::gatewayFlowGone, outlet);
    CHECK(held.packets() == 0);
  }

  Outcome send(uint64_t offset, const Bytes& data, uint8_t flags = kTcpAck) {
    Bytes bytes = tcpPacket({.sequence = first + static_cast<uint32_t>(offset), .flags = flags, .data = data});
    Packet packet = parsed(bytes, ++tag);
    REQUIRE(checkTransport(packet) == DropReason::none);
    unknownOld = stream.reachesBack(packet);
    const Stream::Result result = stream.take(packet, now);
    switch (result.outcome) {
      case Outcome::next:
        inspect(result.offset, packet.payload().last(result.fresh));
        pass(packet);
        drain();
        break;
      case Outcome::old: pass(packet); break;
      case Outcome::ahead:
        if (mode == Mode::fastPass) {
          pass(packet);
        } else {
          const HeldId id = held.keep(packet, HeldFor::stream);
          REQUIRE(id != kNotHeld);
          REQUIRE(stream.await(id, packet));
        }
        break;
      case Outcome::covered:
        if (mode == Mode::fastPass) pass(packet);
        break;
      case Outcome::afterEnd:
      case Outcome::full: break;
    }
    return result.outcome;
  }

  void drain() {
    for (;;) {
      while (const auto id = stream.takeReady()) {
        Packet packet;
        held.load(*id, packet);
        pass(packet);
        held.discard(*id, DropReason::none, outlet);
      }
      uint64_t offset = 0;
      const auto bytes = stream.more(offset, now);
      if (!bytes) return;
      inspect(offset, *bytes);
    }
  }

  void inspect(uint64_t offset, std::span<const uint8_t> bytes) {
    REQUIRE(offset == seen.size());
    seen.insert(seen.end(), bytes.begin(), bytes.end());
  }

  void pass(Packet& packet) {
    finishRewrite(packet);
    Packet again;
    REQUIRE(parsePacket(packet.bytes, {}, 0, again) == DropReason::none);
    REQUIRE(checkTransport(again) == DropReason::none);
    const uint64_t at = static_cast<uint32_t>(again.tcp.sequence - first);
    for (size_t i = 0; i < again.payload().size(); ++i) {
      const auto [known, fresh] = wire.try_emplace(at + i, again.payload()[i]);
      // Whatever the receiver makes of overlaps, there is one version only.
      REQUIRE(known->second == again.payload()[i]);
    }
    passed.push_back(at);
  }

  std::string text() const { return textOf(seen); }

  Mode mode;
  uint32_t first;
  Limits limits;
  PagePool pool;
  HeldPackets held;
  Stream stream;
  RecordingOutlet outlet;
  Millis now = 0;
  uint64_t tag = 0;
  bool unknownOld = false;
  Bytes seen;
  std::map<uint64_t, uint8_t> wire;
  std::vector<uint64_t> passed;
};

}  // namespace

TEST_CASE("segments in order are inspected as they come and go on") {
  Line line(1000);
  CHECK(line.send(0, bytesOf("GET ")) == Outcome::next);
  CHECK(line.send(4, bytesOf("/index")) == Outcome::next);
  CHECK(line.text() == "GET /index");
  CHECK(line.passed == std::vector<uint64_t>{0, 4});
}

TEST_CASE("out of order, packets wait and leave in order, or go on at once with fast pass") {
  for (const Mode mode : {Mode::hold, Mode::fastPass}) {
    Line line(5, mode);
    CHECK(line.send(6, bytesOf("ghi")) == Outcome::ahead);
    CHECK(line.send(3, bytesOf("def")) == Outcome::ahead);
    CHECK(line.text().empty());
    CHECK(line.stream.gapSince() == 0);
    CHECK(line.send(0, bytesOf("abc")) == Outcome::next);
    CHECK(line.text() == "abcdefghi");
    CHECK(!line.stream.gapSince());
    CHECK(line.passed == (mode == Mode::hold ? std::vector<uint64_t>{0, 3, 6} : std::vector<uint64_t>{6, 3, 0}));
  }
}

TEST_CASE("a retransmission with other content is rewritten to what came first") {
  for (const Mode mode : {Mode::hold, Mode::fastPass}) {
    Line line(77, mode);
    line.send(0, bytesOf("harmless"));
    CHECK(line.send(0, bytesOf("HARMFULL")) == Outcome::old);
    CHECK(line.send(4, bytesOf("LESS and more")) == Outcome::next);
    // Of what came ahead, too.
    line.send(30, bytesOf("later"));
    line.send(28, bytesOf("xxLATERyy"));
    line.send(17, bytesOf("fill the gap........"));
    CHECK(line.text() == "harmless and morefill the gaxxlateryy");
  }
}

TEST_CASE("sequence numbers may wrap, anywhere") {
  const std::string text = "a stream that crosses the end of the numbers";
  for (uint32_t back = 0; back < text.size(); ++back) {
    Line line(0U - back);
    for (size_t at = text.size(); at >= 4; at -= 4) line.send(at - 4, bytesOf(text.substr(at - 4, 4)));
    CHECK(line.text() == text);
  }
}

TEST_CASE("gigabytes later, with data ahead and behind, the order still holds") {
  Line line(0xfffffff0, Mode::fastPass);
  const Bytes block(60000, 'x');
  uint64_t at = 0;
  for (int i = 0; i < 80000; ++i) {  // 4.8 GB
    Bytes bytes = tcpPacket({.sequence = line.first + static_cast<uint32_t>(at), .data = Bytes(8, 'x')});
    Packet packet = parsed(bytes);
    // Only the length counts here; the payload's own bytes are those of one block.
    Bytes large = i % 1000 == 0 ? tcpPacket({.sequence = line.first + static_cast<uint32_t>(at), .data = block}) : bytes;
    packet = parsed(large);
    REQUIRE(checkTransport(packet) == DropReason::none);
    REQUIRE(line.stream.take(packet, 0).outcome == Outcome::next);
    at += packet.payloadBytes;
    line.stream.acknowledged(line.first + static_cast<uint32_t>(at), false, 0);
    // The rest of the way to the next block is lost for inspection, which moves the stream along.
    at += 59992;
    CHECK(line.stream.acknowledged(line.first + static_cast<uint32_t>(at), true, 0) == 59992);
  }
  CHECK(at > (uint64_t{1} << 32));
  CHECK(line.stream.next() == at);
  Bytes ahead = tcpPacket({.sequence = line.first + static_cast<uint32_t>(at) + 3, .data = bytesOf("def")});
  Packet packet = parsed(ahead);
  REQUIRE(checkTransport(packet) == DropReason::none);
  CHECK(line.stream.take(packet, 0).outcome == Outcome::ahead);
  CHECK(line.stream.pages() <= 1);
}

TEST_CASE("nothing gets past the end of a stream, and the end cannot be moved") {
  for (const Mode mode : {Mode::hold, Mode::fastPass}) {
    Line line(9, mode);
    line.send(0, bytesOf("body"));
    CHECK(line.send(4, bytesOf("end"), kTcpAck | kTcpFin) == Outcome::next);
    CHECK(line.stream.complete());
    CHECK(line.send(7, bytesOf("hidden")) == Outcome::afterEnd);
    CHECK(line.send(5, bytesOf("ndhidden")) == Outcome::afterEnd);
    CHECK(line.send(4, {}, kTcpAck | kTcpFin) == Outcome::afterEnd);
    CHECK(line.send(7, {}, kTcpAck | kTcpFin) == Outcome::next);  // again, as sent before
    CHECK(line.text() == "bodyend");
  }
}

TEST_CASE("a FIN before data that are there is refused, and one ahead of them waits") {
  Line line(1);
  line.send(10, bytesOf("tail"));
  CHECK(line.send(3, {}, kTcpAck | kTcpFin) == Outcome::afterEnd);
  CHECK(line.send(14, {}, kTcpAck | kTcpFin) == Outcome::ahead);
  CHECK(!line.stream.complete());
  CHECK(line.send(14, bytesOf("x")) == Outcome::afterEnd);
  line.send(0, bytesOf("0123456789"));
  CHECK(line.stream.complete());
  CHECK(line.text() == "0123456789tail");
  CHECK(line.passed == std::vector<uint64_t>{0, 10, 14});
}

TEST_CASE("what is acknowledged is forgotten; what is sent again after that is named unknown") {
  Line line(100);
  line.send(0, Bytes(10000, 'a'));
  CHECK(line.stream.pages() == 5);
  line.stream.acknowledged(100 + 9000, false, 0);
  CHECK(line.stream.pages() == 1);
  CHECK(line.send(8990, Bytes(100, 'a')) == Outcome::old);
  CHECK(line.unknownOld);
  CHECK(line.send(9000, Bytes(100, 'a')) == Outcome::old);
  CHECK(!line.unknownOld);
}

TEST_CASE("unacknowledged data are remembered within a bound, beyond which the stream is full") {
  Limits limits;
  limits.pagesPerDirection = 4;
  Line line(0, Mode::hold, limits);
  CHECK(line.send(0, Bytes(8000, 'a')) == Outcome::next);
  CHECK(line.send(8000, Bytes(1000, 'a')) == Outcome::full);
  CHECK(line.seen.size() == 8000);
  line.stream.acknowledged(4096, false, 0);
  CHECK(line.send(8000, Bytes(1000, 'a')) == Outcome::next);
  line.stream.forgetHistory();
  CHECK(line.stream.pages() <= 1);
  CHECK(line.send(0, Bytes(10, 'a')) == Outcome::old);
  CHECK(line.unknownOld);
}

TEST_CASE("a byte far ahead costs one page and stops nothing") {
  Limits limits;
  limits.pagesPerDirection = 64;
  Line line(0, Mode::fastPass, limits);
  CHECK(line.send(uint64_t{63} * 2048, bytesOf("!")) == Outcome::ahead);
  CHECK(line.stream.pages() == 1);
  CHECK(line.send(uint64_t{64} * 2048, bytesOf("!")) == Outcome::full);
  for (uint64_t at = 0; at < 60000; at += 1000) CHECK(line.send(at, Bytes(1000, 'x')) == Outcome::next);
  CHECK(line.seen.size() == 60000);
}

TEST_CASE("pieces beyond a gap are bounded in number, and the pool in pages") {
  Limits limits;
  limits.piecesPerDirection = 8;
  Line line(0, Mode::fastPass, limits);
  for (uint64_t i = 1; i <= 8; ++i) CHECK(line.send(i * 10, bytesOf("x")) == Outcome::ahead);
  CHECK(line.send(90, bytesOf("x")) == Outcome::full);
  CHECK(line.send(11, bytesOf("xxxxxxxxx")) == Outcome::ahead);  // joins two
  CHECK(line.send(90, bytesOf("x")) == Outcome::ahead);
  CHECK(line.stream.pieces() == 8);

  Limits small;
  small.streamPages = 2;
  Line other(0, Mode::fastPass, small);
  CHECK(other.send(0, Bytes(4096, 'x')) == Outcome::next);
  CHECK(other.send(5000, bytesOf("x")) == Outcome::full);
  CHECK(other.send(4096, bytesOf("x")) == Outcome::full);
}

TEST_CASE("a gap can be given up, and what is beyond it inspected") {
  Line line(0, Mode::fastPass);
  line.send(0, bytesOf("abc"));
  line.now = 70;
  line.send(5, bytesOf("fg"));
  CHECK(line.stream.gapSince() == 70);
  CHECK(line.stream.skipGap(90) == 2);
  uint64_t offset = 0;
  const auto bytes = line.stream.more(offset, 90);
  REQUIRE(bytes);
  CHECK(offset == 5);
  CHECK(textOf(*bytes) == "fg");
  CHECK(line.stream.skipGap(90) == 0);
}

TEST_CASE("packets that wait and are given up can come again") {
  Line line(0);
  line.send(3, bytesOf("evil"));
  while (const auto id = line.stream.takeAny()) line.held.discard(*id, DropReason::gatewayStreamGap, line.outlet);
  line.stream.forgetAhead();
  CHECK(!line.stream.gapSince());
  line.send(3, bytesOf("good"));
  line.send(0, bytesOf("so "));
  CHECK(line.text() == "so good");
}

TEST_CASE("any cutting, order, repetition and overlap shows inspection what a receiver sees with whom the first wins") {
  for (uint32_t seed = 0; seed < 400; ++seed) {
    std::mt19937 random(seed);
    const Mode mode = seed % 2 == 0 ? Mode::hold : Mode::fastPass;
    const size_t length = 1 + random() % (seed % 5 == 0 ? 30000 : 400);
    const size_t pieceMax = 1 + random() % (length / 3 + 1);
    Line line(static_cast<uint32_t>(random()), mode);
    std::map<uint64_t, uint8_t> twin;  // what came first for each place
    uint64_t acknowledged = 0;
    const auto send = [&](uint64_t at, size_t count) {
      Bytes data(count);
      for (uint8_t& byte : data) byte = static_cast<uint8_t>(random());
      if (line.send(at, data) == Outcome::full) return;
      // The test below sends nothing below what is acknowledged.
      for (size_t i = 0; i < count; ++i) twin.try_emplace(at + i, data[i]);
    };
    const auto prefix = [&] {
      uint64_t end = 0;
      for (const auto& [at, byte] : twin) {
        if (at != end) break;
        ++end;
      }
      return end;
    };
    for (int step = 0; step < 120; ++step) {
      const uint64_t end = prefix();
      // Not farther ahead than a few pieces, and now and then exactly what is missing.
      const uint64_t span = std::min<uint64_t>(length, end + pieceMax * 6) - acknowledged;
      const uint64_t at = random() % 5 == 0 ? end : acknowledged + random() % (span + 1);
      if (at >= length) continue;
      send(at, std::min<size_t>(1 + random() % pieceMax, length - at));
      if (random() % 8 == 0 && end > acknowledged) {
        acknowledged += random() % (end - acknowledged + 1);
        line.stream.acknowledged(line.first + static_cast<uint32_t>(acknowledged), false, 0);
      }
    }
    while (prefix() < length) send(prefix(), std::min<size_t>(pieceMax, length - prefix()));
    REQUIRE(line.seen.size() == length);
    for (size_t i = 0; i < length; ++i) REQUIRE(line.seen[i] == twin[i]);
    // All of it was on the wire, in that version (Line::pass has checked that there is one only).
    for (size_t i = 0; i < length; ++i) REQUIRE(line.wire[i] == twin[i]);
    if (mode == Mode::hold) CHECK(line.stream.waitingCount() == 0);
    line.stream.acknowledged(line.first + static_cast<uint32_t>(length), false, 0);
    CHECK(line.stream.pages() <= 1);
    CHECK(line.pool.used() == line.stream.pages());
  }
}
