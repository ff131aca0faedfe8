// What a policy is asked about, and what it says.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "core/millis.h"
#include "gateway/file_type.h"
#include "gateway/flow.h"
#include "gateway/sha256.h"
#include "gateway/wall_time.h"

namespace p2pxbone::gateway {

struct FlowFacts {
  const Flow& flow;
  Application application = Application::unknown;
  // Nothing more will be found out about the application; it may be `unknown` for good.
  bool applicationKnown = false;
  // Server name of TLS or QUIC, host of HTTP. Empty: none, or none yet.
  std::string_view host{};
  bool hostKnown = false;
  WallTime now = 0;
  // Local time minus UTC, for policies whose times are local.
  int32_t utcOffsetSeconds = 0;
};

struct FileFacts {
  // The last part of the path. Empty while unknown.
  std::string_view name{};
  std::optional<uint64_t> size{};
  // So much it has in any case: what has been seen of it, or what its sender has told where more may come.
  uint64_t atLeast = 0;
  std::optional<FileType> type{};
  const Sha256* sha256 = nullptr;
  Side sender = Side::responder;
  // Nothing more will become known of this file: what still is not has no value, and no condition about it holds.
  bool final = false;
};

struct ChatFacts {
  // Empty where unknown, for good.
  std::string_view from{}, to{};
  std::string_view text{};
};

// Bits of Decision::needs: what the answer still depends on.
inline constexpr uint32_t kNeedsApplication = 1U << 0;
inline constexpr uint32_t kNeedsHost = 1U << 1;
// That files be told, with name, size and sender.
inline constexpr uint32_t kNeedsFiles = 1U << 2;
// Their type by content.
inline constexpr uint32_t kNeedsFileType = 1U << 3;
// The hash of all of the file: the end of it has to be held back until it is known.
inline constexpr uint32_t kNeedsFileHash = 1U << 4;
inline constexpr uint32_t kNeedsChat = 1U << 5;
inline constexpr std::array<std::pair<uint32_t, std::string_view>, 6> kNeedNames{{{kNeedsApplication, "application"},
                                                                                 {kNeedsHost, "host"},
                                                                                 {kNeedsFiles, "files"},
                                                                                 {kNeedsFileType, "file type"},
                                                                                 {kNeedsFileHash, "file hash"},
                                                                                 {kNeedsChat, "chat"}}};
// Any of what only a protocol's parser can tell.
inline constexpr uint32_t kNeedsContent = kNeedsFiles | kNeedsFileType | kNeedsFileHash | kNeedsChat;

struct Decision {
  enum class Action : uint8_t { accept, drop, reject, redirect };

  // While undecided, `accept` or `redirect`: the packet goes on.
  Action action = Action::accept;
  // Nothing that becomes known later can change it: of the flow, or of the file or message that was asked about.
  bool decided = true;
  // From 1 on; kNoRule where none matched, or may yet.
  uint32_t rule = kNoRule;
  std::optional<uint32_t> mark{};
  // Class of bandwidth, index + 1; 0: none.
  uint16_t limit = 0;
  bool log = false;
  // While undecided: some outcome asks for it, and bytes that have passed cannot be had back. Begin, and abandon it
  // when the decision does not.
  bool scan = false;
  bool store = false;
  // The policy only watches: record what it says and let everything go on as if it had not.
  bool dryRun = false;
  // Facts of this flow, or of this file, that are still of interest. A decided flow can have some: of its files, which
  // are to be scanned or stored, and of an HTTP connection the hosts of its next requests.
  uint32_t needs = 0;
  // A condition on the file's size may come out otherwise when it has at least so many bytes.
  uint64_t sizeOpen = UINT64_MAX;
  // With drop and reject: how long the connection cache is to refuse the connection.
  Millis denyFor = 0;

  [[nodiscard]] bool denies() const { return action == Action::drop || action == Action::reject; }
  // To be carried out, and not only recorded.
  [[nodiscard]] bool deniesNow() const { return denies() && !dryRun; }

  friend bool operator==(const Decision&, const Decision&) = default;
};

}  // namespace p2pxbone::gateway
