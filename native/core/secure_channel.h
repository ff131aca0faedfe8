// What the packet path knows of an association: its keys. The association machine makes one per association and is its
// control side; tunnels share it, and many threads send through it.
//
// Keys are published as plain pointers. What is replaced goes to the caller's list of the retired, to be freed when no
// worker can hold it (core/epoch.h).
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "core/association.h"
#include "core/record_keys.h"

namespace p2pxbone {

using Retired = std::vector<std::shared_ptr<const void>>;

class SecureChannel {
 public:
  explicit SecureChannel(AssociationId id) : association(id) {}

  const AssociationId association;

  // Any thread, inside a batch: null if nothing may be sent.
  [[nodiscard]] const SendingKeys* sending() const { return sending_.load(); }

  // The reader, inside a batch: newest first; null where there are none.
  [[nodiscard]] std::array<ReceivingKeys*, 2> receiving() const { return {newest_.load(), older_.load()}; }
  // The reader tells when it opened a record, and under which keys.
  void heard(Millis now, bool underOlder) {
    heardAt_.store(now, std::memory_order_relaxed);
    if (underOlder) olderHeardAt_.store(now, std::memory_order_relaxed);
  }
  // The reader's own: whether the control side knows that records come under the newest keys.
  bool provenTold = true;
  [[nodiscard]] Millis heardAt() const { return heardAt_.load(std::memory_order_relaxed); }
  [[nodiscard]] Millis olderHeardAt() const { return olderHeardAt_.load(std::memory_order_relaxed); }

  // All below are the control side's.

  // Receives under the new keys beside those in use. The newest ones give way if nothing has come under them: the peer
  // has begun anew before it used them.
  void receiveWith(std::shared_ptr<ReceivingKeys> keys, Retired& retired);
  // Sends with these from now on.
  void sendWith(std::shared_ptr<const SendingKeys> keys, Retired& retired);
  // No thread begins to send any more; the keys themselves are returned for the goodbye.
  std::shared_ptr<const SendingKeys> stopSending();
  void forgetOlder(Retired& retired);
  void forgetAll(Retired& retired);
  [[nodiscard]] bool hasOlder() const { return ownedOlder_ != nullptr; }
  // Whether nothing has come under the newest keys yet.
  [[nodiscard]] bool unproven() const { return ownedNewest_ != nullptr && ownedNewest_->records() == 0; }
  // Records opened under the newest keys.
  [[nodiscard]] uint64_t recordsReceived() const { return ownedNewest_ == nullptr ? 0 : ownedNewest_->records(); }

 private:
  std::atomic<const SendingKeys*> sending_{nullptr};
  std::atomic<ReceivingKeys*> newest_{nullptr};
  std::atomic<ReceivingKeys*> older_{nullptr};
  std::atomic<Millis> heardAt_{0};
  std::atomic<Millis> olderHeardAt_{0};

  // The control side's.
  std::shared_ptr<const SendingKeys> ownedSending_;
  std::shared_ptr<ReceivingKeys> ownedNewest_;
  std::shared_ptr<ReceivingKeys> ownedOlder_;
};

}  // namespace p2pxbone
