#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "os/fd.h"
#include "os/notice.h"
#include "os/platform.h"
#include "os/super_packets.h"
#include "os/tap_vector.h"

namespace p2pxbone {
namespace {

// With the kernel's default of 500, bursts of small packets are lost before they are read.
constexpr int kTransmitQueuePackets = 5000;

// Younger than the system's headers: segmentation of UDP (Linux 6.2).
constexpr unsigned kUdpSegmentation4 = 0x20;
constexpr unsigned kUdpSegmentation6 = 0x40;
constexpr unsigned kTcpOffloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
constexpr unsigned kAllOffloads = kTcpOffloads | kUdpSegmentation4 | kUdpSegmentation6;

Notice noUdpOffload{"the kernel's TAPs do not join UDP packets (Linux 6.2 does): small UDP packets are slower."};
Notice noOffload{"the kernel's TAPs have no offloads: TCP is several times slower."};
Notice noSuperPacketSize{"the kernel does not limit super-packets as asked: large transfers are slower."};

class LinuxTap final : public TapDevice {
 public:
  LinuxTap(UniqueFd fd, OffloadFeatures features) : fd_(std::move(fd)), features_(features) {}

  using TapDevice::wait;
  bool wait(const Wakeup* call) override { return waitReadable(fd_.get(), stop_, call); }
  OffloadFeatures features() const override { return features_; }
  int descriptor() const override { return fd_.get(); }
  void stop() override { stop_.signal(); }
  bool stopped() const override { return stop_.signalled(); }

  int read(std::span<TapSlot> slots) override {
    int count = 0;
    size_t bytes = 0;
    for (TapSlot& slot : slots) {
      if (bytes >= kTapReadBytesMax) break;
      const ssize_t length =
          ::read(fd_.get(), slot.room.data() - kVnetHeaderBytes, slot.room.size() + kVnetHeaderBytes);
      if (length < 0) {
        if (errno == EAGAIN || errno == EINTR || count > 0) break;
        return -errno;
      }
      accept(slot, static_cast<size_t>(length));
      bytes += slot.length;
      ++count;
    }
    return count;
  }

  int write(const TapFrame& frame) override {
    TapVector vector;
    vector.set(frame, true);
    return ::writev(fd_.get(), vector.data(), vector.count()) < 0 ? errno : 0;
  }

  [[nodiscard]] bool valid() const { return stop_.valid(); }

 private:
  static void accept(TapSlot& slot, size_t length) {
    slot.malformed = true;
    slot.length = 0;
    if (length < kVnetHeaderBytes) return;
    slot.length = length - kVnetHeaderBytes;
    const std::span<const uint8_t, kVnetHeaderBytes> header{slot.room.data() - kVnetHeaderBytes, kVnetHeaderBytes};
    const std::optional<Offload> offload = decodeVnetHeader(header);
    slot.malformed = !offload;
    if (offload) slot.offload = *offload;
  }

  UniqueFd fd_;
  const OffloadFeatures features_;
  Wakeup stop_;
};

ifreq requestFor(const std::string& name) {
  ifreq request{};
  std::memcpy(request.ifr_name, name.data(), std::min(name.size(), size_t{IFNAMSIZ - 1}));
  return request;
}

int configure(const TapOptions& options) {
  const UniqueFd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket.valid()) return errno;

  ifreq request = requestFor(options.name);
  request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
  std::memcpy(request.ifr_hwaddr.sa_data, options.mac.data(), options.mac.size());
  if (::ioctl(socket.get(), SIOCSIFHWADDR, &request) < 0) return errno;

  request = requestFor(options.name);
  request.ifr_mtu = static_cast<int>(options.mtu);
  if (::ioctl(socket.get(), SIOCSIFMTU, &request) < 0) return errno;

  request = requestFor(options.name);
  request.ifr_qlen = kTransmitQueuePackets;
  if (::ioctl(socket.get(), SIOCSIFTXQLEN, &request) < 0) return errno;

  // All destinations behind the device are its own business, so there is nobody to resolve.
  request = requestFor(options.name);
  if (::ioctl(socket.get(), SIOCGIFFLAGS, &request) < 0) return errno;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_NOARP);
  return ::ioctl(socket.get(), SIOCSIFFLAGS, &request) < 0 ? errno : 0;
}

OffloadFeatures agreeOnOffloads(int fd) {
  if (::ioctl(fd, TUNSETOFFLOAD, kAllOffloads) == 0) return {true, true, true};
  if (::ioctl(fd, TUNSETOFFLOAD, kTcpOffloads) == 0) {
    noUdpOffload.say();
    return {true, true, false};
  }
  noOffload.say();
  return {};
}

}  // namespace

TapOutcome LinuxPlatform::openTap(const TapOptions& options) {
  if (options.name.empty() || options.name.size() >= IFNAMSIZ) return EINVAL;
  UniqueFd fd{::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (!fd.valid()) return errno;
  ifreq request = requestFor(options.name);
  // Without IFF_TUN_EXCL the kernel would attach us to a persistent device that somebody else left with this name.
  constexpr unsigned flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | IFF_VNET_HDR;
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) return errno;
  // The kernel expands a percent sign in a name; such a device is not the one that was asked for.
  if (options.name != request.ifr_name) return EINVAL;
  if (const int error = configure(options); error != 0) return error;
  constexpr int headerBytes = kVnetHeaderBytes;
  if (::ioctl(fd.get(), TUNSETVNETHDRSZ, &headerBytes) < 0) return errno;
  const OffloadFeatures features = agreeOnOffloads(fd.get());
  if (features.tcp && limitSuperPackets(options.name, superPacketLimits(options.mtu)) != 0) noSuperPacketSize.say();
  auto tap = std::make_unique<LinuxTap>(std::move(fd), features);
  if (!tap->valid()) return EMFILE;
  return tap;
}

}  // namespace p2pxbone
