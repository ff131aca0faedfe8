// What the control thread does first when there is more than it can do.
#include "os/control_loop.h"

#include <doctest/doctest.h>

#include <future>

#include "os/thread.h"
#include "test/association_fixture.h"

namespace p2pxbone::testing {
namespace {

// Remembers to whom something was sent.
class SendLog final : public UnderlaySocket {
 public:
  Endpoint local() const override { return {}; }
  bool wait(const Wakeup*) override { return false; }
  size_t receive(std::span<DatagramSlot>) override { return 0; }
  uint64_t overflows() const override { return 0; }
  void stop() override {}
  bool stopped() const override { return true; }
  void send(std::span<MessageOut> messages, SendPatience) override {
    const std::lock_guard lock{mutex_};
    for (const MessageOut& message : messages) to_.push_back(message.to);
  }
  std::vector<Endpoint> to() {
    const std::lock_guard lock{mutex_};
    return to_;
  }

 private:
  std::mutex mutex_;  // guards all below
  std::vector<Endpoint> to_;
};

std::vector<uint8_t> clientHello() {
  AssociationMachine machine({});
  equip(machine);
  REQUIRE(machine.associate(b, vi, 1000));
  return machine.pollTransmit()->datagram;
}

Endpoint strangerOf(size_t number) { return ipv4(static_cast<uint8_t>(number % 200), static_cast<uint16_t>(1 + number / 200)); }

TEST_CASE("control thread: strangers' handshakes neither take peers' places in the queue nor go first") {
  SendLog log;
  const UnderlaySlot slot{&log};
  EpochDomain epochs;
  EventQueue events;
  ControlLoop loop{{}, {slot, epochs, events, 1}};
  loop.call([](AssociationMachine& machine, Millis) { equip(machine); });
  const std::vector<uint8_t> hello = clientHello();
  constexpr size_t kPeers = 10;
  const auto peerOf = [](size_t number) { return ipv4(201, static_cast<uint16_t>(1 + number)); };

  // While the thread is busy, strangers fill their queue.
  std::promise<void> busy;
  std::promise<void> over;
  std::thread caller{[&] {
    loop.call([&](AssociationMachine&, Millis) {
      busy.set_value();
      over.get_future().wait();
    });
  }};
  busy.get_future().wait();
  size_t strangers = 0;
  while (strangers < 100'000 && loop.offerHandshake(strangerOf(strangers), false, std::nullopt, hello)) ++strangers;
  CHECK(strangers == kStrangerHandshakesWaitingMax);
  for (size_t i = 0; i < kPeers; ++i) CHECK(loop.offerHandshake(peerOf(i), true, std::nullopt, hello));
  over.set_value();
  caller.join();
  loop.wake();

  const Millis end = monotonicNow() + 10'000;
  while (log.to().size() < strangers + kPeers && monotonicNow() < end) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  const std::vector<Endpoint> answered = log.to();
  REQUIRE(answered.size() == strangers + kPeers);
  for (size_t i = 0; i < kPeers; ++i) CHECK(answered[i] == peerOf(i));
  CHECK(answered[kPeers] == strangerOf(0));
}

}  // namespace
}  // namespace p2pxbone::testing
