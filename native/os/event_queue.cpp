#include "os/event_queue.h"

#include <utility>

namespace p2pxbone {

void EventQueue::onDoorbell(std::function<void()> doorbell) {
  const std::lock_guard lock{mutex_};
  doorbell_ = std::move(doorbell);
}

bool EventQueue::push(Event event) {
  const auto* association = std::get_if<AssociationEvent>(&event);
  const bool control = association != nullptr && association->kind == AssociationEvent::Kind::control;
  const std::lock_guard lock{mutex_};
  if (events_.size() >= (control ? kControlMax : kEventsMax)) return false;
  events_.push_back(std::move(event));
  if (!rung_ && doorbell_) {
    rung_ = true;
    doorbell_();
  }
  return true;
}

std::vector<Event> EventQueue::drain() {
  const std::lock_guard lock{mutex_};
  rung_ = false;
  return std::exchange(events_, {});
}

}  // namespace p2pxbone
