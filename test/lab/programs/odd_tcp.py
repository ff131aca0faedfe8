"""
TCP as no honest end speaks it, from an address that no kernel answers for:
odd_tcp.py client|server OWN:PORT OTHER:PORT PATH MAC. The last is that of the router's interface.

  client   asks a web server for PATH in every way below, all at once, and prints what came back: {"way": "text", …}
  server   answers connections to the own address and port in a split handshake, a simultaneous open, and an honest one in turn, and
           serves everybody PATH as text; prints `ready`
"""

import json
import random
import socket
import sys
import threading
import time

from scapy.layers.inet import IP, TCP, fragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

INTERFACE = "eth0"
OPEN_SECONDS = 3.0
ANSWER_SECONDS = 2.5
GAP_SECONDS = 0.002
WINDOW = 64000
MODULUS = 1 << 32
DECOY = "/note.txt"
MD5_OPTION = (19, bytes(16))


class Wire:
    """Whole packets of one address, below any kernel's TCP."""

    def __init__(self, own: str, router_mac: str):
        self.own = own
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self.socket.bind((INTERFACE, 0))
        self.mac = self.socket.getsockname()[4]
        self.router_mac = bytes.fromhex(router_mac.replace(":", ""))

    def send(self, packet: IP) -> None:
        self.socket.send(self.router_mac + self.mac + b"\x08\x00" + bytes(packet))
        # The order is the point of much of this.
        time.sleep(GAP_SECONDS)

    def packets(self):
        while True:
            frame = Ether(self.socket.recv(70000))
            if TCP in frame and frame[IP].dst == self.own:
                yield frame[IP]


class Connection:
    def __init__(self, wire: Wire, port: int, there: tuple[str, int], first: int, options: list | None = None):
        self.wire, self.port, self.there = wire, port, there
        self.next = first
        self.theirs: int | None = None
        self.first_theirs = 0
        self.got: dict[int, bytes] = {}
        self.options = options or []
        self.clock = 1000
        self.their_clock = 0
        self.open = threading.Event()

    def packet(self, flags: str, at: int | None = None, data: bytes = b"", **fields) -> IP:
        options = fields.pop("options", None)
        if options is None:
            stamp = fields.pop("clock", self.clock)
            options = [("Timestamp", (stamp, self.their_clock))] if self.options else []
        header = TCP(
            sport=self.port,
            dport=self.there[1],
            seq=(self.next if at is None else at) % MODULUS,
            ack=self.theirs or 0,
            flags=flags,
            window=WINDOW,
            options=options,
            **fields,
        )
        return IP(src=self.wire.own, dst=self.there[0]) / header / Raw(data)

    def send(self, flags: str, at: int | None = None, data: bytes = b"", **fields) -> None:
        self.wire.send(self.packet(flags, at, data, **fields))

    def took(self, packet: IP) -> None:
        header = packet[TCP]
        for kind, value in header.options:
            if kind == "Timestamp":
                self.their_clock = value[0]
        data = bytes(header.payload)[: packet.len - packet.ihl * 4 - header.dataofs * 4]
        if "S" in header.flags and self.theirs is None:
            self.theirs = self.first_theirs = (header.seq + 1) % MODULUS
            self.next = (self.next + 1) % MODULUS
            self.send("A")
            self.open.set()
            return
        if not data or self.theirs is None:
            return
        self.got.setdefault((header.seq - self.first_theirs) % MODULUS, data)
        while (piece := self.got.get((self.theirs - self.first_theirs) % MODULUS)) is not None:
            self.theirs = (self.theirs + len(piece)) % MODULUS
        self.send("A", at=self.next)

    def text(self) -> str:
        text, at = b"", 0
        while (piece := self.got.get(at)) is not None:
            text += piece
            at += len(piece)
        return text.decode("latin1")

    # Ways to say something.

    def say(self, data: bytes) -> None:
        self.send("PA", data=data)

    def pieces(self, data: bytes, size: int) -> list[tuple[int, bytes]]:
        return [(i, data[i : i + size]) for i in range(0, len(data), size)]

    def say_pieces(self, pieces: list[tuple[int, bytes]]) -> None:
        for offset, piece in pieces:
            self.send("PA", at=self.next + offset, data=piece)


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.0\r\n\r\n".encode()


