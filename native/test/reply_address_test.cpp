// From which of its addresses a data plane answers, and to whom that address is noted.
#include <doctest/doctest.h>

#include <mutex>
#include <thread>

#include "core/record_format.h"
#include "os/data_plane.h"
#include "os/memory_platform.h"
#include "os/thread.h"
#include "test/association_certificates.h"
#include "test/packet_builder.h"

using namespace p2pxbone;
using namespace p2pxbone::testing;

namespace {

constexpr int kPatienceMs = 5000;
const HostAddress kReached = v4(192, 0, 2, 7);

// What a socket is told about peers, and from where it is asked to send.
struct Journal {
  void noteHeard(const Endpoint& peer, const HostAddress& local) {
    const std::lock_guard lock{mutex};
    heard.emplace_back(peer, local);
  }
  void noteSent(const MessageOut& message) {
    const std::lock_guard lock{mutex};
    (isOfHandshake(message.pieces[0]) ? handshakeSources : otherSources).push_back(message.source);
  }
  std::vector<std::pair<Endpoint, HostAddress>> peersHeard() {
    const std::lock_guard lock{mutex};
    return heard;
  }

  std::mutex mutex;  // guards all below
  std::vector<std::pair<Endpoint, HostAddress>> heard;
  std::vector<std::optional<HostAddress>> handshakeSources;
  std::vector<std::optional<HostAddress>> otherSources;
};

// An in-memory socket of a host with several addresses, at one of which everybody reaches it.
class ManyHomed final : public UnderlaySocket {
 public:
  ManyHomed(std::unique_ptr<UnderlaySocket> inner, Journal& journal) : inner_(std::move(inner)), journal_(journal) {}
  Endpoint local() const override { return inner_->local(); }
  bool wait(const Wakeup* call) override { return inner_->wait(call); }
  uint64_t overflows() const override { return 0; }
  void stop() override { inner_->stop(); }
  bool stopped() const override { return inner_->stopped(); }
  size_t receive(std::span<DatagramSlot> slots) override {
    const size_t count = inner_->receive(slots);
    for (DatagramSlot& slot : slots.first(count)) slot.to = kReached;
    return count;
  }
  void heard(const Endpoint& peer, const HostAddress& local, Millis) override { journal_.noteHeard(peer, local); }
  void send(std::span<MessageOut> messages, SendPatience patience) override {
    for (const MessageOut& message : messages) journal_.noteSent(message);
    inner_->send(messages, patience);
  }

 private:
  const std::unique_ptr<UnderlaySocket> inner_;
  Journal& journal_;
};

class ManyHomedPlatform final : public Platform {
 public:
  explicit ManyHomedPlatform(MemoryNetwork& network) : inner_(network) {}
  TapOutcome openTap(const TapOptions& options) override { return inner_.openTap(options); }
  UnderlayOutcome openUnderlay(const Endpoint& local, uint64_t seed) override {
    UnderlayOutcome outcome = inner_.openUnderlay(local, seed);
    return std::make_unique<ManyHomed>(std::move(std::get<std::unique_ptr<UnderlaySocket>>(outcome)), journal);
  }

  Journal journal;

 private:
  MemoryPlatform inner_;
};

template <typename Condition>
bool within(Condition condition) {
  const Millis end = monotonicNow() + kPatienceMs;
  while (!condition() && monotonicNow() < end) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  return condition();
}

uint64_t dropsOf(DataPlane& plane) {
  uint64_t sum = 0;
  for (const uint64_t count : plane.counters().drops) sum += count;
  return sum;
}

}  // namespace

TEST_CASE("reply address: strangers leave no note, whatever they send") {
  MemoryNetwork network;
  ManyHomedPlatform platform{network};
  DataPlane plane{platform, {}};
  const Endpoint at = std::get<Endpoint>(plane.bind(endpointOf(1, 4000)));
  MemoryPlatform others{network};
  UnderlayOutcome outcome = others.openUnderlay(endpointOf(66, 0), 1);
  UnderlaySocket& stranger = *std::get<std::unique_ptr<UnderlaySocket>>(outcome);
  const Bytes packet = vxlan(7, ethernet(Bytes(40, 0), macOf(1), macOf(2)));
  const Bytes record{contentApplicationData, dtlsMajor, dtls12Minor, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 1};
  const Bytes hello{contentHandshake, dtlsMajor, dtls12Minor, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
  uint64_t sent = 0;
  for (const Bytes* bytes : {&packet, &record, &hello}) {
    for (int i = 0; i < 20; ++i) {
      REQUIRE(sendOne(stranger, at, *bytes) == 0);
      ++sent;
    }
  }
  CHECK(within([&] { return dropsOf(plane) == sent; }));
  CHECK(platform.journal.peersHeard().empty());
}

TEST_CASE("reply address: handshakes are answered from where they came to, and who has finished one is noted") {
  const Authority authority{"authority"};
  MemoryNetwork network;
  MemoryPlatform clients{network};
  ManyHomedPlatform servers{network};
  DataPlane server{servers, {}};
  const Endpoint at = std::get<Endpoint>(server.bind(endpointOf(1, 4000)));
  DataPlane client{clients, {}};
  const Endpoint from = std::get<Endpoint>(client.bind(endpointOf(2, 4000)));
  for (DataPlane* plane : {&server, &client}) {
    const PemIdentity identity = authority.issue("node");
    const auto settings = credentialOf("vi", identity.certificate, identity.privateKey, authority.pem());
    REQUIRE(plane->setCredential(settings).error == PlaneError::none);
  }
  REQUIRE(std::holds_alternative<AssociationId>(client.associate(at, "vi")));
  const auto isUp = [&] {
    const auto associations = server.counters().associations;
    return associations.size() == 1 && associations[0].up && associations[0].rttMs >= 0;
  };
  REQUIRE(within(isUp));
  Journal& journal = servers.journal;
  const auto heard = journal.peersHeard();
  REQUIRE_FALSE(heard.empty());
  for (const auto& each : heard) CHECK(each == std::pair{from, kReached});
  const std::lock_guard lock{journal.mutex};
  CHECK(journal.handshakeSources.size() >= 3);
  for (const auto& source : journal.handshakeSources) CHECK(source == kReached);
  // Of its records, the socket knows by then.
  for (const auto& source : journal.otherSources) CHECK(source == std::nullopt);
}
