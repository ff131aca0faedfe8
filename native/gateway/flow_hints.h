// What flows have said about others that are to come: which file a data connection carries, and who sends it. Bounded; one
// thread's.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "core/millis.h"
#include "gateway/flow.h"
#include "gateway/hash.h"
#include "gateway/parsers/parser.h"
#include "gateway/peer_cache.h"

namespace p2pxbone::gateway {

class FlowHints {
 public:
  // A data connection follows its announcement at once, or the announcement was for nothing.
  static constexpr Millis kExpiry = 120'000;
  static constexpr size_t kHintsMax = 4'096;
  static constexpr size_t kNameBytesMax = 255;

  explicit FlowHints(const HashSeed& seed) : hints_(0, Hash{seed}) {}

  // A flow to or from there is expected, of `hint.other` if it names one. The flow that has come already, if there is
  // one, to be told as well.
  std::optional<FlowRef> learn(const Address& address, uint16_t port, const FlowHint& hint, Millis now);
  // What was said about a flow between these ends, which is the one meant from now on. The name lives until the next call.
  [[nodiscard]] FlowHint claim(const FlowEnds& ends, const FlowRef& flow, Millis now);

  [[nodiscard]] size_t size() const { return hints_.size(); }

 private:
  struct Place {
    Address address{};
    uint16_t port = 0;
    Address other{};
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct Hash {
    HashSeed seed;
    size_t operator()(const Place& place) const {
      return KeyedHash{seed}.add(place.address).add(place.port).add(place.other).finish();
    }
  };
  struct Entry {
    FlowHint hint;  // without the name
    std::string name;
    Millis expires = 0;
    std::optional<FlowRef> user;
  };
  void makeRoom(Millis now);

  std::unordered_map<Place, Entry, Hash> hints_;
};

}  // namespace p2pxbone::gateway
