// Super-packets through real TAPs: the kernel makes them, takes them, and is the judge of how they are to be cut up.
#include <doctest/doctest.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cstring>

#include "core/segment.h"
#include "os/platform.h"
#include "os/super_packets.h"
#include "os/tap_writer.h"
#include "test/flow_builder.h"
#include "test/scoped_namespace.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr int kPatienceMs = 5000;

bool readableInTime(int fd) {
  pollfd waited{fd, POLLIN, 0};
  return ::poll(&waited, 1, kPatienceMs) > 0;
}

// The kernel's side of an interface: frames with the offload header before them.
class Host {
 public:
  explicit Host(const std::string& name) {
    const std::string up = "ip link set " + name + " up";
    // Or the kernel has something to say of its own.
    const std::string quiet = "sysctl -qw net.ipv6.conf." + name + ".disable_ipv6=1 2>/dev/null; " + up;
    REQUIRE(std::system(quiet.c_str()) == 0);
    constexpr int yes = 1;
    REQUIRE(::setsockopt(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, &yes, sizeof yes) == 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL_);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
    REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }

  void send(const Bytes& frame, const Offload& offload) {
    const auto header = encodeVnetHeader(offload);
    Bytes all{header.begin(), header.end()};
    all.insert(all.end(), frame.begin(), frame.end());
    REQUIRE(::send(socket_.get(), all.data(), all.size(), 0) == static_cast<ssize_t>(all.size()));
  }

  // The next frame that came in by the interface.
  std::optional<std::pair<Bytes, Offload>> receive() {
    while (readableInTime(socket_.get())) {
      Bytes all(70'000);
      sockaddr_ll from{};
      socklen_t fromLength = sizeof from;
      const ssize_t length =
          ::recvfrom(socket_.get(), all.data(), all.size(), 0, reinterpret_cast<sockaddr*>(&from), &fromLength);
      REQUIRE(length >= static_cast<ssize_t>(kVnetHeaderBytes));
      if (from.sll_pkttype == PACKET_OUTGOING) continue;
      all.resize(static_cast<size_t>(length));
      const auto offload = decodeVnetHeader(std::span{all}.first<kVnetHeaderBytes>());
      REQUIRE(offload);
      return std::pair{tail(all, kVnetHeaderBytes), *offload};
    }
    return std::nullopt;
  }

 private:
  static constexpr uint16_t ETH_P_ALL_ = 3;
  UniqueFd socket_{::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL_))};
};

Bytes frameOf(const Bytes& ip) { return ethernet(ip, macOf(9), macOf(1)); }

// A TAP as anybody opens it, which leaves all work to the kernel.
UniqueFd openPlainTap(const std::string& name) {
  UniqueFd fd{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)};
  REQUIRE(fd.valid());
  ifreq request{};
  std::strcpy(request.ifr_name, name.c_str());
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI);
  REQUIRE(::ioctl(fd.get(), TUNSETIFF, &request) == 0);
  return fd;
}

struct LinuxTapRig {
  LinuxTapRig() {
    LinuxPlatform platform;
    TapOutcome outcome = platform.openTap({"offload0", 1400, macOf(9)});
    REQUIRE(std::holds_alternative<std::unique_ptr<TapDevice>>(outcome));
    tap = std::move(std::get<std::unique_ptr<TapDevice>>(outcome));
    host = std::make_unique<Host>("offload0");
  }
  const ScopedNamespace scope;
  std::unique_ptr<TapDevice> tap;
  std::unique_ptr<Host> host;
};

struct Report final : TapWriteReport {
  void written(size_t count, int error) override {
    (error == 0 ? packets : failed) += count;
    lastError = error;
  }
  std::atomic<size_t> packets{0};
  std::atomic<size_t> failed{0};
  std::atomic<int> lastError{0};
};

FlowPacket superPacket(bool v6, bool tcp, size_t dataBytes) {
  std::mt19937 random{6};
  FlowPacket super;
  super.v6 = v6;
  super.tcp = tcp;
  super.identification = 0xfffe;
  super.sequence = 0xfffff000;
  super.flags = kTcpAck | 0x08 | 0x80;  // PSH and CWR
  super.options = Bytes{1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
  super.data = randomBytes(random, dataBytes);
  return super;
}

const bool isRoot = ::geteuid() == 0;

}  // namespace

