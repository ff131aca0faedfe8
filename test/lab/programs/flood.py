"""
First packets of very many flows, from addresses that nobody has:
flood.py syn|udp COUNT PER_SECOND TO MAC [DATAGRAMS BYTES]

TCP connections that are begun and never answered; or UDP flows with so many datagrams each, 1 of 100 bytes unless said otherwise. Flows
differ by source address and port. Prints `done` when all have left.
"""

import errno
import os
import socket
import struct
import sys
import time

INTERFACE = "eth0"
BURST = 200
TO_PORT = 4444
PORTS = 50_000
POOL_BYTES = 65_536


def folded(total: int) -> int:
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def summed(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


class Frames:
    """A template in which only the source and the checksums are exchanged: time is the sender's bound."""

    def __init__(self, kind: str, ethernet: bytes, to: bytes, size: int):
        self.is_syn = kind == "syn"
        transport = (
            struct.pack("!HHIIBBHHH", 0, TO_PORT, 0, 0, 5 << 4, 2, 64_000, 0, 0)
            if self.is_syn
            # Without a checksum, as IPv4 allows.
            else struct.pack("!HHHH", 0, TO_PORT, 8 + size, 0) + bytes(size)
        )
        protocol = 6 if self.is_syn else 17
        header = struct.pack("!BBHHHBBHI", 0x45, 0, 20 + len(transport), 0, 0, 64, protocol, 0, 0) + to
        self.frame = bytearray(ethernet + header + transport)
        self.ip = len(ethernet)
        self.header_sum = summed(header)
        self.transport_sum = summed(to + struct.pack("!HH", protocol, len(transport)) + transport)
        self.noise = os.urandom(POOL_BYTES + size)
        self.size = size

    def flow(self, number: int) -> bytearray:
        frame, ip = self.frame, self.ip
        network = 0xAC10 + number // (65_536 * PORTS)  # 172.16
        host = 1 + number // PORTS
        port = 1024 + number % PORTS
        struct.pack_into("!HHH", frame, ip + 10, folded(self.header_sum + network + host), network, host)
        struct.pack_into("!H", frame, ip + 20, port)
        if self.is_syn:
            total = self.transport_sum + network + host + port + (number >> 16) + (number & 0xFFFF)
            struct.pack_into("!I", frame, ip + 24, number)
            struct.pack_into("!H", frame, ip + 36, folded(total))
        else:
            at = number * 61 % POOL_BYTES
            frame[ip + 28 :] = self.noise[at : at + self.size]
        return frame


def send(wire: socket.socket, frame: bytearray) -> None:
    while True:
        try:
            wire.send(frame)
            return
        except OSError as error:
            # The receiving end of the link has not had the processor for a while.
            if error.errno != errno.ENOBUFS:
                raise
            time.sleep(0.001)


def main() -> None:
    kind, count, rate, to_text, router_mac = sys.argv[1:6]
    datagrams, size = map(int, sys.argv[6:8]) if len(sys.argv) > 6 else (1, 100)
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    wire.bind((INTERFACE, 0))
    ethernet = bytes.fromhex(router_mac.replace(":", "")) + wire.getsockname()[4] + b"\x08\x00"
    frames = Frames(kind, ethernet, socket.inet_aton(to_text), size)
    began = time.monotonic()
    sent = 0
    for number in range(int(count)):
        frame = frames.flow(number)
        for _ in range(datagrams if kind == "udp" else 1):
            send(wire, frame)
            sent += 1
            if sent % BURST == 0:
                time.sleep(max(0.0, began + sent / float(rate) - time.monotonic()))
    print("done", flush=True)


main()
