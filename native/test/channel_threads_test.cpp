// One channel, several threads that send through it, one that receives, and one that changes its keys all the while.
#include <doctest/doctest.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "core/epoch.h"
#include "core/record_opener.h"
#include "core/record_sealer.h"

namespace p2pxbone::testing {
namespace {

using Bytes = std::vector<uint8_t>;

struct Wire {
  std::mutex mutex;
  std::deque<Bytes> records;
  std::atomic<uint64_t> pushed{0};
  std::atomic<uint64_t> opened{0};
  std::atomic<uint64_t> refused{0};
};

void sendAll(const SecureChannel& channel, EpochDomain::Worker& worker, Wire& wire, const std::atomic<bool>& stop) {
  const Bytes content(60, 0x08);
  while (!stop.load()) {
    if (wire.pushed.load() > wire.opened.load() + 500) {
      std::this_thread::yield();
      continue;
    }
    const EpochBatch batch{worker};
    Bytes record(recordRoomBytes(content.size()));
    record.resize(RecordSealer::seal(channel, content, record));
    if (record.empty()) continue;
    const std::lock_guard lock{wire.mutex};
    wire.records.push_back(std::move(record));
    wire.pushed.fetch_add(1);
  }
}

void receiveAll(SecureChannel& channel, EpochDomain::Worker& worker, Wire& wire, const std::atomic<bool>& stop) {
  while (!stop.load() || wire.opened.load() + wire.refused.load() < wire.pushed.load()) {
    Bytes record;
    {
      const std::lock_guard lock{wire.mutex};
      if (!wire.records.empty()) {
        record = std::move(wire.records.front());
        wire.records.pop_front();
      }
    }
    if (record.empty()) {
      std::this_thread::yield();
      continue;
    }
    const EpochBatch batch{worker};
    OpenedRecord opened;
    const DropReason reason = RecordOpener::open(channel, record, 1, false, opened);
    (reason == DropReason::none ? wire.opened : wire.refused).fetch_add(1);
  }
}

TEST_CASE("channel: keys change under load, every number is used once and every record opens") {
  EpochDomain epochs;
  SecureChannel channel(1);
  Wire wire;
  std::atomic<bool> stopSending{false};
  std::atomic<bool> stopReceiving{false};
  std::vector<std::thread> senders;
  for (int i = 0; i < 2; i++) {
    EpochDomain::Worker& worker = epochs.addWorker();
    senders.emplace_back([&] { sendAll(channel, worker, wire, stopSending); });
  }
  EpochDomain::Worker& readerWorker = epochs.addWorker();
  std::thread reader([&] { receiveAll(channel, readerWorker, wire, stopReceiving); });
  const auto waitFor = [](const auto& condition) {
    while (!condition()) std::this_thread::yield();
  };
  for (uint8_t generation = 1; generation <= 30; generation++) {
    DirectionKeys keys;
    keys.key.fill(generation);
    keys.fixedNonce.fill(generation);
    const auto cipher = static_cast<Cipher>(generation % 3);
    Retired retired;
    channel.receiveWith(std::make_shared<ReceivingKeys>(cipher, keys), retired);
    channel.sendWith(std::make_shared<const SendingKeys>(cipher, keys, 1, uint64_t{1} << 31), retired);
    // Nobody seals with the former keys any more once this returns, and what was sealed is on the wire.
    epochs.synchronize();
    const uint64_t sealed = wire.pushed.load();
    waitFor([&] { return wire.opened.load() + wire.refused.load() > sealed + 100 && !channel.unproven(); });
    channel.forgetOlder(retired);
    for (auto& object : retired) epochs.retire(std::move(object));
  }
  stopSending.store(true);
  for (auto& sender : senders) sender.join();
  stopReceiving.store(true);
  reader.join();
  CHECK(wire.refused.load() == 0);
  CHECK(wire.opened.load() == wire.pushed.load());
  Retired retired;
  CHECK(channel.stopSending() != nullptr);
  channel.forgetAll(retired);
}

}  // namespace
}  // namespace p2pxbone::testing
