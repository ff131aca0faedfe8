// Sends copies of one datagram at a steady rate, in batches of what has come due.
//
// udp_send FROM TO TEMPLATE-HEX STAMP-OFFSET RUN RATE SECONDS SEGMENTS
//   RATE: datagrams a second; 0 is as fast as the socket takes them. SEGMENTS: 1 gives each datagram to the kernel by
//   itself (sendmmsg); more puts up to so many into one UDP_SEGMENT send.
// Prints {"sent", "seconds", "refused"}: datagrams the kernel took, the time, and sends it refused.
#include <netinet/udp.h>
#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <vector>

#include "common.h"

namespace {

constexpr const char* kUsage = "udp_send FROM TO TEMPLATE-HEX STAMP-OFFSET RUN RATE SECONDS SEGMENTS";
constexpr size_t kBatch = 64;
// Between two batches the sender sleeps so long, which leaves the processor to the tunnel; at 400,000 a second a batch
// then has 20 datagrams.
constexpr double kPauseSeconds = 50e-6;

std::vector<uint8_t> parseHex(const char* text) {
  std::vector<uint8_t> bytes(std::strlen(text) / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    const char digits[3] = {text[2 * i], text[2 * i + 1], '\0'};
    bytes[i] = static_cast<uint8_t>(std::strtoul(digits, nullptr, 16));
  }
  return bytes;
}

class Batch {
 public:
  Batch(int fd, const std::vector<uint8_t>& datagram, size_t stampOffset, uint32_t run, size_t segments)
      : fd_(fd), size_(datagram.size()), stampOffset_(stampOffset), run_(run), segments_(segments) {
    bytes_.resize(size_ * kBatch);
    for (size_t i = 0; i < kBatch; ++i) std::copy(datagram.begin(), datagram.end(), bytes_.begin() + slot(i));
  }

  // Sends `count` datagrams, at most kBatch; returns how many the kernel took.
  size_t send(uint64_t firstSequence, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      bench::writeStamp(bytes_.data() + slot(i) + static_cast<ptrdiff_t>(stampOffset_), run_, firstSequence + i);
    }
    const size_t messages = (count + segments_ - 1) / segments_;
    for (size_t m = 0; m < messages; ++m) fill(m, std::min(segments_, count - m * segments_));
    const int taken = sendmmsg(fd_, headers_.data(), static_cast<unsigned>(messages), 0);
    if (taken < 0) {
      if (errno == ENOBUFS || errno == EAGAIN || errno == ECONNREFUSED || errno == EINTR) return 0;
      bench::die("sendmmsg");
    }
    return std::min(count, static_cast<size_t>(taken) * segments_);
  }

 private:
  ptrdiff_t slot(size_t i) const { return static_cast<ptrdiff_t>(i * size_); }

  void fill(size_t m, size_t segments) {
    vectors_[m] = {bytes_.data() + slot(m * segments_), size_ * segments};
    msghdr& header = headers_[m].msg_hdr;
    header = {};
    header.msg_iov = &vectors_[m];
    header.msg_iovlen = 1;
    if (segments < 2) return;
    header.msg_control = controls_[m].data();
    header.msg_controllen = CMSG_SPACE(sizeof(uint16_t));
    cmsghdr* control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto segmentBytes = static_cast<uint16_t>(size_);
    std::memcpy(CMSG_DATA(control), &segmentBytes, sizeof segmentBytes);
  }

  const int fd_;
  const size_t size_;
  const size_t stampOffset_;
  const uint32_t run_;
  const size_t segments_;
  std::vector<uint8_t> bytes_;
  std::array<iovec, kBatch> vectors_{};
  std::array<mmsghdr, kBatch> headers_{};
  struct alignas(cmsghdr) Control : std::array<uint8_t, CMSG_SPACE(sizeof(uint16_t))> {};
  std::array<Control, kBatch> controls_{};
};

void pause() {
  const timespec time{0, static_cast<long>(kPauseSeconds * 1e9)};
  (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 9) bench::wrongUse(kUsage);
  const int fd = bench::openUdp(bench::parseEndpoint(argv[1]));
  const sockaddr_in to = bench::parseEndpoint(argv[2]);
  if (connect(fd, bench::asSockaddr(to), sizeof to) != 0) bench::die("connect");
  const std::vector<uint8_t> datagram = parseHex(argv[3]);
  const size_t stampOffset = std::strtoul(argv[4], nullptr, 10);
  const auto run = static_cast<uint32_t>(std::strtoul(argv[5], nullptr, 10));
  const double rate = std::strtod(argv[6], nullptr);
  const double seconds = std::strtod(argv[7], nullptr);
  // One UDP_SEGMENT send holds at most 64 KB.
  const size_t segments = std::clamp<size_t>(std::strtoul(argv[8], nullptr, 10), 1, kBatch);
  if (stampOffset + bench::kStampBytes > datagram.size() || datagram.size() * segments > 65'000) bench::wrongUse(kUsage);
  // Without this the kernel adds up to 50 µs to every sleep.
  (void)prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);

  Batch batch(fd, datagram, stampOffset, run, segments);
  uint64_t sent = 0;
  uint64_t refused = 0;
  const double start = bench::nowSeconds();
  double elapsed = 0;
  for (; elapsed < seconds; elapsed = bench::nowSeconds() - start) {
    const uint64_t due = rate > 0 ? static_cast<uint64_t>(elapsed * rate) : sent + kBatch;
    if (due <= sent) {
      pause();
      continue;
    }
    const size_t taken = batch.send(sent, static_cast<size_t>(std::min<uint64_t>(due - sent, kBatch)));
    if (taken == 0) {
      ++refused;
      pause();
    }
    sent += taken;
  }
  std::printf("{\"sent\": %llu, \"seconds\": %.6f, \"refused\": %llu}\n", static_cast<unsigned long long>(sent), elapsed,
              static_cast<unsigned long long>(refused));
  return 0;
}
