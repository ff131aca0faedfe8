// Where clamd listens.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string_view>

#include "os/fd.h"

namespace p2pxbone {

class ClamdAddress {
 public:
  // A path of a Unix socket, beginning with '/', or a numeric address with its port: "127.0.0.1:3310", "[::1]:3310".
  [[nodiscard]] static std::optional<ClamdAddress> parse(std::string_view text);

  // A socket that does not block, and may still be connecting; an invalid one with errno set if that fails at once.
  [[nodiscard]] UniqueFd connect() const;

 private:
  sockaddr_storage address_{};
  socklen_t bytes_ = 0;
};

}  // namespace p2pxbone
