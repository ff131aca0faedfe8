// Situations in which inspection cannot go on as it should. What then happens is the policy's choice, not the code's.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "core/counters.h"

namespace p2pxbone::gateway {

enum class Condition : uint8_t {
  // An IP packet is a fragment. Inspecting means that the datagram waits until it is complete.
  fragmented,
  // No more room for fragments of unfinished datagrams.
  fragmentsFull,
  // The flow table is full of flows that wait for a verdict.
  flowsFull,
  // The beginning of a TCP connection was not seen. Inspecting means from here on.
  midFlow,
  // A SYN carries data. Inspecting takes a full flow record for each; dropping cuts the data off, which are then sent again.
  synData,
  // A TCP segment has urgent data. Inspecting makes them ordinary data, as the application may or may not see them.
  urgentData,
  // A TCP segment lies outside of what its receiver can accept, or acknowledges what was never sent.
  outsideWindow,
  // Too much of a TCP stream waits for what is missing before it.
  streamFull,
  // What is missing from a TCP stream did not come in time, or was acknowledged without having been seen.
  streamGap,
  // More unacknowledged data are under way than can be remembered, so that a differing copy could not be noticed.
  streamHistory,
  // Data are sent again that are no longer remembered, because their receiver has acknowledged them.
  streamOld,
  // No more room for packets that wait for a verdict.
  heldFull,
  // A protocol parser has lost its way in a flow whose files, chat or hosts a rule still has to see. Where none has, the
  // flow goes on.
  parserError,
  // The virus scanner is absent, too slow, out of memory, or refuses.
  scanUnavailable,
  // A packed file is larger than is scanned whole: inspecting means buffer by buffer, which sees nothing of what is packed.
  // Or the scanner says that it exceeds its limits.
  scanTooBig,
};

inline constexpr size_t kConditionCount = 15;

enum class ConditionAction : uint8_t {
  // What the condition's description calls inspecting. Where it names nothing of the kind, the packet is dropped.
  inspect,
  // This packet is dropped; of a fragment, its datagram. TCP will send again what was in it.
  drop,
  // The flow is denied from now on.
  dropFlow,
  // This packet goes on without inspection.
  pass,
  // The flow goes on without inspection from now on.
  bypass,
};

inline constexpr size_t kConditionActionCount = 5;

[[nodiscard]] constexpr bool letsPass(ConditionAction action) {
  return action == ConditionAction::pass || action == ConditionAction::bypass;
}

struct ConditionPolicy {
  std::array<ConditionAction, kConditionCount> actions = defaults();

  [[nodiscard]] ConditionAction operator[](Condition condition) const {
    return actions[static_cast<size_t>(condition)];
  }
  void set(Condition condition, ConditionAction action) { actions[static_cast<size_t>(condition)] = action; }

  // Where the policy only watches: what would be dropped goes on.
  [[nodiscard]] ConditionPolicy watching() const;

  // Nothing passes unseen but what cannot matter any more, data that were acknowledged; packed files that are too large are
  // seen as they are on the wire.
  [[nodiscard]] static std::array<ConditionAction, kConditionCount> defaults();
};

struct ConditionCounters {
  std::array<Counter, kConditionCount> counts;

  void add(Condition condition) { counts[static_cast<size_t>(condition)].add(); }
  [[nodiscard]] uint64_t operator[](Condition condition) const { return counts[static_cast<size_t>(condition)].get(); }
};

// As policies and statistics spell them.
[[nodiscard]] std::string_view conditionName(Condition condition);
[[nodiscard]] std::optional<Condition> conditionFromName(std::string_view name);
[[nodiscard]] std::string_view conditionActionName(ConditionAction action);
[[nodiscard]] std::optional<ConditionAction> conditionActionFromName(std::string_view name);

// The reason of a packet that is dropped because of it.
[[nodiscard]] DropReason reasonOf(Condition condition);
// The one condition that drops packets for this reason; nothing where others do so, too.
[[nodiscard]] std::optional<Condition> conditionOf(DropReason reason);

}  // namespace p2pxbone::gateway
