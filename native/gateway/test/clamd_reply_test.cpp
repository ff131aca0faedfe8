#include "gateway/scanning/clamd_reply.h"

#include <doctest/doctest.h>

#include <vector>

#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

using Kind = ClamdReply::Kind;
using namespace std::string_literals;

ClamdReply parsed(const std::string& line) { return parseClamdReply(bytesOf(line)); }

void checkReply(const std::string& line, Kind kind, uint32_t number, const std::string& text) {
  CAPTURE(line);
  const ClamdReply reply = parsed(line);
  CHECK(reply.kind == kind);
  CHECK(reply.number == number);
  CHECK(reply.text == text);
}

std::vector<ClamdReply> readAll(ClamdReplyReader& reader, const std::string& text, size_t pieceBytes) {
  std::vector<ClamdReply> replies;
  for (size_t at = 0; at < text.size(); at += pieceBytes) {
    const std::string piece = text.substr(at, pieceBytes);
    std::span<const uint8_t> rest = bytesOf(piece);
    while (!rest.empty()) {
      if (auto reply = reader.take(rest)) replies.push_back(*reply);
    }
  }
  return replies;
}

TEST_CASE("clamd's answers are told apart") {
  checkReply("1: PONG", Kind::pong, 1, "");
  checkReply("PONG", Kind::pong, 0, "");
  checkReply("2: ClamAV 1.4.6/27500/Mon", Kind::version, 2, "ClamAV 1.4.6/27500/Mon");
  checkReply("3: stream: OK", Kind::clean, 3, "");
  checkReply("4: stream: Win.Test.EICAR_HDB-1 FOUND", Kind::infected, 4, "Win.Test.EICAR_HDB-1");
  checkReply("4294967295: stream: OK", Kind::clean, 4294967295, "");
  checkReply("5: INSTREAM size limit exceeded. ERROR", Kind::tooBig, 5, "INSTREAM size limit exceeded.");
  checkReply("6: Command invalid inside IDSESSION. ERROR", Kind::error, 6, "Command invalid inside IDSESSION.");
  checkReply("7: stream: Can't allocate memory ERROR", Kind::error, 7, "Can't allocate memory");
}

TEST_CASE("what clamd has not scanned to its end is not called a virus, and not clean") {
  checkReply("1: stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND", Kind::tooBig, 1,
             "Heuristics.Limits.Exceeded.MaxFileSize");
  checkReply("1: stream: Heuristics.Limits.Exceeded FOUND", Kind::tooBig, 1, "Heuristics.Limits.Exceeded");
  checkReply("1: stream: Heuristics.Encrypted.Zip FOUND", Kind::infected, 1, "Heuristics.Encrypted.Zip");
}

TEST_CASE("what clamd never says is malformed, never clean") {
  for (const std::string& line :
       {""s, "1"s, "1: "s, ": stream: OK"s, "1: OK"s, "0: stream: OK"s, "01: stream: OK"s, "-1: stream: OK"s,
        "4294967296: stream: OK"s, "1:stream: OK"s, "1: stream:OK"s, "1: stream: OK "s, "1: stream: "s, "1: stream:  FOUND"s,
        "1: stream: ok"s, "1: 2: stream: OK"s, "stream: OK\n"s, "1: stream: X FOUND\n"s, "1:  ERROR"s}) {
    CAPTURE(line);
    CHECK(parsed(line).kind == Kind::malformed);
  }
}

TEST_CASE("texts can be shown, and are bounded") {
  CHECK(parsed("1: stream: a\x1b[31m\xff\n FOUND").text == "a?[31m??");
  CHECK(parsed("1: stream: " + std::string(900, 'n') + " FOUND").text == std::string(256, 'n'));
}

TEST_CASE("replies may come in any pieces") {
  const std::string text = "1: PONG\0"s + "2: stream: OK\0"s + "3: stream: A B FOUND\0"s;
  for (size_t pieceBytes = 1; pieceBytes <= text.size(); ++pieceBytes) {
    ClamdReplyReader reader;
    const auto replies = readAll(reader, text, pieceBytes);
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].kind == Kind::pong);
    CHECK(replies[1].kind == Kind::clean);
    CHECK(replies[2].text == "A B");
  }
}

TEST_CASE("a line without end is malformed when it is too long, not remembered for ever") {
  for (const size_t pieceBytes : {size_t{1}, size_t{1000}, size_t{100'000}}) {
    ClamdReplyReader reader;
    const std::string longest = "1: stream: " + std::string(ClamdReplyReader::kLineBytesMax - 17, 'x') + " FOUND";
    REQUIRE(longest.size() == ClamdReplyReader::kLineBytesMax);
    const auto fits = readAll(reader, longest + '\0', pieceBytes);
    REQUIRE(fits.size() == 1);
    CHECK(fits[0].kind == Kind::infected);
    const auto replies = readAll(reader, "1: stream: " + std::string(50'000, 'x'), pieceBytes);
    REQUIRE(!replies.empty());
    CHECK(replies[0].kind == Kind::malformed);
    CHECK(replies[0].text.size() <= 256);
  }
}

}  // namespace
}  // namespace p2pxbone::gateway
