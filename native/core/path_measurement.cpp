#include "core/path_measurement.h"

#include <algorithm>
#include <vector>

namespace p2pxbone {
namespace {

constexpr int64_t microsPerMilli = 1000;
constexpr double microsPerSecond = 1e6;
constexpr double bitsPerByte = 8;

}  // namespace

PathMeasurement::PathMeasurement(bool capacity, size_t payloadBytes, Millis now)
    : capacity_(capacity), payloadBytes_(payloadBytes), nextAt_(now) {}

PathMeasurement::Due PathMeasurement::due(Millis now) {
  if (next_ == parts() || now < nextAt_) return {};
  const bool train = isTrain(next_);
  nextAt_ = now + (train ? kTrainPause : kSinglePause);
  next_++;
  return train ? Due{kTrainPackets, payloadBytes_} : Due{1, 0};
}

void PathMeasurement::asked(uint64_t number, Millis now) {
  Asked& part = parts_[next_ - 1];
  if (part.first == 0) part.first = number;
  part.count++;
  part.at = now;
}

void PathMeasurement::answered(uint64_t number, int64_t micros) {
  for (size_t i = 0; i < next_; i++) {
    Asked& part = parts_[i];
    if (part.first == 0 || number < part.first || number >= part.first + part.count) continue;
    if (part.answers++ == 0) {
      part.firstAnswered = number;
      part.firstMicros = micros;
    }
    if (number > part.lastAnswered) {
      part.lastAnswered = number;
      part.lastMicros = micros;
    }
    // A train delays itself.
    if (isTrain(i)) return;
    const double sample = static_cast<double>(micros - part.at * microsPerMilli) / microsPerMilli;
    rttMs_ = rttMs_ < 0 ? std::max(sample, 0.0) : std::clamp(sample, 0.0, rttMs_);
    return;
  }
}

bool PathMeasurement::done(Millis now) const {
  if (next_ < parts()) return false;
  const auto whole = [](const Asked& part) { return part.answers >= part.count; };
  return std::all_of(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(parts()), whole) || now >= deadline();
}

Millis PathMeasurement::deadline() const { return next_ < parts() ? nextAt_ : parts_[next_ - 1].at + kPatience; }

double PathMeasurement::bitsPerSecond() const {
  std::vector<double> rates;
  for (size_t i = kSingles; i < parts(); i++) {
    const Asked& part = parts_[i];
    // What is left of a train that was torn says little.
    if (part.answers < kTrainPackets / 2 || part.lastAnswered <= part.firstAnswered) continue;
    const double micros = static_cast<double>(std::max<int64_t>(part.lastMicros - part.firstMicros, 1));
    const double bits = static_cast<double>((part.lastAnswered - part.firstAnswered) * payloadBytes_) * bitsPerByte;
    rates.push_back(std::min(bits / micros * microsPerSecond, kBitsPerSecondMax));
  }
  if (rates.empty()) return -1;
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

}  // namespace p2pxbone
