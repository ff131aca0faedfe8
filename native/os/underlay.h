// The base network: datagrams to and from other resource daemons, over one UDP port.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <variant>

#include "core/association.h"
#include "core/datagram_run.h"
#include "core/endpoint.h"
#include "os/fd.h"

namespace p2pxbone {

// Room for the largest UDP payload, or a coalesced run of datagrams.
inline constexpr size_t kDatagramBytesMax = 65536;
// Limits of one message to the kernel (UDP_SEGMENT).
inline constexpr size_t kMessageDatagramsMax = 64;
inline constexpr size_t kMessageBytesMax = 65507;

// An address of this host; IPv4 in its mapped form.
using HostAddress = std::array<uint8_t, 16>;

// One slot of a batch to be received. The caller owns the memory.
struct DatagramSlot {
  std::span<uint8_t> room;
  // What has arrived, in `room`: one datagram, or several of one sender that the kernel has joined.
  DatagramRun run;
  bool truncated = false;
  Endpoint from;
  // The address of ours that it was sent to, where the socket has several.
  std::optional<HostAddress> to = std::nullopt;
};

// Datagrams to one receiver, of equal size but for the last, which may be shorter. The caller keeps all memory until send()
// returns.
struct MessageOut {
  Endpoint to;
  // One after another they are the datagrams; each piece holds whole datagrams.
  std::span<const std::span<const uint8_t>> pieces;
  size_t segmentBytes = 0;
  size_t datagrams = 0;
  // Set by send(): how many could not be sent, their bytes, and the errno of the last of them.
  size_t failed = 0;
  size_t failedBytes = 0;
  int error = 0;
  // The address of ours to send from. Otherwise it is the one at which the receiver reaches us, if he has been heard.
  std::optional<HostAddress> source = std::nullopt;
};

// What send() does where the socket's buffer is full.
enum class SendPatience : uint8_t {
  none,   // drop
  brief,  // wait a little, so that the sender's queues fill up and slow it down
};

class UnderlaySocket {
 public:
  virtual ~UnderlaySocket() = default;

  [[nodiscard]] virtual Endpoint local() const = 0;
  // One reader thread. Blocks until something can be received or `call` has been signalled, which it drains (true), or
  // stop() has been called (false).
  [[nodiscard]] virtual bool wait(const Wakeup* call) = 0;
  [[nodiscard]] bool wait() { return wait(nullptr); }
  // One reader thread. Fills slots from the first one on; returns how many, 0 if there is nothing. Never blocks.
  [[nodiscard]] virtual size_t receive(std::span<DatagramSlot> slots) = 0;
  // One reader thread. Datagrams that found no room in the socket since it was opened.
  [[nodiscard]] virtual uint64_t overflows() const = 0;
  // Any thread. A peer who has proven who he is reaches us at that address, and so is sent to from there; a socket with
  // one address has nothing to note. Not for strangers' datagrams: those would push peers out of the table.
  virtual void heard(const Endpoint& /*peer*/, const HostAddress& /*local*/, Millis /*now*/) {}
  // Any thread, several at once. In order; one that fails does not hold up the others. Blocks only as patience allows.
  virtual void send(std::span<MessageOut> messages, SendPatience patience) = 0;
  // Any thread. Ends the present and all later waits.
  virtual void stop() = 0;
  [[nodiscard]] virtual bool stopped() const = 0;
};

[[nodiscard]] inline size_t bytesOf(const MessageOut& message) {
  size_t bytes = 0;
  for (const std::span<const uint8_t> piece : message.pieces) bytes += piece.size();
  return bytes;
}

// 0 or an errno.
[[nodiscard]] inline int sendOne(UnderlaySocket& socket, const Endpoint& to, std::span<const uint8_t> datagram,
                                 const std::optional<HostAddress>& source = std::nullopt) {
  MessageOut message{to, {&datagram, 1}, datagram.size(), 1, 0, 0, 0, source};
  socket.send({&message, 1}, SendPatience::none);
  return message.error;
}

// The socket, or an errno.
using UnderlayOutcome = std::variant<std::unique_ptr<UnderlaySocket>, int>;

}  // namespace p2pxbone
