// Packets of every kind through the whole pipeline, with verdicts that come late and time that passes. Whatever comes, the
// books must balance: each packet goes on, is dropped, or waits; memory stays within its bounds and all is given back; and
// what goes on is well formed.
//
// Input: any number of records of one kind byte and what the kind asks for; see feed().
#include <cstdint>
#include <cstdlib>
#include <map>
#include <set>
#include <vector>

#include "core/bytes.h"
#include "core/checksum.h"
#include "gateway/checks.h"
#include "gateway/pipeline.h"
#include "gateway/shaping/bandwidth_stage.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kRecordsMax = 400;
constexpr uint8_t kTarget[4]{10, 0, 2, 1};

void require(bool holds) {
  if (!holds) std::abort();
}

class Input {
 public:
  explicit Input(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  uint8_t byte() {
    if (bytes_.empty()) return 0;
    const uint8_t first = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return first;
  }
  uint16_t word() {
    const auto high = static_cast<uint16_t>(byte() << 8);
    return static_cast<uint16_t>(high | byte());
  }
  std::span<const uint8_t> take(size_t count) {
    const auto taken = bytes_.first(std::min(count, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const uint8_t> bytes_;
};

// The first byte of each chunk says what the stage answers.
class ByteStage final : public ChunkStage {
 public:
  std::string_view name() const override { return "bytes"; }
  Verdict syn(const Packet& packet, Millis now) override { return redirect(packet, now); }
  StageAnswer begin(const StageContext& context, const Packet& packet) override {
    context.remember(std::make_unique<StageMemory>());
    const Verdict verdict = packet.isTcp() ? Verdict::accept() : redirect(packet, context.now);
    if (!verdict.goesOn()) return {.verdict = verdict};
    context.flow.redirected = redirects != nullptr && redirects->concerns(context.flow);
    context.flow.fastPass = fastPass;
    // Some flows have a limit; of the last kind each has one for itself.
    context.flow.limit = limits ? static_cast<uint16_t>(context.flow.ref.id % 4) : 0;
    context.flow.watched = context.flow.limit != 0;
    return {};
  }
  StageAnswer data(const StageContext& context, const Chunk& chunk) override {
    // No stage is asked about a flow of which it has not heard.
    require(context.memory<StageMemory>() != nullptr);
    uint64_t& expected = next_[{context.flow.ref.id, indexOf(chunk.side)}];
    require(chunk.offset == expected);
    expected += chunk.bytes.size();
    return answer(context, chunk.side, chunk.bytes.empty() ? 0 : chunk.bytes[0]);
  }
  StageAnswer gap(const StageContext& context, Side side, uint64_t bytes) override {
    require(bytes > 0 && context.memory<StageMemory>() != nullptr);
    next_[{context.flow.ref.id, indexOf(side)}] += bytes;
    return {};
  }
  StageAnswer end(const StageContext& context, Side side) override {
    require(context.memory<StageMemory>() != nullptr);
    return answer(context, side, holdEnds ? 1 : 0);
  }

  bool fastPass = false;
  bool holdEnds = false;
  bool limits = false;
  // What goes to the server goes to kTarget.
  Redirects* redirects = nullptr;
  std::vector<std::pair<FlowRef, Side>> holds;

 private:
  Verdict redirect(const Packet& packet, Millis now) const {
    if (redirects == nullptr || packet.ip.destinationPort != 80) return Verdict::accept();
    const bool refused = redirects->begin(packet, {mappedIpv4(kTarget), 8080}, now) == Redirects::Outcome::refused;
    return refused ? Verdict::drop(DropReason::gatewayRedirect) : Verdict::accept();
  }
  StageAnswer answer(const StageContext& context, Side side, uint8_t what) {
    switch (what) {
      case 1:
      case 2: holds.emplace_back(context.flow.ref, side); return {.verdict = Verdict::hold()};
      case 3: return {.verdict = Verdict::drop(DropReason::gatewayRule, 1), .denyFor = 5000};
      case 4: return {.verdict = Verdict::reject(2)};
      case 5: return {.done = true};
      default: return {};
    }
  }
  std::map<std::pair<uint64_t, size_t>, uint64_t> next_;
};

class CheckingOutlet final : public Outlet {
 public:
  void release(std::span<uint8_t> bytes, const Offload&, uint64_t tag) override {
    checkPacket(bytes);
    require(left.insert(tag).second);
  }
  void discard(uint64_t tag, DropReason reason) override {
    require(reason != DropReason::none);
    require(left.insert(tag).second);
    ++discarded;
  }
  void emit(std::span<uint8_t> bytes) override { checkPacket(bytes); }

  static void checkPacket(std::span<uint8_t> bytes) {
    Packet packet;
    require(parsePacket(bytes, {}, 0, packet) == DropReason::none);
    require(packet.bytes.size() == bytes.size());
    if (!packet.ip.fragment) require(checkTransport(packet) == DropReason::none);
  }

  std::set<uint64_t> left;
  uint64_t discarded = 0;
};

Pipeline::Settings settingsOf(Input& input) {
  Pipeline::Settings settings;
  Limits& limits = settings.limits;
  limits.deniedConnections = 16;
  limits.flows = 16;
  limits.halfOpenFlows = 16;
  limits.heldBlocks = 96;
  limits.heldPackets = 64;
  limits.fragmentBlocks = 32;
  limits.fragmentedDatagrams = 8;
  limits.fragmentsPerDatagram = 8;
  limits.heldBlocksPerFlow = 24;
  limits.limitBlocks = 24;
  limits.limitInstances = 4;
  limits.streamPages = 48;
  limits.pagesPerDirection = 24;
  limits.piecesPerDirection = 6;
  limits.waitingPerDirection = 8;
  limits.redirects = 4;
  limits.gapTimeout = 2000;
  limits.fragmentTimeout = 2000;
  settings.seed = {1, 2};
  for (size_t i = 0; i < kConditionCount; ++i) {
    const uint8_t choice = input.byte();
    if (choice < kConditionActionCount) settings.conditions.actions[i] = static_cast<ConditionAction>(choice);
  }
  return settings;
}

// Slow, so that there is always something that waits.
ShapingSettings shapingSettings() {
  LimitClass all{.name = "all", .way = LimitWay::together, .rate = 64'000};
  LimitClass sources{.name = "sources", .parent = 1, .per = LimitPer::source, .rate = 8'000, .ceiling = 48'000};
  sources.queueBytes = 8'000;
  LimitClass flows{.name = "flows", .parent = 2, .per = LimitPer::flow, .rate = 8'000, .ceiling = 32'000};
  return {{all, sources, flows}};
}

class World {
 public:
  explicit World(Input& input) : World(settingsOf(input), input) {}


  void feed(Input& input) {
    switch (input.byte() % 8) {
      case 0: {
        const auto raw = input.take(input.word());
        send({raw.begin(), raw.end()});
        break;
      }
      case 1: {
        const Millis step = Millis{input.byte()} * 50;
        // Some of the packets that wait for limits leave on the way.
        const auto due = pipeline_.nextDue();
        if (due && *due < (now_ + step) * kNanosPerMilli) pipeline_.depart(*due);
        now_ += step;
        pipeline_.timer(now_);
        require(!pipeline_.nextDue() || *pipeline_.nextDue() > now_ * kNanosPerMilli);
        break;
      }
      case 2: decide(input.byte()); break;
      case 3: sendFragment(input); break;
      default: send(tcp(input));
    }
    checkMemory();
  }

  void finish() {
    const auto all = pipeline_.statistics();
    uint64_t drops = 0;
    for (const uint64_t count : all.drops) drops += count;
    require(all.packets == all.accepted + (drops - outlet_.discarded) + all.held);
    require(all.released + outlet_.discarded == outlet_.left.size());
    pipeline_.shutdown(now_);
    pipeline_.timer(now_ + 1'000'000);
    const auto end = pipeline_.statistics();
    require(end.flows == 0);
    const auto& memory = end.memory;
    require(memory.fragments + memory.outOfOrder + memory.waiting + memory.limited + memory.streams == 0);
    require(end.held == end.released + outlet_.discarded);
  }

 private:
  World(const Pipeline::Settings& settings, Input& input)
      : shaping_(shapingSettings(), settings.limits, settings.seed),
        redirects_(settings.limits, settings.seed),
        pipeline_(with(settings, redirects_), outlet_) {
    const uint8_t flags = input.byte();
    stage_.fastPass = (flags & 1) != 0;
    stage_.holdEnds = (flags & 2) != 0;
    stage_.limits = (flags & 4) != 0;
    if ((flags & 8) != 0) stage_.redirects = &redirects_;
    pipeline_.addStage(stage_);
    pipeline_.addStage(shaping_);
  }

  static Pipeline::Settings with(Pipeline::Settings settings, Redirects& redirects) {
    settings.redirects = &redirects;
    return settings;
  }

  void send(std::vector<uint8_t> bytes) {
    const uint64_t tag = ++tags_;
    const auto result = pipeline_.process(bytes, {}, tag, now_);
    if (result.verdict.goesOn()) CheckingOutlet::checkPacket(result.bytes);
    if (result.verdict.action != Verdict::Action::hold) require(!outlet_.left.contains(tag));
  }

  void decide(uint8_t how) {
    if (stage_.holds.empty()) return;
    const size_t which = how / 8 % stage_.holds.size();
    const auto [flow, side] = stage_.holds[which];
    stage_.holds.erase(stage_.holds.begin() + static_cast<ptrdiff_t>(which));
    const bool deny = how % 8 == 0;
    pipeline_.decide(flow, side, {.verdict = deny ? Verdict::reject(3) : Verdict::accept()}, now_);
  }

  void checkMemory() {
    const auto memory = pipeline_.statistics().memory;
    require(memory.fragments + memory.outOfOrder + memory.waiting + memory.limited <= memory.heldMax);
    require(memory.streams <= memory.streamsMax);
    require(redirects_.size() <= 4);
  }

  static std::vector<uint8_t> ipv4(uint8_t client, bool reply, uint8_t protocol, std::span<const uint8_t> transport,
                                   bool target = false) {
    std::vector<uint8_t> bytes(20 + transport.size());
    bytes[0] = 0x45;
    storeBe16(&bytes[2], static_cast<uint16_t>(bytes.size()));
    bytes[8] = 64;
    bytes[9] = protocol;
    const uint8_t ends[2][4]{{10, 0, 0, static_cast<uint8_t>(client % 8 + 1)}, {10, 0, 1, 1}};
    std::copy_n(ends[reply ? 1 : 0], 4, &bytes[12]);
    std::copy_n(ends[reply ? 0 : 1], 4, &bytes[16]);
    if (target) std::copy_n(kTarget, 4, &bytes[reply ? 12 : 16]);
    storeBe16(&bytes[10], checksumOf({bytes.data(), 20}));
    std::copy(transport.begin(), transport.end(), bytes.begin() + 20);
    return bytes;
  }

  // Kind, client and direction, flags, sequence, acknowledgement and length, all near the stream's beginning.
  std::vector<uint8_t> tcp(Input& input) {
    const uint8_t who = input.byte();
    const bool reply = (who & 0x80) != 0;
    const bool back = (who & 0x40) != 0;
    // From or to where redirected connections go.
    const bool target = (who & 0x10) != 0;
    const uint16_t service = target ? 8080 : 80;
    const uint8_t flags = input.byte();
    const uint32_t begin = reply ? 0x80000000 : 0xffffff00;
    const uint32_t sequence = begin + (back ? 0U - input.byte() : input.word());
    const uint32_t acknowledgement = (reply ? 0xffffff00 : 0x80000000) + input.word();
    const size_t length = input.byte() * ((who & 0x20) != 0 ? 64U : 1U);
    const uint8_t fill = input.byte();
    std::vector<uint8_t> transport(20 + length, fill);
    storeBe16(&transport[0], reply ? service : 1000);
    storeBe16(&transport[2], reply ? 1000 : service);
    storeBe32(&transport[4], sequence);
    storeBe32(&transport[8], acknowledgement);
    transport[12] = 0x50;
    transport[13] = flags;
    storeBe16(&transport[14], 0xffff);
    storeBe16(&transport[16], 0);
    storeBe16(&transport[18], fill);
    std::vector<uint8_t> bytes = ipv4(who & 7, reply, kProtocolTcp, transport, target);
    const uint64_t pseudo = pseudoHeaderSum(bytes, false, kProtocolTcp, transport.size());
    storeBe16(&bytes[36], checksumFinish(checksumAdd(transport, pseudo)));
    return bytes;
  }

  void sendFragment(Input& input) {
    const uint8_t who = input.byte();
    const uint16_t field = input.word() & 0x203f;
    const auto data = input.take(input.byte());
    std::vector<uint8_t> bytes = ipv4(who, false, kProtocolUdp, data);
    storeBe16(&bytes[4], who / 8);
    storeBe16(&bytes[6], field);
    storeBe16(&bytes[10], 0);
    storeBe16(&bytes[10], checksumOf({bytes.data(), 20}));
    send(std::move(bytes));
  }

  CheckingOutlet outlet_;
  ByteStage stage_;
  BandwidthStage shaping_;
  Redirects redirects_;
  Pipeline pipeline_;
  Millis now_ = 0;
  uint64_t tags_ = 0;
};

}  // namespace
}  // namespace p2pxbone::gateway

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone::gateway;
  Input input({data, size});
  World world(input);
  for (size_t i = 0; i < kRecordsMax && !input.empty(); ++i) world.feed(input);
  world.finish();
  return 0;
}
