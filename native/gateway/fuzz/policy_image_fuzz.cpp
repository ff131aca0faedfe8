// Images and sets of anybody's making: refused with a reason, or read; what is read answers every question without reaching
// outside. Patterns are the matcher's own business and slow to compile, so images with many of them end here.
#include <cstdlib>

#include "gateway/policy/policy.h"
#include "gateway/stream.h"

namespace {

constexpr size_t kPatternBytesMax = 64;
constexpr size_t kPatternsMax = 4;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone::gateway;
  const std::span<const uint8_t> bytes{data, size};
  if (size > 0) {
    const auto sets = readReplacedSets(bytes.subspan(1), data[0]);
    if (const auto* error = std::get_if<PolicyError>(&sets)) require(!error->what.empty());
    else for (const ReplacedSet& replaced : std::get<0>(sets)) require(replaced.index < data[0]);
  }
  const auto read = readPolicyImage(bytes);
  if (const auto* error = std::get_if<PolicyError>(&read)) {
    require(!error->what.empty());
    return 0;
  }
  const auto& image = std::get<PolicyImage>(read);
  if (image.expressions.size() > kPatternsMax) return 0;
  for (const PolicyExpression& expression : image.expressions)
    if (expression.text.size() > kPatternBytesMax || expression.text.find('{') != std::string::npos) return 0;
  const Policy::Build built = Policy::build(bytes, [](std::string_view name) -> std::optional<Application> {
    if (name.size() % 2 == 0) return std::nullopt;
    return static_cast<Application>(kApplicationUserFirst + name.size());
  });
  if (std::holds_alternative<PolicyError>(built)) return 0;
  const auto& policy = *std::get<std::shared_ptr<const Policy>>(built);
  const auto scratch = policy.makeScratch();
  require(scratch != nullptr);
  Flow flow;
  flow.key.protocol = 6;
  flow.key.portB = 80;
  const Sha256 hash{};
  for (const bool known : {false, true}) {
    FlowFacts facts{flow};
    facts.application = known ? Application::http : Application::unknown;
    facts.applicationKnown = known;
    facts.hostKnown = known;
    facts.host = "a.example";
    facts.now = static_cast<WallTime>(size) * 3'600'000'000;
    FileFacts file;
    file.name = "a.mp3";
    file.final = known;
    if (known) file.sha256 = &hash;
    if (known) file.type = FileType{"zip", FileKind::archive};
    for (const Decision& decision : {policy.flow(facts, *scratch), policy.file(facts, file, *scratch),
                                     policy.chat(facts, {"a", "b", "c d"}, *scratch)}) {
      require(decision.rule <= policy.ruleCount() && decision.limit <= policy.limits().size());
      require(decision.decided || !decision.denies());
      require(decision.decided || decision.needs != 0);
    }
  }
  return 0;
}
