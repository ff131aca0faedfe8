// One file that passes: what becomes known of it, what the policy says about it, and what is done with it meanwhile.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "gateway/audit/file_store.h"
#include "gateway/audit/record.h"
#include "gateway/parsers/parser.h"
#include "gateway/policy/policy.h"
#include "gateway/scanning/file_scan.h"
#include "gateway/sha256_hasher.h"

namespace p2pxbone::gateway {

class FileWatch {
 public:
  // What a watch asks of its surroundings. All are borrowed; the scanner and the store may be absent.
  struct Parts {
    ScanDesk* scans = nullptr;
    FileStore* store = nullptr;
    // Asked whenever something more is known.
    std::function<Decision(const FileFacts&)> decide;
    // What happens to a file that was to be scanned and cannot be.
    ConditionAction withoutScanner = ConditionAction::dropFlow;
    // The policy no longer wants this flow's files scanned, because one of them could not be.
    bool bypassed = false;
    // Records want its type and hash.
    bool forRecord = false;
    // FileScan::Object::owner.
    uint64_t owner = 0;
  };
  enum class Answer : uint8_t {
    goOn,
    keepBack,  // see ScanAnswer
    hold,
    deny,      // because of decision()
    denyScan,  // because of finding()
  };

  FileWatch(const Transfer& transfer, Side sender, Parts parts);
  // What is being stored and has not come to its end is incomplete.
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  [[nodiscard]] Answer begin();
  [[nodiscard]] Answer data(std::span<const uint8_t> bytes, Millis now);
  // With `hold` the last packet waits, and settle() says when it need not any more.
  [[nodiscard]] Answer end(bool complete, Millis now);
  // The scan's answer has changed.
  [[nodiscard]] Answer settle();

  [[nodiscard]] const Decision& decision() const { return decision_; }
  [[nodiscard]] const ScanFinding* finding() const { return scan_ ? &scan_->finding() : nullptr; }
  // Why it was to be scanned and was not, and what the policy says of that. Not of a file that was bypassed.
  struct Unscanned {
    Condition condition;
    ConditionAction action;
    std::string_view why;  // borrowed
  };
  [[nodiscard]] std::optional<Unscanned> unscanned() const;
  [[nodiscard]] bool ended() const { return ended_; }
  // With its texts borrowed; the file's state is for the caller to say.
  [[nodiscard]] FileAudit record() const;
  // The flow is gone, and nobody is to be asked any more. What is being stored ends here.
  void letGo();
  // kNotStored if it is not being stored.
  [[nodiscard]] StoreId stored() const { return stored_; }

 private:
  void endStoring();
  [[nodiscard]] FileFacts facts() const;
  [[nodiscard]] Answer decide();
  // Begins and ends what the decision asks for.
  [[nodiscard]] Answer follow();
  [[nodiscard]] Answer answerOf(ScanAnswer answer) const;

  Parts parts_;
  Side sender_;
  std::string name_, contentType_, hash_;
  std::optional<uint64_t> size_, fileSize_;
  bool mayExceed_;
  uint64_t offset_ = 0;
  uint64_t seen_ = 0;
  std::optional<FileTypeProbe> probe_;
  std::optional<FileType> type_;
  std::optional<Sha256Hasher> hasher_;
  std::optional<Sha256> sha256_;
  std::unique_ptr<FileScan> scan_;
  StoreId stored_ = kNotStored;
  bool storeEnded_ = false;
  bool begun_ = false;
  bool withoutScan_ = false;  // it was to be scanned, and was not even begun
  bool ended_ = false;
  bool complete_ = false;
  Decision decision_;
};

}  // namespace p2pxbone::gateway
