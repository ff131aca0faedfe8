// Counts the datagrams of one run that arrive, each once.
//
// udp_receive LOCAL STAMP-OFFSET RUN
// Prints "ready", counts until its standard input ends, then prints {"received", "repeated", "late", "bytes"}: different
// datagrams, copies of counted ones, those that came after one with a higher number, and bytes of the different ones.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "common.h"

namespace {

constexpr size_t kBatch = 64;
constexpr size_t kDatagramBytes = 2048;
// Datagrams of one run that can be told apart; 64 Mi is a minute at a million a second.
constexpr uint64_t kSequences = uint64_t{1} << 26;

class Tally {
 public:
  void count(const bench::Stamp& stamp, size_t bytes) {
    if (stamp.sequence >= kSequences) return;
    if (stamp.sequence >= seen_.size()) seen_.resize(stamp.sequence + (1 << 20));
    if (seen_[stamp.sequence]) {
      ++repeated_;
      return;
    }
    seen_[stamp.sequence] = true;
    ++received_;
    bytes_ += bytes;
    if (stamp.sequence < highest_) ++late_;
    else highest_ = stamp.sequence;
  }

  void print() const {
    std::printf("{\"received\": %llu, \"repeated\": %llu, \"late\": %llu, \"bytes\": %llu}\n",
                static_cast<unsigned long long>(received_), static_cast<unsigned long long>(repeated_),
                static_cast<unsigned long long>(late_), static_cast<unsigned long long>(bytes_));
  }

 private:
  std::vector<bool> seen_ = std::vector<bool>(1 << 20);
  uint64_t received_ = 0;
  uint64_t repeated_ = 0;
  uint64_t late_ = 0;
  uint64_t bytes_ = 0;
  uint64_t highest_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) bench::wrongUse("udp_receive LOCAL STAMP-OFFSET RUN");
  const int fd = bench::openUdp(bench::parseEndpoint(argv[1]));
  const size_t stampOffset = std::strtoul(argv[2], nullptr, 10);
  const auto run = static_cast<uint32_t>(std::strtoul(argv[3], nullptr, 10));

  std::vector<uint8_t> memory(kBatch * kDatagramBytes);
  std::array<iovec, kBatch> vectors{};
  std::array<mmsghdr, kBatch> headers{};
  for (size_t i = 0; i < kBatch; ++i) {
    vectors[i] = {memory.data() + i * kDatagramBytes, kDatagramBytes};
    headers[i].msg_hdr.msg_iov = &vectors[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }
  Tally tally;
  std::puts("ready");
  std::fflush(stdout);
  for (;;) {
    const int count = recvmmsg(fd, headers.data(), kBatch, MSG_DONTWAIT, nullptr);
    if (count <= 0) {
      std::array<pollfd, 2> waiting{{{fd, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}}};
      if (poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) bench::die("poll");
      // What has arrived by the end of the input still counts.
      if (waiting[1].revents != 0 && waiting[0].revents == 0) break;
      continue;
    }
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      if (headers[i].msg_len < stampOffset + bench::kStampBytes) continue;
      const bench::Stamp stamp = bench::readStamp(memory.data() + i * kDatagramBytes + stampOffset);
      if (stamp.run == run) tally.count(stamp, headers[i].msg_len);
    }
  }
  tally.print();
  return 0;
}
