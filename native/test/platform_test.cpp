// One suite per interface; the in-memory twin and the Linux one both run it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>

#include "os/memory_platform.h"
#include "os/reply_sources.h"
#include "os/thread.h"
#include "test/packet_builder.h"
#include "test/scoped_namespace.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr int kPatienceMs = 2000;
// Local experimental EtherType 1: nobody else's frames are taken for ours.
constexpr uint16_t kEtherTypeOfTest = 0x88b5;

Bytes testFrame(uint8_t number, size_t length) {
  Bytes frame(14 + length, number);
  const Mac to = macOf(9);
  std::copy(to.begin(), to.end(), frame.begin());
  frame[6] = 2;
  put16(frame, 12, kEtherTypeOfTest);
  return frame;
}

bool isTestFrame(std::span<const uint8_t> frame) {
  return frame.size() > 14 && frame[12] == kEtherTypeOfTest >> 8 && frame[13] == (kEtherTypeOfTest & 0xff);
}

struct TapRig {
  std::unique_ptr<TapDevice> tap;
  std::function<void(const Bytes&)> hostSends;
  std::function<std::optional<Bytes>()> hostReceives;
  std::function<void()> remove;
};

std::vector<Bytes> readFrames(TapDevice& tap, size_t wanted) {
  std::vector<Bytes> frames;
  std::vector<Bytes> memory(4, Bytes(2048));
  std::vector<TapSlot> slots(4);
  for (size_t i = 0; i < slots.size(); ++i) slots[i].room = std::span{memory[i]}.subspan(kTapHeadroomBytes);
  while (frames.size() < wanted && tap.wait()) {
    const int count = tap.read(slots);
    REQUIRE(count >= 0);
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      const std::span<const uint8_t> frame = slots[i].room.first(slots[i].length);
      if (isTestFrame(frame)) frames.emplace_back(frame.begin(), frame.end());
    }
  }
  return frames;
}

int writeOne(TapDevice& tap, const Bytes& frame) {
  const std::span<const uint8_t> piece = frame;
  return tap.write({{&piece, 1}, {}, 1});
}

void tapSuite(const std::function<TapRig()>& open) {
  SUBCASE("frames of the kernel are read in order, more than one batch of them") {
    TapRig rig = open();
    for (uint8_t i = 0; i < 10; ++i) rig.hostSends(testFrame(i, 100U + i));
    const auto frames = readFrames(*rig.tap, 10);
    REQUIRE(frames.size() == 10);
    for (uint8_t i = 0; i < 10; ++i) CHECK(frames[i] == testFrame(i, 100U + i));
  }
  SUBCASE("frames written reach the kernel") {
    TapRig rig = open();
    for (uint8_t i = 0; i < 5; ++i) CHECK(writeOne(*rig.tap, testFrame(i, 60)) == 0);
    for (uint8_t i = 0; i < 5; ++i) CHECK(rig.hostReceives() == testFrame(i, 60));
  }
  SUBCASE("stop ends the present wait and later ones") {
    TapRig rig = open();
    std::thread stopper{[&] { rig.tap->stop(); }};
    CHECK(readFrames(*rig.tap, 1).empty());
    CHECK(!rig.tap->wait());
    stopper.join();
  }
  SUBCASE("a device that has been removed says so to readers and writers") {
    TapRig rig = open();
    rig.remove();
    REQUIRE(rig.tap->wait());
    Bytes memory(2048);
    TapSlot slot;
    slot.room = std::span{memory}.subspan(kTapHeadroomBytes);
    int result = 0;
    // What was queued before the removal may come first.
    while ((result = rig.tap->read({&slot, 1})) > 0) continue;
    CHECK(result < 0);
    CHECK(writeOne(*rig.tap, testFrame(1, 60)) == EBADFD);
  }
}

