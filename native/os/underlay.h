// The base network: datagrams to and from other resource daemons, over one UDP port.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <variant>

#include "core/endpoint.h"

namespace p2pxbone {

// Room for the largest UDP payload, or a coalesced run of datagrams.
inline constexpr size_t kDatagramBytesMax = 65536;

// One slot of a batch to be received. The caller owns the memory.
struct DatagramSlot {
  std::span<uint8_t> room;
  size_t length = 0;
  bool truncated = false;
  Endpoint from;
};

// A datagram to be sent. The caller keeps the bytes until send() returns.
struct DatagramOut {
  Endpoint to;
  std::span<const uint8_t> bytes;
  int error = 0;  // set by send(): 0 or an errno
};

class UnderlaySocket {
 public:
  virtual ~UnderlaySocket() = default;

  [[nodiscard]] virtual Endpoint local() const = 0;
  // One reader thread. Blocks until something can be received (true) or stop() has been called (false).
  [[nodiscard]] virtual bool wait() = 0;
  // One reader thread. Fills slots from the first one on; returns how many, 0 if there is nothing. Never blocks.
  [[nodiscard]] virtual size_t receive(std::span<DatagramSlot> slots) = 0;
  // Any thread, several at once. Sends each on its own; one that fails does not hold up the others. Never blocks.
  virtual void send(std::span<DatagramOut> datagrams) = 0;
  // Any thread. Ends the present and all later waits.
  virtual void stop() = 0;
};

// The socket, or an errno.
using UnderlayOutcome = std::variant<std::unique_ptr<UnderlaySocket>, int>;


}  // namespace p2pxbone
