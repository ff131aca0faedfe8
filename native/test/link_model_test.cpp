#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <deque>
#include <optional>
#include <random>
#include <vector>

#include "core/link_model.h"

using namespace p2pxbone;

namespace {

constexpr Nanos kMicro = 1'000;
constexpr Nanos kMilli = 1'000'000;

LinkShape shapeOf(LinkShape shape) {
  const auto complete = completed(shape);
  REQUIRE(complete.has_value());
  return *complete;
}

// A token bucket that is filled byte by byte, microsecond after microsecond, and an explicit queue before it. Rates are
// whole bytes per microsecond.
class SlowLink {
 public:
  SlowLink(uint64_t bytesPerMicro, uint64_t burst, uint64_t queue)
      : rate_(bytesPerMicro), burst_(burst), queueMax_(queue), tokens_(burst) {}

  // Of the microsecond `at`; index into departures(), or nullopt if the queue is full.
  std::optional<size_t> offer(uint64_t bytes, int64_t at) {
    run(at);
    uint64_t waiting = 0;
    for (const Packet& packet : queue_) waiting += packet.left;
    const bool passes = queue_.empty() && tokens_ >= bytes;
    if (!passes && !queue_.empty() && waiting + bytes > queueMax_) return std::nullopt;
    departures_.push_back(passes ? at : -1);
    if (passes) {
      tokens_ -= bytes;
    } else {
      // What the bucket holds goes to the first that waits.
      const uint64_t paid = queue_.empty() ? tokens_ : 0;
      tokens_ -= paid;
      queue_.push_back({bytes - paid, departures_.size() - 1});
    }
    return departures_.size() - 1;
  }
  void run(int64_t until) {
    for (; now_ < until; ++now_) {
      uint64_t fresh = rate_;
      while (fresh > 0 && !queue_.empty()) {
        const uint64_t paid = std::min(fresh, queue_.front().left);
        fresh -= paid;
        queue_.front().left -= paid;
        if (queue_.front().left > 0) break;
        departures_[queue_.front().index] = now_ + 1;
        queue_.pop_front();
      }
      tokens_ = std::min(burst_, tokens_ + fresh);
    }
  }
  [[nodiscard]] const std::vector<int64_t>& departures() const { return departures_; }

 private:
  struct Packet {
    uint64_t left;
    size_t index;
  };
  const uint64_t rate_;
  const uint64_t burst_;
  const uint64_t queueMax_;
  uint64_t tokens_;
  int64_t now_ = 0;
  std::deque<Packet> queue_;
  std::vector<int64_t> departures_;
};

}  // namespace

