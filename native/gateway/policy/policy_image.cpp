#include "gateway/policy/policy_image.h"

#include <algorithm>

#include "gateway/byte_cursor.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint32_t kMagic = 0x50584750;
constexpr uint16_t kVersion = 1;
constexpr uint8_t kFlagDryRun = 1, kFlagFastPass = 2;
constexpr uint8_t kRuleLog = 1, kRuleScan = 2, kRuleStore = 4, kRuleMark = 8;
constexpr uint8_t kExpressionCaseless = 1, kExpressionWords = 2;
constexpr uint16_t kMinutesPerDay = 1440;
constexpr size_t kFileKinds = 9;

class ImageReader {
 public:
  explicit ImageReader(std::span<const uint8_t> bytes) : size_(bytes.size()), in_(bytes) {}

  std::variant<PolicyImage, PolicyError> run() {
    readHeader();
    readTables();
    list16(image_.rules, 37, [this] { return rule(); });
    require(in_.left() == 0, "something follows its end");
    if (!good()) return error();
    return std::move(image_);
  }

  std::variant<std::vector<ReplacedSet>, PolicyError> runReplacedSets(size_t sets) {
    std::vector<ReplacedSet> replaced;
    list16(replaced, 6, [&] {
      const uint16_t number = index(sets, "a set of addresses does not exist");
      return ReplacedSet{number, addressSet()};
    });
    require(in_.left() == 0, "something follows its end");
    if (!good()) return error();
    return replaced;
  }

 private:
  [[nodiscard]] bool good() const { return problem_.empty(); }
  [[nodiscard]] PolicyError error() const {
    return {"the policy image is damaged near byte " + std::to_string(where_) + ": " + problem_, 0, 0};
  }

  void require(bool holds, const char* what) {
    if (!good()) return;
    if (!in_.good()) {
      problem_ = "it ends too early";
    } else if (!holds) {
      problem_ = what;
    } else {
      return;
    }
    where_ = size_ - in_.left();
  }

  // An entry takes at least `bytes`, so that a count which cannot be right takes no memory.
  template <typename Item, typename Read>
  void list(std::vector<Item>& items, size_t count, size_t bytes, Read read) {
    require(count <= in_.left() / bytes, "a list is longer than the image");
    if (!good()) return;
    items.reserve(count);
    while (good() && items.size() < count) items.push_back(read());
  }
  template <typename Item, typename Read>
  void list8(std::vector<Item>& items, size_t bytes, Read read) {
    list(items, in_.u8(), bytes, read);
  }
  template <typename Item, typename Read>
  void list16(std::vector<Item>& items, size_t bytes, Read read) {
    list(items, in_.be16(), bytes, read);
  }
  template <typename Item, typename Read>
  void list32(std::vector<Item>& items, size_t bytes, Read read) {
    list(items, in_.be32(), bytes, read);
  }

  std::string text() {
    const std::string_view found = textOf(in_.bytes(in_.be16()));
    require(isUtf8(found) && found.find('\0') == std::string_view::npos, "a text is not UTF-8");
    return std::string(found);
  }

  template <size_t Size>
  std::array<uint8_t, Size> bytes() {
    std::array<uint8_t, Size> result{};
    const auto from = in_.bytes(Size);
    std::copy(from.begin(), from.end(), result.begin());
    return result;
  }

  // A number below `count`.
  uint8_t small(size_t count, const char* what) {
    const uint8_t value = in_.u8();
    require(value < count, what);
    return good() ? value : uint8_t{0};
  }
  uint16_t index(size_t count, const char* what) {
    const uint16_t value = in_.be16();
    require(value < count, what);
    return value;
  }

  void readHeader() {
    require(in_.be32() == kMagic, "it is none");
    require(in_.be16() == kVersion, "it is of another version; compile the policy with this release");
    const uint8_t flags = in_.u8();
    require(flags <= (kFlagDryRun | kFlagFastPass), "a flag is unknown");
    image_.dryRun = (flags & kFlagDryRun) != 0;
    image_.fastPass = (flags & kFlagFastPass) != 0;
    image_.defaultAction = static_cast<Decision::Action>(small(3, "the default verdict is unknown"));
    image_.denyFor = in_.be32();
    for (size_t left = in_.u8(); left > 0 && good(); --left) {
      const auto condition = static_cast<Condition>(small(kConditionCount, "a condition is unknown"));
      const uint8_t action = small(kConditionActionCount, "an action of a condition is unknown");
      if (good()) image_.conditions.set(condition, static_cast<ConditionAction>(action));
    }
  }

