// The ways by which packets from the base network get into a TAP; all do the same, at different cost.
#pragma once

#include <cstdint>
#include <memory>

#include "os/tap.h"

namespace p2pxbone {

// See ReceivePath in api.ts.
enum class ReceivePath : uint8_t {
  direct,  // the thread that reads the base network writes the TAP
  queue,   // a thread per TAP does, behind a bounded ring
  aio,     // POSIX AIO
  uring,   // io_uring: a batch of writes is one system call
};

// Hears what became of frames. Called by the thread that writes, which is one.
class TapWriteReport {
 public:
  virtual ~TapWriteReport() = default;
  // `error`: 0 or an errno.
  virtual void written(size_t packets, int error) = 0;
};

// Called by the underlay's reader only. Frames reach the kernel in the order in which they are written.
class TapWriter {
 public:
  virtual ~TapWriter() = default;

  // The frame's memory stays as it is until flush() returns. False if there is no room for the frame.
  [[nodiscard]] virtual bool write(const TapFrame& frame) = 0;
  virtual void flush() = 0;
  // Control side, once no one writes any more. Afterwards every frame has been reported.
  virtual void stop() = 0;
};

// Where the path is not to be had on this machine or for this device, the direct one, with a notice. The device and the
// report outlive it. Throws std::system_error if the system has no thread left.
[[nodiscard]] std::unique_ptr<TapWriter> makeTapWriter(ReceivePath path, TapDevice& tap, TapWriteReport& report);

// For makeTapWriter; null where it is not to be had.
[[nodiscard]] std::unique_ptr<TapWriter> makeQueueTapWriter(TapDevice& tap, TapWriteReport& report);
[[nodiscard]] std::unique_ptr<TapWriter> makeAioTapWriter(TapDevice& tap, TapWriteReport& report);
[[nodiscard]] std::unique_ptr<TapWriter> makeUringTapWriter(TapDevice& tap, TapWriteReport& report);

}  // namespace p2pxbone
