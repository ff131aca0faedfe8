// Opens records; the underlay's reader has one.
#pragma once

#include "core/secure_channel.h"

namespace p2pxbone {

struct OpenedRecord {
  uint8_t type = 0;
  std::span<uint8_t> content;  // inside the record
  bool newest = false;         // no record with a higher number had been opened
  bool provesKeys = false;     // the first one under the newest keys
};

class RecordOpener {
 public:
  // DropReason::none if it was opened, in place. Otherwise recordReplayed, keysMissing or dtlsRecordBad, and the bytes are
  // as they were if `restore` is set.
  [[nodiscard]] static DropReason open(SecureChannel& channel, std::span<uint8_t> record, Millis now, bool restore,
                                       OpenedRecord& opened);
};

}  // namespace p2pxbone
