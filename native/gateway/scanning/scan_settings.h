// What of a file is scanned, and how.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/millis.h"

namespace p2pxbone::gateway {

struct ScanSettings {
  // Of a file that is scanned buffer by buffer, at least 1; smaller ones are scanned whole.
  size_t bufferBytes = size_t{1} << 20;
  // Of a buffer, so much is scanned again in front of the next one. A signature that is no longer than this, by one byte,
  // is found wherever it lies.
  size_t tailBytes = size_t{16} << 10;
  // Programs and documents up to this size are scanned whole, larger ones buffer by buffer.
  uint64_t objectMax = 25'000'000;
  // Files that are packed are scanned whole, up to this size. Should not be more than clamd's StreamMaxLength and
  // MaxFileSize.
  uint64_t archiveMax = 100'000'000;
  // So many buffers may wait for their result while the file goes on. With 0 it waits for each.
  uint32_t buffersAhead = 1;
  // So long a file waits for room in the engine before that is Condition::scanUnavailable.
  Millis patience = 10'000;
  // Of a file whose size is unknown every packet could be the last one. It is kept back so long; then what has come is
  // scanned. Less than TCP's shortest time-out for sending again.
  Millis keepBack = 50;
};

}  // namespace p2pxbone::gateway
