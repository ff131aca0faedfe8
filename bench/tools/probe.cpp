// Measures a path from outside with UDP datagrams that carry a number and the time at which they were sent. Both ends run
// on one machine, in different network namespaces, and so share a clock: delays are one-way, and arrival is the
// kernel's time stamp, not that of this process's next turn on the processor.
//
//   probe receive PORT IDLE_MS                       says "ready", ends IDLE_MS after the last datagram, prints JSON
//   probe send ADDRESS PORT BYTES PER_SECOND SECONDS  IPv4; BYTES of payload, paced evenly
#include <arpa/inet.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

constexpr size_t kBatch = 64;
constexpr size_t kDatagramMax = 9000;
constexpr size_t kArrivalsMax = 4'000'000;
constexpr int64_t kSecond = 1'000'000'000;
// Shorter sleeps cost more than they give; what has become due meanwhile is sent together.
constexpr int64_t kSleepLeast = 30'000;
// Of the rate: what the bucket of a rate limit lets through at first is none of it.
constexpr double kWarmUp = 0.25;

struct Mark {
  uint64_t number;
  int64_t sent;
};

struct Arrival {
  uint64_t number;
  int64_t sent;
  int64_t received;
  size_t bytes;
};

int64_t now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

int openSocket() {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  const int buffer = 64 << 20;
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof buffer);
  return fd;
}

sockaddr_in addressOf(const char* ip, const char* port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(port)));
  if (inet_pton(AF_INET, ip, &address.sin_addr) != 1) {
    std::fprintf(stderr, "probe: %s is no IPv4 address\n", ip);
    std::exit(2);
  }
  return address;
}

int send(const sockaddr_in& to, size_t bytes, double perSecond, double seconds) {
  const int fd = openSocket();
  if (connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) fail("connect");
  std::vector<uint8_t> memory(kBatch * bytes);
  std::array<iovec, kBatch> pieces{};
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < kBatch; ++i) {
    pieces[i] = {memory.data() + i * bytes, bytes};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  const auto total = static_cast<uint64_t>(perSecond * seconds);
  const int64_t start = now(CLOCK_MONOTONIC);
  uint64_t sent = 0;
  uint64_t refused = 0;
  while (sent < total) {
    const int64_t elapsed = now(CLOCK_MONOTONIC) - start;
    const auto due = std::min(total, static_cast<uint64_t>(static_cast<double>(elapsed) * perSecond / kSecond) + 1);
    if (due == sent) {
      const auto next = static_cast<int64_t>(static_cast<double>(sent) * kSecond / perSecond);
      const int64_t wait = std::max(kSleepLeast, next - elapsed);
      const timespec pause{wait / kSecond, wait % kSecond};
      clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, nullptr);
      continue;
    }
    const size_t count = std::min<uint64_t>(kBatch, due - sent);
    const int64_t at = now(CLOCK_REALTIME);
    for (size_t i = 0; i < count; ++i) {
      const Mark mark{sent + i, at};
      std::memcpy(memory.data() + i * bytes, &mark, sizeof mark);
    }
    const int done = sendmmsg(fd, messages.data(), static_cast<unsigned>(count), 0);
    if (done <= 0) ++refused;
    sent += done > 0 ? static_cast<uint64_t>(done) : 1;
  }
  const double took = static_cast<double>(now(CLOCK_MONOTONIC) - start) / kSecond;
  std::printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.6f}\n", static_cast<unsigned long long>(sent - refused),
              static_cast<unsigned long long>(refused), took);
  return 0;
}

int64_t stampOf(const msghdr& header) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(const_cast<msghdr*>(&header), part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec time{};
    std::memcpy(&time, CMSG_DATA(part), sizeof time);
    return time.tv_sec * kSecond + time.tv_nsec;
  }
  return now(CLOCK_REALTIME);
}

std::vector<Arrival> collect(int fd, int idleMs) {
  std::vector<Arrival> arrivals;
  arrivals.reserve(1 << 20);
  std::vector<uint8_t> memory(kBatch * kDatagramMax);
  std::array<std::array<uint8_t, 64>, kBatch> controls{};
  std::array<iovec, kBatch> pieces{};
  std::array<mmsghdr, kBatch> messages{};
  pollfd waited{fd, POLLIN, 0};
  constexpr int kFirstMs = 20'000;
  while (poll(&waited, 1, arrivals.empty() ? kFirstMs : idleMs) > 0 && arrivals.size() < kArrivalsMax) {
    for (size_t i = 0; i < kBatch; ++i) {
      pieces[i] = {memory.data() + i * kDatagramMax, kDatagramMax};
      messages[i].msg_hdr = {};
      messages[i].msg_hdr.msg_iov = &pieces[i];
      messages[i].msg_hdr.msg_iovlen = 1;
      messages[i].msg_hdr.msg_control = controls[i].data();
      messages[i].msg_hdr.msg_controllen = controls[i].size();
    }
    const int count = recvmmsg(fd, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<size_t>(i);
      Mark mark{};
      if (messages[at].msg_len < sizeof mark) continue;
      std::memcpy(&mark, memory.data() + at * kDatagramMax, sizeof mark);
      arrivals.push_back({mark.number, mark.sent, stampOf(messages[at].msg_hdr), messages[at].msg_len});
    }
  }
  return arrivals;
}