TEST_CASE("segment: the kernel's own segmentation makes the same packets" * doctest::skip(!isRoot)) {
  const ScopedNamespace scope;
  const UniqueFd tap = openPlainTap("oracle0");
  Host host{"oracle0"};
  for (const bool v6 : {false, true}) {
    for (const bool tcp : {false, true}) {
      CAPTURE(v6);
      CAPTURE(tcp);
      const FlowPacket super = superPacket(v6, tcp, 40'000);
      const Bytes ip = buildUnfinished(super);
      const Offload offload = offloadOf(super, 1234);
      host.send(frameOf(ip), offload);
      InnerPacket parsed;
      REQUIRE(parseInner(ip, parsed) == DropReason::none);
      const auto division = divide(offload, parsed, ip);
      REQUIRE(division);
      const std::array<uint8_t, kEncapsulationBytes> none{};
      Bytes room(segmentedBytes(*division));
      segment(none, ip, parsed, *division, room.data()).forEach([&](std::span<const uint8_t> packet) {
        REQUIRE(readableInTime(tap.get()));
        Bytes frame(2000);
        const ssize_t length = ::read(tap.get(), frame.data(), frame.size());
        REQUIRE(length > 14);
        frame.resize(static_cast<size_t>(length));
        REQUIRE(tail(frame, 14) == tail({packet.begin(), packet.end()}, kEncapsulationBytes));
      });
    }
  }
}

TEST_CASE("TAP: the kernel hands over super-packets whole, and takes them whole" * doctest::skip(!isRoot)) {
  LinuxTapRig rig;
  const OffloadFeatures features = rig.tap->features();
  CHECK(features.checksum);
  CHECK(features.tcp);
  for (const bool v6 : {false, true}) {
    for (const bool tcp : {false, true}) {
      if (!tcp && !features.udp) continue;
      const FlowPacket super = superPacket(v6, tcp, 50'000);
      const Offload offload = offloadOf(super, 1300);
      const Bytes frame = frameOf(buildUnfinished(super));
      rig.host->send(frame, offload);
      Bytes memory(kTapHeadroomBytes + kFrameBytesMax);
      TapSlot slot;
      slot.room = std::span{memory}.subspan(kTapHeadroomBytes);
      REQUIRE(rig.tap->wait());
      REQUIRE(rig.tap->read({&slot, 1}) == 1);
      CHECK(!slot.malformed);
      CHECK(slot.offload.kind == offload.kind);
      CHECK(slot.offload.segmentBytes == 1300);
      CHECK(std::equal(frame.begin(), frame.end(), slot.room.begin()));
      CHECK(slot.length == frame.size());

      const std::span<const uint8_t> all = frame;
      const std::array<std::span<const uint8_t>, 3> pieces{all.first(1400), all.subspan(1400, 30'000), all.subspan(31'400)};
      CHECK(rig.tap->write({pieces, offload, 39}) == 0);
      const auto received = rig.host->receive();
      REQUIRE(received);
      CHECK(received->first == frame);
      CHECK(received->second.kind == offload.kind);
      CHECK(received->second.segmentBytes == 1300);
    }
  }
}

TEST_CASE("TAP writers: each brings frames to the kernel in order, super-packets among them" * doctest::skip(!isRoot)) {
  for (const ReceivePath path : {ReceivePath::direct, ReceivePath::queue, ReceivePath::aio, ReceivePath::uring}) {
    CAPTURE(static_cast<int>(path));
    LinuxTapRig rig;
    Report report;
    const auto writer = makeTapWriter(path, *rig.tap, report);
    FlowPacket super = superPacket(true, true, 50'000);
    const Bytes large = frameOf(buildUnfinished(super));
    std::vector<Bytes> small;
    for (uint8_t i = 0; i < 120; ++i) {
      small.push_back(frameOf(build({.v6 = true, .sequence = i, .data = Bytes(i, 1)})));
    }
    for (const Bytes& frame : small) {
      const std::span<const uint8_t> piece = frame;
      REQUIRE(writer->write({{&piece, 1}, {}, 1}));
    }
    const std::span<const uint8_t> piece = large;
    REQUIRE(writer->write({{&piece, 1}, offloadOf(super, 1300), 39}));
    writer->flush();
    for (const Bytes& frame : small) {
      const auto received = rig.host->receive();
      REQUIRE(received);
      REQUIRE(received->first == frame);
    }
    const auto received = rig.host->receive();
    REQUIRE(received);
    CHECK(received->first == large);
    writer->stop();
    CHECK(report.packets == 159);
    CHECK(report.failed == 0);

    REQUIRE(std::system("ip link del offload0") == 0);
    const auto after = makeTapWriter(path, *rig.tap, report);
    REQUIRE(after->write({{&piece, 1}, offloadOf(super, 1300), 39}));
    after->flush();
    after->stop();
    CHECK(report.failed == 39);
    CHECK(report.lastError == EBADFD);
  }
}

TEST_CASE("TAP: super-packets are limited to what is one message when encapsulated" * doctest::skip(!isRoot)) {
  CHECK(superPacketLimits(1400).ipv4Bytes == 44 * 1360 + 320);
  CHECK(superPacketLimits(1400).ipv6Bytes == 44 * 1340 + 320);
  CHECK(superPacketLimits(9000).ipv4Bytes == 7 * 8960 + 320);
  CHECK(superPacketLimits(576).ipv4Bytes == 64 * 536 + 320);
  LinuxTapRig rig;
  CHECK(limitSuperPackets("nobody", {60'000, 60'000}) == ENODEV);
  const std::string command = "ip -d link show dev offload0 | grep -q 'gso_max_size " +
                              std::to_string(superPacketLimits(1400).ipv6Bytes) + "'";
  CHECK(std::system(command.c_str()) == 0);
}
