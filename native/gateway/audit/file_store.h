// Where files that pass can be kept. Called by the packet path: nothing here blocks or throws, and a file that finds no
// room is given up, never the traffic.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "gateway/sha256.h"

namespace p2pxbone::gateway {

// A file from begin() to finish(). Never given twice.
using StoreId = uint64_t;
inline constexpr StoreId kNotStored = 0;

// What has become of a file.
struct StoredFile {
  enum class State : uint8_t {
    stored,
    known,    // the same bytes are there already
    partial,  // it did not come to its end
    failed,   // no room, too big, or the disk has refused
  };
  StoreId id = kNotStored;
  State state = State::failed;
  // It can be found under its hash. A partial one only if such are to be kept.
  bool kept = false;
  uint64_t bytes = 0;
  // Of what has come; none if it has failed, or is not kept and nobody had it.
  std::optional<Sha256> sha256;
};

class FileStore {
 public:
  virtual ~FileStore() = default;
  // kNotStored if too many files are open, or have ended and their results were not fetched.
  [[nodiscard]] virtual StoreId begin() = 0;
  // The next bytes, which are copied. False if there was no room: the file will be told as failed. Finish it all the
  // same.
  virtual bool data(StoreId id, std::span<const uint8_t> bytes) = 0;
  // `digest`: of all bytes given, from who has it anyway. Otherwise the store finds it out, which costs it reading the file.
  virtual void finish(StoreId id, bool complete, const std::optional<Sha256>& digest = std::nullopt) = 0;
  // One result for each file that was begun, some time after it was finished. To be asked at least every 100 ms.
  [[nodiscard]] virtual std::optional<StoredFile> poll() = 0;
};

}  // namespace p2pxbone::gateway
