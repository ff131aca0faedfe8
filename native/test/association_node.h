// An association machine with the reader that belongs to it, on one thread and without sockets.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "core/association.h"
#include "core/record_sealer.h"
#include "core/secure_arrivals.h"

namespace p2pxbone::testing {

class AssociationNode final : private ArrivalSink {
 public:
  explicit AssociationNode(const AssociationSettings& settings) : machine(settings) { publish(); }

  AssociationMachine machine;
  // VXLAN packets that came out of channels.
  std::vector<std::vector<uint8_t>> packets;

  // As the data plane does it: opened by the reader, or handed to the machine.
  void receive(const Endpoint& from, std::span<const uint8_t> datagram, Millis now) {
    now_ = now;
    std::vector<uint8_t> bytes(datagram.begin(), datagram.end());
    // The data plane tells protocols apart before.
    if (bytes.empty() || bytes[0] < 20 || bytes[0] > 63) return drop(DropReason::dtlsMalformed);
    const auto held = directory_;
    arrivals_.handle(*held, from, bytes, now, *this);
  }

  // After anything that the machine was told, before anything is sent.
  void publish() {
    while (auto next = machine.takeDirectory()) {
      directory_ = std::move(next);
      machine.notePublished();
    }
    (void)machine.takeRetired();
  }

  // A record of that content for the association's peer; empty if there are no keys.
  [[nodiscard]] std::vector<uint8_t> seal(AssociationId association, std::span<const uint8_t> content) {
    const auto channel = machine.channel(association);
    std::vector<uint8_t> record(recordRoomBytes(content.size()));
    record.resize(channel == nullptr ? 0 : RecordSealer::seal(*channel, content, record));
    return record;
  }

  [[nodiscard]] uint64_t dropped(DropReason reason) const { return drops_[static_cast<size_t>(reason)]; }
  [[nodiscard]] uint64_t droppedInAll() const {
    uint64_t sum = 0;
    for (const uint64_t count : drops_) sum += count;
    return sum;
  }

 private:
  void packet(const SecureChannel&, const Endpoint&, std::span<uint8_t> packet) override {
    packets.emplace_back(packet.begin(), packet.end());
  }
  void record(const ControlRecord& record, const Endpoint&, std::span<const uint8_t> content) override {
    machine.handleRecord(record, content, now_);
  }
  void handshake(const Endpoint& from, bool, std::span<const uint8_t> datagram) override {
    machine.handleDatagram(from, datagram, now_);
  }
  bool early(const Endpoint& from, std::span<const uint8_t> datagram) override {
    machine.handleDatagram(from, datagram, now_);
    return true;
  }
  const ChannelDirectory& directory() override { return *directory_; }
  void moved(AssociationId association, const Endpoint& to) override { machine.handleMoved(association, to, now_); }
  bool proven(AssociationId association) override {
    machine.handleProven(association, now_);
    return true;
  }
  void drop(DropReason reason) override { drops_[static_cast<size_t>(reason)]++; }

  SecureArrivals arrivals_;
  std::shared_ptr<const ChannelDirectory> directory_;
  std::array<uint64_t, kDropReasonCount> drops_{};
  Millis now_ = 0;
};

}  // namespace p2pxbone::testing
