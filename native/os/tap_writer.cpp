#include "os/tap_writer.h"

#include "os/notice.h"

namespace p2pxbone {
namespace {

Notice noAio{"TAPs cannot be written by POSIX AIO here; they are written directly."};
Notice noUring{"io_uring is not available here; TAPs are written directly."};

class DirectTapWriter final : public TapWriter {
 public:
  DirectTapWriter(TapDevice& tap, TapWriteReport& report) : tap_(tap), report_(report) {}

  bool write(const TapFrame& frame) override {
    report_.written(frame.packets, tap_.write(frame));
    return true;
  }
  void flush() override {}
  void stop() override {}

 private:
  TapDevice& tap_;
  TapWriteReport& report_;
};

}  // namespace

std::unique_ptr<TapWriter> makeTapWriter(ReceivePath path, TapDevice& tap, TapWriteReport& report) {
  std::unique_ptr<TapWriter> writer;
  switch (path) {
    case ReceivePath::direct: break;
    case ReceivePath::queue: writer = makeQueueTapWriter(tap, report); break;
    case ReceivePath::aio:
      writer = makeAioTapWriter(tap, report);
      if (writer == nullptr) noAio.say();
      break;
    case ReceivePath::uring:
      writer = makeUringTapWriter(tap, report);
      if (writer == nullptr) noUring.say();
      break;
  }
  if (writer == nullptr) writer = std::make_unique<DirectTapWriter>(tap, report);
  return writer;
}

}  // namespace p2pxbone
