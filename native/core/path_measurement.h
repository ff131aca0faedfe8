// One measurement of the path to an association's peer: round-trip time, and on request an estimate of its capacity.
//
// Both are made of keep-alives, which the peer answers in any case and which only those can send who hold the keys of the
// association. The round-trip time is the least of some single ones. For the capacity, trains of requests as large as the
// path carries leave back to back: the narrowest link spreads them, and their small answers bring the spread back. The
// estimate is of the way there, and a lower bound where a processor is slower than the path.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/association.h"

namespace p2pxbone {

class PathMeasurement {
 public:
  static constexpr size_t kSingles = 4;
  static constexpr Millis kSinglePause = 50;
  static constexpr size_t kTrains = 3;
  static constexpr size_t kTrainPackets = 16;
  static constexpr Millis kTrainPause = 100;
  // After the last request of a part.
  static constexpr Millis kPatience = 1500;
  // Faster than this nothing is told apart.
  static constexpr double kBitsPerSecondMax = 10e9;

  // `payloadBytes`: of the datagrams of a train.
  PathMeasurement(bool capacity, size_t payloadBytes, Millis now);

  // How many requests to write now, all of that UDP payload size; 0: the smallest there is.
  struct Due {
    size_t requests = 0;
    size_t payloadBytes = 0;
  };
  [[nodiscard]] Due due(Millis now);
  // The request with that number has been written. Numbers of one `due` follow each other.
  void asked(uint64_t number, Millis now);
  // A request was answered, perhaps one of others. `micros`: when, by the same clock.
  void answered(uint64_t number, int64_t micros);

  [[nodiscard]] bool done(Millis now) const;
  [[nodiscard]] Millis deadline() const;
  // Milliseconds; negative: no answer.
  [[nodiscard]] double rttMs() const { return rttMs_; }
  // Negative: not asked for, or too few answers. The median of the trains.
  [[nodiscard]] double bitsPerSecond() const;

 private:
  struct Asked {
    uint64_t first = 0;  // 0: none
    size_t count = 0;
    Millis at = 0;
    size_t answers = 0;
    uint64_t firstAnswered = 0;
    uint64_t lastAnswered = 0;
    int64_t firstMicros = 0;
    int64_t lastMicros = 0;
  };
  [[nodiscard]] bool isTrain(size_t part) const { return part >= kSingles; }
  [[nodiscard]] size_t parts() const { return capacity_ ? kSingles + kTrains : kSingles; }

  bool capacity_;
  size_t payloadBytes_;
  std::array<Asked, kSingles + kTrains> parts_{};
  size_t next_ = 0;
  Millis nextAt_;
  double rttMs_ = -1;
};

}  // namespace p2pxbone
