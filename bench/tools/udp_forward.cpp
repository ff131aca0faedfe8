// Application-layer forwarding: receives each datagram in a process and sends it on.
//
// udp_forward LOCAL TO
// Prints "ready" and forwards until it is killed.
#include <array>
#include <vector>

#include "common.h"

namespace {

constexpr size_t kBatch = 64;
constexpr size_t kDatagramBytes = 2048;

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) bench::wrongUse("udp_forward LOCAL TO");
  const int in = bench::openUdp(bench::parseEndpoint(argv[1]));
  sockaddr_in anywhere{};
  anywhere.sin_family = AF_INET;
  const int out = bench::openUdp(anywhere);
  const sockaddr_in to = bench::parseEndpoint(argv[2]);
  if (connect(out, bench::asSockaddr(to), sizeof to) != 0) bench::die("connect");

  std::vector<uint8_t> memory(kBatch * kDatagramBytes);
  std::array<iovec, kBatch> vectors{};
  std::array<mmsghdr, kBatch> headers{};
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    for (size_t i = 0; i < kBatch; ++i) {
      vectors[i] = {memory.data() + i * kDatagramBytes, kDatagramBytes};
      headers[i] = {};
      headers[i].msg_hdr.msg_iov = &vectors[i];
      headers[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(in, headers.data(), kBatch, MSG_WAITFORONE, nullptr);
    if (count < 0) {
      if (errno == EINTR) continue;
      bench::die("recvmmsg");
    }
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) vectors[i].iov_len = headers[i].msg_len;
    for (int done = 0; done < count;) {
      const int sent = sendmmsg(out, headers.data() + done, static_cast<unsigned>(count - done), 0);
      // A refused datagram is lost, as in any forwarder.
      done += sent > 0 ? sent : 1;
    }
  }
}
