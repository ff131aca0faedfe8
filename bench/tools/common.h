// What the traffic generators share: arguments, IPv4 sockets, time.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace bench {

[[noreturn]] inline void die(const char* what) {
  std::fprintf(stderr, "%s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

[[noreturn]] inline void wrongUse(const char* usage) {
  std::fprintf(stderr, "usage: %s\n", usage);
  std::exit(2);
}

// "10.0.0.1:5000".
inline sockaddr_in parseEndpoint(const std::string& text) {
  const size_t colon = text.rfind(':');
  sockaddr_in endpoint{};
  endpoint.sin_family = AF_INET;
  if (colon == std::string::npos || inet_pton(AF_INET, text.substr(0, colon).c_str(), &endpoint.sin_addr) != 1) {
    std::fprintf(stderr, "%s is not ADDRESS:PORT\n", text.c_str());
    std::exit(2);
  }
  endpoint.sin_port = htons(static_cast<uint16_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 10)));
  return endpoint;
}

inline const sockaddr* asSockaddr(const sockaddr_in& endpoint) { return reinterpret_cast<const sockaddr*>(&endpoint); }

// A bound socket with the largest buffers that root may ask for: the tunnel is measured, not the ends' buffers.
inline int openUdp(const sockaddr_in& local) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  const int bytes = 16 << 20;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
  if (bind(fd, asSockaddr(local), sizeof local) != 0) die("bind");
  return fd;
}

inline double nowSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Each datagram carries, at an agreed offset, the number of its run (4 bytes) and its own in the run (8 bytes), in the
// sender's byte order: sender and receiver are on one machine.
inline constexpr size_t kStampBytes = 12;

inline void writeStamp(uint8_t* at, uint32_t run, uint64_t sequence) {
  std::memcpy(at, &run, sizeof run);
  std::memcpy(at + sizeof run, &sequence, sizeof sequence);
}

struct Stamp {
  uint32_t run;
  uint64_t sequence;
};

inline Stamp readStamp(const uint8_t* at) {
  Stamp stamp{};
  std::memcpy(&stamp.run, at, sizeof stamp.run);
  std::memcpy(&stamp.sequence, at + sizeof stamp.run, sizeof stamp.sequence);
  return stamp;
}

}  // namespace bench
