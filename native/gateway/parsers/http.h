// HTTP/1.0 and 1.1: requests and answers, uploads and downloads. Protocols that borrow HTTP for their transfers derive from
// it and say what their names and fields mean.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "gateway/parsers/http_body.h"
#include "gateway/parsers/http_head.h"
#include "gateway/parsers/multipart.h"
#include "gateway/parsers/parser_base.h"

namespace p2pxbone::gateway {

class HttpParser : public ParserBase {
 public:
  // `client` is the side that asks.
  explicit HttpParser(Side client = Side::initiator) : client_(client) {}

 protected:
  // What a request is about, as its protocol writes it.
  struct Wanted {
    std::string name, path, hash;
    // Only a part of it, or several: who has not asked for them takes what comes for the whole.
    bool part = false, parts = false;
  };
  [[nodiscard]] virtual Wanted wantedOf(const HttpHead& request) const;
  // One header field, for what a protocol has beyond HTTP. May fill in what is known about the file.
  virtual void extraField(Side, std::string_view, std::string_view, Wanted&, ParserEvents&) {}
  // Bytes of an answer's body, for protocols that read it.
  virtual void answerData(std::span<const uint8_t>) {}
  virtual void answerEnds(bool, ParserEvents&) {}
  // Of these that are kept.
  [[nodiscard]] virtual size_t answerBytes() const { return 0; }
  // Whether an answer can be the part that was asked for (RFC 9110 §14.4).
  [[nodiscard]] virtual bool mayBePart(unsigned status) const { return status == 206; }
  [[nodiscard]] virtual std::string_view attributePrefix() const { return "http"; }

  void tell(std::string_view name, std::string_view value, ParserEvents& events) const;

 private:
  // A request whose answer has not begun.
  struct Asked {
    bool bodiless = false;  // HEAD
    bool connect = false;
    bool simple = false;
    Wanted wanted;
    std::string host;
  };

  struct Direction {
    HttpHeadReader head{true};
    HttpBody body;
    bool inBody = false;
    Wanted extra;  // from the head's fields
    std::unique_ptr<Multipart> parts;
    Wanted wanted;  // what the body is
  };

  class PartTransfers;
  class FieldTeller;

  bool step(Side side, ParserEvents& events) final;
  bool resume(Side side, uint64_t bytes, ParserEvents& events) final;
  void closed(Side side, ParserEvents& events) final;
  [[nodiscard]] size_t otherBytes() const final {
    return askedBytes_ + directions_[0].head.bytes() + directions_[1].head.bytes() + answerBytes();
  }

  bool headStep(Side side, ParserEvents& events);
  bool bodyStep(Side side, ParserEvents& events);
  bool requestHead(const HttpHead& head, ParserEvents& events);
  [[nodiscard]] std::string tellHosts(const HttpHead& request, ParserEvents& events);
  Asked takeAsked();
  bool answerHead(const HttpHead& head, ParserEvents& events);
  void beginBody(Side side, HttpBody body, Wanted wanted, const HttpHead& head, ParserEvents& events);
  void endBody(Side side, bool complete, ParserEvents& events);
  [[nodiscard]] Direction& direction(Side side) { return directions_[indexOf(side)]; }

  Side client_;
  std::array<Direction, 2> directions_;
  std::deque<Asked> asked_;
  size_t askedBytes_ = 0;
  std::string hostTold_;
  bool connecting_ = false;  // the client's next bytes may belong to a tunnel
};

}  // namespace p2pxbone::gateway
