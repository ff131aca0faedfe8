// Which of the newest record numbers have been seen (RFC 6347 §4.1.2.6): a bitmap over a ring of words, so that moving the
// window on clears whole words and shifts nothing. One thread's.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace p2pxbone {

class ReplayWindow {
 public:
  // At least this many numbers below the highest are told apart; older ones count as seen.
  static constexpr uint64_t kRecords = 16'384;

  // Whether the number is neither seen nor too old. Changes nothing: the record has yet to prove itself.
  [[nodiscard]] bool fresh(uint64_t number) const {
    if (number >= end_) return true;
    if (number / 64 + kWords <= (end_ - 1) / 64) return false;
    return (words_[number / 64 % kWords] & bitOf(number)) == 0;
  }

  void mark(uint64_t number) {
    if (number >= end_) {
      const uint64_t newest = number / 64;
      uint64_t word = end_ == 0 ? 0 : (end_ - 1) / 64 + 1;
      word = std::max(word, newest >= kWords ? newest - kWords + 1 : 0);
      for (; word <= newest; ++word) words_[word % kWords] = 0;
      end_ = number + 1;
    }
    words_[number / 64 % kWords] |= bitOf(number);
  }

  // Whether the number is higher than every one that was marked.
  [[nodiscard]] bool newest(uint64_t number) const { return number >= end_; }
  [[nodiscard]] bool empty() const { return end_ == 0; }

 private:
  // One word more than the window, of which the newest is only partly in use.
  static constexpr uint64_t kWords = kRecords / 64 + 1;
  static constexpr uint64_t bitOf(uint64_t number) { return uint64_t{1} << (number % 64); }

  std::array<uint64_t, kWords> words_{};
  uint64_t end_ = 0;  // the highest number marked, and one
};

}  // namespace p2pxbone
