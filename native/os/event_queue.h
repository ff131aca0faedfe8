// Events on their way to JavaScript: a bounded queue and one doorbell, rung once until the queue has been drained.
#pragma once

#include <functional>
#include <mutex>
#include <variant>
#include <vector>

#include "core/association.h"
#include "core/counters.h"

namespace p2pxbone {

using NodeHandle = uint32_t;

struct NodeFailed {
  NodeHandle node = 0;
  int error = 0;
};

using Event = std::variant<AssociationEvent, NodeFailed>;

class EventQueue {
 public:
  // Control messages are lost beyond the first figure, as datagrams are; everything else only beyond the second, which a
  // live process does not reach.
  static constexpr size_t kControlMax = 8192;
  static constexpr size_t kEventsMax = 65536;

  // The doorbell is rung from any thread and must not block. Set before any event can occur.
  void onDoorbell(std::function<void()> doorbell);
  // Any thread. False if the event was lost.
  [[nodiscard]] bool push(Event event);
  // All events since the last call.
  [[nodiscard]] std::vector<Event> drain();

 private:
  std::mutex mutex_;  // guards all below
  std::function<void()> doorbell_;
  std::vector<Event> events_;
  bool rung_ = false;
};

}  // namespace p2pxbone