def decoy(path: str) -> bytes:
    """A harmless request of the same length."""
    return request(DECOY + "?" + "x" * (len(path) - len(DECOY) - 1))


def plain(c: Connection, path: str) -> None:
    c.say(request(path))


def tiny(c: Connection, path: str) -> None:
    c.say_pieces(c.pieces(request(path), 1))


def backwards(c: Connection, path: str) -> None:
    c.say_pieces(c.pieces(request(path), 3)[::-1])


def shuffled(c: Connection, path: str) -> None:
    pieces = c.pieces(request(path), 2) * 2
    random.Random(7).shuffle(pieces)
    c.say_pieces(pieces)


def overlap_decoy_first(c: Connection, path: str) -> None:
    """Behind a gap, so that nothing is read before both are there."""
    c.send("PA", at=c.next + 1, data=decoy(path)[1:])
    c.send("PA", at=c.next + 1, data=request(path)[1:])
    c.send("PA", data=b"G")


def overlap_decoy_last(c: Connection, path: str) -> None:
    c.send("PA", at=c.next + 1, data=request(path)[1:])
    c.send("PA", at=c.next + 1, data=decoy(path)[1:])
    c.send("PA", data=b"G")


def overlap_in_part(c: Connection, path: str) -> None:
    real, other = request(path), decoy(path)
    middle = len(real) // 2
    c.send("PA", at=c.next + 3, data=other[3:middle])
    c.send("PA", at=c.next + middle, data=real[middle:])
    c.send("PA", at=c.next + 1, data=real[1 : middle + 2])
    c.send("PA", at=c.next + 2, data=other[2:5])
    c.send("PA", data=b"G")


def again_differently(c: Connection, path: str) -> None:
    c.send("PA", data=b"GET ")
    c.send("PA", at=c.next, data=b"PUT " + request(path)[4:])


def resets_ignored(c: Connection, path: str) -> None:
    """Inside the window, but not where it counts; outside of it; and with a wrong checksum."""
    c.send("R", at=c.next + 10)
    c.send("R", at=c.next - 10)
    c.send("R", at=c.next + 2 * WINDOW)
    c.send("R", chksum=1)
    c.say(request(path))


def reset_between(c: Connection, path: str) -> None:
    c.send("PA", data=request(path)[:9])
    c.send("RA", at=c.next + 9 + 5)
    c.send("PA", at=c.next + 9, data=request(path)[9:])


def urgent(c: Connection, path: str) -> None:
    """Its receiver takes the urgent byte out."""
    text = request(path)
    c.send("PAU", data=text[:7] + b"X", urgptr=8)
    time.sleep(0.3)
    c.send("PA", at=c.next + 8, data=text[7:])


def fragments(c: Connection, path: str, order: int) -> None:
    whole = c.packet("PA", data=request(path))
    whole.id = random.randrange(1, 65536)
    for part in fragment(whole, 24)[::order]:
        c.wire.send(part)


def fragments_in_order(c: Connection, path: str) -> None:
    fragments(c, path, 1)


def fragments_backwards(c: Connection, path: str) -> None:
    fragments(c, path, -1)


def fragments_overlap(c: Connection, path: str) -> None:
    real = c.packet("PA", data=request(path))
    other = c.packet("PA", data=decoy(path))
    real.id = other.id = random.randrange(1, 65536)
    # The checksum stands in the first one.
    first, *rest = fragment(real, 24)
    others = fragment(other, 24)[1:]
    for part in [*others, *rest, first]:
        c.wire.send(part)


def far_ahead(c: Connection, path: str) -> None:
    for ahead in (WINDOW - 1000, WINDOW + 100_000, 1 << 31):
        c.send("PA", at=c.next + ahead, data=b"!")
    c.say(request(path))


def decoy_then(c: Connection, path: str, **fields) -> None:
    """The receiver does not take what has these fields."""
    flags = fields.pop("flags", "PA")
    c.send(flags, data=decoy(path), **fields)
    c.say(request(path))


def decoy_with_wrong_checksum(c: Connection, path: str) -> None:
    decoy_then(c, path, chksum=1)


