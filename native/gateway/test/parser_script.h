// Conversations for parsers, played in any segmentation, and what was told about them as text. Tests and fuzz targets share
// it.
#pragma once

#include <array>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/parsers/parser.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway::script {

struct Step {
  enum class Kind : uint8_t { data, datagram, gap, end, hint };
  Kind kind = Kind::data;
  Side side = Side::initiator;
  std::string bytes;   // of a hint: its name
  uint64_t count = 0;  // of a gap; of a hint: the size
};
using Script = std::vector<Step>;

[[nodiscard]] inline Step from(Side side, std::string_view bytes) { return {Step::Kind::data, side, std::string{bytes}, 0}; }
[[nodiscard]] inline Step initiator(std::string_view bytes) { return from(Side::initiator, bytes); }
[[nodiscard]] inline Step responder(std::string_view bytes) { return from(Side::responder, bytes); }
[[nodiscard]] inline Step datagram(Side side, std::string_view bytes) {
  return {Step::Kind::datagram, side, std::string{bytes}, 0};
}
[[nodiscard]] inline Step gap(Side side, uint64_t count) { return {Step::Kind::gap, side, {}, count}; }
[[nodiscard]] inline Step end(Side side) { return {Step::Kind::end, side, {}, 0}; }

// One line for each event. The data of a transfer stands at its end, since how it is cut up does not matter.
class EventLog final : public ParserEvents {
 public:
  void request(Side side, const FileOffer& offer) override;
  void chat(Side side, const ChatMessage& message) override;
  void transferBegins(Side side, const Transfer& transfer) override;
  void transferData(Side side, std::span<const uint8_t> bytes) override;
  void transferEnds(Side side, bool complete) override;
  void attribute(std::string_view name, std::string_view value) override;
  void learnPeer(const Address& address, uint16_t port, Application application, const FlowHint& hint) override;
  void handOver(const HandOver& handOver) override;

  // Data outside a transfer, an end without a beginning, text that is not UTF-8: a parser's fault whatever the input.
  [[nodiscard]] const std::string& fault() const { return fault_; }
  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }
  // All of them, but for those with this beginning: attributes are many and often beside the point.
  [[nodiscard]] std::string text(std::string_view without = {}) const;

 private:
  void checkText(std::string_view text);
  void require(bool holds, std::string_view what);

  std::vector<std::string> lines_;
  std::array<bool, 2> open_{};
  std::array<std::string, 2> data_;
  std::string fault_;
};

// How a stream is cut: all neighbours of one side joined, or at random, or byte by byte.
enum class Cut : uint8_t { joined, bytes, random };

[[nodiscard]] inline Script cutUp(const Script& script, Cut cut, uint32_t seed);
inline void play(Parser& parser, const Script& script, EventLog& log);
[[nodiscard]] inline EventLog played(Application application, const Script& script, const ParserContext& context = {});

// As a fuzz target's input, and back. Sides, kinds and cuts survive; lengths over 65535 are cut.
[[nodiscard]] inline std::string encoded(const Script& script);
[[nodiscard]] inline Script decoded(std::span<const uint8_t> input);

namespace detail {

inline std::string_view nameOf(Side side) { return side == Side::initiator ? "initiator" : "responder"; }

inline std::string addressText(const Address& address) {
  if (!isMappedIpv4(address)) return hexOf(address);
  std::string text;
  for (size_t i = 12; i < 16; ++i) text += (i > 12 ? "." : "") + std::to_string(address[i]);
  return text;
}

inline void add(std::string& line, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  line += ' ';
  line += name;
  line += '=';
  line += value;
}

inline void add(std::string& line, std::string_view name, std::optional<uint64_t> value) {
  if (value) add(line, name, std::to_string(*value));
}

constexpr size_t kDataShownMax = 64;

}  // namespace detail

using namespace detail;

inline void EventLog::require(bool holds, std::string_view what) {
  if (!holds && fault_.empty()) fault_ = what;
}

