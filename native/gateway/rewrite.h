// Changes to packets in place. They leave the transport checksum wrong until finishRewrite(), so that several cost one sum.
#pragma once

#include "gateway/packet.h"

namespace p2pxbone::gateway {

// Makes the payload from `offset` on equal to `bytes`. Whether anything differed.
bool overwritePayload(Packet& packet, size_t offset, std::span<const uint8_t> bytes);

// Cuts the payload to its first `keep` bytes. Not for super-packets and not for what came in fragments.
void trimPayload(Packet& packet, size_t keep);

// Urgent data become ordinary ones.
void clearUrgent(Packet& packet);

// Another end in the place of the packet's own. Checksums that were right stay right (RFC 1624). Not for later fragments.
void moveSource(Packet& packet, const Address& address, uint16_t port);
void moveDestination(Packet& packet, const Address& address, uint16_t port);

// The transport checksum, made right if anything was changed; of a packet whose checksum is left to others, the part that
// is not.
void finishRewrite(Packet& packet);

}  // namespace p2pxbone::gateway
