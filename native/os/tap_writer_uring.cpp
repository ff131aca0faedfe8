#include <liburing.h>

#include <array>
#include <cerrno>
#include <utility>

#include "os/tap_vector.h"
#include "os/tap_writer.h"

namespace p2pxbone {
namespace {

// Writes of one system call.
constexpr unsigned kEntries = 64;

// The kernel carries requests out one after another while it takes them, as long as none has to wait; a TAP's do not.
class UringTapWriter final : public TapWriter {
 public:
  UringTapWriter(TapDevice& tap, TapWriteReport& report) : tap_(tap), report_(report) {
    open_ = ::io_uring_queue_init(kEntries, &ring_, 0) == 0;
  }
  ~UringTapWriter() override {
    if (open_) ::io_uring_queue_exit(&ring_);
  }

  [[nodiscard]] bool open() const { return open_; }

  bool write(const TapFrame& frame) override {
    if (pending_ == kEntries) flush();
    io_uring_sqe* const entry = open_ ? ::io_uring_get_sqe(&ring_) : nullptr;
    if (entry == nullptr) {
      report_.written(frame.packets, tap_.write(frame));
      return true;
    }
    TapVector& vector = vectors_[pending_];
    vector.set(frame, true);
    packets_[pending_] = frame.packets;
    ::io_uring_prep_writev(entry, tap_.descriptor(), vector.data(), static_cast<unsigned>(vector.count()), 0);
    ::io_uring_sqe_set_data64(entry, pending_);
    ++pending_;
    return true;
  }

  void flush() override {
    unsigned left = pending_;
    pending_ = 0;
    while (left > 0) {
      const int submitted = ::io_uring_submit_and_wait(&ring_, 1);
      if (submitted < 0 && submitted != -EINTR && submitted != -EAGAIN && submitted != -EBUSY) break;
      io_uring_cqe* done = nullptr;
      while (left > 0 && ::io_uring_peek_cqe(&ring_, &done) == 0) {
        size_t& packets = packets_[::io_uring_cqe_get_data64(done)];
        report_.written(std::exchange(packets, 0), done->res < 0 ? -done->res : 0);
        ::io_uring_cqe_seen(&ring_, done);
        --left;
      }
    }
    if (left == 0) return;
    // The kernel took the ring from us; nothing of the kind is known to happen. From now on the TAP is written directly.
    ::io_uring_queue_exit(&ring_);
    open_ = false;
    for (size_t& packets : packets_) {
      if (packets != 0) report_.written(std::exchange(packets, 0), EIO);
    }
  }

  void stop() override { flush(); }

 private:
  TapDevice& tap_;
  TapWriteReport& report_;
  bool open_ = false;
  io_uring ring_{};
  std::array<TapVector, kEntries> vectors_;
  std::array<size_t, kEntries> packets_{};
  unsigned pending_ = 0;
};

}  // namespace

std::unique_ptr<TapWriter> makeUringTapWriter(TapDevice& tap, TapWriteReport& report) {
  if (tap.descriptor() < 0) return nullptr;
  auto writer = std::make_unique<UringTapWriter>(tap, report);
  if (!writer->open()) return nullptr;
  return writer;
}

}  // namespace p2pxbone