inline void EventLog::checkText(std::string_view text) { require(isUtf8(text), "text that is not UTF-8"); }

inline void EventLog::request(Side side, const FileOffer& offer) {
  constexpr std::array<std::string_view, 3> kKinds{"request", "offer", "listed"};
  std::string line{kKinds[static_cast<size_t>(offer.kind)]};
  line += ' ';
  line += nameOf(side);
  add(line, "name", offer.name);
  if (offer.path != offer.name) add(line, "path", offer.path);
  add(line, "size", offer.size);
  add(line, "hash", offer.hash);
  checkText(offer.name);
  checkText(offer.path);
  checkText(offer.hash);
  lines_.push_back(line);
}

inline void EventLog::chat(Side side, const ChatMessage& message) {
  constexpr std::array<std::string_view, 4> kKinds{"chat", "action", "notice", "topic"};
  std::string line{kKinds[static_cast<size_t>(message.kind)]};
  line += ' ';
  line += nameOf(side);
  add(line, "from", message.from);
  add(line, "to", message.to);
  line += " text=";
  line += message.text;
  checkText(message.from);
  checkText(message.to);
  checkText(message.text);
  lines_.push_back(line);
}

inline void EventLog::transferBegins(Side side, const Transfer& transfer) {
  require(!open_[indexOf(side)], "a transfer begins inside another");
  open_[indexOf(side)] = true;
  data_[indexOf(side)].clear();
  std::string line{"begin "};
  line += nameOf(side);
  add(line, "name", transfer.name);
  add(line, "size", transfer.size);
  if (transfer.offset > 0) add(line, "offset", transfer.offset);
  if (transfer.fileSize != transfer.size) add(line, "of", transfer.fileSize);
  add(line, "type", transfer.contentType);
  add(line, "encoding", transfer.contentEncoding);
  add(line, "hash", transfer.hash);
  checkText(line);
  lines_.push_back(line);
}

inline void EventLog::transferData(Side side, std::span<const uint8_t> bytes) {
  require(open_[indexOf(side)], "data outside a transfer");
  require(!bytes.empty(), "empty data");
  data_[indexOf(side)] += textOf(bytes);
}

inline void EventLog::transferEnds(Side side, bool complete) {
  require(open_[indexOf(side)], "a transfer ends that had not begun");
  open_[indexOf(side)] = false;
  const std::string& data = data_[indexOf(side)];
  std::string line{complete ? "end " : "cut "};
  line += nameOf(side);
  add(line, "bytes", data.size());
  line += " data=";
  line += data.size() <= kDataShownMax ? data : std::to_string(std::hash<std::string>{}(data));
  lines_.push_back(line);
}

inline void EventLog::attribute(std::string_view name, std::string_view value) {
  checkText(value);
  lines_.push_back(std::string{name} + ": " + std::string{value});
}

inline void EventLog::learnPeer(const Address& address, uint16_t port, Application application, const FlowHint& hint) {
  constexpr std::array<std::string_view, 4> kKinds{"", "file", "listing", "chat"};
  std::string line{"peer " + addressText(address) + ":" + std::to_string(port) + " "};
  line += applicationName(application);
  add(line, "kind", kKinds[static_cast<size_t>(hint.kind)]);
  add(line, "name", hint.name);
  add(line, "size", hint.size);
  if (hint.offset > 0) add(line, "offset", hint.offset);
  if (hint.sender) add(line, "sender", nameOf(*hint.sender));
  if (hint.other != Address{}) add(line, "with", addressText(hint.other));
  checkText(hint.name);
  lines_.push_back(line);
}

inline void EventLog::handOver(const HandOver& to) {
  checkText(to.protocol);
  std::string line{"hand over to "};
  line += to.application == Application::unknown ? std::string_view{"?"} : applicationName(to.application);
  line += " " + std::string{to.protocol} + " at " + std::to_string(to.offset[0]) + " " + std::to_string(to.offset[1]);
  lines_.push_back(line);
}