TapRig openLinuxTap() {
  LinuxPlatform platform;
  const std::string name = "suite0";
  TapOutcome outcome = platform.openTap({name, 1500, macOf(9)});
  REQUIRE(std::holds_alternative<std::unique_ptr<TapDevice>>(outcome));
  const auto control = std::make_shared<UniqueFd>(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, name.c_str());
  REQUIRE(::ioctl(control->get(), SIOCGIFFLAGS, &request) == 0);
  CHECK((request.ifr_flags & IFF_NOARP) != 0);
  CHECK((request.ifr_flags & IFF_UP) == 0);
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  REQUIRE(::ioctl(control->get(), SIOCSIFFLAGS, &request) == 0);

  const auto host =
      std::make_shared<UniqueFd>(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(kEtherTypeOfTest)));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(kEtherTypeOfTest);
  address.sll_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
  REQUIRE(::bind(host->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);

  TapRig rig;
  rig.tap = std::move(std::get<std::unique_ptr<TapDevice>>(outcome));
  rig.hostSends = [host](const Bytes& frame) {
    REQUIRE(::send(host->get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size()));
  };
  rig.hostReceives = [host]() -> std::optional<Bytes> {
    pollfd waited{host->get(), POLLIN, 0};
    if (::poll(&waited, 1, kPatienceMs) <= 0) return std::nullopt;
    Bytes frame(2048);
    const ssize_t length = ::recv(host->get(), frame.data(), frame.size(), 0);
    frame.resize(length < 0 ? 0 : static_cast<size_t>(length));
    return frame;
  };
  rig.remove = [name] {
    const std::string command = "ip link del " + name;
    REQUIRE(std::system(command.c_str()) == 0);
  };
  return rig;
}

// `ofPeers`: they have proven to be.
std::vector<std::pair<Endpoint, Bytes>> receiveAll(UnderlaySocket& socket, size_t wanted, bool ofPeers = true) {
  std::vector<std::pair<Endpoint, Bytes>> received;
  std::vector<Bytes> memory(4, Bytes(kDatagramBytesMax));
  std::vector<DatagramSlot> slots(4);
  for (size_t i = 0; i < slots.size(); ++i) slots[i].room = memory[i];
  while (received.size() < wanted && socket.wait()) {
    const size_t count = socket.receive(slots);
    for (size_t i = 0; i < count; ++i) {
      CHECK(!slots[i].truncated);
      if (ofPeers && slots[i].to) socket.heard(slots[i].from, *slots[i].to, monotonicNow());
      slots[i].run.forEach([&](std::span<const uint8_t> bytes) {
        received.emplace_back(slots[i].from, Bytes{bytes.begin(), bytes.end()});
      });
    }
  }
  return received;
}

Endpoint loopback(bool v6Address, uint16_t port = 0) {
  Endpoint endpoint;
  if (v6Address) {
    endpoint.ip[15] = 1;
  } else {
    endpoint.ip = v4(127, 0, 0, 1);
  }
  endpoint.port = port;
  return endpoint;
}

std::unique_ptr<UnderlaySocket> openSocket(Platform& platform, const Endpoint& local) {
  UnderlayOutcome outcome = platform.openUnderlay(local, 1);
  REQUIRE(std::holds_alternative<std::unique_ptr<UnderlaySocket>>(outcome));
  return std::move(std::get<std::unique_ptr<UnderlaySocket>>(outcome));
}

// Of one interface: 1 and 2. What the host sends to its own address, the kernel sends from that address too unless told
// otherwise.
struct TwoAddresses {
  TwoAddresses() {
    run("ip link set lo up");
    for (const char* address : {"192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128 nodad", "2001:db8::2/128 nodad"}) {
      run("ip addr add " + std::string{address} + " dev lo");
    }
  }
  static void run(const std::string& command) { REQUIRE(std::system(command.c_str()) == 0); }
};

Endpoint numbered(bool v6Address, uint8_t last, uint16_t port) {
  Endpoint endpoint;
  endpoint.ip = v6Address ? HostAddress{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last} : v4(192, 0, 2, last);
  endpoint.port = port;
  return endpoint;
}

int sendThree(UnderlaySocket& from, const Endpoint& to) { return sendOne(from, to, Bytes{1, 2, 3}); }

// Messages of one datagram each.
struct Singles {
  void add(const Endpoint& to, const Bytes& bytes) { datagrams.push_back({to, bytes}); }
  void sendBy(UnderlaySocket& socket) {
    messages.clear();
    for (const auto& [to, bytes] : datagrams) messages.push_back({to, {&bytes, 1}, bytes.size(), 1});
    socket.send(messages, SendPatience::none);
  }
  std::vector<std::pair<Endpoint, std::span<const uint8_t>>> datagrams;
  std::vector<MessageOut> messages;
};

// Sends, and returns as whose datagram it arrives.
Endpoint sourceSeen(UnderlaySocket& from, UnderlaySocket& to) {
  REQUIRE(sendThree(from, to.local()) == 0);
  const auto received = receiveAll(to, 1);
  REQUIRE(received.size() == 1);
  return received[0].first;
}

