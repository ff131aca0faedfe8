// A file on its way through a scan, packet by packet: what its receiver has got of it so far.
#pragma once

#include <doctest/doctest.h>

#include <deque>
#include <string>

#include "gateway/parsers/text.h"
#include "gateway/scanning/file_scan.h"
#include "gateway/scanning/memory_scan_engine.h"

namespace p2pxbone::gateway::testing {

// Does with packets what a pipeline does: those behind one that is on hold are not looked at.
class ScannedTransfer {
 public:
  ScannedTransfer(ScanDesk& desk, const FileScan::Object& object) : desk_(desk), scan_(desk, object) {}

  void send(std::string packet, Millis now) {
    line_.push_back(std::move(packet));
    run(now);
  }
  // What ends the transfer, and nothing else, comes in a packet of its own.
  void end(Millis now, bool complete = true) {
    complete_ = complete;
    line_.push_back(kEnd);
    run(now);
  }
  // The last packet with data also ends the transfer.
  void sendLast(std::string packet, Millis now) {
    line_.push_back(std::move(packet) + kEnd);
    run(now);
  }
  // What the desk has to say.
  void poll(Millis now) {
    while (FileScan* scan = desk_.poll(now)) {
      CHECK(scan == &scan_);
      run(now);
    }
    run(now);
  }

  [[nodiscard]] const std::string& received() const { return received_; }
  [[nodiscard]] bool cut() const { return scan_.answer() == ScanAnswer::deny; }
  // The receiver knows that it has everything.
  [[nodiscard]] bool over() const { return over_; }
  [[nodiscard]] bool waits() const { return scan_.answer() == ScanAnswer::hold; }
  [[nodiscard]] FileScan& scan() { return scan_; }

 private:
  static inline const std::string kEnd{"\x04\x04<end>"};

  void run(Millis now) {
    settle(scan_.answer());
    while (!waits() && !cut() && !line_.empty()) {
      const auto [bytes, ends] = parts(line_.front());
      lookedAt_.push_back(std::move(line_.front()));
      line_.pop_front();
      const ScanAnswer afterData = scan_.data(bytesOf(bytes), now);
      settle(ends ? scan_.end(complete_, now) : afterData);
    }
  }
  // The answer is about the last packet that was looked at.
  void settle(ScanAnswer answer) {
    if (answer == ScanAnswer::hold || answer == ScanAnswer::deny) return;
    while (lookedAt_.size() > (answer == ScanAnswer::keepBack ? 1 : 0)) {
      const auto [bytes, ends] = parts(lookedAt_.front());
      received_ += bytes;
      over_ = over_ || ends;
      lookedAt_.pop_front();
    }
  }
  static std::pair<std::string, bool> parts(const std::string& packet) {
    if (!packet.ends_with(kEnd)) return {packet, false};
    return {packet.substr(0, packet.size() - kEnd.size()), true};
  }

  ScanDesk& desk_;
  FileScan scan_;
  std::deque<std::string> lookedAt_;  // and not let go
  std::deque<std::string> line_;
  bool over_ = false;
  bool complete_ = true;
  std::string received_;
};

}  // namespace p2pxbone::gateway::testing
