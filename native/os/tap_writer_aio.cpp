#include <aio.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "os/tap_writer.h"

namespace p2pxbone {
namespace {

// Frames that may be under way; the next one waits for the oldest.
constexpr size_t kUnderWayMax = 32;
constexpr size_t kSlotBytes = kVnetHeaderBytes + kFrameBytesMax;

// The C library does the requests for one file one after another, in a thread of its own. It has no vectored write, so
// that frames are copied together.
class AioTapWriter final : public TapWriter {
 public:
  AioTapWriter(TapDevice& tap, TapWriteReport& report)
      : descriptor_(tap.descriptor()),
        report_(report),
        memory_(std::make_unique_for_overwrite<uint8_t[]>(kUnderWayMax * kSlotBytes)) {}
  ~AioTapWriter() override { stop(); }

  bool write(const TapFrame& frame) override {
    if (filled_ - collected_ == kUnderWayMax) {
      submit();
      collectOldest();
    }
    Slot& slot = slots_[filled_ % kUnderWayMax];
    uint8_t* const begin = memory_.get() + filled_ % kUnderWayMax * kSlotBytes;
    const auto header = encodeVnetHeader(frame.offload);
    uint8_t* end = std::copy(header.begin(), header.end(), begin);
    for (const std::span<const uint8_t> piece : frame.pieces) end = std::copy(piece.begin(), piece.end(), end);
    slot.packets = frame.packets;
    slot.request = {};
    slot.request.aio_fildes = descriptor_;
    slot.request.aio_lio_opcode = LIO_WRITE;
    slot.request.aio_buf = begin;
    slot.request.aio_nbytes = static_cast<size_t>(end - begin);
    ++filled_;
    return true;
  }

  void flush() override {
    submit();
    while (collected_ < submitted_ && ::aio_error(&slots_[collected_ % kUnderWayMax].request) != EINPROGRESS) {
      collectOldest();
    }
  }

  void stop() override {
    submit();
    while (collected_ < submitted_) collectOldest();
  }

 private:
  struct Slot {
    aiocb request;
    size_t packets = 0;
  };

  void submit() {
    std::array<aiocb*, kUnderWayMax> list;
    size_t count = 0;
    for (size_t at = submitted_; at < filled_; ++at) list[count++] = &slots_[at % kUnderWayMax].request;
    submitted_ = filled_;
    if (count == 0) return;
    // What could not be queued has its own error, which is found when it is collected.
    [[maybe_unused]] const int result = ::lio_listio(LIO_NOWAIT, list.data(), static_cast<int>(count), nullptr);
  }

  void collectOldest() {
    Slot& slot = slots_[collected_ % kUnderWayMax];
    const aiocb* const waited = &slot.request;
    int error = EINPROGRESS;
    while ((error = ::aio_error(waited)) == EINPROGRESS) {
      [[maybe_unused]] const int result = ::aio_suspend(&waited, 1, nullptr);
    }
    [[maybe_unused]] const ssize_t result = ::aio_return(&slot.request);
    report_.written(slot.packets, error);
    ++collected_;
  }

  const int descriptor_;
  TapWriteReport& report_;
  const std::unique_ptr<uint8_t[]> memory_;
  std::array<Slot, kUnderWayMax> slots_;
  // These grow for ever; the slot is the count modulo kUnderWayMax.
  size_t filled_ = 0;
  size_t submitted_ = 0;
  size_t collected_ = 0;
};

}  // namespace

std::unique_ptr<TapWriter> makeAioTapWriter(TapDevice& tap, TapWriteReport& report) {
  if (tap.descriptor() < 0) return nullptr;
  return std::make_unique<AioTapWriter>(tap, report);
}

}  // namespace p2pxbone
