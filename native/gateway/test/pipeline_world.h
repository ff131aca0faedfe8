// A pipeline with a stage that obeys words in the data, and two TCP peers on its sides.
#pragma once

#include <doctest/doctest.h>

#include <map>
#include <set>
#include <string>

#include "gateway/pipeline.h"
#include "gateway/test/gateway_packets.h"

namespace p2pxbone::gateway::testing {

inline constexpr uint8_t kSynAck = kTcpSyn | kTcpAck;
inline constexpr uint8_t kFinAck = kTcpFin | kTcpAck;

// "KEEP" may be the last of something. "EVIL" denies the flow, "REJECT" rejects it, "HOLD" waits for a verdict, "ENOUGH" ends inspection. The words may be
// spread over chunks.
class WordStage final : public ChunkStage {
 public:
  struct Memory final : StageMemory {
    std::array<uint64_t, 2> length{};
    // Behind the last word that was obeyed, and no more than a word may begin in.
    std::array<std::string, 2> tail;
  };

  std::string_view name() const override { return "words"; }

  Verdict syn(const Packet& packet, Millis) override {
    return packet.ip.destinationPort == kClosedPort ? Verdict::reject(3) : Verdict::accept();
  }

  StageAnswer begin(const StageContext& context, const Packet&) override {
    context.remember(std::make_unique<Memory>());
    ++begun;
    return {};
  }

  StageAnswer data(const StageContext& context, const Chunk& chunk) override {
    Memory& memory = *context.memory<Memory>();
    const size_t side = indexOf(chunk.side);
    if (!chunk.datagram) REQUIRE(chunk.offset == memory.length[side] + lost[context.flow.ref.id][side]);
    memory.length[side] += chunk.bytes.size();
    std::string& tail = memory.tail[side];
    tail.append(chunk.bytes.begin(), chunk.bytes.end());
    seen[context.flow.ref.id][side].append(chunk.bytes.begin(), chunk.bytes.end());
    last = {context.flow.ref, chunk.side};
    ++chunks;
    const auto finds = [&](std::string_view word) {
      const size_t at = tail.find(word);
      if (at == std::string::npos) return false;
      tail.erase(0, at + word.size());
      return true;
    };
    if (finds("EVIL")) return {.verdict = Verdict::drop(DropReason::gatewayRule, 1), .denyFor = denyFor};
    if (finds("REJECT")) return {.verdict = Verdict::reject(2), .denyFor = denyFor};
    if (finds("HOLD")) return {.verdict = Verdict::hold()};
    if (finds("ENOUGH")) return {.done = true};
    if (finds("KEEP")) return {.keepBack = true};
    if (tail.size() > 6) tail.erase(0, tail.size() - 6);
    return {};
  }

  StageAnswer gap(const StageContext& context, Side side, uint64_t bytes) override {
    lost[context.flow.ref.id][indexOf(side)] += bytes;
    return {};
  }

  StageAnswer end(const StageContext&, Side side) override {
    ends.push_back(side);
    return {.verdict = holdEnd ? Verdict::hold() : Verdict::accept()};
  }

  void ended(const StageContext& context, FlowEnd cause) override { over.emplace_back(context.flow.ref.id, cause); }

  static constexpr uint16_t kClosedPort = 666;

  Millis denyFor = 0;
  bool holdEnd = false;
  int begun = 0;
  int chunks = 0;
  std::pair<FlowRef, Side> last;
  std::map<uint64_t, std::array<std::string, 2>> seen;
  std::map<uint64_t, std::array<uint64_t, 2>> lost;
  std::vector<Side> ends;
  std::vector<std::pair<uint64_t, FlowEnd>> over;
};

struct World final : Outlet {
  // Without the words the caller adds its own stages.
  explicit World(const Pipeline::Settings& settings = {}, bool words = true) : pipeline(settings, *this) {
    if (words) pipeline.addStage(stage);
  }
  ~World() override { checkBooks(); }

