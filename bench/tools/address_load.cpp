// Loads an address server: every client leases a block of pairs, releases it, and so on, with one request on the way at
// a time or several.
//
// address_load udp|tcp|tls ADDRESS:PORT CA-FILE CLIENTS-FILE CLIENTS IN-FLIGHT PAIRS WARM-SECONDS SECONDS
//   CLIENTS-FILE: a line for each node: SERIAL-HEX SECRET-HEX CERTIFICATE-FILE KEY-FILE.
// Prints {"transactions", "seconds", "cpuSeconds", "resent", "refused", "us": {...}}: leases and releases answered in
// the measured time, this program's own processor time in it, requests sent again, and the times to the answers.
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "address_wire.h"
#include "common.h"

namespace {

using bench::Answer;
using bench::Bytes;

constexpr const char* kUsage =
    "address_load udp|tcp|tls ADDRESS:PORT CA-FILE CLIENTS-FILE CLIENTS IN-FLIGHT PAIRS WARM-SECONDS SECONDS";
// A datagram unanswered for so long is sent again.
constexpr double kResendSeconds = 0.5;
// At the end everything is released; who cannot within this time says so.
constexpr double kEndSeconds = 30;
constexpr size_t kFrameHeader = 5;

struct Result {
  uint64_t transactions = 0;
  uint64_t resent = 0;
  uint64_t refused = 0;
  std::vector<float> us;
  bool isMeasuring = false;
  // Nothing more is leased; what is held is released.
  bool isEnding = false;
};

struct Order {
  sockaddr_in server{};
  std::string transport;
  size_t inFlight = 1;
  uint64_t pairs = 16;
};

Bytes parseHex(const std::string& text) {
  Bytes bytes(text.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<uint8_t>(std::stoul(text.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

// One request on the way: a lease, and then the release of what it got.
struct Slot {
  uint64_t counter = 0;
  uint64_t request = 0;
  // CBOR; empty while it leases.
  Bytes pairs;
  bool isIdle = false;
  double firstSentAt = 0;
  double sentAt = 0;
};

class Client {
 public:
  Client(const Order& order, Result& result, SSL_CTX* tls, const Bytes& serial, const Bytes& secret)
      : order_(order), result_(result), slots_(order.inFlight) {
    if (order.transport != "tls") sealer_ = std::make_unique<bench::Sealer>(serial, secret);
    fd_ = socket(AF_INET, (order.transport == "udp" ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd_ < 0 || connect(fd_, bench::asSockaddr(order.server), sizeof order.server) != 0) bench::die("connect");
    const int on = 1;
    if (order.transport != "udp") (void)setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (tls != nullptr) handshake(tls);
    if (fcntl(fd_, F_SETFL, O_NONBLOCK) != 0) bench::die("fcntl");
    // Requests are told apart from those of an earlier run by the time.
    const auto since1970 = std::chrono::system_clock::now().time_since_epoch();
    counter_ = static_cast<uint64_t>(since1970 / std::chrono::microseconds(1));
    nextRequest_ = counter_;
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client() {
    SSL_free(ssl_);
    close(fd_);
  }

  int fd() const { return fd_; }
  bool isIdle() const { return std::ranges::all_of(slots_, &Slot::isIdle); }

  void start(double now) {
    for (Slot& slot : slots_) begin(slot, now);
    flush();
  }

  void receive(double now) {
    if (order_.transport == "udp") receiveDatagrams(now);
    else receiveFrames(now);
    flush();
  }

  void resendLate(double now) {
    if (order_.transport != "udp") return;
    for (Slot& slot : slots_) {
      if (slot.isIdle || now - slot.sentAt < kResendSeconds) continue;
      ++result_.resent;
      send(slot, now);
    }
    flush();
  }

 private:
  void handshake(SSL_CTX* tls) {
    ssl_ = SSL_new(tls);
    SSL_set_fd(ssl_, fd_);
    if (SSL_connect(ssl_) != 1) bench::die("SSL_connect");
  }

  void begin(Slot& slot, double now) {
    if (slot.pairs.empty()) slot.request = nextRequest_++;
    slot.firstSentAt = now;
    send(slot, now);
  }

  void send(Slot& slot, double now) {
    slot.counter = ++counter_;
    slot.sentAt = now;
    bench::CborWriter message;
    if (slot.pairs.empty()) {
      std::array<uint8_t, 8> request{};
      for (size_t i = 0; i < 8; ++i) request[i] = static_cast<uint8_t>(slot.request >> (8 * (7 - i)));
      message.map(6);
      message.text("t");
      message.text("lease");
      message.number("count", order_.pairs);
      message.number("epoch", epoch_);
      message.number("counter", slot.counter);
      message.bytes("request", request);
    } else {
      message.map(5);
      message.text("t");
      message.text("release");
      message.number("epoch", epoch_);
      message.raw("pairs", slot.pairs);
      message.number("counter", slot.counter);
    }
    message.number("version", 1);
    const Bytes bytes = sealer_ == nullptr ? message.done() : sealer_->seal(message.done());
    if (order_.transport == "udp") {
      (void)::send(fd_, bytes.data(), bytes.size(), 0);
      return;
    }
    const auto length = static_cast<uint32_t>(bytes.size() + 1);
    for (int shift = 24; shift >= 0; shift -= 8) out_.push_back(static_cast<uint8_t>(length >> shift));
    out_.push_back(1);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }

  void receiveDatagrams(double now) {
    std::array<uint8_t, 2048> buffer;
    for (;;) {
      const ssize_t size = recv(fd_, buffer.data(), buffer.size(), 0);
      if (size <= 0) return;
      take(std::span(buffer).first(static_cast<size_t>(size)), now);
    }
  }

  void receiveFrames(double now) {
    std::array<uint8_t, 16384> buffer;
    for (;;) {
      const ssize_t size = ssl_ == nullptr ? recv(fd_, buffer.data(), buffer.size(), 0)
                                           : SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()));
      if (size == 0 && ssl_ == nullptr) {
        std::fprintf(stderr, "the server closed a connection\n");
        std::exit(1);
      }
      if (size <= 0) break;
      in_.insert(in_.end(), buffer.begin(), buffer.begin() + size);
    }
    size_t at = 0;
    while (in_.size() - at >= kFrameHeader) {
      const size_t length = static_cast<size_t>(in_[at]) << 24 | static_cast<size_t>(in_[at + 1]) << 16 |
                            static_cast<size_t>(in_[at + 2]) << 8 | in_[at + 3];
      if (in_.size() - at < 4 + length) break;
      take(std::span(in_).subspan(at + kFrameHeader, length - 1), now);
      at += 4 + length;
    }
    in_.erase(in_.begin(), in_.begin() + static_cast<ptrdiff_t>(at));
  }

  void take(std::span<const uint8_t> bytes, double now) {
    const auto message = sealer_ == nullptr ? bytes : sealer_->open(bytes);
    Answer answer;
    if (message.empty() || !bench::CborReader(message).read(answer)) {
      std::fprintf(stderr, "an answer cannot be read\n");
      std::exit(1);
    }
    const auto slot = std::ranges::find(slots_, answer.counter, &Slot::counter);
    // To a request that has been sent again since.
    if (slot == slots_.end()) return;
    if (answer.kind == "stale") {
      epoch_ = answer.epoch;
      counter_ = std::max(counter_, answer.highest);
      send(*slot, now);
      return;
    }
    if (answer.kind == "refused") {
      ++result_.refused;
      std::fprintf(stderr, "refused: %.*s\n", static_cast<int>(answer.code.size()), answer.code.data());
      if (result_.refused > 100) std::exit(1);
    } else if (result_.isMeasuring) {
      ++result_.transactions;
      result_.us.push_back(static_cast<float>((now - slot->firstSentAt) * 1e6));
    }
    if (answer.kind == "leased") slot->pairs.assign(answer.pairs.begin(), answer.pairs.end());
    else slot->pairs.clear();
    if (slot->pairs.empty() && result_.isEnding) slot->isIdle = true;
    else begin(*slot, now);
  }

  void flush() {
    if (out_.empty()) return;
    const ssize_t sent = ssl_ == nullptr ? ::send(fd_, out_.data(), out_.size(), MSG_NOSIGNAL)
                                         : SSL_write(ssl_, out_.data(), static_cast<int>(out_.size()));
    // What is on the way at a time is little, and fits into the socket's buffer.
    if (sent != static_cast<ssize_t>(out_.size())) bench::die("send");
    out_.clear();
  }

  const Order& order_;
  Result& result_;
  std::unique_ptr<bench::Sealer> sealer_;
  int fd_ = -1;
  SSL* ssl_ = nullptr;
  std::vector<Slot> slots_;
  uint64_t counter_ = 0;
  uint64_t nextRequest_ = 0;
  uint64_t epoch_ = 0;
  Bytes in_;
  Bytes out_;
};

// The server's certificate is checked against the CA; its name is another machine's here.
SSL_CTX* tlsContext(const std::string& caFile, const std::string& certificateFile, const std::string& keyFile) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_load_verify_locations(context, caFile.c_str(), nullptr) != 1 ||
      SSL_CTX_use_certificate_file(context, certificateFile.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, keyFile.c_str(), SSL_FILETYPE_PEM) != 1) {
    std::fprintf(stderr, "%s, %s or %s cannot be used\n", caFile.c_str(), certificateFile.c_str(), keyFile.c_str());
    std::exit(1);
  }
  return context;
}

std::vector<std::unique_ptr<Client>> connectAll(const Order& order, Result& result, char** argv, size_t count) {
  std::vector<std::unique_ptr<Client>> clients;
  std::ifstream file(argv[4]);
  std::string serial, secret, certificateFile, keyFile;
  while (clients.size() < count && file >> serial >> secret >> certificateFile >> keyFile) {
    SSL_CTX* tls = order.transport == "tls" ? tlsContext(argv[3], certificateFile, keyFile) : nullptr;
    clients.push_back(std::make_unique<Client>(order, result, tls, parseHex(serial), parseHex(secret)));
    SSL_CTX_free(tls);
  }
  if (clients.size() < count) bench::wrongUse("CLIENTS-FILE has fewer lines than CLIENTS");
  return clients;
}

double cpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

void loop(std::vector<std::unique_ptr<Client>>& clients, double until) {
  const int epoll = epoll_create1(EPOLL_CLOEXEC);
  for (const auto& client : clients) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = client.get()}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, client->fd(), &event) != 0) bench::die("epoll_ctl");
  }
  std::array<epoll_event, 64> events;
  double lookAt = 0;
  const auto isDone = [&] { return std::ranges::all_of(clients, [](const auto& client) { return client->isIdle(); }); };
  for (double now = bench::nowSeconds(); now < until && !isDone(); now = bench::nowSeconds()) {
    const int count = epoll_wait(epoll, events.data(), static_cast<int>(events.size()), 10);
    for (const epoll_event& event : std::span(events).first(static_cast<size_t>(std::max(count, 0)))) {
      static_cast<Client*>(event.data.ptr)->receive(bench::nowSeconds());
    }
    if (now < lookAt) continue;
    lookAt = now + kResendSeconds / 4;
    for (const auto& client : clients) client->resendLate(now);
  }
  close(epoll);
}

