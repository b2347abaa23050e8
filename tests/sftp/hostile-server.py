#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""An SFTP server on standard input and output that means harm: names, sizes, links, kinds."""

import itertools
import os
import stat
import struct
import sys
import time

DIRECTORY, FILE, LINK = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777
VICTIM = os.environ.get("VICTIM", "/nowhere")
START = os.environ.get("START", "/")
# Of "/pile0" to "/pile9", of names that are as long as can be.
PILE = int(os.environ.get("PILE", "0"))

# What is in "/evil", "/evil/out" and others: kind, size.
LISTINGS = {
    "/evil": [(b"..", DIRECTORY, 0), (b".", DIRECTORY, 0), (b"../escaped", FILE, 6),
              (b"../escaped-directory", DIRECTORY, 0),
              (b"a/b", FILE, 6), (b"", FILE, 6), (b"nul\0name", FILE, 6), (b"x" * 300, FILE, 6),
              (b"good", FILE, 6), (b"red\x1b[31m", FILE, 6), (b"long", FILE, 6),
              (b"short", FILE, 1000), (b"out", LINK, 6), (b"out", DIRECTORY, 0),
              (b"bad-link", LINK, 6), (b"suid", FILE | stat.S_ISUID, 6)],
    "/evil/out": [(b"inner", FILE, 6)],
    "/trees": [(b"plain", FILE, 6), (b"link", LINK, 6), (b"inner", DIRECTORY, 0)],
    "/trees/inner": [(b"was-link", FILE, 6), (b"other", FILE, 6)],
    "/sizes": [(b"all", FILE, (1 << 64) - 1), (b"half", FILE, 1 << 63), (b"below", FILE, (1 << 63) - 1),
               (b"most", FILE, 1 << 60), (b"honest", FILE, 6)],
    "/typed": [(b"esc\x1b]0;title\x07", FILE, 6), (b"new\nline", FILE, 6), (b"$(touch pwned)", FILE, 6),
               (b"-rf", FILE, 6), (b"c1\xc2\x9b31m", FILE, 6), (b"bad\xff", FILE, 6)],
}
# It says that it is empty, as files of /proc do, and has so much.
LISTINGS["/unsized"] = [(b"large", FILE, 0)]
UNSIZED = (66 << 20) + 5
# "/swap/d": what SWAP says it is; "both": a directory, which becomes a link meanwhile, at the client
# SWAPPED. Of the second entry nothing is told in the listing: the client asks for it.
SWAP, SWAPPED = os.environ.get("SWAP", ""), os.environ.get("SWAPPED", "")
LISTINGS["/swap"] = {"directory": [(b"d", DIRECTORY, 0)], "link": [(b"d", LINK, 0)],
                     "both": [(b"d", DIRECTORY, 0), (b"d", None, 0)]}.get(SWAP, [])
LISTINGS["/swap/d"] = [(b"inner", FILE, 6), (b"sub", DIRECTORY, 0)]
LISTINGS["/swap/d/sub"] = [(b"deep", FILE, 6)]
# Listings without an end: what each answer has.
ENDLESS = {"/nothing": [], "/dots": [(b"..", DIRECTORY, 0)], "/refused": [(b"a/b", FILE, 6)] * 500,
           "/flood": None, "/drip": None, "/trickle": []}
numbers = itertools.count()
PILES = {f"/pile{i}": i for i in range(10)} if PILE else {}
BYTES = b"harm!\n"


def string(data):
    return struct.pack(">I", len(data)) + data


def attrs(mode, size):
    if mode is None:
        return struct.pack(">I", 0)
    return struct.pack(">IQIII", 0x1 | 0x4 | 0x8, size, mode, 1_000_000_000, 1_000_000_000)


