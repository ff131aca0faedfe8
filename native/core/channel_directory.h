// In which the underlay's reader finds the channel of a record by the endpoint it came from. Immutable; the control
// thread publishes a new one when an association begins, comes up, moves or ends.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/endpoint.h"
#include "core/secure_channel.h"

namespace p2pxbone {

class ChannelDirectory {
 public:
  // `channel` null: a handshake that we began; its first records may overtake its end.
  struct Entry {
    Endpoint peer;
    std::shared_ptr<SecureChannel> channel;
  };
  ChannelDirectory() = default;
  explicit ChannelDirectory(std::vector<Entry> entries) : entries_(std::move(entries)) {
    for (const Entry& entry : entries_) byPeer_.emplace(entry.peer, &entry);
  }
  ChannelDirectory(const ChannelDirectory&) = delete;
  ChannelDirectory& operator=(const ChannelDirectory&) = delete;

  // Null if there is none.
  [[nodiscard]] const Entry* find(const Endpoint& peer) const {
    const auto found = byPeer_.find(peer);
    return found == byPeer_.end() ? nullptr : found->second;
  }
  [[nodiscard]] std::span<const Entry> entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<Endpoint, const Entry*, EndpointHash> byPeer_;
};

using ChannelDirectorySlot = std::atomic<const ChannelDirectory*>;

}  // namespace p2pxbone
