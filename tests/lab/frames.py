#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The largest frames that cross a link while a command runs, in bytes with their Ethernet headers.

    frames.py LINK COMMAND...

Prints "out N in N", as seen from the host: out is what it sends. A frame that a device takes in one
piece is one here, whatever it becomes later. The exit status is the command's.
"""

import socket
import subprocess
import sys

ETH_P_ALL = 3


def main():
    link, *command = sys.argv[1:]
    largest = {"out": 0, "in": 0}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sniffer:
        sniffer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sniffer.bind((link, ETH_P_ALL))
        status = subprocess.call(command)
        sniffer.setblocking(False)
        while True:
            try:
                frame, (_, _, kind, *_) = sniffer.recvfrom(65550)
            except BlockingIOError:
                break
            way = "out" if kind == socket.PACKET_OUTGOING else "in"
            largest[way] = max(largest[way], len(frame))
    print(f"out {largest['out']} in {largest['in']}")
    sys.exit(status)


if __name__ == "__main__":
    main()
