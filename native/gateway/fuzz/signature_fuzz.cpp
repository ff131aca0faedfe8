// Signature files of an operator's choosing: whatever is read is either refused with a line that exists, or an
// expression that the compiler takes or refuses in its own words. The data to match is what follows the first 0xff
// byte.
#include <cstdlib>
#include <vector>

#include "gateway/signature_set.h"

namespace {

// Compiling is the library's work and slow; what is not short tells nothing new about ours.
constexpr size_t kCompiledBytesMax = 96;

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace p2pxbone::gateway;
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const std::string_view text = all.substr(0, all.find('\xff'));
  auto read = readSignature("fuzz.pat", text);
  if (const auto* error = std::get_if<SignatureError>(&read)) {
    size_t lines = 1;
    for (const char c : text) lines += c == '\n' ? 1 : 0;
    require(error->line >= 1 && error->line <= lines && !error->what.empty());
    return 0;
  }
  Signature& signature = std::get<Signature>(read);
  for (const char c : signature.expression) require(c >= 0x20 && c < 0x7f);
  // Large repetitions cost the compiler seconds.
  if (signature.expression.size() > kCompiledBytesMax || signature.expression.find('{') != std::string::npos) return 0;
  const SignatureSet::Build build = SignatureSet::build({std::move(signature)});
  require(build.set != nullptr && build.set->size() + build.errors.size() == 1);
  std::vector<uint8_t> payload;
  for (size_t i = text.size() + 1; i < size; ++i)
    if (data[i] != 0) payload.push_back(data[i]);
  const auto scratch = build.set->makeScratch();
  require(scratch != nullptr);
  (void)build.set->match(payload, *scratch);
  return 0;
}
