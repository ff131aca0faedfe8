#include "gateway/scanning/file_scan.h"

#include <algorithm>
#include <utility>

namespace p2pxbone::gateway {
namespace {

// Formats in which nothing is seen without unpacking, whatever else they are.
bool isPacked(const FileType& type) {
  static constexpr std::array<std::string_view, 5> kNames{"ooxml", "odf", "epub", "jar", "apk"};
  return type.kind == FileKind::archive || std::ranges::find(kNames, type.name) != kNames.end();
}

}  // namespace

FileScan::FileScan(ScanDesk& desk, const Object& object) : desk_(desk), settings_(desk.settings()), object_(object) {
  desk_.counters_.files.add();
}

FileScan::~FileScan() {
  abandonAll();
  desk_.remindNoMore(*this);
  desk_.tellNoMore(*this);
}

ScanAnswer FileScan::answer() const {
  switch (finding_.kind) {
    case ScanFinding::Kind::clean: return ScanAnswer::goOn;
    case ScanFinding::Kind::infected: return ScanAnswer::deny;
    case ScanFinding::Kind::unscanned: return letsPass(finding_.action) ? ScanAnswer::goOn : ScanAnswer::deny;
    case ScanFinding::Kind::open: break;
  }
  if (wait_ == Wait::none) return ScanAnswer::goOn;
  return wait_ == Wait::more ? ScanAnswer::keepBack : ScanAnswer::hold;
}

ScanAnswer FileScan::data(std::span<const uint8_t> bytes, Millis now) {
  if (finding_.kind != ScanFinding::Kind::open || bytes.empty()) return answer();
  received_ += bytes.size();
  desk_.counters_.bytes.add(bytes.size());
  if (way_ == Way::undecided && probe_.data(bytes)) decideWay();
  while (!bytes.empty() && finding_.kind == ScanFinding::Kind::open) {
    const uint64_t max = way_ == Way::whole ? wholeMax_ : settings_.bufferBytes;
    const auto part = static_cast<size_t>(std::min<uint64_t>(bytes.size(), max - fillingBytes_));
    if (part == 0 ? !outgrow() : !feed(bytes.first(part))) break;
    bytes = bytes.subspan(part);
    if (fillingBytes_ == max && way_ == Way::undecided) decideWay();
    if (fillingBytes_ == settings_.bufferBytes && way_ == Way::buffers && !nextBuffer()) break;
  }
  return afterData(now);
}

// There is a job to give data to.
bool FileScan::open() {
  if (filling_) return true;
  filling_ = desk_.engine().begin();
  if (!filling_) meet(Condition::scanUnavailable, "the scanner's memory is full");
  return filling_.has_value();
}

bool FileScan::feed(std::span<const uint8_t> bytes) {
  if (!open()) return false;
  const ScanRoom room = desk_.engine().data(*filling_, bytes);
  if (room == ScanRoom::none) {
    meet(Condition::scanUnavailable, "the scanner's memory is full");
    return false;
  }
  scarce_ = room == ScanRoom::scarce;
  fillingBytes_ += bytes.size();
  return true;
}

void FileScan::decideWay() {
  const FileType type = probe_.type();
  packed_ = isPacked(type);
  const bool whole = packed_ || type.kind == FileKind::executable || type.kind == FileKind::document;
  way_ = whole ? Way::whole : Way::buffers;
  if (!whole) return;
  wholeMax_ = std::max<uint64_t>(packed_ ? settings_.archiveMax : settings_.objectMax, fillingBytes_);
  if (object_.size.value_or(0) > wholeMax_) (void)outgrow();
}

bool FileScan::outgrow() {
  if (packed_ && desk_.conditions_[Condition::scanTooBig] != ConditionAction::inspect) {
    meet(Condition::scanTooBig, "the file is packed, and larger than is scanned whole");
    return false;
  }
  if (packed_) (void)desk_.meet(Condition::scanTooBig);
  packed_ = false;
  way_ = Way::buffers;
  return fillingBytes_ < settings_.bufferBytes || nextBuffer();
}

bool FileScan::nextBuffer() {
  const ScanJob done = *filling_;
  // While it is not known what the file is, its beginning goes along, in case it has to be scanned whole.
  const size_t tail = way_ == Way::undecided ? std::max(settings_.tailBytes, kFileTypeBytes) : settings_.tailBytes;
  filling_ = desk_.engine().proceed(done, tail);
  underWay_.push_back(done);
  ++objects_;
  desk_.finished(done, *this);
  fillingBytes_ = 0;
  if (!filling_) meet(Condition::scanUnavailable, "the scanner's memory is full");
  return filling_.has_value();
}

void FileScan::finish() {
  if (!filling_) return;
  const ScanJob done = *std::exchange(filling_, std::nullopt);
  if (std::exchange(fillingBytes_, 0) == 0) {
    desk_.engine().abandon(done);
    return;
  }
  underWay_.push_back(done);
  ++objects_;
  desk_.engine().finish(done);
  desk_.finished(done, *this);
}

ScanAnswer FileScan::afterData(Millis now) {
  if (finding_.kind != ScanFinding::Kind::open) return answer();
  if (object_.size && received_ >= *object_.size) {
    finish();
    return await(Wait::all, now);
  }
  if (std::exchange(scarce_, false)) {
    // Half of what is packed would tell nothing; the others need not be scanned whole.
    if (packed_) return await(Wait::room, now);
    if (way_ == Way::whole) way_ = Way::buffers;
    desk_.counters_.cutShort.add();
    return fillingBytes_ == 0 || nextBuffer() ? await(Wait::all, now) : answer();
  }
  if (wait_ == Wait::all || wait_ == Wait::room) return answer();
  if (underWay_.size() > settings_.buffersAhead) return await(Wait::ahead, now);
  return await(object_.size ? Wait::none : Wait::more, now);
}

ScanAnswer FileScan::end(bool complete, Millis now) {
  if (finding_.kind != ScanFinding::Kind::open) return answer();
  ended_ = true;
  if (!complete) object_.part = true;
  finish();
  if (underWay_.empty()) conclude(ScanFinding::Kind::clean, {});
  return await(Wait::all, now);
}

ScanAnswer FileScan::await(Wait wait, Millis now) {
  if (wait == Wait::all && underWay_.empty()) wait = Wait::none;
  wait_ = wait;
  if (wait == Wait::room) desk_.counters_.waits.add();
  if (wait == Wait::room || wait == Wait::more) {
    desk_.remind(*this, now + (wait == Wait::room ? settings_.patience : settings_.keepBack), wait == Wait::room);
  } else {
    desk_.remindNoMore(*this);
  }
  return answer();
}

void FileScan::take(const ScanResult& result, Millis now) {
  std::erase(underWay_, result.job);
  const ScanAnswer before = answer();
  switch (result.kind) {
    case ScanResult::Kind::clean: break;
    case ScanResult::Kind::infected: conclude(ScanFinding::Kind::infected, result.text); break;
    case ScanResult::Kind::tooBig: meet(Condition::scanTooBig, result.text); break;
    case ScanResult::Kind::failed: meet(Condition::scanUnavailable, result.text); break;
  }
  if (finding_.kind == ScanFinding::Kind::open) {
    if (ended_ && underWay_.empty()) conclude(ScanFinding::Kind::clean, {});
    const bool ahead = wait_ == Wait::ahead && underWay_.size() <= settings_.buffersAhead;
    if (ahead || (wait_ == Wait::all && underWay_.empty())) (void)resume(now);
  }
  if (answer() != before) desk_.tell(*this);
}

// The packet that waits may have brought what is not scanned yet, and may be the last one.
ScanAnswer FileScan::resume(Millis now) {
  return await(!object_.size && !ended_ && fillingBytes_ != 0 ? Wait::more : Wait::none, now);
}

void FileScan::hasRoom(Millis now) {
  (void)resume(now);
  desk_.tell(*this);
}

void FileScan::isDue(Millis now) {
  if (wait_ == Wait::room) {
    meet(Condition::scanUnavailable, "the scanner had no room for too long");
    return desk_.tell(*this);
  }
  // Half of what is scanned whole tells nothing: what was kept back goes on, and what follows it is kept back again.
  if (way_ != Way::whole && fillingBytes_ != 0) {
    desk_.counters_.cutShort.add();
    if (!nextBuffer()) return desk_.tell(*this);
  }
  (void)await(way_ == Way::whole ? Wait::none : Wait::all, now);
  desk_.tell(*this);
}

void FileScan::meet(Condition condition, std::string why) {
  finding_.condition = condition;
  finding_.action = desk_.meet(condition);
  conclude(ScanFinding::Kind::unscanned, std::move(why));
}

void FileScan::conclude(ScanFinding::Kind kind, std::string text) {
  finding_.kind = kind;
  finding_.text = std::move(text);
  if (kind != ScanFinding::Kind::unscanned && objects_ > 0) {
    const bool whole = way_ == Way::whole || (objects_ == 1 && !filling_);
    finding_.coverage = object_.part ? ScanFinding::Coverage::part
                        : whole      ? ScanFinding::Coverage::whole
                                     : ScanFinding::Coverage::buffers;
  }
  if (kind == ScanFinding::Kind::clean) desk_.counters_.clean.add();
  if (kind == ScanFinding::Kind::infected) desk_.counters_.infected.add();
  wait_ = Wait::none;
  abandonAll();
  desk_.remindNoMore(*this);
}

void FileScan::abandonAll() {
  if (filling_) desk_.engine().abandon(*filling_);
  filling_.reset();
  for (const ScanJob job : underWay_) {
    desk_.engine().abandon(job);
    desk_.forget(job);
  }
  underWay_.clear();
}

}  // namespace p2pxbone::gateway