  // What goes on because of this packet is added to `out`, in order.
  Verdict send(Bytes bytes) {
    const uint64_t tag = ++tags;
    const auto result = pipeline.process(bytes, {}, tag, now);
    if (result.verdict.goesOn()) out.emplace_back(result.bytes.begin(), result.bytes.end());
    if (result.verdict.action == Verdict::Action::hold) {
      if (!left.contains(tag)) waiting.insert(tag);
    }
    return result.verdict;
  }

  void release(std::span<uint8_t> bytes, const Offload&, uint64_t tag) override {
    out.emplace_back(bytes.begin(), bytes.end());
    leave(tag);
  }
  void discard(uint64_t tag, DropReason reason) override {
    discarded.push_back(reason);
    leave(tag);
  }
  void emit(std::span<uint8_t> bytes) override { made.emplace_back(bytes.begin(), bytes.end()); }

  void leave(uint64_t tag) {
    CHECK(left.insert(tag).second);
    waiting.erase(tag);
  }

  void decide(const Verdict& verdict, Millis denyFor = 0) {
    pipeline.decide(stage.last.first, stage.last.second, {.verdict = verdict, .denyFor = denyFor}, now);
  }

  void pass(Millis time) {
    for (const Millis end = now + time; now < end; now += 100) pipeline.timer(now);
  }

  // Every packet went on, was dropped, or waits; nothing is counted twice or leaks.
  void checkBooks() {
    const auto all = pipeline.statistics();
    uint64_t drops = 0;
    for (const uint64_t count : all.drops) drops += count;
    CHECK(all.packets == all.accepted + (drops - discarded.size()) + all.held);
    CHECK(all.held == all.released + discarded.size() + waiting.size());
    pipeline.shutdown(now);
    pipeline.timer(now + 1'000'000);
    CHECK(waiting.empty());
    const auto end = pipeline.statistics();
    CHECK(end.flows == 0);
    const auto& memory = end.memory;
    CHECK(memory.fragments + memory.outOfOrder + memory.waiting + memory.limited + memory.streams == 0);
  }

  Verdict client(const Segment& segment) { return send(tcpPacket(segment)); }
  Verdict server(Segment segment) {
    std::swap(segment.from, segment.to);
    return send(tcpPacket(segment));
  }

  // Client's first byte is `first`, the server's 501.
  void open(uint32_t first = 101, const Host& from = kClient) {
    REQUIRE(client({.from = from, .sequence = first - 1, .flags = kTcpSyn}).goesOn());
    REQUIRE(server({.from = from, .sequence = 500, .acknowledgement = first, .flags = kSynAck}).goesOn());
    REQUIRE(client({.from = from, .sequence = first, .acknowledgement = 501}).goesOn());
    out.clear();
  }

  Verdict say(uint32_t sequence, std::string_view text, uint8_t flags = kTcpAck) {
    return client({.sequence = sequence, .acknowledgement = 501, .flags = flags, .data = bytesOf(text)});
  }

  // Payloads of TCP and UDP packets that went on.
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (Bytes bytes : out) {
      Packet packet = parsed(bytes);
      const size_t header = packet.isTcp() ? size_t{bytes[packet.ip.transportOffset + 12]} / 16 * 4 : 8;
      all.push_back(textOf(std::span<const uint8_t>{bytes}.subspan(packet.ip.transportOffset + header)));
    }
    return all;
  }
  std::string text() const {
    std::string all;
    for (const std::string& one : texts()) all += one;
    return all;
  }
  std::string seen(Side side = Side::initiator) { return stage.seen.empty() ? "" : stage.seen.rbegin()->second[indexOf(side)]; }
  uint64_t drops(DropReason reason) { return pipeline.statistics().drops[static_cast<size_t>(reason)]; }

  WordStage stage;
  Millis now = 1000;
  uint64_t tags = 0;
  std::vector<Bytes> out;
  std::vector<Bytes> made;
  std::vector<DropReason> discarded;
  std::set<uint64_t> waiting;
  std::set<uint64_t> left;
  Pipeline pipeline;
};

}  // namespace p2pxbone::gateway::testing