inline std::string EventLog::text(std::string_view without) const {
  std::string all;
  for (const std::string& line : lines_) {
    if (!without.empty() && line.starts_with(without)) continue;
    all += line + "\n";
  }
  return all;
}

inline Script cutUp(const Script& script, Cut cut, uint32_t seed) {
  Script joined;
  for (const Step& step : script) {
    const bool goesOn = !joined.empty() && step.kind == Step::Kind::data && joined.back().kind == Step::Kind::data &&
                        joined.back().side == step.side;
    if (goesOn)
      joined.back().bytes += step.bytes;
    else
      joined.push_back(step);
  }
  if (cut == Cut::joined) return joined;
  std::mt19937 random{seed};
  Script result;
  for (const Step& step : joined) {
    if (step.kind != Step::Kind::data) {
      result.push_back(step);
      continue;
    }
    // Small pieces mostly, so that every boundary inside a head is met, but large ones too, so that bodies pass whole.
    for (size_t at = 0; at < step.bytes.size();) {
      const size_t largest = random() % 4 == 0 ? 2000 : 12;
      const size_t count = cut == Cut::bytes ? 1 : 1 + random() % largest;
      result.push_back(from(step.side, std::string_view{step.bytes}.substr(at, count)));
      at += count;
    }
  }
  return result;
}

inline void play(Parser& parser, const Script& script, EventLog& log) {
  std::array<uint64_t, 2> offsets{};
  for (const Step& step : script) {
    uint64_t& offset = offsets[indexOf(step.side)];
    switch (step.kind) {
      case Step::Kind::data:
      case Step::Kind::datagram: {
        // Exactly as large as the bytes, so that a sanitizer sees a view that outlives them.
        const std::vector<uint8_t> bytes(step.bytes.begin(), step.bytes.end());
        parser.data({step.side, offset, bytes, step.kind == Step::Kind::datagram}, log);
        offset += bytes.size();
        break;
      }
      case Step::Kind::gap:
        parser.gap(step.side, step.count, log);
        offset += step.count;
        break;
      case Step::Kind::end:
        parser.end(step.side, log);
        break;
      case Step::Kind::hint:
        parser.hint({FlowHint::Kind::file, utf8Of(step.bytes), step.count, 0, std::nullopt});
        break;
    }
  }
}

inline EventLog played(Application application, const Script& script, const ParserContext& context) {
  EventLog log;
  const std::unique_ptr<Parser> parser = makeParser(application, context);
  play(*parser, script, log);
  return log;
}

inline std::string encoded(const Script& script) {
  std::string input;
  for (const Step& step : script) {
    const bool counted = step.kind == Step::Kind::gap;
    for (size_t at = 0; at == 0 || at < step.bytes.size();) {
      const size_t count = counted ? std::min<size_t>(step.count, 65535) : std::min<size_t>(step.bytes.size() - at, 65535);
      input += static_cast<char>(static_cast<unsigned>(step.kind) << 1 | indexOf(step.side));
      input += static_cast<char>(count >> 8);
      input += static_cast<char>(count & 0xff);
      if (counted) break;
      input += step.bytes.substr(at, count);
      at += std::max<size_t>(count, 1);
    }
  }
  return input;
}

inline Script decoded(std::span<const uint8_t> input) {
  Script script;
  while (input.size() >= 3) {
    Step step;
    step.kind = static_cast<Step::Kind>((input[0] >> 1) % 5);
    step.side = static_cast<Side>(input[0] & 1);
    const size_t count = static_cast<size_t>(input[1] << 8 | input[2]);
    input = input.subspan(3);
    step.count = count;
    if (step.kind != Step::Kind::gap) {
      const auto bytes = input.first(std::min(count, input.size()));
      step.bytes.assign(bytes.begin(), bytes.end());
      input = input.subspan(bytes.size());
    }
    script.push_back(std::move(step));
  }
  return script;
}

}  // namespace p2pxbone::gateway::script
