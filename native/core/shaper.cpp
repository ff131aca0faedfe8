#include "core/shaper.h"

#include <algorithm>

namespace p2pxbone {
namespace {

// Packets in one turn of take() and recycle().
constexpr size_t kTakenMax = 64;

uint64_t keyOf(const Shaper::Link& link) { return link.tunnel * 2 + static_cast<uint64_t>(link.way); }

}  // namespace

Shaper::Shaper(uint64_t seed, uint32_t storeBlocks)
    : seed_(seed),
      store_(storeBlocks),
      packets_(storeBlocks),
      gathered_(std::make_unique_for_overwrite<uint8_t[]>(kGatherBytes)) {
  taken_.reserve(kTakenMax);
}

Shaper::Queue* Shaper::queueOf(const Link& link, uint32_t& number) {
  const auto found = numbers_.find(keyOf(link));
  if (found != numbers_.end()) {
    number = found->second;
    return &queues_[number];
  }
  if (numbers_.size() >= kQueuesMax) return nullptr;
  Queue queue{link, LinkModel{ShapeRandom{seed_ ^ keyOf(link)}.next()}, {}, {}, 0, false};
  if (freeQueues_.empty()) {
    number = static_cast<uint32_t>(queues_.size());
    queues_.push_back(queue);
    heap_.reserve(queues_.size() * 2);
    freeQueues_.reserve(queues_.size());
  } else {
    number = freeQueues_.back();
    freeQueues_.pop_back();
    queues_[number] = queue;
  }
  numbers_.emplace(keyOf(link), number);
  return &queues_[number];
}

void Shaper::remove(uint32_t number) {
  numbers_.erase(keyOf(queues_[number].link));
  freeQueues_.push_back(number);
}

Shaper::Line& Shaper::lineOf(uint32_t line) {
  Queue& queue = queues_[line / 2];
  return line % 2 == 0 ? queue.ordered : queue.skipping;
}

DropReason Shaper::admit(const Link& link, const LinkShape& shape, std::span<const uint8_t> packet, size_t chargedBytes,
                         Nanos now) {
  // Looked at first: a packet that finds no room takes nothing of the rate.
  if (packet.size() > kGatherBytes || !store_.fits(packet.size())) return DropReason::shaperFull;
  uint32_t number = 0;
  Queue* const queue = queueOf(link, number);
  if (queue == nullptr || queue->packets >= kQueuePacketsMax) return DropReason::shaperFull;
  queue->released = false;
  const LinkModel::Admission admission = queue->model.admit(shape, chargedBytes, now);
  if (admission.reason != DropReason::none) return admission.reason;
  const uint32_t stored = store_.put(packet);
  ++queue->packets;
  ++waiting_;
  append(number * 2 + (admission.skipsDelay ? 1 : 0), stored, admission.due);
  return DropReason::none;
}

void Shaper::append(uint32_t line, uint32_t packet, Nanos due) {
  packets_[packet] = {due, PacketStore::kNone};
  Line& at = lineOf(line);
  const bool wasEmpty = at.first == PacketStore::kNone;
  if (wasEmpty) {
    at.first = packet;
  } else {
    packets_[at.last].next = packet;
  }
  at.last = packet;
  if (wasEmpty) pushHead(line);
}

void Shaper::pushHead(uint32_t line) {
  heap_.push_back({packets_[lineOf(line).first].due, line});
  std::push_heap(heap_.begin(), heap_.end());
}

std::optional<Nanos> Shaper::nextDue() const {
  if (heap_.empty()) return std::nullopt;
  return heap_.front().due;
}

std::span<uint8_t> Shaper::contents(uint32_t packet) {
  const size_t bytes = store_.bytes(packet);
  if (bytes <= PacketStore::kBlockBytes) return store_.inPlace(packet);
  const std::span<uint8_t> room{gathered_.get() + gatheredBytes_, bytes};
  store_.copy(packet, room);
  gatheredBytes_ += bytes;
  return room;
}

std::optional<Shaper::Departure> Shaper::take(Nanos now) {
  if (heap_.empty() || heap_.front().due > now || taken_.size() == kTakenMax) return std::nullopt;
  const uint32_t lineNumber = heap_.front().line;
  Line& line = lineOf(lineNumber);
  const uint32_t packet = line.first;
  const size_t bytes = store_.bytes(packet);
  if (bytes > PacketStore::kBlockBytes && gatheredBytes_ + bytes > kGatherBytes) return std::nullopt;
  std::pop_heap(heap_.begin(), heap_.end());
  heap_.pop_back();
  line.first = packets_[packet].next;
  if (line.first != PacketStore::kNone) pushHead(lineNumber);
  Queue& queue = queues_[lineNumber / 2];
  const Departure departure{queue.link, contents(packet)};
  taken_.push_back(packet);
  --waiting_;
  if (--queue.packets == 0 && queue.released) remove(lineNumber / 2);
  return departure;
}

void Shaper::recycle() {
  for (const uint32_t packet : taken_) store_.free(packet);
  taken_.clear();
  gatheredBytes_ = 0;
}

void Shaper::releaseIf(const std::function<bool(const Link&)>& isOver, Nanos now) {
  std::vector<uint32_t> over;
  for (const auto& [key, number] : numbers_) {
    if (isOver(queues_[number].link)) over.push_back(number);
  }
  for (const uint32_t number : over) {
    Queue& queue = queues_[number];
    queue.released = true;
    // Whatever comes next begins anew.
    queue.model = LinkModel{ShapeRandom{seed_ ^ keyOf(queue.link)}.next()};
    for (const Line& line : {queue.ordered, queue.skipping}) {
      for (uint32_t packet = line.first; packet != PacketStore::kNone; packet = packets_[packet].next) {
        packets_[packet].due = std::min(packets_[packet].due, now);
      }
    }
    if (queue.packets == 0) remove(number);
  }
  for (Head& head : heap_) head.due = packets_[lineOf(head.line).first].due;
  std::make_heap(heap_.begin(), heap_.end());
}

}  // namespace p2pxbone
