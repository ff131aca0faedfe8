// Turns a ClientHello into what a flow's record says about it.
#pragma once

#include "gateway/client_hello.h"
#include "gateway/ja4.h"
#include "gateway/recognisers/recogniser.h"

namespace p2pxbone::gateway {

[[nodiscard]] inline ClientHelloSummary summarise(const ClientHello& hello, HelloTransport transport) {
  ClientHelloSummary summary;
  summary.serverName = hello.serverName;
  if (!hello.applicationProtocols.empty()) summary.applicationProtocol = hello.applicationProtocols.front();
  summary.ja4 = ja4Of(hello, transport);
  summary.version = highestVersion(hello);
  summary.encryptedHello = hello.encryptedHello;
  return summary;
}

// Applications that encrypt everything but the name of their servers; otherwise what carries them.
[[nodiscard]] Application applicationOfServer(std::string_view serverName, Application carrier);

}  // namespace p2pxbone::gateway
