"""
First packets of very many flows, from addresses that nobody has:
flood.py syn|udp COUNT PER_SECOND TO MAC [DATAGRAMS BYTES]

TCP connections that are begun and never answered; or UDP flows with so many datagrams each, 1 of 100 bytes unless said otherwise. Flows
differ by source address and port. Prints `done` when all have left.
"""

import os
import socket
import struct
import sys
import time

INTERFACE = "eth0"
BURST = 200
TO_PORT = 4444
PORTS = 50_000


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packet(kind: str, number: int, to: bytes, payload: bytes) -> bytes:
    source = struct.pack("!BBH", 172, 16 + number // (65_536 * PORTS), 1 + number // PORTS)
    port = 1024 + number % PORTS
    if kind == "syn":
        protocol = 6
        transport = struct.pack("!HHIIBBHHH", port, TO_PORT, number, 0, 5 << 4, 2, 64_000, 0, 0)
        at = 16
    else:
        protocol = 17
        transport = struct.pack("!HHHH", port, TO_PORT, 8 + len(payload), 0) + payload
        at = 6
    pseudo = source + to + struct.pack("!HH", protocol, len(transport))
    transport = transport[:at] + struct.pack("!H", checksum(pseudo + transport)) + transport[at + 2 :]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(transport), 0, 0, 64, protocol, 0) + source + to
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + transport


def main() -> None:
    kind, count, rate, to_text, router_mac = sys.argv[1:6]
    datagrams, size = map(int, sys.argv[6:8]) if len(sys.argv) > 6 else (1, 100)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    wire.bind((INTERFACE, 0))
    head = bytes.fromhex(router_mac.replace(":", "")) + wire.getsockname()[4] + b"\x08\x00"
    to = socket.inet_aton(to_text)
    began = time.monotonic()
    sent = 0
    for number in range(int(count)):
        payload = b"" if kind == "syn" else os.urandom(size)
        frame = head + packet(kind, number, to, payload)
        for _ in range(datagrams if kind == "udp" else 1):
            wire.send(frame)
            sent += 1
            if sent % BURST == 0:
                time.sleep(max(0.0, began + sent / float(rate) - time.monotonic()))
    print("done", flush=True)


main()
