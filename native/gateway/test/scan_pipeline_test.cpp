// File scans within the pipeline: what waits, what goes on meanwhile, and what is cut.
#include <map>

#include "gateway/scanning/file_scan.h"
#include "gateway/scanning/memory_scan_engine.h"
#include "gateway/test/pipeline_world.h"

namespace p2pxbone::gateway::testing {
namespace {

const std::string kVirus = "WICKED-BYTES";

// Takes all that a server sends for one file, which ends with the connection or after so many bytes.
class ScanningStage final : public ChunkStage {
 public:
  ScanningStage(ScanDesk& desk, std::optional<uint64_t> size) : desk_(desk), size_(size) {}

  std::string_view name() const override { return "scanning"; }
  StageAnswer data(const StageContext& context, const Chunk& chunk) override {
    if (chunk.side == Side::initiator) return {};
    Transfer& transfer = transfers_[context.flow.ref.id];
    if (transfer.scan == nullptr) {
      transfer.flow = context.flow.ref;
      transfer.scan = std::make_unique<FileScan>(desk_, FileScan::Object{.owner = context.flow.ref.id, .size = size_});
    }
    return stageAnswer(transfer, transfer.scan->data(chunk.bytes, context.now));
  }
  StageAnswer end(const StageContext& context, Side side) override {
    const auto found = transfers_.find(context.flow.ref.id);
    if (side == Side::initiator || found == transfers_.end()) return {};
    return stageAnswer(found->second, found->second.scan->end(true, context.now));
  }
  void ended(const StageContext& context, FlowEnd) override { transfers_.erase(context.flow.ref.id); }

  void poll(Pipeline& pipeline, Millis now) {
    while (const FileScan* scan = desk_.poll(now)) {
      Transfer& transfer = transfers_.at(scan->owner());
      if (scan->answer() == ScanAnswer::deny) {
        pipeline.deny(transfer.flow, stageAnswer(transfer, scan->answer()), now);
      } else if (scan->answer() == ScanAnswer::goOn) {
        // A packet with data and FIN may have been held for both.
        for (int holds = std::exchange(transfer.holds, 0); holds > 0; --holds)
          pipeline.decide(transfer.flow, Side::responder, {}, now);
      }
    }
  }

 private:
  struct Transfer {
    FlowRef flow;
    std::unique_ptr<FileScan> scan;
    int holds = 0;
  };

  // Keeping back is holding, for the lack of anything better.
  static StageAnswer stageAnswer(Transfer& transfer, ScanAnswer answer) {
    if (answer == ScanAnswer::goOn) return {};
    if (answer == ScanAnswer::deny) return {.verdict = Verdict::reject(9), .denyFor = 60'000};
    ++transfer.holds;
    return {.verdict = Verdict::hold()};
  }

  ScanDesk& desk_;
  const std::optional<uint64_t> size_;
  std::map<uint64_t, Transfer> transfers_;
};

struct ScanWorld {
  explicit ScanWorld(std::optional<uint64_t> size) : stage(desk, size) { world.pipeline.addStage(stage); }

  Verdict serve(uint32_t at, std::string_view text, uint8_t flags = kTcpAck, const Host& to = kClient) {
    return world.server({.from = to, .sequence = 501 + at, .acknowledgement = 101, .flags = flags, .data = bytesOf(text)});
  }
  void poll() {
    stage.poll(world.pipeline, world.now);
    world.pipeline.timer(world.now);
  }

  MemoryScanEngine engine{{kVirus}};
  ScanDesk desk{engine, {.bufferBytes = 100, .tailBytes = 11, .buffersAhead = 0}, {}};
  ScanningStage stage;
  World world;
};

TEST_CASE("a file's end waits for the result, other flows and the other direction do not") {
  ScanWorld scan{30};
  scan.world.open();
  scan.world.open(101, {kClient.address, 40001});
  CHECK(scan.serve(0, "0123456789").goesOn());
  CHECK(scan.serve(10, "01234567890123456789").action == Verdict::Action::hold);
  CHECK(scan.serve(30, "", kFinAck).action == Verdict::Action::hold);
  CHECK(scan.serve(0, "others", kTcpAck, {kClient.address, 40001}).goesOn());
  CHECK(scan.world.say(101, "a question").goesOn());
  scan.poll();
  CHECK(scan.world.texts() == std::vector<std::string>{"0123456789", "others", "a question"});
  scan.engine.scanAll();
  scan.poll();
  CHECK(scan.world.texts() == std::vector<std::string>{"0123456789", "others", "a question", "01234567890123456789", ""});
  CHECK(scan.engine.scanned() == std::vector<std::string>{"012345678901234567890123456789"});
}

TEST_CASE("an infected file is cut with RST at both ends, and the connection cache remembers") {
  ScanWorld scan{500};
  scan.world.open();
  CHECK(scan.serve(0, std::string(95, '.') + kVirus.substr(0, 4)).goesOn());
  CHECK(scan.serve(99, kVirus.substr(4) + "....").action == Verdict::Action::hold);
  CHECK(scan.serve(111, "more").action == Verdict::Action::hold);
  // The first buffer has only a part of the signature; the packet behind the held one brings no more before its result.
  scan.engine.scanAll();
  scan.poll();
  CHECK(scan.world.made.empty());
  CHECK(scan.serve(115, std::string(100, '.')).action == Verdict::Action::hold);
  scan.engine.scanAll();
  scan.poll();
  CHECK(scan.world.made.size() == 2);
  CHECK(scan.world.text().size() == 115);
  CHECK(scan.world.client({.from = {kClient.address, 50'000}, .sequence = 1, .flags = kTcpSyn}).action == Verdict::Action::drop);
  CHECK(scan.engine.jobs() == 0);
}

TEST_CASE("a file of unknown size arrives though its sender pauses, and not if its last packet is wicked") {
  for (const bool wicked : {false, true}) {
    ScanWorld scan{std::nullopt};
    scan.world.open();
    CHECK(scan.serve(0, "beginning").action == Verdict::Action::hold);
    scan.world.now += 50;
    scan.poll();
    scan.engine.scanAll();
    scan.poll();
    CHECK(scan.world.text() == "beginning");
    const std::string last = wicked ? kVirus : std::string(kVirus.size(), '.');
    CHECK(scan.serve(9, last, kFinAck).action == Verdict::Action::hold);
    for (int i = 0; i < 10; ++i) {
      scan.world.now += 50;
      scan.engine.scanAll();
      scan.poll();
    }
    CHECK(scan.world.text() == (wicked ? "beginning" : "beginning" + last));
    CHECK(scan.world.made.size() == (wicked ? 2 : 0));
  }
}

}  // namespace
}  // namespace p2pxbone::gateway::testing
