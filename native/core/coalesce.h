// Joins consecutive packets of one flow to super-packets (core/join.h) before they are written to a TAP. Order within a
// flow is kept; between flows it is not.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "core/join.h"
#include "core/node.h"
#include "core/offload.h"

namespace p2pxbone {

// A frame to be written to a TAP.
struct TapFrame {
  // One after another they are the frame.
  std::span<const std::span<const uint8_t>> pieces;
  Offload offload;
  // As they came over the wire.
  size_t packets = 1;
};

// Where the coalescer leaves what is finished. The frame's memory is free again when the coalescer has been flushed.
class TapFrameSink {
 public:
  virtual ~TapFrameSink() = default;
  virtual void writeFrame(Node& node, const TapFrame& frame) = 0;
};

// One thread's.
class Coalescer {
 public:
  // A packet of one more flow ends the flow that was begun first.
  static constexpr size_t kFlowsMax = 16;
  static constexpr size_t kPacketsMax = Join::kPacketsMax;

  explicit Coalescer(TapFrameSink& sink) : sink_(sink) {}

  // `frame` is an Ethernet frame that holds exactly the IP packet that `ip` describes. It may be overwritten, and must stay
  // in place until flush(). `features`: of the node's TAP.
  void add(Node& node, std::span<uint8_t> frame, const InnerPacket& ip, OffloadFeatures features);
  // Writes all that is held back.
  void flush();

 private:
  struct Flow {
    Node* node = nullptr;  // null: free
    uint32_t hash = 0;
    Join join;
    std::span<uint8_t> first;  // the first frame; its headers become the super-packet's
    uint64_t begun = 0;
    std::array<std::span<const uint8_t>, kPacketsMax> pieces;
  };
  // What add() has found out about a packet.
  struct Candidate {
    std::span<uint8_t> frame;
    const InnerPacket& ip;
    size_t headers = 0;  // IP and transport; 0: not to be joined
    uint32_t hash = 0;
  };

  [[nodiscard]] Flow* find(const Node& node, const Candidate& packet);
  static void append(Flow& flow, const Candidate& packet);
  void begin(Node& node, const Candidate& packet);
  void finish(Flow& flow);
  void finishAll(const Node& node);
  void writeAlone(Node& node, std::span<const uint8_t> frame, const Offload& offload);

  TapFrameSink& sink_;
  std::array<Flow, kFlowsMax> flows_;
  uint64_t begun_ = 0;
  size_t used_ = 0;
  Flow* last_ = nullptr;
};

}  // namespace p2pxbone