void replySourceSuite(const Endpoint& wildcard, bool v6Address) {
  LinuxPlatform platform;
  const auto server = openSocket(platform, wildcard);
  const auto peer = openSocket(platform, numbered(v6Address, 1, 0));
  const uint16_t port = server->local().port;
  CHECK(sourceSeen(*server, *peer) == numbered(v6Address, 1, port));
  // Anyone can write his sender's address upon a datagram. An answer may be asked to leave from there nevertheless.
  const Endpoint second = numbered(v6Address, 2, port);
  REQUIRE(sendThree(*peer, second) == 0);
  REQUIRE(receiveAll(*server, 1, false).size() == 1);
  CHECK(sourceSeen(*server, *peer) == numbered(v6Address, 1, port));
  REQUIRE(sendOne(*server, peer->local(), Bytes{1}, second.ip) == 0);
  CHECK(receiveAll(*peer, 1)[0].first == second);
  for (const uint8_t last : {uint8_t{2}, uint8_t{1}, uint8_t{2}}) {
    const Endpoint reached = numbered(v6Address, last, port);
    REQUIRE(sendThree(*peer, reached) == 0);
    REQUIRE(receiveAll(*server, 1).size() == 1);
    CHECK(sourceSeen(*server, *peer) == reached);
  }
  // Each peer is answered from where it was heard, within one call too.
  const auto other = openSocket(platform, numbered(v6Address, 1, 0));
  REQUIRE(sendThree(*other, numbered(v6Address, 1, port)) == 0);
  REQUIRE(receiveAll(*server, 1).size() == 1);
  const Bytes bytes{4, 5};
  Singles out;
  for (const auto* receiver : {&other, &peer, &other}) out.add((*receiver)->local(), bytes);
  out.sendBy(*server);
  for (const MessageOut& message : out.messages) REQUIRE(message.error == 0);
  for (const auto& [from, content] : receiveAll(*other, 2)) CHECK(from == numbered(v6Address, 1, port));
  CHECK(receiveAll(*peer, 1)[0].first == numbered(v6Address, 2, port));

  // The address vanishes: the next datagram leaves from another one, and so do several of one call.
  TwoAddresses::run(v6Address ? "ip addr del 2001:db8::2/128 dev lo" : "ip addr del 192.0.2.2/32 dev lo");
  Singles late;
  for (int i = 0; i < 2; ++i) late.add(peer->local(), bytes);
  late.sendBy(*server);
  for (const MessageOut& message : late.messages) REQUIRE(message.error == 0);
  for (const auto& [from, content] : receiveAll(*peer, 2)) CHECK(from == numbered(v6Address, 1, port));
  CHECK(sourceSeen(*server, *peer) == numbered(v6Address, 1, port));
}

void underlaySuite(Platform& platform, bool v6Address) {
  const auto a = openSocket(platform, loopback(v6Address));
  const auto b = openSocket(platform, loopback(v6Address));
  SUBCASE("datagrams arrive whole, with their sender, in more than one batch") {
    std::vector<Bytes> bytes;
    Singles out;
    for (uint8_t i = 0; i < 100; ++i) bytes.push_back(Bytes(1U + i * 13U, i));
    for (const Bytes& datagram : bytes) out.add(b->local(), datagram);
    out.sendBy(*a);
    for (const MessageOut& message : out.messages) CHECK(message.error == 0);
    const auto received = receiveAll(*b, 100);
    REQUIRE(received.size() == 100);
    for (size_t i = 0; i < 100; ++i) {
      CHECK(received[i].first == a->local());
      CHECK(received[i].second == bytes[i]);
    }
  }
  SUBCASE("one that cannot be sent does not hold up the others") {
    const Bytes tooBig(65'530, 1);
    const Bytes small(10, 2);
    Singles out;
    for (const Bytes* bytes : {&small, &tooBig, &small}) out.add(b->local(), *bytes);
    out.sendBy(*a);
    CHECK(out.messages[0].error == 0);
    CHECK(out.messages[1].error == EMSGSIZE);
    CHECK(out.messages[1].failed == 1);
    CHECK(out.messages[2].error == 0);
    CHECK(receiveAll(*b, 2).size() == 2);
  }
  SUBCASE("a message is many datagrams of one size, the last shorter, from several places in memory") {
    Bytes bytes(10 * 1000 + 300);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * 7 / 100);
    const std::span<const uint8_t> all = bytes;
    const std::array<std::span<const uint8_t>, 3> pieces{all.first(4000), all.subspan(4000, 1000), all.subspan(5000)};
    std::array<MessageOut, 2> out{{{b->local(), pieces, 1000, 11}, {b->local(), pieces, 1000, 11}}};
    a->send(out, SendPatience::brief);
    CHECK(out[0].failed + out[1].failed == 0);
    const auto received = receiveAll(*b, 22);
    REQUIRE(received.size() == 22);
    for (size_t i = 0; i < 22; ++i) {
      const auto expected = all.subspan(i % 11 * 1000, i % 11 == 10 ? 300 : 1000);
      CHECK(received[i].second == Bytes{expected.begin(), expected.end()});
    }
  }
  SUBCASE("stop ends the present wait and later ones") {
    std::thread stopper{[&] { a->stop(); }};
    CHECK(receiveAll(*a, 1).empty());
    CHECK(!a->wait());
    stopper.join();
  }
  SUBCASE("a port can be taken once") {
    UnderlayOutcome outcome = platform.openUnderlay(a->local(), 1);
    REQUIRE(std::holds_alternative<int>(outcome));
    CHECK(std::get<int>(outcome) == EADDRINUSE);
  }
}

}  // namespace

