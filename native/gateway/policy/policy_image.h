// A compiled policy as gateway/core/policy-image.ts writes it, and what it says. Numbers are big-endian; a text is its
// length in bytes, u16, and UTF-8; `list8`, `list16` and `list32` are a count of that many bits and so many entries.
//
//   u32 'PXGP'; u16 version (1); u8 flags: 1 dry run, 2 fast pass; u8 default verdict; u32 default denyFor, ms
//   list8  conditions: u8 condition, u8 action
//   list16 names of applications of the policy's own; numbered from kApplicationUserFirst in the image
//   list16 address sets: list32 ranges, ascending and disjoint: 16 bytes first, 16 bytes last
//   list16 times: list8 windows: u8 utc, u8 days (bit 0 is Monday), u16 from, u16 to, in minutes since midnight
//   5 x u16 number of pattern groups of each PolicySubject
//   list32 expressions: u8 subject, u16 group, u8 flags: 1 caseless, 2 of marked words, u32 line, u32
//     column, text
//   list16 hash lists: list32 SHA-256, ascending
//   list16 limits: text name, u16 parent (index + 1), u64 rate, u64 ceiling (bit/s), u8 per, u8 way, u32 burst,
//     u32 queue (bytes)
//   list16 rules: text name, u32 line, u8 verdict, u8 flags: 1 log, 2 scan, 4 store, 8 mark; u32 mark, u16 limit
//     (index + 1), u32 denyFor (ms), 16 bytes and u16 target of a redirect, list8 conditions: u8 index in
//     PolicyCondition, and its fields
//
// What names of nodes and groups stand for changes while a policy is in force. Its sets that hold names are replaced by
//   list16 sets: u16 index, list32 ranges as above
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gateway/condition.h"
#include "gateway/policy/decision.h"
#include "gateway/redirects.h"
#include "gateway/shaping/limit_class.h"

namespace p2pxbone::gateway {

inline constexpr size_t kPolicyExpressionsMax = 50'000;
inline constexpr size_t kPolicyHashesMax = 2'000'000;

// What patterns are matched with.
enum class PolicySubject : uint8_t { host, fileName, chatText, chatFrom, chatTo };
inline constexpr size_t kPolicySubjects = 5;

// Whose address: of the flow's first speaker, of the other end, of either, or of the end that sends a file.
enum class PolicyEnd : uint8_t { from, to, between, sender };

struct AddressRange {
  Address first{}, last{};
};
using AddressSet = std::vector<AddressRange>;
// Of a policy, by index; shared with the policies that differ from it in other sets only.
using AddressSets = std::vector<std::shared_ptr<const AddressSet>>;

struct ReplacedSet {
  uint16_t index = 0;
  AddressSet set;
};

struct TimeWindow {
  bool utc = false;
  uint8_t days = 0;
  uint16_t from = 0, to = 0;
};

struct PolicyExpression {
  PolicySubject subject = PolicySubject::host;
  uint16_t group = 0;
  bool caseless = false;
  // Of a text whose words are marked (marked_words.h).
  bool words = false;
  uint32_t line = 0, column = 0;
  std::string text;
};

struct ApplicationIs {
  std::vector<uint16_t> numbers;  // ascending
};
struct AddressIn {
  PolicyEnd end = PolicyEnd::from;
  uint16_t set = 0;
};
struct PortIn {
  std::vector<std::pair<uint16_t, uint16_t>> ranges;
};
struct ProtocolIs {
  std::vector<uint16_t> numbers;
};
struct TimeIn {
  std::vector<uint16_t> times;
};
struct PatternIn {
  PolicySubject subject = PolicySubject::host;
  uint16_t group = 0;
};
struct FileSizeIn {
  uint64_t least = 0, most = 0;
};
struct FileTypeIs {
  uint16_t kinds = 0;  // one bit each
  std::vector<std::string> names;
};
struct FileHashIn {
  std::vector<uint16_t> lists;
};
// That it is about a file, or a message, at all; rules with other conditions about them have this one too.
struct AnyFile {};
struct AnyChat {};

using PolicyCondition = std::variant<ApplicationIs, AddressIn, PortIn, ProtocolIs, TimeIn, PatternIn, FileSizeIn,
                                     FileTypeIs, FileHashIn, AnyFile, AnyChat>;

struct PolicyRule {
  std::string name;
  uint32_t line = 0;
  Decision::Action action = Decision::Action::accept;
  bool log = false, scan = false, store = false;
  std::optional<uint32_t> mark;
  uint16_t limit = 0;
  uint32_t denyFor = 0;
  RedirectTarget redirect;
  std::vector<PolicyCondition> conditions;
  bool aboutFiles = false, aboutChat = false;
};

struct PolicyImage {
  bool dryRun = false;
  bool fastPass = false;
  Decision::Action defaultAction = Decision::Action::accept;
  uint32_t denyFor = 0;
  ConditionPolicy conditions;
  std::vector<std::string> ownApplications;
  std::vector<AddressSet> sets;
  std::vector<std::vector<TimeWindow>> times;
  std::array<uint16_t, kPolicySubjects> groups{};
  std::vector<PolicyExpression> expressions;
  std::vector<std::vector<Sha256>> hashes;
  std::vector<LimitClass> limits;
  std::vector<PolicyRule> rules;
};

struct PolicyError {
  std::string what;
  // In the policy's text; 0 where it is not about a place in it.
  uint32_t line = 0, column = 0;
};

// Everything that is not as described above is refused: behind this, all indices are in range and all orders hold.
[[nodiscard]] std::variant<PolicyImage, PolicyError> readPolicyImage(std::span<const uint8_t> bytes);

// `sets`: how many the policy has.
[[nodiscard]] std::variant<std::vector<ReplacedSet>, PolicyError> readReplacedSets(std::span<const uint8_t> bytes,
                                                                                   size_t sets);

}  // namespace p2pxbone::gateway