  void readTables() {
    list16(image_.ownApplications, 2, [this] { return text(); });
    list16(image_.sets, 4, [this] { return addressSet(); });
    list16(image_.times, 1, [this] {
      std::vector<TimeWindow> windows;
      list8(windows, 6, [this] { return window(); });
      return windows;
    });
    for (uint16_t& groups : image_.groups) groups = in_.be16();
    list32(image_.expressions, 14, [this] { return expression(); });
    require(image_.expressions.size() <= kPolicyExpressionsMax, "there are too many patterns");
    list16(image_.hashes, 4, [this] { return hashList(); });
    list16(image_.limits, 30, [this] { return limit(); });
  }

  AddressSet addressSet() {
    AddressSet set;
    list32(set, 32, [this] {
      AddressRange range;
      range.first = bytes<16>();
      range.last = bytes<16>();
      require(range.first <= range.last, "a range of addresses ends before it begins");
      return range;
    });
    for (size_t i = 1; i < set.size(); ++i) require(set[i - 1].last < set[i].first, "addresses are out of order");
    return set;
  }

  TimeWindow window() {
    TimeWindow window;
    window.utc = small(2, "a time's zone is unknown") == 1;
    window.days = in_.u8();
    window.from = in_.be16();
    window.to = in_.be16();
    require(window.days < 0x80 && window.from < kMinutesPerDay && window.to <= kMinutesPerDay,
            "a time is outside the week");
    return window;
  }

  PolicyExpression expression() {
    PolicyExpression expression;
    expression.subject = static_cast<PolicySubject>(small(kPolicySubjects, "a pattern's subject is unknown"));
    const uint16_t groups = image_.groups[static_cast<size_t>(expression.subject)];
    expression.group = index(groups, "a pattern's group does not exist");
    const uint8_t flags = small(4, "a pattern's flags are unknown");
    expression.caseless = (flags & kExpressionCaseless) != 0;
    expression.words = (flags & kExpressionWords) != 0;
    expression.line = in_.be32();
    expression.column = in_.be32();
    expression.text = text();
    return expression;
  }

  std::vector<Sha256> hashList() {
    std::vector<Sha256> hashes;
    list32(hashes, 32, [this] { return bytes<32>(); });
    for (size_t i = 1; i < hashes.size(); ++i) require(hashes[i - 1] < hashes[i], "hashes are out of order");
    hashTotal_ += hashes.size();
    require(hashTotal_ <= kPolicyHashesMax, "there are too many hashes");
    return hashes;
  }

  LimitClass limit() {
    LimitClass limit;
    limit.name = text();
    limit.parent = index(image_.limits.size() + 1, "a limit's parent does not stand before it");
    limit.rate = in_.be64();
    limit.ceiling = in_.be64();
    require(limit.rate > 0 && limit.rate <= limit.ceiling, "a limit's ceiling is below its rate");
    limit.per = static_cast<LimitPer>(small(5, "what a limit is for is unknown"));
    limit.way = static_cast<LimitWay>(small(4, "a limit's way is unknown"));
    limit.burstBytes = in_.be32();
    limit.queueBytes = in_.be32();
    return limit;
  }

  PolicyRule rule() {
    PolicyRule rule;
    rule.name = text();
    rule.line = in_.be32();
    rule.action = static_cast<Decision::Action>(small(4, "a verdict is unknown"));
    const uint8_t flags = in_.u8();
    require(flags <= (kRuleLog | kRuleScan | kRuleStore | kRuleMark), "a rule's flag is unknown");
    rule.log = (flags & kRuleLog) != 0;
    rule.scan = (flags & kRuleScan) != 0;
    rule.store = (flags & kRuleStore) != 0;
    const uint32_t mark = in_.be32();
    if ((flags & kRuleMark) != 0) rule.mark = mark;
    rule.limit = index(image_.limits.size() + 1, "a rule's limit does not exist");
    rule.denyFor = in_.be32();
    rule.redirect.address = bytes<16>();
    rule.redirect.port = in_.be16();
    list8(rule.conditions, 1, [this] { return condition(); });
    checkEvent(rule);
    return rule;
  }

