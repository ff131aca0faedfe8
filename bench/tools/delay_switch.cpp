// An Ethernet switch between interfaces of its namespace that holds each frame for as long as its pair of ports says:
// what stands for the distances of a base network where the kernel has no netem.
//
// delay_switch FILE
// FILE: a line "port NAME" for each interface, then "delay A B MICROSECONDS" for each pair of ports, one way, by the
// numbers of the ports from 0; what is not named has none. Prints "ready", works until its input ends, then prints what
// it did.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <functional>
#include <memory>
#include <queue>
#include <sstream>
#include <unordered_map>
#include <vector>

#include "common.h"

namespace {

// struct virtio_net_hdr, whose header is not for C++.
struct VnetHeader {
  uint8_t flags;
  uint8_t gsoType;
  uint16_t headerBytes;
  uint16_t gsoBytes;
  uint16_t checksumStart;
  uint16_t checksumOffset;
};
constexpr uint8_t kNeedsChecksum = 1;

// A super-packet of any kind, and what the kernel says of it before.
constexpr size_t kFrameBytesMax = 65'600 + sizeof(VnetHeader);
constexpr size_t kFramesMax = 65'536;
constexpr size_t kBytesMax = size_t{256} << 20;
constexpr size_t kBatch = 64;
constexpr int64_t kNanosPerMicro = 1000;
constexpr int64_t kNanosPerSecond = 1'000'000'000;

using Frame = std::shared_ptr<const std::vector<uint8_t>>;

struct Held {
  int64_t due;
  uint64_t order;
  size_t port;
  Frame frame;
  bool operator>(const Held& other) const { return due != other.due ? due > other.due : order > other.order; }
};

int64_t nowNanos() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

class Switch {
 public:
  explicit Switch(const char* file) {
    std::ifstream in(file);
    if (!in) bench::die(file);
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string word;
      std::string name;
      size_t from = 0;
      size_t to = 0;
      int64_t micros = 0;
      if (!(words >> word)) continue;
      if (word == "port" && words >> name) {
        ports_.push_back(open(name));
      } else if (word == "delay" && words >> from >> to >> micros && std::max(from, to) < kPortsMax && micros >= 0) {
        delays_[from * kPortsMax + to] = micros * kNanosPerMicro;
      } else {
        std::fprintf(stderr, "%s: not understood: %s\n", file, line.c_str());
        std::exit(2);
      }
    }
    if (ports_.size() < 2 || ports_.size() > kPortsMax) {
      std::fprintf(stderr, "%s: give 2 to %zu ports\n", file, kPortsMax);
      std::exit(2);
    }
  }

  void run() {
    std::vector<pollfd> waited(ports_.size() + 1);
    for (size_t i = 0; i < ports_.size(); i++) waited[i] = {ports_[i], POLLIN, 0};
    waited.back() = {STDIN_FILENO, POLLIN, 0};
    for (;;) {
      deliver();
      timespec timeout{};
      if (!held_.empty()) {
        const int64_t wait = std::max<int64_t>(held_.top().due - nowNanos(), 0);
        timeout = {wait / kNanosPerSecond, wait % kNanosPerSecond};
      }
      const timespec* const limit = held_.empty() ? nullptr : &timeout;
      if (ppoll(waited.data(), waited.size(), limit, nullptr) < 0 && errno != EINTR) bench::die("ppoll");
      for (size_t i = 0; i < ports_.size(); i++) {
        if ((waited[i].revents & POLLIN) != 0) receive(i);
      }
      std::array<char, 64> input{};
      if (waited.back().revents != 0 && read(STDIN_FILENO, input.data(), input.size()) <= 0) break;
    }
    std::printf("{\"forwarded\":%llu,\"dropped\":%llu}\n", static_cast<unsigned long long>(forwarded_),
                static_cast<unsigned long long>(dropped_));
  }

 private:
  static constexpr size_t kPortsMax = 256;

  static int open(const std::string& name) {
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) bench::die("socket");
    const int one = 1;
    // Frames come as their sender left them, without checksums and perhaps larger than the link: the kernel says so in
    // front of each, and is told the same where the frame goes out.
    if (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) != 0) bench::die("PACKET_VNET_HDR");
    if (setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one) != 0) bench::die("PACKET_IGNORE_OUTGOING");
    const int bytes = 4 << 20;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
    if (address.sll_ifindex == 0) bench::die(name.c_str());
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) bench::die("bind");
    packet_mreq all{};
    all.mr_ifindex = address.sll_ifindex;
    all.mr_type = PACKET_MR_PROMISC;
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &all, sizeof all) != 0) bench::die("PACKET_ADD_MEMBERSHIP");
    return fd;
  }

  void receive(size_t from) {
    for (size_t i = 0; i < kBatch; i++) {
      const ssize_t bytes = recv(ports_[from], buffer_.data(), buffer_.size(), MSG_TRUNC);
      if (bytes < 0) return;
      const auto length = static_cast<size_t>(bytes);
      if (length < sizeof(VnetHeader) + ETH_HLEN || length > buffer_.size()) {
        dropped_++;
        continue;
      }
      // What the kernel found out about a frame that it received is not for one that is sent.
      VnetHeader header{};
      std::memcpy(&header, buffer_.data(), sizeof header);
      header.flags &= kNeedsChecksum;
      std::memcpy(buffer_.data(), &header, sizeof header);
      pass(from, std::make_shared<const std::vector<uint8_t>>(buffer_.begin(), buffer_.begin() + bytes));
    }
  }

  void pass(size_t from, const Frame& frame) {
    const uint8_t* const ethernet = frame->data() + sizeof(VnetHeader);
    portOf_[macAt(ethernet + ETH_ALEN)] = from;
    const bool isForMany = (ethernet[0] & 1) != 0;
    const auto known = portOf_.find(macAt(ethernet));
    if (!isForMany && known != portOf_.end()) return hold(from, known->second, frame);
    for (size_t to = 0; to < ports_.size(); to++) hold(from, to, frame);
  }

  void hold(size_t from, size_t to, const Frame& frame) {
    if (from == to) return;
    if (held_.size() >= kFramesMax || heldBytes_ + frame->size() > kBytesMax) {
      dropped_++;
      return;
    }
    heldBytes_ += frame->size();
    held_.push({nowNanos() + delays_[from * kPortsMax + to], order_++, to, frame});
  }

  void deliver() {
    for (const int64_t now = nowNanos(); !held_.empty() && held_.top().due <= now; held_.pop()) {
      const Held& next = held_.top();
      heldBytes_ -= next.frame->size();
      const bool sent = send(ports_[next.port], next.frame->data(), next.frame->size(), 0) >= 0;
      (sent ? forwarded_ : dropped_)++;
    }
  }

  static uint64_t macAt(const uint8_t* bytes) {
    uint64_t mac = 0;
    std::memcpy(&mac, bytes, ETH_ALEN);
    return mac;
  }

  std::vector<int> ports_;
  std::vector<int64_t> delays_ = std::vector<int64_t>(kPortsMax * kPortsMax);
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(kFrameBytesMax);
  std::unordered_map<uint64_t, size_t> portOf_;
  std::priority_queue<Held, std::vector<Held>, std::greater<>> held_;
  size_t heldBytes_ = 0;
  uint64_t order_ = 0;
  uint64_t forwarded_ = 0;
  uint64_t dropped_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) bench::wrongUse("delay_switch FILE");
  Switch wires(argv[1]);
  std::puts("ready");
  std::fflush(stdout);
  wires.run();
}
