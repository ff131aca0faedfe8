// The other end of a session, after a handshake: its keys and nothing else.
#pragma once

#include <optional>
#include <vector>

#include "core/association_session.h"
#include "core/record_keys.h"

namespace p2pxbone::testing {

class RecordPeer {
 public:
  RecordPeer(SessionOutcome&& outcome, Role role)
      : sending_(outcome.keys.cipher, role == Role::client ? outcome.keys.client : outcome.keys.server,
                 outcome.firstRecordNumber, uint64_t{1} << 31),
        receiving_(outcome.keys.cipher, role == Role::client ? outcome.keys.server : outcome.keys.client) {}

  [[nodiscard]] std::vector<uint8_t> seal(uint8_t type, std::span<const uint8_t> content) {
    std::vector<uint8_t> record(content.size() + recordOverheadBytes(sending_.cipher()));
    record.resize(sending_.seal(type, content, record));
    return record;
  }
  // nullopt if it is not for this session, or was seen before.
  [[nodiscard]] std::optional<std::vector<uint8_t>> open(std::span<const uint8_t> record) {
    std::vector<uint8_t> bytes(record.begin(), record.end());
    std::span<uint8_t> content;
    if (bytes.size() < recordHeaderBytes || receiving_.open(bytes, false, content) != ReceivingKeys::Outcome::opened) return std::nullopt;
    return std::vector<uint8_t>(content.begin(), content.end());
  }

 private:
  SendingKeys sending_;
  ReceivingKeys receiving_;
};

}  // namespace p2pxbone::testing
