// What the application stage remembers of a flow: while it is inspected, and for its record.
#pragma once

#include <algorithm>
#include <map>

#include "gateway/application_stage.h"

namespace p2pxbone::gateway {

// For the flow's record, which is written after all else about it was freed.
struct ApplicationStage::Notes final : StageMemory {
  // What a flow's record can tell: more is not kept.
  static constexpr size_t kBytesMax = 4'096;

  explicit Notes(KeptData& allKept) : kept(allKept), share(allKept) {}

  std::vector<std::pair<std::string, std::string>> attributes;
  size_t bytes = 0;
  const KeptData& kept;
  KeptData::Share share;

  void add(std::string_view name, std::string_view value) {
    name = name.substr(0, kAuditNameBytesMax);
    value = value.substr(0, kAuditValueBytesMax);
    const bool known = std::any_of(attributes.begin(), attributes.end(), [&](const auto& note) { return note.first == name; });
    if (known || kept.full() || attributes.size() == kAuditAttributesMax || bytes + name.size() + value.size() > kBytesMax) return;
    bytes += name.size() + value.size();
    attributes.emplace_back(name, value);
    share.set(bytes);
  }
};

struct ApplicationStage::FileInFlow {
  std::unique_ptr<FileWatch> watch;
  Side sender = Side::initiator;
  bool holds = false;
  // Of the rule book: who decided last. The policy may be another one by the time it is carried out.
  uint32_t rule = kNoRule;
  // That it is not scanned was told.
  bool unscannedTold = false;
};

struct ApplicationStage::Work final : StageMemory {
  FlowEnds ends;
  std::unique_ptr<FlowClassification> classification;
  std::unique_ptr<Parser> parser;
  // First byte of each direction that concerns what is under way: an earlier protocol has had those before.
  std::array<uint64_t, 2> from{};
  std::string host;
  bool hostKnown = false;
  uint32_t needs = 0;
  bool decided = false;
  // What the policy said when it was asked last.
  Decision decision;
  // Of this flow nothing is asked any more; its parser tells of others that are to come.
  bool forOthers = false;
  // Files that pass, and those whose end waits for their scan, by FileScan::Object::owner.
  std::map<uint64_t, FileInFlow> files;
  // One could not be scanned, and the policy wants no others scanned then.
  bool scansBypassed = false;
  // The one that passes in each direction; 0: none.
  std::array<uint64_t, 2> current{};
  // Files whose end waits, and answers `hold` that were given for them.
  struct Holding {
    uint32_t files = 0;
    uint32_t answers = 0;
  };
  std::array<Holding, 2> holding;

  [[nodiscard]] FileWatch* file(Side sender) {
    const auto found = files.find(current[indexOf(sender)]);
    return found == files.end() || found->second.watch->ended() ? nullptr : found->second.watch.get();
  }

  [[nodiscard]] size_t keptBytes() const {
    return (classification ? classification->collected().heapBytes() : 0) + (parser ? parser->keptBytes() : 0);
  }
  KeptData::Share share;

  // Which flow each file that is scanned belongs to, of all flows.
  std::unordered_map<uint64_t, FlowRef>& scanning;

  Work(const FlowEnds& flowEnds, KeptData& allKept, std::unordered_map<uint64_t, FlowRef>& allScanning)
      : ends(flowEnds), classification(std::make_unique<FlowClassification>()), share(allKept), scanning(allScanning) {}
  ~Work() override {
    for (const auto& [owner, file] : files) scanning.erase(owner);
  }
};

// Of two answers to one chunk: a denial counts, then a hold.
inline void merge(StageAnswer& into, const StageAnswer& other) {
  const bool keepBack = into.keepBack || other.keepBack;
  if (other.denies() ? !into.denies() : other.holds() && into.verdict.goesOn()) into = other;
  into.keepBack = keepBack;
}

}  // namespace p2pxbone::gateway
