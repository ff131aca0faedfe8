#include "os/fd.h"

#include <poll.h>

#include <array>
#include <cerrno>

namespace p2pxbone {

bool waitReadable(int fd, const Wakeup& stop, const Wakeup* call) {
  // A negative descriptor is not waited for.
  std::array<pollfd, 3> waited{{{fd, POLLIN, 0}, {stop.fd(), POLLIN, 0}, {call == nullptr ? -1 : call->fd(), POLLIN, 0}}};
  for (;;) {
    const int ready = ::poll(waited.data(), waited.size(), -1);
    if (ready < 0 && errno == EINTR) continue;
    if ((waited[2].revents & POLLIN) != 0) call->drain();
    return (waited[1].revents & POLLIN) == 0;
  }
}

}  // namespace p2pxbone
