// Sends whole IP packets that are nobody's: RSTs and ICMP errors of the gateway. The kernel routes them by their destination.
#pragma once

#include <cstdint>
#include <span>

#include "os/fd.h"

namespace p2pxbone {

class RawSender {
 public:
  // Throws std::system_error without CAP_NET_RAW. A family that the machine does not have is left out.
  RawSender();

  // `packet` begins with the IP header. False if it could not be sent; never waits.
  bool send(std::span<const uint8_t> packet);

 private:
  UniqueFd v4_;
  UniqueFd v6_;
};

}  // namespace p2pxbone
