// Every bound of the gateway, in one place. Memory is reserved in address space up to these bounds and taken as it is used.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/millis.h"

namespace p2pxbone::gateway {

struct Limits {
  // Connections remembered as denied.
  uint32_t deniedConnections = 16'384;

  // Full flow records; each takes about 450 bytes, and more while its data are inspected.
  uint32_t flows = 131'072;
  // TCP connections of which only the handshake was seen; 32 bytes each.
  uint32_t halfOpenFlows = 524'288;

  Millis halfOpenTimeout = 30'000;
  Millis establishedTimeout = 7'440'000;  // RFC 5382 REQ-5 asks for at least 2 h 4 min
  Millis closingTimeout = 120'000;        // one end has said FIN
  Millis closedTimeout = 10'000;          // both have, or one has said RST
  Millis oneSidedTimeout = 30'000;        // only one end has spoken
  Millis datagramTimeout = 120'000;       // UDP and others: both have; RFC 4787 REQ-5 asks for at least 2 min
  // Longer than an end that nobody has told waits before it sends again (Linux: 120 s), or what was cut off would go on in
  // the middle of a connection of which nothing is known any more.
  Millis deniedTimeout = 300'000;  // TCP

  // Data that are collected until it is known what a flow carries, that parsers keep, and that flows' records will tell. Beyond, flows
  // are what they seem by their present packet, and parsers that need more than a little give up.
  uint64_t keptBytes = 134'217'728;

  // Packets that wait: fragments, TCP out of order, flows whose verdict is to come, and limits of bandwidth. In blocks of 2 KB, each packet
  // taking at least one.
  uint32_t heldBlocks = 32'768;
  uint32_t heldPackets = 32'768;
  // Of these, for fragments of unfinished datagrams.
  uint32_t fragmentBlocks = 4'096;
  uint32_t fragmentedDatagrams = 1'024;
  uint32_t fragmentsPerDatagram = 64;
  Millis fragmentTimeout = 30'000;
  // Of these, for one flow that waits for its verdict.
  uint32_t heldBlocksPerFlow = 2'048;

  // Of these, for limits of bandwidth.
  uint32_t limitBlocks = 16'384;
  // Flows, addresses and so on that have a limit for themselves; about 250 bytes each. Beyond, they share one.
  uint32_t limitInstances = 16'384;

  // TCP data kept for comparing: sent and not yet acknowledged, or come before what is missing. In pages of 2 KB.
  uint32_t streamPages = 65'536;
  uint32_t pagesPerDirection = 2'048;
  // Pieces of one direction beyond the first that is missing.
  uint32_t piecesPerDirection = 128;
  // Packets of one direction that wait for what is missing before them.
  uint32_t waitingPerDirection = 1'024;
  Millis gapTimeout = 30'000;

  // Connections that are redirected; about 300 bytes each.
  uint32_t redirects = 16'384;

  // RSTs and ICMP errors to senders that may be forged, and as many at once. Ends of connections whose handshake was seen
  // get theirs in any case.
  uint32_t answersPerSecond = 1'000;
};

}  // namespace p2pxbone::gateway
