// The scan of one file while it passes: what may go on, and what has to wait.
//
// Files that are packed, programs and documents are collected and scanned whole, within limits; others buffer by buffer,
// the tail of each carried over to the next. Either way the file's end does not go on before all of it was found clean.
#pragma once

#include <vector>

#include "gateway/file_type.h"
#include "gateway/scanning/scan_desk.h"

namespace p2pxbone::gateway {

// About the packet that brought the data at hand.
enum class ScanAnswer : uint8_t {
  goOn,
  // It may be the file's last one: it is to wait until data behind it were given and answered with `goOn` or `keepBack`, or
  // until ScanDesk::poll() gives this scan with `goOn`. Whoever lets it go on at once holds only what ends the transfer.
  keepBack,
  // It, what was kept back before it, and all behind it wait until ScanDesk::poll() gives this scan with another answer.
  hold,
  // The flow is to be denied.
  deny,
};

struct ScanFinding {
  enum class Kind : uint8_t { open, clean, infected, unscanned };
  enum class Coverage : uint8_t {
    none,
    // Only a part of the file came. What is packed, or lies across the part's borders, was not seen.
    part,
    // Buffer by buffer: what is packed was not seen, nor were signatures of whole files.
    buffers,
    whole,
  };
  Kind kind = Kind::open;
  // With `clean` and `infected`.
  Coverage coverage = Coverage::none;
  // With `unscanned`: why, and what the policy says of it. `bypass`: no more files of this flow are to be scanned.
  Condition condition = Condition::scanUnavailable;
  ConditionAction action = ConditionAction::dropFlow;
  // What was found, or why it is unscanned.
  std::string text;
};

class FileScan {
 public:
  struct Object {
    // For the caller to know it by.
    uint64_t owner = 0;
    // Bytes that will come, if that is known.
    std::optional<uint64_t> size;
    // They are not the whole file.
    bool part = false;
  };

  // The desk is borrowed.
  FileScan(ScanDesk& desk, const Object& object);
  // What it has under way is abandoned.
  ~FileScan();
  FileScan(const FileScan&) = delete;
  FileScan& operator=(const FileScan&) = delete;

  // Each call's answer takes the place of the one before. Data may also come while it waits, from the packet at hand.
  [[nodiscard]] ScanAnswer data(std::span<const uint8_t> bytes, Millis now);
  // Nothing more will come.
  [[nodiscard]] ScanAnswer end(bool complete, Millis now);

  [[nodiscard]] ScanAnswer answer() const;
  [[nodiscard]] const ScanFinding& finding() const { return finding_; }
  [[nodiscard]] uint64_t owner() const { return object_.owner; }

 private:
  friend class ScanDesk;

  enum class Way : uint8_t { undecided, whole, buffers };
  enum class Wait : uint8_t {
    none,
    more,    // kept back
    ahead,   // until no more buffers are under way than may be
    all,     // until all that was given has its result
    room,
  };

  void take(const ScanResult& result, Millis now);
  void hasRoom(Millis now);
  void isDue(Millis now);

  [[nodiscard]] bool feed(std::span<const uint8_t> bytes);
  [[nodiscard]] bool open();
  void decideWay();
  // What is to come does not fit the limits of being scanned whole; false if that decides about the file.
  [[nodiscard]] bool outgrow();
  // False if there is no room for the next one.
  [[nodiscard]] bool nextBuffer();
  void finish();
  [[nodiscard]] ScanAnswer afterData(Millis now);
  [[nodiscard]] ScanAnswer await(Wait wait, Millis now);
  // What held it up is over.
  [[nodiscard]] ScanAnswer resume(Millis now);
  void meet(Condition condition, std::string why);
  void conclude(ScanFinding::Kind kind, std::string text);
  void abandonAll();

  ScanDesk& desk_;
  const ScanSettings settings_;
  Object object_;
  FileTypeProbe probe_;
  Way way_ = Way::undecided;
  Wait wait_ = Wait::none;
  bool packed_ = false;  // once the way is decided
  bool scarce_ = false;
  bool ended_ = false;
  bool told_ = false;
  uint64_t received_ = 0;
  // Of the whole object, once the way is decided.
  uint64_t wholeMax_ = 0;
  uint32_t objects_ = 0;
  std::optional<ScanJob> filling_;
  uint64_t fillingBytes_ = 0;  // without the tail in front
  std::vector<ScanJob> underWay_;
  std::optional<Millis> due_;
  ScanFinding finding_;
};

}  // namespace p2pxbone::gateway