void print(Result& result, double seconds, double cpu) {
  std::ranges::sort(result.us);
  const auto at = [&](double share) {
    if (result.us.empty()) return 0.0;
    return static_cast<double>(result.us[static_cast<size_t>(share * static_cast<double>(result.us.size() - 1))]);
  };
  std::printf(
      "{\"transactions\": %llu, \"seconds\": %.4f, \"cpuSeconds\": %.4f, "
      "\"resent\": %llu, \"refused\": %llu, "
      "\"us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}}\n",
      static_cast<unsigned long long>(result.transactions), seconds, cpu,
      static_cast<unsigned long long>(result.resent), static_cast<unsigned long long>(result.refused),
      at(0.5), at(0.9), at(0.99), at(0.999), at(1));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 10) bench::wrongUse(kUsage);
  const Order order{bench::parseEndpoint(argv[2]), argv[1], std::stoul(argv[6]), std::stoul(argv[7])};
  if (order.transport != "udp" && order.transport != "tcp" && order.transport != "tls") bench::wrongUse(kUsage);
  if (order.inFlight < 1 || order.pairs < 1) bench::wrongUse(kUsage);
  Result result;
  auto clients = connectAll(order, result, argv, std::stoul(argv[5]));
  for (const auto& client : clients) client->start(bench::nowSeconds());
  loop(clients, bench::nowSeconds() + std::stod(argv[8]));
  result.isMeasuring = true;
  const double cpuBefore = cpuSeconds();
  const double before = bench::nowSeconds();
  loop(clients, before + std::stod(argv[9]));
  const double seconds = bench::nowSeconds() - before;
  const double cpu = cpuSeconds() - cpuBefore;
  result.isMeasuring = false;
  result.isEnding = true;
  loop(clients, bench::nowSeconds() + kEndSeconds);
  print(result, seconds, cpu);
  return 0;
}