TEST_CASE("TAP suite: memory") {
  MemoryNetwork network;
  MemoryPlatform platform{network};
  tapSuite([&] {
    TapOutcome outcome = platform.openTap({"m0", 1500, macOf(9)});
    const auto host = platform.host("m0");
    TapRig rig;
    rig.tap = std::move(std::get<std::unique_ptr<TapDevice>>(outcome));
    rig.hostSends = [host](const Bytes& frame) { REQUIRE(host->inject(frame)); };
    rig.hostReceives = [host] { return host->receive(kPatienceMs); };
    rig.remove = [host] { host->remove(); };
    return rig;
  });
}

TEST_CASE("TAP suite: Linux" * doctest::skip(::geteuid() != 0) * doctest::description("needs root")) {
  const ScopedNamespace scope;
  tapSuite(openLinuxTap);
}

TEST_CASE("a Linux TAP's name must be free, plain and short" * doctest::skip(::geteuid() != 0)) {
  const ScopedNamespace scope;
  LinuxPlatform platform;
  const TapOutcome first = platform.openTap({"one", 1500, macOf(9)});
  CHECK(std::holds_alternative<std::unique_ptr<TapDevice>>(first));
  for (const std::string name : {"one", "", "sixteen-bytes-16", "many%d"}) {
    CHECK(std::holds_alternative<int>(platform.openTap({name, 1500, macOf(9)})));
  }
}

TEST_CASE("underlay suite: memory") {
  MemoryNetwork network;
  MemoryPlatform platform{network};
  underlaySuite(platform, false);
}

TEST_CASE("underlay suite: Linux, IPv4") {
  LinuxPlatform platform;
  underlaySuite(platform, false);
}

TEST_CASE("underlay suite: Linux, IPv6") {
  LinuxPlatform platform;
  if (std::holds_alternative<int>(platform.openUnderlay(loopback(true), 1))) return;  // a machine without IPv6
  underlaySuite(platform, true);
}

TEST_CASE("a peer is answered from the address at which it reached us" * doctest::skip(::geteuid() != 0)) {
  const ScopedNamespace scope;
  const TwoAddresses addresses;
  Endpoint anyV4;
  anyV4.ip = v4(0, 0, 0, 0);
  SUBCASE("IPv4 socket") { replySourceSuite(anyV4, false); }
  SUBCASE("dual-stack socket, IPv4") { replySourceSuite({}, false); }
  SUBCASE("dual-stack socket, IPv6") { replySourceSuite({}, true); }
}

TEST_CASE("the wildcard address takes both families, an IPv4 socket has one") {
  LinuxPlatform platform;
  const auto both = openSocket(platform, Endpoint{});
  const auto v4Only = openSocket(platform, loopback(false));
  const Bytes bytes{1, 2, 3};
  Singles out;
  for (const bool v6Address : {false, true, false}) out.add(loopback(v6Address, both->local().port), bytes);
  out.sendBy(*v4Only);
  CHECK(out.messages[0].error == 0);
  CHECK(out.messages[1].error == EAFNOSUPPORT);
  CHECK(out.messages[2].error == 0);
  const auto received = receiveAll(*both, 2);
  REQUIRE(received.size() == 2);
  CHECK(received[0].first == v4Only->local());
}