  PolicyCondition condition() {
    switch (in_.u8()) {
      case 0: return ApplicationIs{numbers([this](uint16_t number) { return isApplication(number); })};
      case 1: {
        AddressIn in;
        in.end = static_cast<PolicyEnd>(small(4, "whose address it is, is unknown"));
        in.set = index(image_.sets.size(), "a set of addresses does not exist");
        return in;
      }
      case 2: {
        PortIn in;
        list16(in.ranges, 4, [this] {
          const uint16_t first = in_.be16();
          return std::pair{first, in_.be16()};
        });
        return in;
      }
      case 3: return ProtocolIs{numbers([](uint16_t number) { return number <= 0xff; })};
      case 4: return TimeIn{numbers([this](uint16_t number) { return number < image_.times.size(); })};
      case 5: {
        PatternIn in;
        in.subject = static_cast<PolicySubject>(small(kPolicySubjects, "a pattern's subject is unknown"));
        in.group = index(image_.groups[static_cast<size_t>(in.subject)], "a group of patterns does not exist");
        return in;
      }
      case 6: {
        const uint64_t least = in_.be64();
        return FileSizeIn{least, in_.be64()};
      }
      case 7: return fileType();
      case 8: return FileHashIn{numbers([this](uint16_t number) { return number < image_.hashes.size(); })};
      case 9: return AnyFile{};
      case 10: return AnyChat{};
      default: require(false, "a condition of a rule is unknown"); return AnyFile{};
    }
  }

  FileTypeIs fileType() {
    FileTypeIs is;
    for (const uint16_t kind : numbers([](uint16_t number) { return number < kFileKinds; }))
      is.kinds = static_cast<uint16_t>(is.kinds | 1U << kind);
    list16(is.names, 2, [this] { return text(); });
    return is;
  }

  template <typename Allowed>
  std::vector<uint16_t> numbers(Allowed allowed) {
    std::vector<uint16_t> result;
    list16(result, 2, [&] {
      const uint16_t number = in_.be16();
      require(allowed(number), "a rule names what does not exist");
      return good() ? number : uint16_t{0};
    });
    return result;
  }

  [[nodiscard]] bool isApplication(uint16_t number) const {
    const size_t own = image_.ownApplications.size();
    return number < kApplicationsBuiltIn || (number >= kApplicationUserFirst && number < kApplicationUserFirst + own);
  }

  // A condition about files or messages belongs to a rule about them, and no rule is about both.
  void checkEvent(PolicyRule& rule) {
    bool file = false, chat = false;
    for (const PolicyCondition& condition : rule.conditions) {
      if (std::holds_alternative<AnyFile>(condition)) rule.aboutFiles = true;
      if (std::holds_alternative<AnyChat>(condition)) rule.aboutChat = true;
      if (std::holds_alternative<FileSizeIn>(condition) || std::holds_alternative<FileTypeIs>(condition) ||
          std::holds_alternative<FileHashIn>(condition))
        file = true;
      if (const auto* in = std::get_if<AddressIn>(&condition)) file |= in->end == PolicyEnd::sender;
      if (const auto* in = std::get_if<PatternIn>(&condition)) {
        if (in->subject == PolicySubject::fileName) file = true;
        else if (in->subject != PolicySubject::host) chat = true;
      }
    }
    require((!file || rule.aboutFiles) && (!chat || rule.aboutChat) && !(rule.aboutFiles && rule.aboutChat),
            "a rule's conditions contradict each other");
  }

  size_t size_;
  ByteCursor in_;
  PolicyImage image_;
  size_t hashTotal_ = 0;
  std::string problem_;
  size_t where_ = 0;
};

}  // namespace

std::variant<PolicyImage, PolicyError> readPolicyImage(std::span<const uint8_t> bytes) {
  return ImageReader(bytes).run();
}

std::variant<std::vector<ReplacedSet>, PolicyError> readReplacedSets(std::span<const uint8_t> bytes, size_t sets) {
  return ImageReader(bytes).runReplacedSets(sets);
}

}  // namespace p2pxbone::gateway
