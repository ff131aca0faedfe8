// A TAP device: Ethernet frames to and from the kernel's IP stack.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <variant>

#include "core/coalesce.h"
#include "core/vxlan.h"
#include "os/fd.h"

namespace p2pxbone {

// Room for a 64 KB super-packet with its headers.
inline constexpr size_t kFrameBytesMax = 65536 + 64;
// Bytes before a slot's room that a device may use while it reads; afterwards they are the caller's again.
inline constexpr size_t kTapHeadroomBytes = 16;
// A read stops when it has got so much: more would leave the processor's cache before it is sent.
inline constexpr size_t kTapReadBytesMax = size_t{128} << 10;

// One slot of a batch to be read. The caller owns the memory, kTapHeadroomBytes before `room` included.
struct TapSlot {
  std::span<uint8_t> room;
  size_t length = 0;
  Offload offload;
  bool malformed = false;  // what the device says about the frame makes no sense
};

struct TapOptions {
  std::string name;
  size_t mtu = 1400;
  Mac mac{};
};

class TapDevice {
 public:
  virtual ~TapDevice() = default;

  // One reader thread. Blocks until a frame can be read, the device is broken or `call` has been signalled, which it drains
  // (true), or stop() has been called (false).
  [[nodiscard]] virtual bool wait(const Wakeup* call) = 0;
  [[nodiscard]] bool wait() { return wait(nullptr); }
  // One reader thread. Fills slots from the first one on; returns how many, 0 if there is nothing to read, or a negative
  // errno when the device is gone. Never blocks.
  [[nodiscard]] virtual int read(std::span<TapSlot> slots) = 0;
  // Any thread, several at once. Hands one frame to the kernel, which copies it. 0 or an errno. Never blocks.
  [[nodiscard]] virtual int write(const TapFrame& frame) = 0;
  // What write() may leave to the kernel; never changes.
  [[nodiscard]] virtual OffloadFeatures features() const = 0;
  // For writers that hand system calls over themselves (os/tap_vector.h); -1 where there is none.
  [[nodiscard]] virtual int descriptor() const = 0;
  // Any thread. Ends the present and all later waits.
  virtual void stop() = 0;
  [[nodiscard]] virtual bool stopped() const = 0;
};

// The device, or an errno.
using TapOutcome = std::variant<std::unique_ptr<TapDevice>, int>;

}  // namespace p2pxbone
