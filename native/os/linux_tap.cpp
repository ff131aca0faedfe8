#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "os/fd.h"
#include "os/platform.h"

namespace p2pxbone {
namespace {

// With the kernel's default of 500, bursts of small packets are lost before they are read.
constexpr int kTransmitQueuePackets = 5000;

class LinuxTap final : public TapDevice {
 public:
  explicit LinuxTap(UniqueFd fd) : fd_(std::move(fd)) {}

  bool wait() override { return waitReadable(fd_.get(), stop_); }

  int read(std::span<TapSlot> slots) override {
    int count = 0;
    for (TapSlot& slot : slots) {
      const ssize_t length = ::read(fd_.get(), slot.room.data(), slot.room.size());
      if (length < 0) {
        if (errno == EAGAIN || errno == EINTR || count > 0) break;
        return -errno;
      }
      slot.length = static_cast<size_t>(length);
      ++count;
    }
    return count;
  }

  int write(std::span<const uint8_t> frame) override {
    return ::write(fd_.get(), frame.data(), frame.size()) < 0 ? errno : 0;
  }

  void stop() override { stop_.signal(); }

  [[nodiscard]] bool valid() const { return stop_.valid(); }

 private:
  UniqueFd fd_;
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

}  // namespace

TapOutcome LinuxPlatform::openTap(const TapOptions& options) {
  if (options.name.empty() || options.name.size() >= IFNAMSIZ) return EINVAL;
  UniqueFd fd{::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC)};
  if (!fd.valid()) return errno;
  ifreq request = requestFor(options.name);
  // Without IFF_TUN_EXCL the kernel would attach us to a persistent device that somebody else left with this name.
  constexpr unsigned flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL;
  request.ifr_flags = static_cast<short>(flags);
  if (::ioctl(fd.get(), TUNSETIFF, &request) < 0) return errno;
  // The kernel expands a percent sign in a name; such a device is not the one that was asked for.
  if (options.name != request.ifr_name) return EINVAL;
  if (const int error = configure(options); error != 0) return error;
  auto tap = std::make_unique<LinuxTap>(std::move(fd));
  if (!tap->valid()) return EMFILE;
  return tap;
}

}  // namespace p2pxbone
