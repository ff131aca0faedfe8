"""Connects from one port and asks for a page: python3 lost_connection.py ADDRESS PORT SERVER forget|end

With forget, the connection is lost here and stays at the server, which hears nothing of it.
"""
import socket
import struct
import subprocess
import sys
import time

PATIENCE_S = 10

address, port, server, end = sys.argv[1:]
silence = ["OUTPUT", "-p", "tcp", "--sport", port, "-j", "DROP"]
with socket.socket() as connection:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind((address, int(port)))
    connection.settimeout(PATIENCE_S)
    connection.connect((server, 80))
    connection.send(b"GET / HTTP/1.1\r\nHost: server\r\n\r\n")
    print(len(connection.recv(100)), "bytes")
    if end == "forget":
        subprocess.run(["iptables", "-I", *silence], check=True)
        # Its reset is lost, too.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
if end == "forget":
    time.sleep(0.1)
    subprocess.run(["iptables", "-D", *silence], check=True)
