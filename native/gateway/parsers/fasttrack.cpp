#include "gateway/parsers/fasttrack.h"

#include "gateway/parsers/http.h"
#include "gateway/parsers/text.h"

namespace p2pxbone::gateway {
namespace {

constexpr size_t kLineBytesMax = 1024;
constexpr std::string_view kHashPrefix = "/.hash=";

class FastTrackHttp final : public HttpParser {
 public:
  using HttpParser::HttpParser;

 private:
  [[nodiscard]] Wanted wantedOf(const HttpHead& request) const override {
    if (!startsWith(request.target, kHashPrefix)) return HttpParser::wantedOf(request);
    return {{}, {}, "fasttrack:" + utf8Of(lowered(std::string_view{request.target}.substr(kHashPrefix.size())))};
  }

  void extraField(Side, std::string_view name, std::string_view value, Wanted& file, ParserEvents& events) override {
    if (same(name, "x-kazaa-username")) tell("user", value, events);
    if (same(name, "x-kazaa-network")) tell("network", value, events);
    if (same(name, "x-kazaa-ip") || same(name, "x-kazaa-supernodeip")) endpoint(value, events);
    if (same(name, "x-kazaatag")) tag(value, file, events);
  }

  // `4=title`: number and text of one tag of the file.
  void tag(std::string_view value, Wanted& file, ParserEvents& events) {
    const std::string_view number = trimmed(nextWord(value, '='));
    if (number == "2") file.name = utf8Of(lastPathPart(value));
    if (number == "4") tell("title", value, events);
    if (number == "6") tell("artist", value, events);
  }

  void endpoint(std::string_view value, ParserEvents& events) {
    const auto address = addressOf(trimmed(nextWord(value, ':')));
    const auto port = portOf(trimmed(value));
    if (address && port.value_or(0) != 0) events.learnPeer(*address, *port, Application::fasttrack, {});
  }

  [[nodiscard]] std::string_view attributePrefix() const override { return "fasttrack"; }
};

}  // namespace

bool FastTrackParser::step(Side side, ParserEvents& events) {
  std::span<const uint8_t> begin;
  if (reader(side).peek(5, begin) != Reader::Got::yes) return false;
  const std::string_view text = textOf(begin);
  if (text == "GIVE ") {
    // Behind a firewall the owner connects, and is then asked as usual.
    std::string_view line;
    const Reader::Got got = reader(side).line(line, kLineBytesMax);
    if (got == Reader::Got::wait) return false;
    return delegate(std::make_unique<FastTrackHttp>(other(side)), side, events);
  }
  if (text.starts_with("GET ") || text == "HEAD " || text == "HTTP/")
    return delegate(std::make_unique<FastTrackHttp>(text == "HTTP/" ? other(side) : side), side, events);
  events.attribute("fasttrack.link", "encrypted");
  return finish(events);
}

}  // namespace p2pxbone::gateway
