#include "core/record_opener.h"

namespace p2pxbone {

DropReason RecordOpener::open(SecureChannel& channel, std::span<uint8_t> record, Millis now, bool restore,
                              OpenedRecord& opened) {
  const auto [newest, older] = channel.receiving();
  if (newest == nullptr) return DropReason::keysMissing;
  // Both are of epoch 1. While nothing has come under the newest keys, the record is likelier to be of the older ones.
  const bool olderFirst = older != nullptr && newest->unused();
  bool replayed = false;
  for (const bool tryOlder : {olderFirst, !olderFirst}) {
    ReceivingKeys* const keys = tryOlder ? older : newest;
    if (keys == nullptr || (tryOlder && older == newest)) continue;
    const bool last = tryOlder != olderFirst || older == nullptr;
    const bool isNewest = newest->isNewest(record) && (!tryOlder || (newest->unused() && older->isNewest(record)));
    const bool first = newest->unused();
    switch (keys->open(record, restore || !last, opened.content)) {
      case ReceivingKeys::Outcome::opened:
        opened.type = contentTypeOf(record);
        opened.newest = isNewest;
        opened.provesKeys = !tryOlder && first;
        channel.heard(now, tryOlder);
        return DropReason::none;
      case ReceivingKeys::Outcome::replayed: replayed = true; break;
      case ReceivingKeys::Outcome::forged: break;
    }
  }
  return replayed ? DropReason::recordReplayed : DropReason::dtlsRecordBad;
}

}  // namespace p2pxbone
