#include "core/secure_channel.h"

#include <utility>

namespace p2pxbone {

void SecureChannel::receiveWith(std::shared_ptr<ReceivingKeys> keys, Retired& retired) {
  if (ownedNewest_ != nullptr && !unproven()) {
    if (ownedOlder_ != nullptr) retired.push_back(ownedOlder_);
    ownedOlder_ = ownedNewest_;
    // In both places for a moment, so that the reader never misses them.
    older_.store(ownedOlder_.get());
  } else if (ownedNewest_ != nullptr) {
    retired.push_back(ownedNewest_);
  }
  ownedNewest_ = std::move(keys);
  newest_.store(ownedNewest_.get());
}

void SecureChannel::sendWith(std::shared_ptr<const SendingKeys> keys, Retired& retired) {
  if (ownedSending_ != nullptr) retired.push_back(ownedSending_);
  ownedSending_ = std::move(keys);
  sending_.store(ownedSending_.get());
}

std::shared_ptr<const SendingKeys> SecureChannel::stopSending() {
  sending_.store(nullptr);
  return std::exchange(ownedSending_, nullptr);
}

void SecureChannel::forgetOlder(Retired& retired) {
  older_.store(nullptr);
  if (ownedOlder_ != nullptr) retired.push_back(std::exchange(ownedOlder_, nullptr));
}

void SecureChannel::forgetAll(Retired& retired) {
  forgetOlder(retired);
  newest_.store(nullptr);
  if (ownedNewest_ != nullptr) retired.push_back(std::exchange(ownedNewest_, nullptr));
}

}  // namespace p2pxbone
