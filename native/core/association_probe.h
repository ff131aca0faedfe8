// Search for the largest UDP payload that reaches a peer, after RFC 8899 but with a table of usual path MTUs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace p2pxbone {

class PathProbe {
 public:
  // A round begins at once.
  PathProbe(size_t outerHeaderBytes, size_t payloadBytesLimit, int64_t now);

  [[nodiscard]] size_t payloadBytesMax() const { return max_; }
  [[nodiscard]] int64_t deadline() const { return nextAt_; }
  // UDP payload sizes to probe now, largest first; may end a round and so change the maximum.
  [[nodiscard]] std::vector<size_t> due(int64_t now);
  // A probe of that UDP payload size was answered.
  void answered(size_t payloadBytes, int64_t now);

 private:
  void conclude(int64_t now);

  std::vector<size_t> sizes_;  // descending; the last one is the base, which every path carries
  size_t max_;
  size_t roundBest_ = 0;
  int step_ = 0;
  int64_t nextAt_;
};

}  // namespace p2pxbone
