// JA4: a fingerprint of TLS clients, which stays the same when a client shuffles its extensions.
#pragma once

#include <string>

#include "gateway/client_hello.h"

namespace p2pxbone::gateway {

enum class HelloTransport : char { tcp = 't', quic = 'q', datagram = 'd' };

// For instance t13d1516h2_8daaf6152771_e5627efa2ab1. Empty if OpenSSL fails.
[[nodiscard]] std::string ja4Of(const ClientHello& hello, HelloTransport transport);

}  // namespace p2pxbone::gateway
