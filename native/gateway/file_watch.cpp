#include "gateway/file_watch.h"

#include <algorithm>
#include <utility>

namespace p2pxbone::gateway {
namespace {

constexpr std::string_view kNoScanner = "there is no scanner";
constexpr std::string_view kBypassed = "another file of this flow could not be scanned";

// As much of a text as records show.
std::string clipped(std::string_view text) { return std::string(text.substr(0, kAuditTextBytesMax)); }

AuditScan scanOf(ScanFinding::Kind kind) {
  switch (kind) {
    case ScanFinding::Kind::clean: return AuditScan::clean;
    case ScanFinding::Kind::infected: return AuditScan::infected;
    case ScanFinding::Kind::open:
    case ScanFinding::Kind::unscanned: break;
  }
  return AuditScan::failed;
}

}  // namespace

FileWatch::FileWatch(const Transfer& transfer, Side sender, Parts parts)
    : parts_(std::move(parts)),
      sender_(sender),
      name_(clipped(transfer.name)),
      contentType_(clipped(transfer.contentType)),
      hash_(clipped(transfer.hash)),
      size_(transfer.size),
      fileSize_(transfer.fileSize ? transfer.fileSize : transfer.size),
      mayExceed_(transfer.mayExceed),
      offset_(transfer.offset) {}

FileWatch::~FileWatch() { endStoring(); }

void FileWatch::letGo() {
  endStoring();
  parts_.decide = nullptr;
}

void FileWatch::endStoring() {
  if (stored_ != kNotStored && !std::exchange(storeEnded_, true)) parts_.store->finish(stored_, false);
}

FileFacts FileWatch::facts() const {
  FileFacts facts;
  facts.name = name_;
  facts.atLeast = offset_ + seen_;
  if (mayExceed_) {
    facts.atLeast = std::max(facts.atLeast, fileSize_.value_or(0));
  } else {
    facts.size = fileSize_;
  }
  facts.type = type_;
  facts.sha256 = sha256_ ? &*sha256_ : nullptr;
  facts.sender = sender_;
  facts.final = ended_;
  return facts;
}

FileWatch::Answer FileWatch::decide() {
  decision_ = parts_.decide(facts());
  if (decision_.deniesNow()) return Answer::deny;
  return follow();
}

FileWatch::Answer FileWatch::follow() {
  const bool first = !std::exchange(begun_, true);
  if (first) {
    // Only from its beginning can a file's type and hash be told; a part that is sent again is not the file.
    if (offset_ == 0 && (parts_.forRecord || (decision_.needs & kNeedsFileType) != 0)) probe_.emplace();
    if (decision_.store && parts_.store != nullptr && !decision_.dryRun) stored_ = parts_.store->begin();
    const bool asked = offset_ == 0 && (parts_.forRecord || (decision_.needs & kNeedsFileHash) != 0);
    if (asked || stored_ != kNotStored) hasher_.emplace();
    withoutScan_ = decision_.scan && (parts_.scans == nullptr || parts_.bypassed);
    if (decision_.scan && !withoutScan_) {
      const bool part = offset_ != 0 || (fileSize_ && size_ && *size_ < *fileSize_);
      scan_ = std::make_unique<FileScan>(*parts_.scans, FileScan::Object{parts_.owner, mayExceed_ ? std::nullopt : size_, part});
    }
  }
  // What was begun for an outcome that has not come about.
  if (!decision_.scan) {
    scan_.reset();
    withoutScan_ = false;
  }
  if (!decision_.store) {
    endStoring();
    stored_ = kNotStored;
  }
  const auto missed = withoutScan_ ? unscanned() : std::nullopt;
  return missed && !letsPass(missed->action) && !decision_.dryRun ? Answer::denyScan : Answer::goOn;
}

// That there is no scan matters once it is certain that one was wanted.
FileWatch::Answer FileWatch::answerOf(ScanAnswer answer) const {
  switch (answer) {
    case ScanAnswer::goOn: return Answer::goOn;
    case ScanAnswer::keepBack: return Answer::keepBack;
    case ScanAnswer::hold: return Answer::hold;
    case ScanAnswer::deny: break;
  }
  const bool open = scan_->finding().kind == ScanFinding::Kind::unscanned && !decision_.decided;
  return open ? Answer::goOn : Answer::denyScan;
}

FileWatch::Answer FileWatch::begin() { return decide(); }

FileWatch::Answer FileWatch::data(std::span<const uint8_t> bytes, Millis now) {
  seen_ += bytes.size();
  if (hasher_) hasher_->add(bytes);
  if (stored_ != kNotStored && !storeEnded_) (void)parts_.store->data(stored_, bytes);
  const bool grown = offset_ + seen_ >= decision_.sizeOpen;
  const bool probed = probe_ && probe_->data(bytes);
  if (probed) {
    type_ = probe_->type();
    probe_.reset();
  }
  if (grown || probed) {
    if (const Answer answer = decide(); answer != Answer::goOn) return answer;
  }
  return scan_ ? answerOf(scan_->data(bytes, now)) : Answer::goOn;
}

FileWatch::Answer FileWatch::end(bool complete, Millis now) {
  ended_ = true;
  complete_ = complete;
  if (probe_) {
    if (seen_ > 0) type_ = probe_->type();
    probe_.reset();
  }
  std::optional<Sha256> digest;
  if (hasher_) {
    if (!hasher_->finish(digest.emplace())) digest.reset();
    hasher_.reset();
  }
  if (complete && offset_ == 0) sha256_ = digest;
  const Answer decided = decide();
  if (stored_ != kNotStored && !std::exchange(storeEnded_, true)) parts_.store->finish(stored_, complete, digest);
  if (decided != Answer::goOn || !scan_) return decided;
  return answerOf(scan_->end(complete, now));
}

FileWatch::Answer FileWatch::settle() { return scan_ ? answerOf(scan_->answer()) : Answer::goOn; }

std::optional<FileWatch::Unscanned> FileWatch::unscanned() const {
  if (!decision_.decided) return std::nullopt;
  if (scan_) {
    const ScanFinding& finding = scan_->finding();
    if (finding.kind != ScanFinding::Kind::unscanned) return std::nullopt;
    return Unscanned{finding.condition, finding.action, finding.text};
  }
  if (!withoutScan_ || parts_.bypassed) return std::nullopt;
  return Unscanned{Condition::scanUnavailable, parts_.withoutScanner, kNoScanner};
}

FileAudit FileWatch::record() const {
  FileAudit file;
  file.name = name_;
  file.state = complete_ ? AuditFileState::complete : AuditFileState::truncated;
  file.size = fileSize_;
  file.seen = seen_;
  file.offset = offset_;
  file.type = type_;
  file.contentType = contentType_;
  file.hash = hash_;
  file.sha256 = sha256_ ? &*sha256_ : nullptr;
  if (scan_) {
    file.scan = scanOf(scan_->finding().kind);
    const ScanFinding& finding = scan_->finding();
    (finding.kind == ScanFinding::Kind::unscanned ? file.unscanned : file.malware) = finding.text;
  } else if (withoutScan_) {
    file.scan = AuditScan::skipped;
    file.unscanned = parts_.bypassed ? kBypassed : kNoScanner;
  }
  return file;
}

}  // namespace p2pxbone::gateway
