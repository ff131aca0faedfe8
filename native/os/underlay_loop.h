// The thread that reads the base network: tells datagrams apart, forwards tunnels' packets, and passes DTLS on.
#pragma once

#include <thread>

#include "os/bell.h"
#include "os/control_loop.h"
#include "os/secure_reader.h"

namespace p2pxbone {

using DirectorySlot = std::atomic<const Directory*>;

class UnderlayLoop {
 public:
  struct Surroundings {
    UnderlaySocket& socket;
    const UnderlaySlot& underlay;
    const DirectorySlot& directory;
    EpochDomain& epochs;
    ControlLoop& control;
    ShaperLoop& shaper;
    Bell& bell;
    uint64_t seed;
  };

  // The socket outlives this. Nothing is received before start().
  explicit UnderlayLoop(const Surroundings& around);
  // Stops the socket's waits and joins.
  ~UnderlayLoop();
  UnderlayLoop(const UnderlayLoop&) = delete;
  UnderlayLoop& operator=(const UnderlayLoop&) = delete;

  // Once. The thread waits until the slot has the socket, by which answers leave. 0, or an errno if the system has no thread
  // left.
  [[nodiscard]] int start();

  void addDropsTo(std::array<uint64_t, kDropReasonCount>& totals) const { drops_.addTo(totals); }

 private:
  class UnderlaySink;
  void loop();
  // True if a peer has sent it for certain.
  bool dispatchRun(const DatagramSlot& slot, const Directory& directory, Forwarder& forwarder, SecureReader& secure,
                   Millis now);
  bool dispatch(const DatagramSlot& slot, std::span<uint8_t> bytes, const Directory& directory, Forwarder& forwarder,
                SecureReader& secure, Millis now);
  // To send what gates have let go that had come by this thread.
  static void attendAll(const Directory& directory, Forwarder& forwarder);
  // A system call, so not for every batch.
  void countOverflows(const UnderlaySocket& underlay, Millis now);

  const Surroundings around_;
  const std::shared_ptr<ShaperInlet> inlet_;
  EpochDomain::Worker& worker_;
  DropCounters drops_;
  uint64_t overflows_ = 0;  // counted in drops_ already
  Millis overflowsDue_ = 0;
  std::thread thread_;
};

}  // namespace p2pxbone
