#include "gateway/signature_set.h"

#include <algorithm>
#include <array>

#include "gateway/vectorscan.h"

namespace p2pxbone::gateway {
namespace {

struct Alias {
  std::string_view name;
  Application application;
};

constexpr std::array<Alias, 12> kAliases{{
    {"aim", Application::oscar},
    {"ed2k", Application::edonkey},
    {"emule", Application::edonkey},
    {"jabber", Application::xmpp},
    {"kazaa", Application::fasttrack},
    {"msnmessenger", Application::msn},
    {"napster", Application::opennap},
    {"skypeout", Application::skype},
    {"skypetoskype", Application::skype},
    {"ssl", Application::tls},
    {"validcertssl", Application::tls},
    {"yahoo", Application::yahooMessenger},
}};

struct Compilation {
  vectorscan::Database database;
  // What was wrong, and with which signature; -1: with none in particular.
  std::string what;
  int index = -1;
};

Compilation compile(const std::vector<Signature>& signatures) {
  std::vector<const char*> expressions;
  std::vector<unsigned> flags;
  std::vector<unsigned> numbers;
  for (const Signature& signature : signatures) {
    expressions.push_back(signature.expression.c_str());
    const unsigned folding = signature.caseless ? unsigned{HS_FLAG_CASELESS} : 0U;
    flags.push_back(folding | HS_FLAG_DOTALL | HS_FLAG_SINGLEMATCH);
    numbers.push_back(static_cast<unsigned>(numbers.size()));
  }
  Compilation result;
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  const hs_error_t code =
      hs_compile_multi(expressions.data(), flags.data(), numbers.data(), static_cast<unsigned>(numbers.size()),
                       HS_MODE_BLOCK, nullptr, &database, &error);
  result.database.reset(database);
  if (code == HS_SUCCESS) return result;
  const vectorscan::CompileError owned(error);
  result.what = error != nullptr ? error->message : "the expressions cannot be compiled";
  result.index = error != nullptr ? error->expression : -1;
  return result;
}

// What the operator has given a name of his own, and trusts to mean it.
bool isOwn(const Signature& signature) {
  const bool special = signature.rank == SignatureRank::subset || signature.rank == SignatureRank::ordinary;
  return special && !applicationOfSignature(signature.name);
}

int onMatch(unsigned number, unsigned long long, unsigned long long, unsigned, void* best) {
  unsigned& lowest = *static_cast<unsigned*>(best);
  lowest = std::min(lowest, number);
  return 0;
}

}  // namespace

struct SignatureSet::Compiled {
  // Null if there are no signatures.
  vectorscan::Database database;
};

struct SignatureSet::Scratch::Space {
  vectorscan::MatchSpace scratch;
};

SignatureSet::Scratch::Scratch(std::unique_ptr<Space> space) : space_(std::move(space)) {}
SignatureSet::Scratch::~Scratch() = default;

SignatureSet::SignatureSet() : compiled_(std::make_unique<Compiled>()) {}
SignatureSet::~SignatureSet() = default;

SignatureSet::Build SignatureSet::build(std::vector<Signature> signatures) {
  Build result;
  if (hs_valid_platform() != HS_SUCCESS) {
    result.errors.push_back({"signatures", 0, "this processor cannot match them: it lacks SSE4.2 or NEON"});
    return result;
  }
  while (signatures.size() > kSignaturesMax) {
    const Signature& last = signatures.back();
    result.errors.push_back(
        {last.file, last.line, "there are more than " + std::to_string(kSignaturesMax) + " signatures"});
    signatures.pop_back();
  }
  std::shared_ptr<SignatureSet> set(new SignatureSet());
  for (const Signature& signature : signatures) (void)set->numberOf(signature.name);
  std::stable_sort(signatures.begin(), signatures.end(), [](const Signature& a, const Signature& b) {
    const bool ownA = isOwn(a);
    const bool ownB = isOwn(b);
    return ownA != ownB ? ownA : a.rank < b.rank;
  });
  // The compiler names one bad expression at a time.
  while (!signatures.empty()) {
    Compilation compilation = compile(signatures);
    if (compilation.database) {
      set->compiled_->database = std::move(compilation.database);
      (void)hs_database_size(set->compiled_->database.get(), &set->bytes_);
      break;
    }
    const bool one = compilation.index >= 0 && static_cast<size_t>(compilation.index) < signatures.size();
    const auto bad = one ? signatures.begin() + compilation.index : signatures.end() - 1;
    result.errors.push_back({bad->file, bad->line, "the expression cannot be used: " + compilation.what});
    signatures.erase(bad);
  }
  for (const Signature& signature : signatures) {
    const auto order = static_cast<uint32_t>(set->signatures_.size());
    set->signatures_.push_back({set->numberOf(signature.name), signature.rank, order});
  }
  result.set = std::move(set);
  return result;
}

Application SignatureSet::numberOf(const std::string& name) {
  if (const auto known = applicationOf(name)) return *known;
  userNames_.push_back(name);
  return static_cast<Application>(kApplicationUserFirst + userNames_.size() - 1);
}

std::string_view SignatureSet::nameOf(Application application) const {
  if (!isUserApplication(application)) return applicationName(application);
  const size_t index = static_cast<size_t>(application) - kApplicationUserFirst;
  return index < userNames_.size() ? std::string_view(userNames_[index]) : std::string_view{};
}

std::optional<Application> SignatureSet::applicationOf(std::string_view name) const {
  if (const auto known = applicationOfSignature(name)) return known;
  const auto found = std::find(userNames_.begin(), userNames_.end(), name);
  if (found == userNames_.end()) return std::nullopt;
  return static_cast<Application>(kApplicationUserFirst + (found - userNames_.begin()));
}

std::unique_ptr<SignatureSet::Scratch> SignatureSet::makeScratch() const {
  auto space = std::make_unique<Scratch::Space>();
  if (compiled_->database) {
    hs_scratch_t* scratch = nullptr;
    if (hs_alloc_scratch(compiled_->database.get(), &scratch) != HS_SUCCESS) return nullptr;
    space->scratch.reset(scratch);
  }
  return std::unique_ptr<Scratch>(new Scratch(std::move(space)));
}

std::optional<SignatureMatch> SignatureSet::match(std::span<const uint8_t> data, Scratch& scratch) const {
  if (!compiled_->database || data.empty()) return std::nullopt;
  auto best = static_cast<unsigned>(signatures_.size());
  (void)hs_scan(compiled_->database.get(), reinterpret_cast<const char*>(data.data()),
                static_cast<unsigned>(data.size()), 0, scratch.space_->scratch.get(), onMatch, &best);
  if (best >= signatures_.size()) return std::nullopt;
  return signatures_[best];
}

std::optional<Application> applicationOfSignature(std::string_view name) {
  for (const Alias& alias : kAliases)
    if (alias.name == name) return alias.application;
  const auto known = applicationFromName(name);
  return known == Application::unknown ? std::nullopt : known;
}

}  // namespace p2pxbone::gateway
