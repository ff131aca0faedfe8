// Transfers of a few bytes by TCP, a connection for each, as an application that forwards messages makes them.
//
// tcp_transfers receive LOCAL               counts until standard input ends; prints {"transfers", "bytes"}
// tcp_transfers forward LOCAL TO            takes each connection's bytes and makes a connection to send them on
// tcp_transfers send TO BYTES SECONDS       makes transfers one after the other; prints {"transfers", "failed", "seconds"}
// Each works with kThreads threads. The first two print "ready" when they listen.
#include <netinet/tcp.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "common.h"

namespace {

constexpr const char* kUsage = "tcp_transfers receive LOCAL | forward LOCAL TO | send TO BYTES SECONDS";
constexpr size_t kThreads = 4;
constexpr size_t kBytesMax = 65'536;

int listenAt(const char* text) {
  const sockaddr_in local = bench::parseEndpoint(text);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) bench::die("socket");
  const int on = 1;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, bench::asSockaddr(local), sizeof local) != 0) bench::die("bind");
  if (listen(fd, 1024) != 0) bench::die("listen");
  std::puts("ready");
  std::fflush(stdout);
  return fd;
}

// All bytes until the other end closes; at most kBytesMax. False if the connection broke.
bool readAll(int fd, std::vector<char>& bytes, size_t& length) {
  for (length = 0; length < bytes.size();) {
    const ssize_t got = read(fd, bytes.data() + length, bytes.size() - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) return true;
    length += static_cast<size_t>(got);
  }
  return true;
}

bool writeAll(int fd, const char* bytes, size_t length) {
  for (size_t done = 0; done < length;) {
    const ssize_t put = send(fd, bytes + done, length - done, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    done += static_cast<size_t>(put);
  }
  return true;
}

// One connection with these bytes. It ends when the other end has closed too, so that everything sent has been read.
bool transfer(const sockaddr_in& to, const char* bytes, size_t length) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) bench::die("socket");
  bool whole = connect(fd, bench::asSockaddr(to), sizeof to) == 0 && writeAll(fd, bytes, length);
  if (whole) {
    (void)shutdown(fd, SHUT_WR);
    char rest = 0;
    whole = read(fd, &rest, 1) == 0;
  }
  close(fd);
  return whole;
}

template <typename Work>
void inThreads(Work work) {
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
}

// Calls `take` with each connection's bytes, for ever.
template <typename Take>
void acceptAll(int listener, Take take) {
  std::vector<char> bytes(kBytesMax);
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    size_t length = 0;
    if (readAll(fd, bytes, length)) take(bytes.data(), length);
    close(fd);
  }
}

int receive(const char* local) {
  const int listener = listenAt(local);
  std::atomic<uint64_t> transfers{0};
  std::atomic<uint64_t> total{0};
  std::thread([&] {
    inThreads([&] {
      acceptAll(listener, [&](const char*, size_t length) {
        transfers.fetch_add(1, std::memory_order_relaxed);
        total.fetch_add(length, std::memory_order_relaxed);
      });
    });
  }).detach();
  char rest = 0;
  while (read(STDIN_FILENO, &rest, 1) > 0) {
  }
  std::printf("{\"transfers\": %llu, \"bytes\": %llu}\n", static_cast<unsigned long long>(transfers.load()),
              static_cast<unsigned long long>(total.load()));
  std::fflush(stdout);
  // The threads still wait for connections that nobody makes.
  _exit(0);
}

int forward(const char* local, const char* to) {
  const sockaddr_in next = bench::parseEndpoint(to);
  const int listener = listenAt(local);
  inThreads([&] { acceptAll(listener, [&](const char* bytes, size_t length) { (void)transfer(next, bytes, length); }); });
  return 0;
}

int sendFor(const char* to, size_t length, double seconds) {
  const sockaddr_in next = bench::parseEndpoint(to);
  const std::vector<char> bytes(length, 'x');
  std::atomic<uint64_t> transfers{0};
  std::atomic<uint64_t> failed{0};
  const double start = bench::nowSeconds();
  inThreads([&] {
    while (bench::nowSeconds() - start < seconds) {
      if (transfer(next, bytes.data(), bytes.size())) transfers.fetch_add(1, std::memory_order_relaxed);
      else failed.fetch_add(1, std::memory_order_relaxed);
    }
  });
  std::printf("{\"transfers\": %llu, \"failed\": %llu, \"seconds\": %.6f}\n",
              static_cast<unsigned long long>(transfers.load()), static_cast<unsigned long long>(failed.load()),
              bench::nowSeconds() - start);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  if (mode == "receive" && argc == 3) return receive(argv[2]);
  if (mode == "forward" && argc == 4) return forward(argv[2], argv[3]);
  if (mode == "send" && argc == 5) {
    return sendFor(argv[2], std::strtoul(argv[3], nullptr, 10), std::strtod(argv[4], nullptr));
  }
  bench::wrongUse(kUsage);
}
