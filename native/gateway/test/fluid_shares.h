// What every line under a tree of ceilings gets if bits were a fluid: slow and obvious, for comparing.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace p2pxbone::gateway::testing {

struct FluidNode {
  double weight = 1;
  double ceiling = std::numeric_limits<double>::infinity();  // bits a second
  double demand = 0;                                         // of a line
  std::vector<FluidNode> below;
  double given = 0;

  [[nodiscard]] double wants() const {
    double sum = below.empty() ? demand : 0;
    for (const FluidNode& one : below) sum += one.wants();
    return std::min(sum, ceiling);
  }

  // Divides what there is in proportion to the weights; what one does not want is divided among the others.
  void give(double rate) {
    given = std::min(rate, wants());
    double left = given;
    std::vector<FluidNode*> open;
    for (FluidNode& one : below) open.push_back(&one);
    while (!open.empty()) {
      double weights = 0;
      for (const FluidNode* one : open) weights += one->weight;
      std::vector<FluidNode*> unsatisfied;
      double taken = 0;
      for (FluidNode* one : open) {
        const double share = left * one->weight / weights;
        if (one->wants() <= share) {
          one->give(one->wants());
          taken += one->given;
        } else {
          unsatisfied.push_back(one);
        }
      }
      if (unsatisfied.size() == open.size()) {
        for (FluidNode* one : open) one->give(left * one->weight / weights);
        return;
      }
      left -= taken;
      open = std::move(unsatisfied);
    }
  }
};

}  // namespace p2pxbone::gateway::testing
