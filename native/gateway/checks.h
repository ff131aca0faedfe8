// What a packet must fulfil before anything is concluded from it: whatever its receiver would discard must be discarded
// here too, or it could show the inspection something that the receiver never sees.
#pragma once

#include "gateway/packet.h"

namespace p2pxbone::gateway {

enum class Checksum : uint8_t { verify, trust };

// Reads the TCP or UDP header of a whole datagram and verifies its checksum, unless the offload says that the local kernel
// has left it undone. Other protocols have no further header: all behind IP is payload.
[[nodiscard]] DropReason checkTransport(Packet& packet, Checksum checksum = Checksum::verify);

}  // namespace p2pxbone::gateway
