#include "core/node.h"

#include <algorithm>
#include <tuple>

namespace p2pxbone {

Directory::Directory(const std::vector<Node*>& nodes) : bySerial_(nodes) {
  std::sort(bySerial_.begin(), bySerial_.end(), [](const Node* a, const Node* b) { return a->serial < b->serial; });
  for (Node* node : nodes) entries_.push_back({node->config.vni, node->config.mac, node});
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.vni, a.mac) < std::tie(b.vni, b.mac); });
}

Node* Directory::find(uint32_t vni, const Mac& mac) const {
  const auto found = std::partition_point(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return std::tie(entry.vni, entry.mac) < std::tie(vni, mac);
  });
  if (found == entries_.end() || found->vni != vni || found->mac != mac) return nullptr;
  return found->node;
}

Node* Directory::find(uint32_t serial) const {
  const auto found = std::partition_point(bySerial_.begin(), bySerial_.end(),
                                          [&](const Node* node) { return node->serial < serial; });
  return found == bySerial_.end() || (*found)->serial != serial ? nullptr : *found;
}

bool Directory::knows(uint32_t vni) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.vni == vni; });
}

}  // namespace p2pxbone
