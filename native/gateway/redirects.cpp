#include "gateway/redirects.h"

#include "gateway/rewrite.h"

namespace p2pxbone::gateway {
namespace {

// Ports tried for a client whose own one is taken.
constexpr uint32_t kPortsTriedMax = 16;
// Where they lie.
constexpr uint16_t kPortFirst = 32'768;
constexpr uint16_t kPortCount = 28'232;
// TCP connections that were silent for so long make room, too: whoever opens many and keeps them must not shut others out.
constexpr Millis kQuiet = 300'000;

FlowKey keyOfEnds(const Address& from, uint16_t fromPort, const Address& to, uint16_t toPort, uint8_t protocol) {
  Packet packet;
  packet.ip.source = from;
  packet.ip.sourcePort = fromPort;
  packet.ip.destination = to;
  packet.ip.destinationPort = toPort;
  packet.ip.protocol = protocol;
  return keyOf(packet).key;
}

}  // namespace

Redirects::Redirects(const Limits& limits, const HashSeed& seed)
    : most_(limits.redirects),
      timeouts_{limits.halfOpenTimeout, limits.datagramTimeout, limits.establishedTimeout},
      called_(0, WayHash{seed}),
      answers_(0, WayHash{seed}) {}

size_t Redirects::WayHash::operator()(const Way& way) const {
  KeyedHash hash{seed};
  hash.add(way.from.address).add(way.to.address);
  hash.add(uint64_t{way.from.port} << 32 | uint64_t{way.to.port} << 16 | way.protocol);
  return hash.finish();
}

Redirects::Way Redirects::wayOf(const Packet& packet) {
  const InnerPacket& ip = packet.ip;
  return {{ip.source, ip.sourcePort}, {ip.destination, ip.destinationPort}, ip.protocol};
}

Redirects::Way Redirects::wayOf(const Flow& flow) {
  return {{flow.address(Side::initiator), flow.port(Side::initiator)},
          {flow.address(Side::responder), flow.port(Side::responder)},
          flow.key.protocol};
}

Redirects::Outcome Redirects::begin(const Packet& packet, const RedirectTarget& target, Millis now) {
  now_ = now;
  const Way way = wayOf(packet);
  const End wanted{target.address, target.port == 0 ? way.to.port : target.port};
  if (wanted == way.to || target.address == way.from.address) {
    forget(packet);
    return Outcome::asItIs;
  }
  if (packet.parts != kNoParts || isMappedIpv4(target.address) == packet.ip.v6) {
    counters_.refused.add();
    return Outcome::refused;
  }
  if (const auto known = called_.find(way); known != called_.end()) {
    if (entries_[known->second].target == wanted) return Outcome::redirected;
    remove(known->second);
  }
  Entry entry{.client = way.from, .called = way.to, .target = wanted, .shownPort = way.from.port, .protocol = way.protocol};
  const uint32_t index = choosePort(entry) ? takeEntry() : kNone;
  if (index == kNone) {
    counters_.refused.add();
    return Outcome::refused;
  }
  entries_[index] = entry;
  called_.emplace(way, index);
  answers_.emplace(answersOf(entry), index);
  enlist(index, State::fresh, now);
  counters_.begun.add();
  return Outcome::redirected;
}

bool Redirects::isFree(const Entry& entry) const {
  const Way answers = answersOf(entry);
  if (answers_.contains(answers)) return false;
  const End& to = answers.from;
  const End& from = answers.to;
  return !inUse_ || !inUse_(keyOfEnds(from.address, from.port, to.address, to.port, entry.protocol));
}

bool Redirects::choosePort(Entry& entry) const {
  if (isFree(entry)) return true;
  if (entry.shownPort == 0) return false;
  const size_t start = called_.hash_function()(calledBy(entry));
  for (uint32_t i = 0; i < kPortsTriedMax; ++i) {
    entry.shownPort = static_cast<uint16_t>(kPortFirst + (start + i) % kPortCount);
    if (isFree(entry)) return true;
  }
  return false;
}

uint32_t Redirects::takeEntry() {
  if (called_.size() >= most_) {
    for (const State state : {State::fresh, State::datagrams, State::connected}) {
      const uint32_t oldest = lists_[static_cast<size_t>(state)].oldest;
      if (oldest == kNone || (state == State::connected && entries_[oldest].used + kQuiet > now_)) continue;
      counters_.evicted.add();
      remove(oldest);
      break;
    }
    if (called_.size() >= most_) return kNone;
  }
  if (free_ == kNone) {
    entries_.emplace_back();
    return static_cast<uint32_t>(entries_.size() - 1);
  }
  const uint32_t index = free_;
  free_ = entries_[index].newer;
  return index;
}

void Redirects::forget(const Packet& packet) {
  if (called_.empty()) return;
  if (const auto known = called_.find(wayOf(packet)); known != called_.end()) remove(known->second);
}

void Redirects::over(const Flow& flow) {
  if (called_.empty()) return;
  if (const auto known = called_.find(wayOf(flow)); known != called_.end()) remove(known->second);
}

Redirects::Arrival Redirects::arrive(Packet& packet, Millis now) {
  now_ = now;
  if (called_.empty() || packet.ip.fragment) return Arrival::other;
  const Way way = wayOf(packet);
  const auto found = answers_.find(way);
  if (found == answers_.end()) {
    // What a client itself sends to the target in this way would get the answers of the redirected connection.
    if (!answers_.contains(reversed(way))) return Arrival::other;
    counters_.refused.add();
    return Arrival::refused;
  }
  Entry& entry = entries_[found->second];
  entry.answered = true;
  enlist(found->second, entry.state, now);
  moveSource(packet, entry.called.address, entry.called.port);
  moveDestination(packet, entry.client.address, entry.client.port);
  return Arrival::answer;
}

bool Redirects::leave(Packet& packet) {
  if (called_.empty() || packet.ip.fragment) return false;
  const auto found = called_.find(wayOf(packet));
  if (found == called_.end()) return false;
  Entry& entry = entries_[found->second];
  // An answer alone is none to somebody who only pretends to be the client.
  const bool goesOn = entry.answered && (!packet.isTcp() || (packet.ip.tcpFlags & kTcpSyn) == 0);
  const State further = packet.isTcp() ? State::connected : State::datagrams;
  enlist(found->second, goesOn ? further : entry.state, now_);
  moveDestination(packet, entry.target.address, entry.target.port);
  moveSource(packet, entry.client.address, entry.shownPort);
  return true;
}

bool Redirects::concerns(const Packet& packet) const { return !called_.empty() && called_.contains(wayOf(packet)); }

bool Redirects::concerns(const Flow& flow) const { return !called_.empty() && called_.contains(wayOf(flow)); }

FlowKey Redirects::flowOf(const Packet& left) const {
  const auto found = called_.empty() ? answers_.end() : answers_.find(reversed(wayOf(left)));
  if (found == answers_.end()) return keyOf(left).key;
  const Entry& entry = entries_[found->second];
  return keyOfEnds(entry.client.address, entry.client.port, entry.called.address, entry.called.port, entry.protocol);
}

void Redirects::timer(Millis now) {
  now_ = now;
  for (size_t state = 0; state < kStates; ++state) {
    const List& list = lists_[state];
    while (list.oldest != kNone && entries_[list.oldest].used + timeouts_[state] <= now) remove(list.oldest);
  }
}

void Redirects::enlist(uint32_t index, State state, Millis now) {
  delist(index);
  Entry& entry = entries_[index];
  entry.state = state;
  entry.used = now;
  List& list = lists_[static_cast<size_t>(state)];
  entry.older = list.newest;
  (list.newest == kNone ? list.oldest : entries_[list.newest].newer) = index;
  list.newest = index;
}

void Redirects::delist(uint32_t index) {
  Entry& entry = entries_[index];
  List& list = lists_[static_cast<size_t>(entry.state)];
  if (entry.older == kNone && list.oldest != index) return;
  (entry.older == kNone ? list.oldest : entries_[entry.older].newer) = entry.newer;
  (entry.newer == kNone ? list.newest : entries_[entry.newer].older) = entry.older;
  entry.older = entry.newer = kNone;
}

void Redirects::remove(uint32_t index) {
  delist(index);
  called_.erase(calledBy(entries_[index]));
  answers_.erase(answersOf(entries_[index]));
  entries_[index] = {};
  entries_[index].newer = free_;
  free_ = index;
}

}  // namespace p2pxbone::gateway
