#include <cstring>
#include <thread>

#include "core/packet_ring.h"
#include "os/tap_writer.h"
#include "os/thread.h"

namespace p2pxbone {
namespace {

// Before each frame in the ring.
struct Label {
  Offload offload;
  uint32_t packets = 0;
};

class QueueTapWriter final : public TapWriter {
 public:
  QueueTapWriter(TapDevice& tap, TapWriteReport& report) : tap_(tap), report_(report) {
    thread_ = startThread("p2px-tap-write", [this] { loop(); });
  }
  ~QueueTapWriter() override { stop(); }

  bool write(const TapFrame& frame) override {
    const Label label{frame.offload, static_cast<uint32_t>(frame.packets)};
    std::array<std::span<const uint8_t>, Coalescer::kPacketsMax + 1> pieces;
    pieces[0] = {reinterpret_cast<const uint8_t*>(&label), sizeof label};
    std::copy(frame.pieces.begin(), frame.pieces.end(), pieces.begin() + 1);
    const bool taken = ring_.push(std::span{pieces}.first(frame.pieces.size() + 1));
    if (ring_.isFilling()) ring_.wake();
    return taken;
  }

  void flush() override { ring_.wake(); }

  void stop() override {
    ring_.close();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void loop() {
    while (ring_.wait()) {
      const std::span<const uint8_t> record = ring_.front();
      Label label;
      std::memcpy(&label, record.data(), sizeof label);
      const std::span<const uint8_t> frame = record.subspan(sizeof label);
      report_.written(label.packets, tap_.write({{&frame, 1}, label.offload, label.packets}));
      ring_.pop();
    }
  }

  TapDevice& tap_;
  TapWriteReport& report_;
  PacketRing ring_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<TapWriter> makeQueueTapWriter(TapDevice& tap, TapWriteReport& report) {
  return std::make_unique<QueueTapWriter>(tap, report);
}

}  // namespace p2pxbone
