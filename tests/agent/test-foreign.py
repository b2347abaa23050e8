#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The vsh command against a server that is not ours: it speaks the protocol as ChromeOS's vshd does.

Written from the protocol's description, with the standard library and wire.py alone: messages of at
most 4096 bytes, the four signals, and none of the fields that crosh has added. It checks every
message of the client against what such a server accepts.
"""

import os
import signal
import socket
import struct
import subprocess
import tempfile
import threading

import wire
from harness import CROSH, Home, case, contains, equal, main
from launcher import Launcher

MESSAGE_MAX = 4096
# Field number: wire type is known to be right when parse() yields this type.
REQUEST_FIELDS = {1: bytes, 2: bytes, 3: bytes, 4: bytes, 5: bytes, 6: int, 7: int, 8: int, 9: bytes,
                  10: int, 100: int}


class Server:
    """Serves one session at a time by the script given."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(4)
        self.script = None
        self.stream = None
        self.error = None
        self.request = None
        self.env = None
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Accepts for ever; what goes wrong is told by check()."""
        while True:
            self.stream, _ = self.listener.accept()
            self.stream.settimeout(20)
            try:
                self.script(self)
            except Exception as error:  # pylint: disable=broad-except
                self.error = error
            self.hang_up()
            self.done.set()

    def hang_up(self):
        """The end; what the client still says is read, lest it take our last word along."""
        try:
            self.stream.shutdown(socket.SHUT_WR)
            while self.stream.recv(65536):
                pass
        except (OSError, AttributeError):
            pass
        self.stream.close()

    def expect(self, script):
        """The next session runs by this."""
        self.script = script
        self.error = None
        self.done = threading.Event()

    def check(self):
        """Raises what went wrong in the session."""
        assert self.done.wait(20), "the session does not end"
        if self.error is not None:
            raise self.error

    def send(self, message):
        """One message, within the limit."""
        assert len(message) <= MESSAGE_MAX
        self.stream.sendall(struct.pack("<I", len(message)) + message)

    def exactly(self, size):
        """That many bytes; fewer at the end."""
        data = b""
        while len(data) < size and (piece := self.stream.recv(size - len(data))):
            data += piece
        return data

    def receive(self):
        """One message, which must be within the limit; None at the end."""
        header = self.exactly(4)
        if not header:
            return None
        (size,) = struct.unpack("<I", header)
        assert size <= MESSAGE_MAX, f"a message of {size} bytes"
        data = self.exactly(size)
        equal(len(data), size, "length of a message")
        return wire.parse(data)

    def take_request(self, status=wire.READY, description=""):
        """The request, checked field by field, and its answer."""
        fields = self.receive()
        for field, value in fields:
            equal(type(value), REQUEST_FIELDS[field], f"type of field {field}")
        self.env = {}
        for value in [value for field, value in fields if field == 3]:
            entry = dict(wire.parse(value))
            self.env[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
        self.request = {field: value for field, value in fields if field not in (3, 5, 100)}
        self.request["argv"] = [value for field, value in fields if field == 5]
        answer = wire.number(1, status)
        if description:
            answer += wire.blob(2, description)
        else:
            answer += wire.number(3, 4321)
        self.send(answer)

    def data(self, stream, data):
        """HostMessage with data."""
        inner = wire.number(1, stream) + (wire.blob(2, data) if data else b"")
        self.send(wire.blob(1, inner))

    def exit(self, code, status=wire.EXITED, description=""):
        """HostMessage with the end; sint32 as zigzag."""
        inner = wire.number(1, status)
        if description:
            inner += wire.blob(2, description)
        if code:
            inner += wire.number(3, code << 1 ^ code >> 63)
        self.send(wire.blob(2, inner))

    def message(self):
        """The next GuestMessage: ("data", bytes), ("resize", (rows, cols)) or ("signal", n)."""
        fields = self.receive()
        if fields is None:
            return None
        ((field, value),) = fields  # a oneof: exactly one
        if field == 1:
            inner = dict(wire.parse(value))
            equal(inner.get(1, 0), wire.STDIN, "stream of the client's data")
            data = inner.get(2, b"")
            assert len(data) <= 4000, f"{len(data)} bytes of data"
            return ("data", data)
        if field == 3:
            inner = dict(wire.parse(value))
            return ("resize", (inner.get(1, 0), inner.get(2, 0)))
        assert field == 4, f"message {field}"
        assert value in (1, 2, 3, 15), f"signal {value}"
        return ("signal", value)


home = Home()
top = tempfile.TemporaryDirectory()
server = Server(top.name + "/vshd")
launcher = Launcher(home, "alpha", {9001: top.name + "/vshd"})


def start(*args, options=(), **more):
    """vsh alpha -- args."""
    more = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    return subprocess.Popen([str(CROSH), "vsh", *options, "alpha", "--", *args], env=home.env,
                            **more)


@case
def a_command_with_all_of_its_streams():
    def script(peer):
        peer.take_request()
        got = b""
        while (message := peer.message())[1] != b"":
            got += message[1]
        peer.data(wire.STDOUT, b"out:" + got[:100])
        peer.data(wire.STDERR, b"err")
        peer.data(wire.STDOUT, b"")
        peer.data(wire.STDOUT, str(len(got)).encode())
        peer.exit(42)

    server.expect(script)
    process = start("prog", "a b", "", "-x", options=("--env", "E=", "--env", "F=a=b", "--user",
                                                     "chronos", "--cwd", "/tmp"))
    out, err = process.communicate(b"z" * 100_000, timeout=20)
    server.check()
    equal((out, err, process.returncode), (b"out:" + b"z" * 100 + b"100000", b"err", 42))
    equal(server.request, {1: b"vm_shell", 2: b"chronos", 8: 1, 9: b"/tmp",
                           "argv": [b"prog", b"a b", b"", b"-x"]})
    equal(server.env, {"E": "", "F": "a=b"})


@case
def exit_statuses_of_all_kinds():
    for code, status in ((0, 0), (1, 1), (255, 255), (-1, 255), (256, 255), (-2147483648, 255)):
        server.expect(lambda peer, code=code: (peer.take_request(), peer.exit(code)))
        process = start("prog")
        process.communicate(timeout=20)
        server.check()
        equal(process.returncode, status, f"status for {code}")


@case
def refusals():
    server.expect(lambda peer: peer.take_request(wire.FAILED, "could not setup\033[2J"))
    process = start("prog")
    error = process.communicate(timeout=20)[1]
    server.check()
    equal((process.returncode, error), (1, b"vsh: could not setup?[2J\n"))
    server.expect(lambda peer: peer.take_request(wire.UNKNOWN))
    process = start("prog")
    error = process.communicate(timeout=20)[1]
    equal((process.returncode, error), (1, b"vsh: the guest gave no reason\n"))


@case
def a_container_is_the_target():
    server.expect(lambda peer: (peer.take_request(), peer.exit(0)))
    done = home.run("vsh", "alpha", "penguin", "--", "true")
    server.check()
    equal((done.returncode, server.request[1]), (0, b"penguin"))


@case
def the_four_signals_by_their_numbers():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        seen = []

        def script(peer, seen=seen):
            peer.take_request()
            peer.data(wire.STDOUT, b"ready\n")
            while (message := peer.message())[0] != "signal":
                pass
            seen.append(message[1])
            peer.exit(128 + message[1])

        server.expect(script)
        process = start("prog")
        equal(process.stdout.readline(), b"ready\n")
        process.send_signal(number)
        process.communicate(timeout=20)
        server.check()
        equal((seen, process.returncode), ([int(number)], 128 + number))


@case
def other_signals_are_not_sent_and_end_the_client():
    def script(peer):
        peer.take_request()
        peer.data(wire.STDOUT, b"ready\n")
        while (message := peer.message()) is not None:
            assert message[0] != "signal", message

    server.expect(script)
    process = start("prog")
    equal(process.stdout.readline(), b"ready\n")
    process.send_signal(signal.SIGUSR1)
    equal(process.wait(20), 128 + signal.SIGUSR1)
    process.communicate()
    server.check()


@case
def a_terminal_with_size_keys_and_resize():
    sizes = []

    def script(peer):
        peer.take_request()
        peer.data(wire.STDOUT, b"\033[1;31mprompt> ")
        typed = b""
        while not typed.endswith(b"\x04"):
            kind, value = peer.message()
            if kind == "resize":
                sizes.append(value)
                peer.data(wire.STDOUT, b"resized")
            else:
                typed += value
        peer.data(wire.STDOUT, repr(typed).encode())
        peer.exit(3)

    server.expect(script)
    terminal = home.terminal("vsh", "alpha", rows=33, columns=101)
    terminal.expect("prompt>")
    terminal.resize(44, 99)
    terminal.expect("resized")
    terminal.send("é\x03\x1a\x1c\r")
    terminal.send("\x04")
    equal(terminal.end(), 3)
    server.check()
    equal((server.request[6], server.request[7], server.request["argv"]), (33, 101, []))
    equal(8 in server.request, False, "nopty")
    equal(server.env, {"TERM": "xterm-256color"})
    equal(sizes[-1], (44, 99))
    contains(terminal.output.decode(errors="replace"), repr("é\x03\x1a\x1c\r\x04".encode()))


@case
def streams_that_break():
    def half(peer):
        peer.take_request()
        peer.stream.sendall(struct.pack("<I", 100) + b"cut")

    def long(peer):
        peer.take_request()
        peer.stream.sendall(struct.pack("<I", 0x7FFFFFFF) + b"x" * 100)

    def broken(peer):
        peer.take_request()
        peer.send(b"\x0a\xff\x01")

    def failed(peer):
        peer.take_request()
        peer.exit(0, wire.FAILED, "vshd is going away")

    for script, text in ((lambda peer: peer.take_request(), b"the connection was lost"),
                         (half, b"the connection was lost"), (long, b"the connection was lost"),
                         (broken, b"the connection was lost"),
                         (failed, b"vshd is going away"), (lambda peer: None, b"was lost")):
        server.expect(script)
        process = start("prog")
        error = process.communicate(timeout=20)[1]
        server.check()
        equal(process.returncode, 123, error)
        contains(error, text)


@case
def messages_and_fields_from_the_future_are_skipped():
    def script(peer):
        fields = wire.number(1, wire.READY) + wire.number(3, 1) + wire.blob(77, b"new")
        peer.receive()
        peer.send(fields)
        peer.send(wire.blob(55, b"a new kind of message"))
        peer.data(9, b"a new stream")
        peer.send(b"")
        peer.data(wire.STDOUT, b"known")
        peer.exit(0)

    server.expect(script)
    process = start("prog")
    out, _ = process.communicate(timeout=20)
    server.check()
    equal((out, process.returncode), (b"known", 0))


@case
def messages_in_single_bytes():
    def script(peer):
        plain = peer.stream

        class Slow:
            """Sends each byte alone."""
            recv = plain.recv
            close = plain.close
            shutdown = plain.shutdown

            @staticmethod
            def sendall(data):
                for byte in data:
                    plain.sendall(bytes([byte]))

        peer.stream = Slow
        peer.take_request()
        peer.data(wire.STDOUT, b"slow")
        peer.exit(7)

    plain_options = {"stdin": subprocess.DEVNULL}
    server.expect(script)
    process = start("prog", **plain_options)
    out, _ = process.communicate(timeout=20)
    server.check()
    equal((out, process.returncode), (b"slow", 7))


@case
def a_slow_server_gets_all_of_a_large_input():
    def script(peer):
        peer.take_request()
        count = 0
        while (message := peer.message())[1] != b"":
            count += len(message[1])
        peer.data(wire.STDOUT, str(count).encode())
        peer.exit(0)

    server.expect(script)
    process = start("prog")
    out, _ = process.communicate(os.urandom(3_000_000), timeout=60)
    server.check()
    equal(out, b"3000000")


main(None, lambda: (launcher.close(), home.close(), top.cleanup()))
