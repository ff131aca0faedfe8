// A client that is refused and does not give up: HTTP requests over so many connections at a time, each a new one, from
// another port, as soon as the one before it has ended in whatever way. One thread.
//
// http_retry TO PATH CONNECTIONS PATIENCE_MS SECONDS
// prints {"refused", "unanswered", "answered", "seconds"}; unanswered: given up after PATIENCE_MS
#include <sys/epoll.h>
#include <unistd.h>

#include <deque>
#include <vector>

#include "common.h"

namespace {

constexpr const char* kUsage = "http_retry TO PATH CONNECTIONS PATIENCE_MS SECONDS";
constexpr int kEventsMax = 256;

struct Attempt {
  int fd = -1;
  bool asked = false;
  uint64_t number = 0;
};

struct Deadline {
  double at;
  size_t slot;
  uint64_t number;
};

class Retries {
 public:
  Retries(const sockaddr_in& to, std::string request, size_t connections, double patience)
      : to_(to), request_(std::move(request)), patience_(patience), attempts_(connections) {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) bench::die("epoll_create1");
  }

  void run(double seconds) {
    const double start = bench::nowSeconds();
    for (size_t slot = 0; slot < attempts_.size(); ++slot) begin(slot, start);
    double now = start;
    while ((now = bench::nowSeconds()) - start < seconds) {
      epoll_event events[kEventsMax];
      const int count = epoll_wait(epoll_, events, kEventsMax, 1);
      for (int i = 0; i < count; ++i) serve(events[i].data.u64, events[i].events, now);
      giveUp(now);
    }
    std::printf("{\"refused\": %llu, \"unanswered\": %llu, \"answered\": %llu, \"seconds\": %.6f}\n",
                static_cast<unsigned long long>(refused_), static_cast<unsigned long long>(unanswered_),
                static_cast<unsigned long long>(answered_), now - start);
  }

 private:
  void begin(size_t slot, double now) {
    Attempt& attempt = attempts_[slot];
    attempt = {socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), false, attempt.number + 1};
    if (attempt.fd < 0) bench::die("socket");
    // What is given up leaves no port behind that waits for the other end.
    const linger abort{.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(attempt.fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    (void)connect(attempt.fd, bench::asSockaddr(to_), sizeof to_);
    epoll_event event{.events = EPOLLOUT, .data = {.u64 = slot}};
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, attempt.fd, &event) != 0) bench::die("epoll_ctl");
    deadlines_.push_back({now + patience_, slot, attempt.number});
  }

  void again(size_t slot, uint64_t& count, double now) {
    ++count;
    close(attempts_[slot].fd);
    begin(slot, now);
  }

  void serve(size_t slot, uint32_t events, double now) {
    Attempt& attempt = attempts_[slot];
    if (events & (EPOLLERR | EPOLLHUP)) return again(slot, refused_, now);
    if (!attempt.asked) {
      attempt.asked = true;
      if (send(attempt.fd, request_.data(), request_.size(), MSG_NOSIGNAL) < 0) return again(slot, refused_, now);
      epoll_event event{.events = EPOLLIN, .data = {.u64 = slot}};
      if (epoll_ctl(epoll_, EPOLL_CTL_MOD, attempt.fd, &event) != 0) bench::die("epoll_ctl");
      return;
    }
    char answer[4096];
    again(slot, recv(attempt.fd, answer, sizeof answer, 0) > 0 ? answered_ : refused_, now);
  }

  // All have the same patience: who began first gives up first.
  void giveUp(double now) {
    while (!deadlines_.empty() && deadlines_.front().at <= now) {
      const Deadline deadline = deadlines_.front();
      deadlines_.pop_front();
      if (attempts_[deadline.slot].number == deadline.number) again(deadline.slot, unanswered_, now);
    }
  }

  sockaddr_in to_;
  std::string request_;
  double patience_;
  std::vector<Attempt> attempts_;
  std::deque<Deadline> deadlines_;
  int epoll_ = -1;
  uint64_t refused_ = 0;
  uint64_t unanswered_ = 0;
  uint64_t answered_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) bench::wrongUse(kUsage);
  const std::string request = std::string("GET ") + argv[2] + " HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
  const size_t connections = std::strtoul(argv[3], nullptr, 10);
  const double patience = std::strtod(argv[4], nullptr) / 1000;
  const double seconds = std::strtod(argv[5], nullptr);
  if (connections == 0 || !(patience > 0) || !(seconds > 0)) bench::wrongUse(kUsage);
  Retries(bench::parseEndpoint(argv[1]), request, connections, patience).run(seconds);
}
