// Files under the names of their SHA-256 in a directory: `ab/abcd…`, those that are not whole `partial/abcd…`. Bounded
// in bytes and number: for a new one, those go that were seen longest ago.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "gateway/sha256.h"
#include "os/fd.h"
#include "os/file_draft.h"

namespace p2pxbone {

class FileShelf {
 public:
  struct Settings {
    std::string directory;  // see openLockedDirectory()
    // Of all files, those that come in included.
    uint64_t bytesMax = 0;
    uint32_t filesMax = 0;
    // That those that come in may hold.
    size_t draftBytesMax = 0;
  };
  // A file that comes in.
  struct Draft {
    std::unique_ptr<FileDraft> file;
    uint64_t bytes = 0;  // for which there is room
  };
  enum class Placed : uint8_t { stored, known, failed };

  // The memory is borrowed. Throws std::system_error if the directory cannot be written to or another writer has it.
  FileShelf(Settings settings, DraftMemory& memory);
  // What an earlier process has left: kept files are counted, unfinished ones removed. Takes a while if they are many.
  void load();

  // The number is no other draft's.
  [[nodiscard]] Draft begin(uint64_t number);
  // Room for so many more bytes of it. False if all that may be removed does not suffice.
  [[nodiscard]] bool makeRoom(Draft& draft, uint64_t bytes);
  // Ends the draft; `error` is an errno with `failed`.
  [[nodiscard]] Placed place(Draft& draft, const gateway::Sha256& digest, bool partial, int& error);
  void discard(Draft& draft);

  [[nodiscard]] uint64_t bytes() const { return keptBytes_; }
  [[nodiscard]] size_t files() const { return kept_.size(); }
  [[nodiscard]] uint64_t removed() const { return removed_; }

 private:
  struct Name {
    bool partial = false;
    gateway::Sha256 digest{};
    friend auto operator<=>(const Name&, const Name&) = default;
  };
  struct Kept {
    uint64_t bytes = 0;
    uint64_t age = 0;  // grows with every file that is seen
  };
  using Index = std::map<Name, Kept>;

  void loadFolder(const std::string& folder, std::multimap<int64_t, std::pair<Name, uint64_t>>& found) const;
  void clearDrafts() const;
  [[nodiscard]] static std::string folderOf(const Name& name);
  [[nodiscard]] static std::string pathOf(const Name& name);
  void add(const Name& name, uint64_t bytes);
  void touch(Index::iterator file);
  [[nodiscard]] bool removeOldest();

  const Settings settings_;
  UniqueFd directory_;
  DraftRoom room_;
  Index kept_;
  std::map<uint64_t, Index::iterator> byAge_;
  uint64_t nextAge_ = 0;
  uint64_t keptBytes_ = 0;
  uint64_t draftBytes_ = 0;
  uint64_t removed_ = 0;
};

}  // namespace p2pxbone
