// Signatures compiled together, so that one pass over the data finds all that match. Immutable: a reload builds another
// set and swaps the pointer. A set is shared by any number of threads, a Scratch belongs to one.
//
// Matched is what l7-filter matches: the first data of a flow, both directions in the order of their arrival, without
// its NUL bytes. Whole blocks are scanned rather than streams: the data is kept anyway for the parsers, `$` means the
// end of what there is so far, a flow needs no memory for the matcher, and no flow holds on to a set that has been
// replaced.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gateway/application.h"
#include "gateway/signature_file.h"

namespace p2pxbone::gateway {

inline constexpr size_t kSignaturesMax = 1024;

struct SignatureMatch {
  Application application = Application::unknown;
  SignatureRank rank = SignatureRank::ordinary;
  // Less is believed first.
  uint32_t order = 0;
};

class SignatureSet {
 public:
  struct Build;
  // What a thread needs to match. Fits one set.
  class Scratch;

  // Signatures that do not compile are left out and reported. Names outside the table are believed first, unless they
  // are a superset or overmatch; then the better rank; then the earlier. The set is null only if the machine cannot
  // match at all.
  [[nodiscard]] static Build build(std::vector<Signature> signatures);

  ~SignatureSet();
  SignatureSet(const SignatureSet&) = delete;
  SignatureSet& operator=(const SignatureSet&) = delete;

  // Null if there is no memory. The set must outlive it.
  [[nodiscard]] std::unique_ptr<Scratch> makeScratch() const;

  // The best of the signatures that match. `data` holds no NUL bytes.
  [[nodiscard]] std::optional<SignatureMatch> match(std::span<const uint8_t> data, Scratch& scratch) const;

  // Of an application that has no number of its own in the table; its number is this set's alone.
  [[nodiscard]] std::string_view nameOf(Application application) const;
  [[nodiscard]] std::optional<Application> applicationOf(std::string_view name) const;

  // Whether there are signatures of applications outside the table.
  [[nodiscard]] bool namesOwn() const { return !userNames_.empty(); }
  [[nodiscard]] size_t size() const { return signatures_.size(); }
  [[nodiscard]] size_t bytes() const { return bytes_; }

 private:
  struct Compiled;
  SignatureSet();
  Application numberOf(const std::string& name);

  std::unique_ptr<Compiled> compiled_;
  // In the order in which they are believed; the matcher's number of a signature is its index.
  std::vector<SignatureMatch> signatures_;
  std::vector<std::string> userNames_;
  size_t bytes_ = 0;
};

class SignatureSet::Scratch {
 public:
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

 private:
  friend class SignatureSet;
  struct Space;
  explicit Scratch(std::unique_ptr<Space> space);
  std::unique_ptr<Space> space_;
};

struct SignatureSet::Build {
  std::shared_ptr<const SignatureSet> set;
  std::vector<SignatureError> errors;
};

// The application that a signature's name stands for: one of the table, also under the names that l7-filter's
// collection uses. Nothing for a name that is new.
[[nodiscard]] std::optional<Application> applicationOfSignature(std::string_view name);

}  // namespace p2pxbone::gateway