class Hostile:
    """Answers one request after the other."""

    def __init__(self):
        self.listed = set()
        self.last = ""
        self.is_trickling = False  # answers byte by byte
        self.held = {}
        self.piled = {}

    def send(self, kind, number, body):
        packet = struct.pack(">BI", kind, number) + body
        if self.is_trickling:
            for byte in struct.pack(">I", len(packet)) + packet:
                sys.stdout.buffer.write(bytes([byte]))
                sys.stdout.buffer.flush()
                time.sleep(0.5)
            return
        sys.stdout.buffer.write(struct.pack(">I", len(packet)) + packet)
        sys.stdout.buffer.flush()

    def status(self, number, code):
        self.send(101, number, struct.pack(">I", code) + string(b"") + string(b""))

    def find(self, path):
        parent, _, name = path.rpartition("/")
        for known, mode, size in LISTINGS.get(parent, []):
            if known.decode(errors="replace") == name:
                return mode, size
        known = path in LISTINGS or path in ENDLESS or path in PILES or path in ("/", START) or f"{path}/".startswith(("/p/", "/wide/"))
        return (DIRECTORY, 0) if known else None

    def answer(self, kind, number, body):
        length = struct.unpack(">I", body[:4])[0]
        text = body[4:4 + length].decode(errors="replace")
        self.is_trickling = text == "/trickle"
        if kind in (7, 17):  # LSTAT, STAT
            found = self.find(text)
            if found is None:
                self.status(number, 2)
            else:
                self.send(105, number, attrs(*found))
        elif kind == 16:
            path = text if os.environ.get("REMOVES") and text.startswith("/") else START
            self.send(104, number, struct.pack(">I", 1) + string(path.encode()) + string(b"") +
                      attrs(DIRECTORY, 0))
        elif kind in (3, 11) and os.environ.get("ONE_HANDLE"):
            self.last = text
            self.send(102, number, string(b"handle"))
        elif kind in (3, 11):  # OPEN, OPENDIR: the path is the handle
            self.listed.discard(text)
            self.piled[text] = 0
            self.send(102, number, string(text.encode()[:256]))
        elif kind == 12:
            text = self.last if text == "handle" else text
            entries = LISTINGS.get(text, [])
            if text in PILES and self.piled[text] < PILE:
                entries = [(b"%08d" % i + b"x" * 240, FILE, 6)
                           for i in range(self.piled[text], self.piled[text] + 500)]
                self.piled[text] += 500
                self.listed.discard(text)
            if f"{text}/".startswith("/p/"):
                entries = [(b"d", DIRECTORY, 0), (b"file", FILE, 6)]
            elif f"{text}/".startswith("/wide/"):
                entries = [(b"d", DIRECTORY, 0)] + [(b"x" * 240 + b"%04d" % i, FILE, 6)
                                                    for i in range(500)] * 8
            elif text in ENDLESS:
                entries = ENDLESS[text]
                if text == "/drip":
                    time.sleep(0.5)
                    open(VICTIM + "/../dripping", "w", encoding="ascii").close()
                if entries is None:
                    entries = [(b"%08d" % next(numbers) + b"x" * 240, FILE, 6)
                               for _ in range(1 if text == "/drip" else 500)]
                self.listed.discard(text)
            if text in self.listed or not entries and text not in ENDLESS:
                self.status(number, 1)
                return
            if len(entries) > 500:
                at = self.held.get(text, 0)
                entries = entries[at:at + 500]
                self.held[text] = at + 500
                if not entries:
                    self.status(number, 1)
                    return
            elif text not in ENDLESS:
                self.listed.add(text)
            self.send(104, number, struct.pack(">I", len(entries)) + b"".join(
                string(name) + string(b"") + attrs(mode, size) for name, mode, size in entries))
        elif kind == 5:
            offset = struct.unpack(">Q", body[4 + length:12 + length])[0]
            data = BYTES * 100 if text.endswith("/long") else BYTES[offset:]
            if text == "/unsized/large":
                wanted = struct.unpack(">I", body[12 + length:16 + length])[0]
                data = b"x" * min(wanted, UNSIZED - offset)
            if data:
                self.send(103, number, string(data))
            else:
                self.status(number, 1)
        elif kind == 19:
            link = (VICTIM + "\0hidden") if text.endswith("bad-link") else VICTIM
            self.send(104, number, struct.pack(">I", 1) + string(link.encode()) + string(b"") +
                      attrs(LINK, 0))
        elif kind in (13, 15) and os.environ.get("REMOVES"):  # REMOVE, RMDIR: noted, and not done
            with open(VICTIM + "/../removed", "a", encoding="utf-8") as notes:
                notes.write(text + "\n")
            self.status(number, 0)
        elif kind == 4:
            self.status(number, 0)
        else:
            self.status(number, 8)

    def swap(self, kind, number, body):
        """Whether this has dealt with the request: what it is about is a directory until that is made
        at the client, then a link, and what is in the directory is told when the link is there.
        """
        length = struct.unpack(">I", body[:4])[0]
        if SWAP != "both" or kind not in (7, 12, 19) or body[4:4 + length] != b"/swap/d":
            return False
        if kind == 12 and 19 in self.held:
            return False
        self.held[kind] = number, body
        if kind == 19:
            self.answer(19, number, body)
            for _ in range(1000):
                if not SWAPPED or os.path.islink(SWAPPED):
                    break
                time.sleep(0.01)
            self.answer(12, *self.held[12])
        elif 7 in self.held and 12 in self.held:
            self.send(105, self.held[7][0], attrs(LINK, 0))
        return True

    def run(self):
        stream = sys.stdin.buffer
        while head := stream.read(4):
            packet = stream.read(struct.unpack(">I", head)[0])
            if packet[0] == 1:
                answer = struct.pack(">BI", 2, 3)
                sys.stdout.buffer.write(struct.pack(">I", len(answer)) + answer)
                sys.stdout.buffer.flush()
                continue
            request = packet[0], struct.unpack(">I", packet[1:5])[0], packet[5:]
            if not self.swap(*request):
                self.answer(*request)


Hostile().run()
