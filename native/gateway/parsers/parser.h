// What a protocol parser is told, and what it tells. Every span and view dies with the call that hands it over.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/packet.h"
#include "gateway/application.h"
#include "gateway/chunk.h"
#include "gateway/flow_view.h"

namespace p2pxbone::gateway {

// What one parser keeps of one direction, at most. It gives up rather than keep more.
inline constexpr size_t kParserBytesMax = 64 * 1024;

// A file is asked for or offered. All texts are UTF-8; what was not is replaced by U+FFFD.
struct FileOffer {
  enum class Kind : uint8_t {
    request,  // the sender wants this file, now
    offer,    // the sender wants to give this file to its peer
    listed,   // the file is named in a list: shared, or found by a search
  };
  Kind kind = Kind::request;
  // The last part of the path. Empty where the protocol asks by hash alone.
  std::string_view name;
  std::string_view path;
  std::optional<uint64_t> size;
  // With its kind in front: "urn:sha1:…", "md5:…", "ed2k:…", "btih:…", "fasttrack:…". Empty if unknown.
  std::string_view hash;
};

struct ChatMessage {
  enum class Kind : uint8_t { text, action, notice, topic };
  Kind kind = Kind::text;
  // Empty where the connection does not say who it is, or to whom.
  std::string_view from, to;
  std::string_view text;
};

struct Transfer {
  // Empty if the flow has not named it.
  std::string_view name;
  // Bytes that will come now, and of the whole file; unknown if it ends with the connection.
  std::optional<uint64_t> size;
  std::optional<uint64_t> fileSize;
  // The sizes are what the sender has said; more may come.
  bool mayExceed = false;
  // Where in the file the first byte belongs: a resumed or partial transfer begins later than 0.
  uint64_t offset = 0;
  std::string_view contentType;
  // Those that its receiver undoes, in the order in which they were applied ("br, gzip"): the data is told as it is on the
  // wire. Empty for plain data.
  std::string_view contentEncoding;
  std::string_view hash;
};

// What one flow says about another that is to come.
struct FlowHint {
  enum class Kind : uint8_t { any, file, listing, chat };
  Kind kind = Kind::any;
  std::string_view name;
  std::optional<uint64_t> size;
  uint64_t offset = 0;
  // Who of the coming flow's ends sends the file, where that is known.
  std::optional<Side> sender;
  // Who alone speaks with the address that is told; all zero: anybody.
  Address other{};
};

// From here on the flow carries another protocol, to be classified anew if `application` is unknown.
struct HandOver {
  Application application = Application::unknown;
  // First byte of each direction, counted like Chunk::offset, that belongs to it. What was fed beyond is not parsed.
  std::array<uint64_t, 2> offset{};
  // The name that the protocol gave it: "websocket", "connect", "starttls".
  std::string_view protocol;
};

class ParserEvents {
 public:
  virtual ~ParserEvents() = default;
  virtual void request(Side from, const FileOffer& offer) = 0;
  virtual void chat(Side from, const ChatMessage& message) = 0;
  // At most one transfer of each side is open at a time; begins and ends are paired.
  virtual void transferBegins(Side sender, const Transfer& transfer) = 0;
  virtual void transferData(Side sender, std::span<const uint8_t> bytes) = 0;
  // Incomplete: the connection ended early, or bytes of it will never come or could not be followed.
  virtual void transferEnds(Side sender, bool complete) = 0;
  // For audit: names are "protocol.thing", values UTF-8. `parser` = `gave up` says that nothing more will be told.
  virtual void attribute(std::string_view name, std::string_view value) = 0;
  // A flow to or from this address and port is to be expected. Told again when more is known about it.
  virtual void learnPeer(const Address& address, uint16_t port, Application application, const FlowHint& hint) = 0;
  virtual void handOver(const HandOver& handOver) = 0;
};

// Where the flow's ends are, and what another flow said about it. Needed only by protocols that speak of addresses.
struct ParserContext {
  FlowEnds ends;
  FlowHint hint;  // copied where it is kept
};

class Parser {
 public:
  Parser() = default;
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;
  virtual ~Parser() = default;

  // Any split of the stream gives the same events. Bytes of one direction are contiguous but for gaps that were told.
  virtual void data(const Chunk& chunk, ParserEvents& events) = 0;
  // Bytes that will never come: the parser goes on behind them if it can, or gives up.
  virtual void gap(Side side, uint64_t bytes, ParserEvents& events) = 0;
  // FIN, or the end of the flow.
  virtual void end(Side side, ParserEvents& events) = 0;
  // Another flow said more about this one, which was expected.
  virtual void hint(const FlowHint&) {}
  // Gave up or handed over: it has nothing more to tell and need not be fed.
  [[nodiscard]] virtual bool finished() const = 0;
  // Gives up: nothing more will be told.
  virtual void stop(ParserEvents& events) = 0;
  // Memory that it takes beyond a fixed part, roughly.
  [[nodiscard]] virtual size_t keptBytes() const = 0;
  // It may still tell of other flows that are to come (learnPeer).
  [[nodiscard]] virtual bool announces() const { return false; }

  // Some file passes.
  [[nodiscard]] virtual bool transferring() const = 0;
};

// Null where there is no parser. The caller owns it.
[[nodiscard]] std::unique_ptr<Parser> makeParser(Application application, const ParserContext& context = {});

}  // namespace p2pxbone::gateway
