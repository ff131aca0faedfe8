// Whether clamd can be relied on, by what has become of attempts to speak to it. Time is an argument.
#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "core/millis.h"

namespace p2pxbone {

class ClamdHealth {
 public:
  // Failing for so long, it counts as down: a restart that takes less is waited for.
  static constexpr Millis kDownAfter = 2'000;
  static constexpr Millis kBackOffFirst = 50;
  static constexpr Millis kBackOffMax = 5'000;

  void succeeded() {
    failingSince_.reset();
    backOff_ = kBackOffFirst;
    why_.clear();
  }
  void failed(std::string why, Millis now) {
    if (!failingSince_) failingSince_ = now;
    nextAttempt_ = now + backOff_;
    backOff_ = std::min(backOff_ * 2, kBackOffMax);
    why_ = std::move(why);
  }

  [[nodiscard]] bool isDown(Millis now) const { return failingSince_ && now - *failingSince_ >= kDownAfter; }
  [[nodiscard]] bool isFailing() const { return failingSince_.has_value(); }
  [[nodiscard]] bool mayConnect(Millis now) const { return !failingSince_ || now >= nextAttempt_; }
  // While it is failing.
  [[nodiscard]] Millis nextAttempt() const { return nextAttempt_; }
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  std::optional<Millis> failingSince_;
  Millis nextAttempt_ = 0;
  Millis backOff_ = kBackOffFirst;
  std::string why_;
};

}  // namespace p2pxbone