TEST_CASE("link model: rate, burst and queue as a bucket filled byte by byte has them") {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    const auto pick = [&](uint64_t least, uint64_t most) {
      return std::uniform_int_distribution<uint64_t>{least, most}(random);
    };
    // Whole nanoseconds for each byte: what remains of a division would decide whether the last byte finds room.
    constexpr std::array<uint64_t, 9> kRates{1, 2, 5, 10, 20, 40, 50, 125, 200};
    const uint64_t bytesPerMicro = kRates[pick(0, kRates.size() - 1)];
    const uint64_t burst = pick(1500, 60'000);
    const uint64_t queue = pick(1500, 100'000);
    SlowLink slow{bytesPerMicro, burst, queue};
    LinkModel model{seed};
    const LinkShape shape = shapeOf({bytesPerMicro * 8'000'000, burst, queue, 0, 0, 0, 0});
    // The model's bucket has been filling since time 0.
    int64_t at = 100'000;
    slow.run(at);
    std::vector<Nanos> dues;
    size_t dropped = 0;
    for (int i = 0; i < 2000; ++i) {
      // Bursts, pauses, and sometimes more than the rate.
      if (pick(0, 3) == 0) at += static_cast<int64_t>(pick(0, pick(0, 20) == 0 ? 5000 : 3000 / bytesPerMicro));
      const uint64_t bytes = pick(20, pick(0, 9) == 0 ? 9000 : 1500);
      const auto expected = slow.offer(bytes, at);
      const auto admission = model.admit(shape, bytes, at * kMicro);
      REQUIRE((admission.reason == DropReason::none) == expected.has_value());
      if (expected) {
        dues.push_back(admission.due);
      } else {
        CHECK(admission.reason == DropReason::shaperFull);
        ++dropped;
      }
    }
    slow.run(at + 10'000'000);
    REQUIRE(dues.size() == slow.departures().size());
    for (size_t i = 0; i < dues.size(); ++i) {
      // The twin's packets leave at the end of a microsecond.
      CHECK(dues[i] <= slow.departures()[i] * kMicro);
      CHECK(dues[i] > (slow.departures()[i] - 2) * kMicro);
    }
  }
}

TEST_CASE("link model: no rate drifts") {
  for (const uint64_t rate : {uint64_t{8'000}, uint64_t{1'000'003}, uint64_t{33'333'333}, uint64_t{1'000'000'000},
                              uint64_t{99'999'999'977}}) {
    CAPTURE(rate);
    LinkModel model{1};
    const LinkShape shape = shapeOf({rate, 1500, 100'000, 0, 0, 0, 0});
    std::mt19937_64 random{rate};
    uint64_t bytes = 0;
    Nanos now = 3600 * kNanosPerSecond;
    const Nanos begin = now;
    Nanos last = 0;
    for (int i = 0; i < 200'000; ++i) {
      const size_t size = std::uniform_int_distribution<size_t>{20, 1500}(random);
      const auto admission = model.admit(shape, size, now);
      // Always something waiting: the queue decides how fast time goes.
      if (admission.reason == DropReason::shaperFull) {
        now += static_cast<Nanos>(50'000 * 8 * uint64_t{kNanosPerSecond} / rate);
        continue;
      }
      bytes += size;
      last = admission.due;
    }
    const double measured = static_cast<double>(bytes - 1500) * 8e9 / static_cast<double>(last - begin);
    CHECK(std::abs(measured / static_cast<double>(rate) - 1) < 0.001);
  }
}

TEST_CASE("link model: a packet larger than bucket and queue passes an idle link") {
  LinkModel model{1};
  const LinkShape shape = shapeOf({8'000'000, 1500, 1500, 0, 0, 0, 0});
  const auto first = model.admit(shape, 9000, kNanosPerSecond);
  CHECK(first.reason == DropReason::none);
  CHECK(first.due == kNanosPerSecond + 7500 * kMicro);
  CHECK(model.admit(shape, 100, kNanosPerSecond).reason == DropReason::shaperFull);
}

TEST_CASE("link model: delay is exact, jitter is even and keeps the order") {
  LinkModel model{7};
  const LinkShape plain = shapeOf({0, 0, 0, 20 * kMilli, 0, 0, 0});
  CHECK(model.admit(plain, 100, kNanosPerSecond).due == kNanosPerSecond + 20 * kMilli);
  const LinkShape shape = shapeOf({0, 0, 0, 20 * kMilli, 5 * kMilli, 0, 0});
  Nanos now = 2 * kNanosPerSecond;
  Nanos before = 0;
  double sum = 0;
  double squares = 0;
  constexpr int kPackets = 20'000;
  for (int i = 0; i < kPackets; ++i) {
    // So far apart that order needs no help.
    now += 50 * kMilli;
    const Nanos delay = model.admit(shape, 100, now).due - now;
    CHECK(std::abs(delay - 20 * kMilli) <= 5 * kMilli);
    sum += static_cast<double>(delay);
    squares += static_cast<double>(delay) * static_cast<double>(delay);
  }
  const double mean = sum / kPackets;
  CHECK(std::abs(mean - 20e6) < 0.1e6);
  // The deviation of an even distribution is its width over the root of 12.
  CHECK(std::abs(std::sqrt(squares / kPackets - mean * mean) - 10e6 / std::sqrt(12.0)) < 0.1e6);
  for (int i = 0; i < 1000; ++i) {
    now += 10 * kMicro;
    const Nanos due = model.admit(shape, 100, now).due;
    CHECK(due >= before);
    CHECK(due <= now + 25 * kMilli);
    before = due;
  }
}

TEST_CASE("link model: shares of loss and reordering, and the same seed gives the same") {
  for (const double share : {0.001, 0.01, 0.1, 0.5, 1.0}) {
    CAPTURE(share);
    LinkModel model{11};
    LinkModel again{11};
    const LinkShape shape = shapeOf({0, 0, 0, kMilli, 0, share, share});
    constexpr int kPackets = 200'000;
    int lost = 0;
    int skipped = 0;
    Nanos skippedBefore = 0;
    for (int i = 0; i < kPackets; ++i) {
      const Nanos now = kNanosPerSecond + i * kMicro;
      const auto admission = model.admit(shape, 100, now);
      const auto same = again.admit(shape, 100, now);
      REQUIRE(same.reason == admission.reason);
      REQUIRE(same.due == admission.due);
      if (admission.reason == DropReason::shaperLost) ++lost;
      if (!admission.skipsDelay) continue;
      ++skipped;
      CHECK(admission.due == now);
      CHECK(admission.due >= skippedBefore);
      skippedBefore = admission.due;
    }
    // Five standard deviations.
    const double margin = 5 * std::sqrt(kPackets * share * (1 - share)) + 1;
    CHECK(std::abs(lost - kPackets * share) <= margin);
    CHECK(std::abs(skipped - (kPackets - lost) * share) <= margin);
  }
}

TEST_CASE("link shape: defaults, and what is out of range") {
  CHECK(shapeOf({1'000'000, 0, 0, 0, 0, 0, 0}).burstBytes == 15'000);
  CHECK(shapeOf({1'000'000, 0, 0, 0, 0, 0, 0}).queueBytes == 30'000);
  CHECK(shapeOf({100'000'000, 0, 0, 0, 0, 0, 0}).burstBytes == 125'000);
  CHECK(shapeOf({100'000'000, 0, 0, 0, 0, 0, 0}).queueBytes == 1'250'000);
  CHECK(!completed({7'999, 0, 0, 0, 0, 0, 0}));
  CHECK(!completed({100'000'000'001, 0, 0, 0, 0, 0, 0}));
  CHECK(!completed({8'000, 1'499, 0, 0, 0, 0, 0}));
  CHECK(!completed({8'000, 0, 1'000'000'001, 0, 0, 0, 0}));
  CHECK(!completed({0, 0, 0, 10'000 * kMilli + 1, 0, 0, 0}));
  CHECK(!completed({0, 0, 0, kMilli, kMilli + 1, 0, 0}));
  CHECK(!completed({0, 0, 0, -1, 0, 0, 0}));
  CHECK(!completed({0, 0, 0, 0, 0, 1.01, 0}));
  CHECK(!completed({0, 0, 0, 0, 0, 0, std::nan("")}));
}
