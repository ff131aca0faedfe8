// Reads the arguments of a call from index.ts, which has validated them: a wrong one is a broken invariant, so it throws.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/address_plan.h"
#include "core/endpoint.h"
#include "core/link_shape.h"
#include "core/packet.h"
#include "core/vxlan.h"

namespace p2pxbone {

[[nodiscard]] inline Address addressAt(std::span<const uint8_t> addresses, size_t index) {
  Address address;
  std::copy_n(&addresses[index * address.size()], address.size(), address.begin());
  return address;
}

class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  // False, and a JavaScript exception is pending, if any argument read so far was not what it should be.
  [[nodiscard]] bool good() {
    if (wrong_ && !info_.Env().IsExceptionPending()) {
      Napi::TypeError::New(info_.Env(), "native argument " + std::to_string(next_ - 1)).ThrowAsJavaScriptException();
    }
    return !wrong_;
  }

  // An unsigned integer that a JavaScript number holds exactly.
  [[nodiscard]] uint64_t integer() {
    constexpr double exact = 9007199254740991.0;
    const Napi::Value value = take();
    const double number = wrong_ || !value.IsNumber() ? -1 : value.As<Napi::Number>().DoubleValue();
    // Written so that NaN fails too.
    if (!(number >= 0 && number <= exact)) return fail(uint64_t{0});
    return static_cast<uint64_t>(number);
  }

  template <typename Small>
  [[nodiscard]] Small integerUpTo(Small most) {
    const uint64_t number = integer();
    return number <= static_cast<uint64_t>(most) ? static_cast<Small>(number) : fail(Small{0});
  }

  [[nodiscard]] uint64_t id() {
    const Napi::Value value = take();
    bool lossless = false;
    const uint64_t number = wrong_ || !value.IsBigInt() ? 0 : value.As<Napi::BigInt>().Uint64Value(&lossless);
    return lossless ? number : fail(uint64_t{0});
  }

  [[nodiscard]] std::string text() {
    const Napi::Value value = take();
    return wrong_ || !value.IsString() ? fail(std::string{}) : value.As<Napi::String>().Utf8Value();
  }

  [[nodiscard]] Napi::Object object() {
    const Napi::Value value = take();
    return wrong_ || !value.IsObject() ? fail(Napi::Object::New(info_.Env())) : value.As<Napi::Object>();
  }

  // Valid until control returns to JavaScript.
  template <typename Element, napi_typedarray_type type>
  [[nodiscard]] std::span<const Element> array() {
    const Napi::Value value = take();
    if (wrong_ || !value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
      return fail(std::span<const Element>{});
    }
    const auto elements = value.As<Napi::TypedArrayOf<Element>>();
    return {elements.Data(), elements.ElementLength()};
  }
  [[nodiscard]] std::span<const uint8_t> bytes() { return array<uint8_t, napi_uint8_array>(); }
  [[nodiscard]] std::span<const double> numbers() { return array<double, napi_float64_array>(); }
  [[nodiscard]] std::span<const uint64_t> ids() { return array<uint64_t, napi_biguint64_array>(); }

  template <typename Fixed>
  [[nodiscard]] Fixed fixedBytes() {
    const std::span<const uint8_t> given = bytes();
    Fixed fixed{};
    if (given.size() != fixed.size()) return fail(fixed);
    std::copy(given.begin(), given.end(), fixed.begin());
    return fixed;
  }
  [[nodiscard]] Mac mac() { return fixedBytes<Mac>(); }
  [[nodiscard]] Address address() { return fixedBytes<Address>(); }

  // Three arguments: addresses of 16 bytes each, their lengths in the 128-bit form, 4 or 6 for each.
  [[nodiscard]] std::vector<Prefix> prefixes() {
    const std::span<const uint8_t> addresses = bytes();
    const std::span<const uint8_t> lengths = bytes();
    const std::span<const uint8_t> families = bytes();
    if (addresses.size() != lengths.size() * sizeof(Address) || families.size() != lengths.size()) {
      return fail(std::vector<Prefix>{});
    }
    std::vector<Prefix> prefixes;
    for (size_t i = 0; i < lengths.size(); ++i) prefixes.push_back({addressAt(addresses, i), lengths[i], families[i] == 6});
    return prefixes;
  }

  // The numbers of LinkShape in api.ts, in their order.
  [[nodiscard]] LinkShape linkShape() {
    const std::span<const double> given = numbers();
    if (given.size() != 7) return fail(LinkShape{});
    constexpr double nanosPerMs = 1e6;
    return {static_cast<uint64_t>(given[0]),
            static_cast<uint64_t>(given[1]),
            static_cast<uint64_t>(given[2]),
            static_cast<Nanos>(given[3] * nanosPerMs),
            static_cast<Nanos>(given[4] * nanosPerMs),
            given[5],
            given[6]};
  }

  // Two arguments: 16 bytes of address, and the port.
  [[nodiscard]] Endpoint endpoint() {
    const Address ip = address();
    return {ip, integerUpTo<uint16_t>(65535)};
  }

 private:
  Napi::Value take() {
    const size_t at = next_++;
    if (at < info_.Length()) return info_[at];
    wrong_ = true;
    return info_.Env().Undefined();
  }

  template <typename Value>
  Value fail(Value value) {
    wrong_ = true;
    return value;
  }

  const Napi::CallbackInfo& info_;
  size_t next_ = 0;
  bool wrong_ = false;
};

}  // namespace p2pxbone