def decoy_without_ack(c: Connection, path: str) -> None:
    decoy_then(c, path, flags="P")


def decoy_with_signature(c: Connection, path: str) -> None:
    decoy_then(c, path, options=[MD5_OPTION])


def decoy_out_of_window(c: Connection, path: str) -> None:
    c.send("PA", at=c.next + (1 << 30), data=decoy(path))
    c.say(request(path))


def decoy_from_the_past(c: Connection, path: str) -> None:
    c.send("PA", data=decoy(path), clock=1)
    c.say(request(path))


def wrapped(c: Connection, path: str) -> None:
    c.say_pieces(c.pieces(request(path), 4))


def syn_with_data(c: Connection, path: str) -> None:
    c.say(request(path))


WAYS = {
    way.__name__: way
    for way in (
        plain,
        tiny,
        backwards,
        shuffled,
        overlap_decoy_first,
        overlap_decoy_last,
        overlap_in_part,
        again_differently,
        resets_ignored,
        reset_between,
        urgent,
        fragments_in_order,
        fragments_backwards,
        fragments_overlap,
        far_ahead,
        decoy_with_wrong_checksum,
        decoy_without_ack,
        decoy_with_signature,
        decoy_out_of_window,
        decoy_from_the_past,
        wrapped,
        syn_with_data,
    )
}


def client(wire: Wire, own_port: int, there: tuple[str, int], path: str) -> None:
    connections: dict[str, Connection] = {}
    for i, name in enumerate(WAYS):
        first = MODULUS - 6 if name == "wrapped" else random.randrange(MODULUS)
        stamps = ["stamps"] if name == "decoy_from_the_past" else None
        connections[name] = Connection(wire, own_port + i, there, first, stamps)
    by_port = {connection.port: connection for connection in connections.values()}

    def listen() -> None:
        for packet in wire.packets():
            connection = by_port.get(packet[TCP].dport)
            if connection is not None and packet.src == there[0]:
                connection.took(packet)

    threading.Thread(target=listen, daemon=True).start()
    for name, connection in connections.items():
        connection.send("S", data=request(path) if name == "syn_with_data" else b"")
    until = time.monotonic() + OPEN_SECONDS
    for name, connection in connections.items():
        if connection.open.wait(max(0.0, until - time.monotonic())):
            WAYS[name](connection, path)
    time.sleep(ANSWER_SECONDS)
    print(json.dumps({name: connection.text() for name, connection in connections.items()}))


def server(wire: Wire, own_port: int, path: str) -> None:
    """Handshakes in turn: split (SYN, then ACK), simultaneous (SYN, then SYN-ACK), honest."""
    print("ready", flush=True)
    text = b"HTTP/1.0 200 OK\r\n\r\n" + path.encode()
    kinds: dict[tuple[str, int], int] = {}
    first = 5000
    for packet in wire.packets():
        header = packet[TCP]
        if header.dport != own_port:
            continue
        there = (packet.src, header.sport)
        ours = Connection(wire, own_port, there, first)
        ours.theirs = (header.seq + 1) % MODULUS
        flags = str(header.flags)
        if flags in ("S", "SEC"):
            kind = kinds.setdefault(there, len(kinds) % 3)
            if kind == 2:
                ours.send("SA")
            else:
                ours.theirs = None
                ours.send("S")
        elif "S" in flags and "A" in flags:
            kind = kinds.get(there, 2)
            if kind == 0:
                ours.send("A", at=first + 1)
            elif kind == 1:
                ours.send("SA", at=first)
        else:
            data = bytes(header.payload)[: packet.len - packet.ihl * 4 - header.dataofs * 4]
            if b"\r\n\r\n" in data:
                ours.theirs = (header.seq + len(data)) % MODULUS
                ours.send("PA", at=first + 1, data=text)
                ours.send("FA", at=first + 1 + len(text))


def endpoint(text: str) -> tuple[str, int]:
    address, port = text.rsplit(":", 1)
    return address, int(port)


def main() -> None:
    _, role, own, there, path, router_mac = sys.argv
    address, port = endpoint(own)
    wire = Wire(address, router_mac)
    if role == "client":
        client(wire, port, endpoint(there), path)
    else:
        server(wire, port, path)


main()