// Payload bits per second after the warm-up, and packets, from which the caller adds its headers.
void printRate(const std::vector<Arrival>& arrivals) {
  const int64_t begin = arrivals.front().received;
  const int64_t end = arrivals.back().received;
  const int64_t from = begin + static_cast<int64_t>(static_cast<double>(end - begin) * kWarmUp);
  uint64_t bytes = 0;
  uint64_t packets = 0;
  int64_t first = 0;
  for (const Arrival& arrival : arrivals) {
    if (arrival.received < from) continue;
    // The first one opens the window and is not in it.
    if (first == 0) {
      first = arrival.received;
      continue;
    }
    bytes += arrival.bytes;
    ++packets;
  }
  std::printf("\"windowSeconds\": %.9f, \"windowBytes\": %llu, \"windowPackets\": %llu, ",
              static_cast<double>(end - first) / kSecond, static_cast<unsigned long long>(bytes),
              static_cast<unsigned long long>(packets));
}

void printDelays(const std::vector<Arrival>& arrivals) {
  std::vector<double> delays;
  double sum = 0;
  uint64_t late = 0;
  uint64_t highest = 0;
  for (const Arrival& arrival : arrivals) {
    delays.push_back(static_cast<double>(arrival.received - arrival.sent) / 1e6);
    sum += delays.back();
    if (arrival.number < highest) ++late;
    highest = std::max(highest, arrival.number);
  }
  const double mean = sum / static_cast<double>(delays.size());
  double squares = 0;
  for (const double delay : delays) squares += (delay - mean) * (delay - mean);
  std::sort(delays.begin(), delays.end());
  const auto quantile = [&](double share) {
    return delays[static_cast<size_t>(share * static_cast<double>(delays.size() - 1))];
  };
  const double half = quantile(0.5) / 2;
  const auto early = std::lower_bound(delays.begin(), delays.end(), half) - delays.begin();
  std::printf("\"overtaken\": %llu, \"underHalfOfMedian\": %lld, ", static_cast<unsigned long long>(late),
              static_cast<long long>(early));
  std::printf("\"ms\": {\"least\": %.6f, \"p05\": %.6f, \"median\": %.6f, \"mean\": %.6f, \"p95\": %.6f, \"p99\": %.6f, "
              "\"most\": %.6f, \"deviation\": %.6f}",
              delays.front(), quantile(0.05), quantile(0.5), mean, quantile(0.95), quantile(0.99), delays.back(),
              std::sqrt(squares / static_cast<double>(delays.size())));
}

int receive(const char* port, int idleMs) {
  const int fd = openSocket();
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
  const sockaddr_in any = addressOf("0.0.0.0", port);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) != 0) fail("bind");
  std::printf("ready\n");
  std::fflush(stdout);
  const std::vector<Arrival> arrivals = collect(fd, idleMs);
  std::printf("{\"received\": %zu", arrivals.size());
  if (arrivals.size() > 1) {
    std::printf(", ");
    printRate(arrivals);
    printDelays(arrivals);
  }
  std::printf("}\n");
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  prctl(PR_SET_TIMERSLACK, 1UL);
  const std::string verb = count > 1 ? arguments[1] : "";
  if (verb == "receive" && count == 4) return receive(arguments[2], std::atoi(arguments[3]));
  if (verb == "send" && count == 7) {
    const auto bytes = static_cast<size_t>(std::atoi(arguments[4]));
    const double perSecond = std::atof(arguments[5]);
    if (bytes >= sizeof(Mark) && bytes <= kDatagramMax && perSecond > 0) {
      return send(addressOf(arguments[2], arguments[3]), bytes, perSecond, std::atof(arguments[6]));
    }
  }
  std::fprintf(stderr, "usage: probe receive PORT IDLE_MS | probe send ADDRESS PORT BYTES PER_SECOND SECONDS\n");
  return 2;
}
