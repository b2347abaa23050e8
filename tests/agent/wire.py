# SPDX-License-Identifier: MIT
# The vsh wire format written a second time, from its description alone: struct and by hand.
"""A client of the vsh protocol that shares no code with the agent."""

import socket
import struct
import time

UNKNOWN, READY, EXITED, FAILED = 0, 1, 2, 3
STDIN, STDOUT, STDERR = 1, 2, 3
HUP, INT, QUIT, TERM = 1, 2, 3, 15


def varint(n):
    out = b""
    n &= (1 << 64) - 1
    while True:
        if n < 0x80:
            return out + bytes([n])
        out += bytes([n & 0x7F | 0x80])
        n >>= 7


def number(field, value):
    return varint(field << 3) + varint(value)


def blob(field, value):
    if isinstance(value, str):
        value = value.encode()
    return varint(field << 3 | 2) + varint(len(value)) + value


def parse(data):
    """A message as a list of (field, value); the value is an int or bytes."""
    fields = []
    i = 0

    def read_varint():
        nonlocal i
        value = shift = 0
        while True:
            byte = data[i]
            i += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while i < len(data):
        tag = read_varint()
        if tag & 7 == 0:
            fields.append((tag >> 3, read_varint()))
        elif tag & 7 == 2:
            size = read_varint()
            assert i + size <= len(data)
            fields.append((tag >> 3, data[i : i + size]))
            i += size
        else:
            raise ValueError("wire type %d" % (tag & 7))
    return fields


def zigzag(n):
    return n >> 1 ^ -(n & 1)


def setup_request(argv=(), target="vm_shell", user="", env=None, size=None, pty=False, cwd="",
                  cwd_pid=0, command="", credit=False):
    out = b""
    if target:
        out += blob(1, target)
    if user:
        out += blob(2, user)
    for key, value in (env or {}).items():
        out += blob(3, blob(1, key) + blob(2, value))
    if command:
        out += blob(4, command)
    for word in argv:
        out += blob(5, word)
    if size:
        out += number(6, size[0]) + number(7, size[1])
    if not pty:
        out += number(8, 1)
    if cwd:
        out += blob(9, cwd)
    if cwd_pid:
        out += number(10, cwd_pid)
    if credit:
        out += number(100, 1)
    return out


class Session:
    """One stream to the agent."""

    def __init__(self, address, timeout=20):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.out = b""
        self.err = b""
        self.code = None
        self.frames = []
        self.window = 0
        self.exit_status = 0
        self.credit = 0
        self.takes_all_signals = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.sock.close()

    def send(self, message):
        self.sock.sendall(struct.pack("<I", len(message)) + message)

    def exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise EOFError("the stream ended")
            data += piece
        return data

    def receive(self):
        (size,) = struct.unpack("<I", self.exactly(4))
        self.frames.append(size)
        return parse(self.exactly(size))

    def setup(self, *args, **kwargs):
        """(status, description, pid) of the response."""
        try:
            self.send(setup_request(*args, **kwargs))
        except BrokenPipeError:
            pass  # refused before it asked; the reason is there to be read
        fields = dict(self.receive())
        self.window = fields.get(100, 0)
        self.exit_status = fields.get(101, 0)
        self.takes_all_signals = fields.get(102, 0) == 1
        return fields.get(1, 0), fields.get(2, b"").decode(), fields.get(3, 0)

    def start(self, *args, **kwargs):
        status, description, pid = self.setup(*args, **kwargs)
        if status != READY:
            raise AssertionError("not ready: %d %s" % (status, description))
        return pid

    def data(self, data):
        self.send(blob(1, number(1, STDIN) + (blob(2, data) if data else b"")))

    def eof(self):
        self.data(b"")

    def resize(self, rows, cols):
        self.send(blob(3, number(1, rows) + number(2, cols)))

    def signal(self, number_):
        self.send(number(4, number_))

    def step(self):
        """Takes one message; false once the command has exited."""
        for field, value in self.receive():
            inner = dict(parse(value))
            if field == 1:
                data = inner.get(2, b"")
                if inner.get(1) == STDOUT:
                    self.out += data
                elif inner.get(1) == STDERR:
                    self.err += data
                else:
                    raise AssertionError("data on stream %r" % inner.get(1))
            elif field == 2:
                assert inner.get(1) == EXITED, inner
                self.code = zigzag(inner.get(3, 0))
                return False
            elif field == 100:
                self.credit += inner[1]
            else:
                raise AssertionError("message %d" % field)
        return True

    def finish(self):
        while self.step():
            pass
        return self.code

    def until(self, text, timeout=10):
        """Reads until text stands in the output; returns what came before it, and drops both."""
        end = time.monotonic() + timeout
        while text not in self.out:
            if time.monotonic() > end:
                raise AssertionError("%r not in %r" % (text, self.out))
            if not self.step():
                raise AssertionError("ended with %r before %r came: %r" %
                                     (self.code, text, self.out))
        before, _, self.out = self.out.partition(text)
        return before
