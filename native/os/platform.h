// What a data plane asks of the machine it runs on. Linux in production, memory in tests.
#pragma once

#include "os/tap.h"
#include "os/underlay.h"

namespace p2pxbone {

class Platform {
 public:
  virtual ~Platform() = default;
  // Creates the device, down and without addresses.
  [[nodiscard]] virtual TapOutcome openTap(const TapOptions& options) = 0;
  // Binds; port 0 picks one. `::` takes IPv4 too. `seed`: unpredictable to others.
  [[nodiscard]] virtual UnderlayOutcome openUnderlay(const Endpoint& local, uint64_t seed) = 0;
};

class LinuxPlatform final : public Platform {
 public:
  TapOutcome openTap(const TapOptions& options) override;
  UnderlayOutcome openUnderlay(const Endpoint& local, uint64_t seed) override;
};

}  // namespace p2pxbone
