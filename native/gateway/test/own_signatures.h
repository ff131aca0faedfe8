// The signature files that come with the product, compiled.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "gateway/signature_set.h"

namespace p2pxbone::gateway::testing {

inline std::vector<Signature> ownSignatures() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(P2PXBONE_SOURCE_DIR "/../gateway/signatures")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<Signature> signatures;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto read = readSignature(path.filename().string(), text);
    if (const auto* error = std::get_if<SignatureError>(&read)) FAIL(error->text());
    signatures.push_back(std::get<Signature>(std::move(read)));
    CHECK(signatures.back().name == path.stem().string());
  }
  return signatures;
}

inline std::shared_ptr<const SignatureSet> ownSignatureSet() {
  SignatureSet::Build build = SignatureSet::build(ownSignatures());
  for (const SignatureError& error : build.errors) FAIL_CHECK(error.text());
  REQUIRE(build.set != nullptr);
  return build.set;
}

}  // namespace p2pxbone::gateway::testing
