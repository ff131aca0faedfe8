#include "gateway/fragment_view.h"

#include "core/bytes.h"
#include "core/packet.h"

namespace p2pxbone::gateway {
namespace {

constexpr uint8_t kFragmentHeader = 44;
constexpr size_t kFragmentHeaderBytes = 8;

FragmentView viewIpv4(std::span<const uint8_t> bytes) {
  const uint16_t field = loadBe16(&bytes[6]);
  FragmentView view;
  view.identification = loadBe16(&bytes[4]);
  view.offset = size_t{field & 0x1fffU} * 8;
  view.more = (field & 0x2000) != 0;
  view.headerBytes = size_t{bytes[0] & 0x0fU} * 4;
  view.dataBytes = bytes.size() - view.headerBytes;
  view.nextHeader = bytes[9];
  return view;
}

std::optional<FragmentView> viewIpv6(std::span<const uint8_t> bytes) {
  size_t nextHeaderAt = 6;
  size_t at = kIpv6HeaderBytes;
  while (bytes[nextHeaderAt] != kFragmentHeader) {
    const uint8_t header = bytes[nextHeaderAt];
    // Only what a router must look at may stand before the fragment header.
    if ((header != 0 && header != 43 && header != 60) || at + 8 > bytes.size()) return std::nullopt;
    nextHeaderAt = at;
    at += (size_t{bytes[at + 1]} + 1) * 8;
  }
  if (at + kFragmentHeaderBytes > bytes.size()) return std::nullopt;
  FragmentView view;
  const uint16_t field = loadBe16(&bytes[at + 2]);
  view.identification = loadBe32(&bytes[at + 4]);
  view.offset = field & 0xfff8U;
  view.more = (field & 1) != 0;
  view.headerBytes = at + kFragmentHeaderBytes;
  view.dataBytes = bytes.size() - view.headerBytes;
  view.nextHeader = bytes[at];
  view.nextHeaderAt = nextHeaderAt;
  return view;
}

}  // namespace

std::optional<FragmentView> viewFragment(std::span<const uint8_t> bytes, bool v6) {
  if (v6) return viewIpv6(bytes);
  return viewIpv4(bytes);
}

}  // namespace p2pxbone::gateway
