#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vsh forward and vsh proxy against the agent on this host, with real ssh, scp, rsync and git."""

import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import wire
from harness import CROSH, Home, Skip, case, contains, equal, main, wait_for
from launcher import Launcher

home = Home()
top = Path(tempfile.mkdtemp(prefix="crosh-forward."))
launcher = None


def set_up():
    """One agent serves all cases."""
    global launcher  # pylint: disable=global-statement
    launcher = Launcher(home, "alpha")


def tear_down():
    """Ends it."""
    launcher.close()
    home.close()
    shutil.rmtree(top)


class Echo:
    """A server that answers everything with itself in capitals, and ends when its client has."""

    def __init__(self, path=None, family=socket.AF_INET):
        self.sock = socket.socket(socket.AF_UNIX if path else family)
        self.sock.bind(path or ("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        self.sock.listen(128)
        self.port = None if path else self.sock.getsockname()[1]
        self.clients = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """For ever."""
        while True:
            try:
                stream, _ = self.sock.accept()
            except OSError:
                return
            self.clients += 1
            threading.Thread(target=self.answer, args=(stream,), daemon=True).start()

    @staticmethod
    def answer(stream):
        """One client."""
        with stream:
            try:
                while data := stream.recv(65536):
                    stream.sendall(data.upper())
            except OSError:
                pass


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Forward:
    """A running vsh forward, once it has said as many lines as it has rules."""

    def __init__(self, *options, rules=1):
        self.process = subprocess.Popen([str(CROSH), "vsh", "forward", *options, "alpha"],
                                        env=home.env, stdin=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, text=True)
        self.lines = [self.process.stderr.readline().strip() for _ in range(rules)]

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.send_signal(signal.SIGINT)
        self.rest = self.process.communicate(timeout=10)[1]
        if exception[0] is None:
            equal(self.process.returncode, 130, self.rest)


def talk(address, data=b"some text", family=socket.AF_INET):
    """What an Echo answers to data."""
    with socket.socket(family) as sock:
        sock.settimeout(20)
        sock.connect(address)
        def send():
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # ended by the other end

        threading.Thread(target=send, daemon=True).start()
        answer = b""
        while piece := sock.recv(65536):
            answer += piece
        return answer


@case
def local_ports():
    server = Echo()
    port = free_port()
    with Forward("-L", f"{port}:localhost:{server.port}") as forward:
        equal(forward.lines, [f"127.0.0.1:{port} leads to localhost:{server.port} in alpha"])
        equal(talk(("127.0.0.1", port)), b"SOME TEXT")
        data = os.urandom(5_000_000)
        equal(talk(("127.0.0.1", port), data) == data.upper(), True, "5 MB")
        results = [None] * 100
        threads = [threading.Thread(target=lambda i=i: results.__setitem__(
            i, talk(("127.0.0.1", port), b"%d" % i * 1000))) for i in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        equal(results, [b"%d" % i * 1000 for i in range(100)])


@case
def a_slow_reader_stalls_nobody_else():
    server = Echo()
    port = free_port()
    with Forward("-L", f"{port}:127.0.0.1:{server.port}"):
        slow = []
        for _ in range(20):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setblocking(False)
            try:
                while sock.send(b"x" * 65536):
                    pass
            except BlockingIOError:
                pass
            slow.append(sock)
        data = os.urandom(1_000_000)
        equal(talk(("127.0.0.1", port), data) == data.upper(), True, "1 MB beside them")
        for sock in slow:
            sock.close()


@case
def unix_sockets_at_either_end():
    server = Echo()
    path = str(top / "server.sock")
    unix_server = Echo(path)
    near = str(top / "near.sock")
    port = free_port()
    with Forward("-L", f"{near}:127.0.0.1:{server.port}", "-L", f"{port}:{path}", rules=2):
        equal(talk(near, family=socket.AF_UNIX), b"SOME TEXT")
        equal(os.stat(near).st_mode & 0o777, 0o600)
        equal(talk(("127.0.0.1", port)), b"SOME TEXT")
    equal(os.path.exists(near), False)
    equal((server.clients, unix_server.clients), (1, 1))


@case
def ipv6_and_names():
    try:
        server = Echo(family=socket.AF_INET6)
    except OSError as error:
        raise Skip(f"no IPv6: {error}") from error
    ports = [free_port() for _ in range(3)]
    with Forward("-L", f"{ports[0]}:[::1]:{server.port}", "-L",
                 f"[::1]:{ports[1]}:localhost:{server.port}", "-L",
                 f"{ports[2]}:ip6-localhost:{server.port}", rules=3) as forward:
        contains(forward.lines[0], f"[::1]:{server.port}")
        equal(talk(("127.0.0.1", ports[0])), b"SOME TEXT")
        # "localhost" there is tried as 127.0.0.1 first, where nobody is.
        equal(talk(("::1", ports[1]), family=socket.AF_INET6), b"SOME TEXT")
        if shutil.which("getent") and subprocess.run(
                ["getent", "ahosts", "ip6-localhost"], check=False,
                stdout=subprocess.DEVNULL).returncode == 0:
            equal(talk(("127.0.0.1", ports[2])), b"SOME TEXT")


@case
def what_does_not_answer_is_told():
    ports = [free_port() for _ in range(4)]
    with Forward("-L", f"{ports[0]}:localhost:{ports[3]}", "-L", f"{ports[1]}:/no/such.sock",
                 "-L", f"{ports[2]}:no-such-host.invalid:80", rules=3) as forward:
        for port in ports[:3]:
            equal(talk(("127.0.0.1", port), b""), b"")
    contains(forward.rest, "alpha: cannot connect: Connection refused")
    contains(forward.rest, "alpha: cannot connect: No such file or directory")
    contains(forward.rest, "alpha: the guest does not know such a host")


@case
def remote_ports_and_sockets():
    server = Echo()
    path = str(top / "host.sock")
    unix_server = Echo(path)
    port = free_port()
    there = str(top / "there.sock")
    with Forward("-R", f"{port}:localhost:{server.port}", "-R", f"{there}:{path}", "-R",
                 f"0:{path}", rules=3) as forward:
        equal(forward.lines[0], f"alpha: port {port} leads to localhost:{server.port} here")
        equal(talk(("127.0.0.1", port)), b"SOME TEXT")
        equal(talk(there, b"x" * 3_000_000, socket.AF_UNIX), b"X" * 3_000_000)
        equal(os.stat(there).st_mode & 0o777, 0o600)
        chosen = int(forward.lines[2].split()[2])
        equal(talk(("127.0.0.1", chosen)), b"SOME TEXT")
        equal((server.clients, unix_server.clients), (1, 2))
    wait_for(lambda: not os.path.exists(there), 10, "the socket to go")
    try:
        talk(("127.0.0.1", port))
        raise AssertionError("the port is still served")
    except ConnectionRefusedError:
        pass


def need_names():
    """Sockets that the agent names are in /run of this machine, which only root may write to."""
    if os.geteuid() != 0:
        raise Skip("an agent that is not root's has no place for sockets by name")


@case
def remote_sockets_by_name():
    need_names()
    server = Echo()
    with Forward("-R", f"@x11:localhost:{server.port}") as forward:
        named = forward.lines[0].split()[1]
        contains(named, "/run/crosh/streams/x11.")
        equal(talk(named, family=socket.AF_UNIX), b"SOME TEXT")
    wait_for(lambda: not os.path.exists(named), 10, "the socket to go")


class Xvfb:
    """A real X server of the host's; its socket is in a directory of ours."""

    def __init__(self):
        for program in ("Xvfb", "xdpyinfo", "xwininfo"):
            if shutil.which(program) is None:
                raise Skip(f"needs {program}")
        read, write = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(write), "-screen", "0", "765x432x24", "-ac", "-nolisten",
             "tcp"], pass_fds=[write], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as display:
            self.path = "/tmp/.X11-unix/X" + display.readline().strip()

    def close(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait()


@case
def programs_of_the_guest_draw_on_a_real_x_server():
    need_names()
    server = Xvfb()
    try:
        with Forward("-R", f"@x11:{server.path}") as forward:
            # Clients look for a display's number in one directory only: a link leads from there.
            link = f"/tmp/.X11-unix/X{os.getpid()}"
            def run(*argv):
                return home.run("vsh", "--env", f"DISPLAY=:{os.getpid()}", "alpha", "--", *argv)

            equal(run("ln", "-s", forward.lines[0].split()[1], link).returncode, 0)
            shown = run("xdpyinfo")
            equal(shown.returncode, 0, shown.stderr)
            contains(shown.stdout, "dimensions:    765x432 pixels")
            # One that stays while others come and go.
            stays = subprocess.Popen([str(CROSH), "vsh", "--env", f"DISPLAY=:{os.getpid()}",
                                      "alpha", "--", "xev", "-name", "stays"], env=home.env,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            wait_for(lambda: run("xwininfo", "-name", "stays").returncode == 0, 60, "the window")
            stays.kill()
            stays.wait()
            wait_for(lambda: run("xwininfo", "-name", "stays").returncode == 1, 60,
                     "the window to go")
            equal(run("rm", link).returncode, 0)
    finally:
        server.close()


class Weston:
    """A real Wayland compositor of the host's, without a screen, and waypipe before it."""

    def __init__(self):
        for program in ("weston", "weston-debug", "weston-simple-shm", "wayland-info", "waypipe"):
            if shutil.which(program) is None:
                raise Skip(f"needs {program}")
        self.directory = top / "weston"
        self.directory.mkdir(mode=0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(self.directory), "WAYLAND_DISPLAY": "host"}
        self.children = []
        self.spawn("weston", "--no-config", "--backend=headless-backend.so", "--use-pixman",
                   "--width=321", "--height=234", "--socket=host", "--idle-time=0", "--debug")
        wait_for(lambda: "headless" in self.scene(), 60, "the compositor")

    def spawn(self, *argv):
        """A program of the host's."""
        self.children.append(subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL,
                                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    def scene(self):
        """What it shows, by its own word."""
        return subprocess.run(["weston-debug", "scene-graph"], env=self.env, timeout=60, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout

    def close(self):
        """Ends all, the clients first."""
        for child in reversed(self.children):
            child.terminate()
            child.wait()


@case
def programs_of_the_guest_show_windows_on_a_real_wayland_compositor():
    need_names()
    host = Weston()
    try:
        host.spawn("waypipe", "--no-gpu", "--socket", str(host.directory / "waypipe"), "client")
        wait_for(lambda: (host.directory / "waypipe").exists(), 60, "waypipe")
        with Forward("-R", f"@wayland:{host.directory}/host", "-R",
                     f"@waypipe:{host.directory}/waypipe", rules=2) as forward:
            plain, piped = (line.split()[1] for line in forward.lines)
            contains(plain, "/run/crosh/streams/wayland.")
            shown = home.run("vsh", "--env", f"WAYLAND_DISPLAY={plain}", "alpha", "--",
                             "wayland-info")
            equal(shown.returncode, 0, shown.stderr)
            contains(shown.stdout, "width: 321 px, height: 234 px")
            # Windows are memory, whose descriptors bytes cannot carry: waypipe sends what is in it.
            window = "top-level window 'simple-shm'"
            equal(window in host.scene(), False)
            there = top / "there"
            there.mkdir(mode=0o700)
            client = subprocess.Popen(
                [str(CROSH), "vsh", "--env", f"XDG_RUNTIME_DIR={there}", "alpha", "--", "waypipe",
                 "--no-gpu", "--socket", piped, "server", "--", "weston-simple-shm"],
                env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            wait_for(lambda: window in host.scene(), 60, "the window")
            # As large as what the program has drawn and handed over.
            place = re.search(r"position: \((\d+), (\d+)\) -> \((\d+), (\d+)\)",
                              host.scene().split(window)[1])
            left, upper, right, lower = map(int, place.groups())
            equal((right - left, lower - upper), (250, 250))
            client.terminate()
            client.wait(60)
            wait_for(lambda: window not in host.scene(), 60, "the window to go")
    finally:
        host.close()


@case
def a_remote_rule_whose_host_end_is_not_there():
    port = free_port()
    nobody = free_port()
    with Forward("-R", f"{port}:127.0.0.1:{nobody}", "-R", f"0:{top}/none.sock", rules=2) as forward:
        equal(talk(("127.0.0.1", port), b""), b"")
        equal(talk(("127.0.0.1", int(forward.lines[1].split()[2])), b""), b"")
    contains(forward.rest, f"{top}/none.sock: No such file or directory")


@case
def the_guest_reaches_only_what_was_offered():
    server = Echo()
    with wire.Session(launcher.ports[9002]) as stream:
        # Nobody waits under any number that was not told.
        for number in (0, 1, 2**63):
            with wire.Session(launcher.ports[9002]) as other:
                other.send(wire.number(1, 1) + wire.blob(6, wire.number(1, number)))
                answer = dict(other.receive())
                contains(answer[2].decode(), "waits any more")
        stream.send(wire.number(1, 1) + wire.blob(5, wire.blob(1, wire.blob(
            1, wire.number(2, server.port)))))
        contains(dict(stream.receive())[2].decode(), "cannot listen on port")


class HostileAgent:
    """A stream service and a files service of a guest whose every word tries to move the cursor."""

    EVIL = "\x1b[2J\x1b]0;title\x07\x9b31m\u009b1mtext\r\n"

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(path)
        self.sock.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """For ever."""
        while True:
            try:
                stream, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(stream,), daemon=True).start()

    def answer(self, stream):
        """One stream: the ports to who asks for them, a refusal to all others."""
        def send(message):
            stream.sendall(len(message).to_bytes(4, "little") + message)

        size = int.from_bytes(stream.recv(4, socket.MSG_WAITALL), "little")
        request = dict(wire.parse(stream.recv(size, socket.MSG_WAITALL)))
        if 7 in request:
            send(b"")
            send(wire.blob(2, wire.blob(1, wire.number(1, 80) + wire.blob(2, self.EVIL))))
        else:
            send(wire.number(1, (1 << 64) - 111) + wire.blob(2, self.EVIL))
        stream.recv(1)
        stream.close()


@case
def a_hostile_guest_cannot_act_on_the_terminal():
    path = str(top / "hostile.sock")
    hostile = HostileAgent(path)
    other = Launcher(home, "hostile", ports={9002: path, 9003: path})
    try:
        for argv, status in ((["ports", "hostile"], 0), (["ports", "--json", "hostile"], 0),
                             (["proxy", "hostile", "80"], 1), (["cp", "hostile:/x", str(top)], 1),
                             (["forward", "-R", "0:/nowhere", "hostile"], 1)):
            done = home.run("vsh", *argv, data="")
            shown = done.stdout + done.stderr
            equal(done.returncode, status, shown)
            contains(shown, "text")
            equal([c for c in shown if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160], [], shown)
    finally:
        other.close()
        hostile.sock.close()


@case
def requests_that_make_no_sense_are_answered():
    place = wire.blob(1, wire.blob(2, b"relative"))
    for request, text in (
            (b"\xff\xff", "malformed"), (wire.number(1, 7), "version 7"),
            (wire.number(1, 1), "unknown request"),
            (wire.number(1, 1) + wire.blob(2, "penguin"), "no such container 'penguin'"),
            (wire.number(1, 1) + wire.blob(3, "no-such-user"), "no such user"),
            (wire.number(1, 1) + wire.blob(4, b""), "no such kind of place"),
            (wire.number(1, 1) + wire.blob(4, place), "absolute"),
            (wire.number(1, 1) + wire.blob(4, wire.blob(1, wire.blob(2, b"/" + b"x" * 200))), "at most"),
            (wire.number(1, 1) + wire.blob(4, wire.blob(1, wire.blob(1, wire.number(2, 70000)))),
             "not a port"),
            (wire.number(1, 1) + wire.blob(4, wire.blob(1, wire.blob(1, wire.blob(1, b"-x")))),
             "no host's name"),
            (wire.number(1, 1) + wire.blob(5, wire.blob(1, wire.blob(3, b"../x"))), "a-z"),
            (wire.number(1, 1) + wire.blob(5, wire.blob(1, wire.blob(2, b"/no/such/dir/x"))),
             "cannot listen at")):
        with wire.Session(launcher.ports[9002]) as stream:
            stream.send(request)
            answer = dict(stream.receive())
            assert answer[1] >= 1 << 63, "a negative code"
            contains(answer[2].decode(), text)
            equal(stream.sock.recv(1), b"", "the end")
    with wire.Session(launcher.ports[9002]) as stream:
        stream.sock.sendall(struct.pack("<I", 5000))
        contains(dict(stream.receive())[2].decode(), "malformed")


@case
def data_that_comes_along_with_the_request_is_not_lost():
    server = Echo()
    with wire.Session(launcher.ports[9002]) as stream:
        request = wire.number(1, 1) + wire.blob(4, wire.blob(1, wire.blob(
            1, wire.number(2, server.port))))
        stream.sock.sendall(struct.pack("<I", len(request)) + request + b"at once")
        equal(dict(stream.receive()).get(1, 0), 0)
        equal(stream.exactly(7), b"AT ONCE")


@case
def many_streams_at_once():
    use_streams(open_streams(launcher, Echo(), 300))


def open_streams(of, server, count):
    """So many streams of the launcher to the server."""
    streams = []
    request = wire.number(1, 1) + wire.blob(4, wire.blob(1, wire.blob(1, wire.number(2, server.port))))
    for _ in range(count):
        while True:
            try:
                stream = wire.Session(of.ports[9002])
                break
            except BlockingIOError:  # the backlog is full for a moment
                time.sleep(0.01)
        stream.send(request)
        streams.append(stream)
    return streams


def use_streams(streams):
    """Each is an echo; ends them."""
    for i, stream in enumerate(streams):
        stream.receive()
        stream.sock.sendall(b"n%05d" % i)
    for i, stream in enumerate(streams):
        equal(stream.exactly(6), b"N%05d" % i)
        stream.sock.close()


@case
def streams_have_the_descriptors_that_there_can_be():
    of = Launcher(home, "delta", around=("prlimit", "--nofile=200:4096"))
    try:
        use_streams(open_streams(of, Echo(), 100))
    finally:
        of.close()


@case
def without_descriptors_streams_wait():
    of = Launcher(home, "epsilon", around=("prlimit", "--nofile=200:200"))
    try:
        streams = open_streams(of, Echo(), 60)
        wait_for(lambda: all(sleeps(process) for process in agents(of)), 60, "the agent to sleep")
        # Those that there is room for end one by one, and make room for the others.
        for stream in streams:
            use_streams([stream])
    finally:
        of.close()


def agents(of):
    """The processes of the launcher's agent."""
    children = Path(f"/proc/{of.agent.pid}/task/{of.agent.pid}/children").read_text().split()
    return [of.agent.pid, *map(int, children)]


def sleeps(process):
    """Whether it is seen asleep twenty times in a row."""
    for _ in range(20):
        if Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "S":
            return False
        time.sleep(0.005)
    return True


def socks(port, *messages):
    """A SOCKS client's connection after those messages, each with the reply that is due."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(20)
    for message, reply in messages:
        for byte in message:
            sock.sendall(bytes([byte]))
        if reply is not None:
            got = sock.recv(len(reply), socket.MSG_WAITALL) if not reply else b""
            while len(got) < len(reply) and (piece := sock.recv(len(reply) - len(got))):
                got += piece
            equal(got, reply)
    return sock


@case
def socks_of_all_versions():
    server = Echo()
    port = free_port()
    ok5 = b"\5\0\0\1" + bytes(6)
    to = struct.pack(">H", server.port)
    with Forward("-D", str(port)) as forward:
        equal(forward.lines, [f"127.0.0.1:{port}: a SOCKS proxy into alpha"])
        for request in (b"\5\1\0\1\x7f\0\0\1" + to, b"\5\1\0\3\x09localhost" + to):
            with socks(port, (b"\5\2\0\2", b"\5\0"), (request, ok5)) as sock:
                sock.sendall(b"through")
                equal(sock.recv(7), b"THROUGH")
        for request in (b"\4\1" + to + b"\x7f\0\0\1user\0",
                        b"\4\1" + to + b"\0\0\0\1user\0localhost\0"):
            with socks(port, (request, b"\0\x5a" + bytes(6))) as sock:
                sock.sendall(b"four")
                equal(sock.recv(4), b"FOUR")
        # What is not served, and who is not there.
        with socks(port, (b"\5\1\2", b"\5\xff")) as sock:
            equal(sock.recv(1), b"")
        with socks(port, (b"\5\1\0", b"\5\0"), (b"\5\2\0\1\x7f\0\0\1" + to, b"\5\7\0\1" + bytes(6))) \
                as sock:
            equal(sock.recv(1), b"")
        nobody = struct.pack(">H", free_port())
        with socks(port, (b"\5\1\0", b"\5\0"), (b"\5\1\0\1\x7f\0\0\1" + nobody,
                                               b"\5\5\0\1" + bytes(6))) as sock:
            equal(sock.recv(1), b"")
        with socks(port, (b"G", None)) as sock:
            equal(sock.recv(1), b"")
        if shutil.which("curl"):
            done = subprocess.run(["curl", "-s", "--max-time", "2", "--socks5-hostname",
                                   f"127.0.0.1:{port}", "--http0.9", "-X", "x",
                                   f"http://localhost:{server.port}/"], check=False,
                                  capture_output=True)
            contains(done.stdout, b"HTTP/1.1")


@case
def wrong_command_lines():
    for args, text in (((), "give -L, -R, -D or --auto"), (("-L", "80"), "is not [BIND:]PORT:HOST:PORT"),
                       (("-L", "x:localhost:80"), "is not"), (("-L", "1:2:3:4:5"), "is not"),
                       (("-L", "99999:localhost:80"), "is not"), (("-L", "[::1:80:a:80"), "is not"),
                       (("-D", ""), "is not"), (("-R", "80:localhost:"), "is not"),
                       (("-L", "@x:localhost:80"), "names are for sockets of the guest")):
        done = home.run("vsh", "forward", *args, "alpha")
        equal(done.returncode, 2, f"{args}: {done.stderr}")
        contains(done.stderr, text, args)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = home.run("vsh", "forward", "-L", f"{port}:localhost:1", "alpha")
        equal((done.returncode, done.stderr), (
            1, f"vsh forward: cannot listen on 127.0.0.1:{port}: Address already in use\n"))
    equal(home.run("vsh", "forward", "-R", "0:localhost:1", "beta").returncode, 3)


@case
def the_end_of_the_vm_ends_it():
    launcher.streams.clear()
    forward = Forward("-L", f"{free_port()}:localhost:1")
    wait_for(lambda: launcher.streams, 10, "its standing stream")
    launcher.cut()
    equal((forward.process.wait(10), "alpha: the connection was lost" in
           forward.process.stderr.read()), (123, True))


def proxy(*args, data=b"through a pipe"):
    """Runs vsh proxy."""
    return home.run_bytes("vsh", "proxy", *args, data=data)


@case
def standard_input_and_output_as_a_stream():
    server = Echo()
    path = str(top / "proxy.sock")
    Echo(path)
    for args in (("alpha", str(server.port)), ("alpha.vsh", f"localhost:{server.port}"),
                 ("alpha", path)):
        done = proxy(*args)
        equal((done.returncode, done.stdout), (0, b"THROUGH A PIPE"), done.stderr)
    data = os.urandom(3_000_000)
    equal(proxy("alpha", str(server.port), data=data).stdout == data.upper(), True, "3 MB")
    done = proxy("alpha", str(free_port()))
    equal((done.returncode, done.stderr),
          (1, b"vsh proxy: alpha: cannot connect: Connection refused\n"))
    for name in ("alpha/penguin", "penguin.alpha.vsh"):
        done = proxy(name, "22")
        equal((done.returncode, done.stderr),
              (1, b"vsh proxy: alpha: no such container 'penguin'\n"))
    equal(proxy("gamma", "22").returncode, 3)


class Sshd:
    """A real sshd in the guest, and ssh's options for reaching it."""

    def __init__(self):
        for program in ("/usr/sbin/sshd", "ssh", "ssh-keygen", "rsync", "git"):
            if shutil.which(program) is None:
                raise Skip(f"needs {program}")
        if os.geteuid() != 0:
            raise Skip("needs root for sshd")
        self.dir = top / "ssh"
        self.dir.mkdir()
        Path("/run/sshd").mkdir(exist_ok=True)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / name],
                           check=True)
        shutil.copy(self.dir / "user.pub", self.dir / "authorized")
        self.port = free_port()
        (self.dir / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.dir}/host\nUsePAM no\n"
            f"AuthorizedKeysFile {self.dir}/authorized\nPidFile none\nStrictModes no\n"
            "PermitRootLogin yes\nSubsystem sftp internal-sftp\nPasswordAuthentication no\n",
            encoding="ascii")
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", self.dir / "sshd_config"],
                                        stderr=subprocess.DEVNULL)
        config = home.run("-c", "vsh ssh-config --user " + pwd.getpwuid(0).pw_name)
        equal(config.returncode, 0, config.stderr)
        # The guest's server would be at port 22 there.
        (self.dir / "config").write_text(config.stdout.replace("proxy %n 22", f"proxy %n {self.port}")
                                         + f"    IdentityFile {self.dir}/user\n", encoding="ascii")
        self.options = ["-F", str(self.dir / "config")]
        wait_for(self.is_up, 10, "sshd")

    def is_up(self):
        """Whether it listens."""
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == 0

    def run(self, *argv, **options):
        """A program with crosh's environment."""
        return subprocess.run(argv, env=home.env, check=False, capture_output=True, timeout=60,
                              **options)

    def close(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait()


@case
def ssh_scp_rsync_and_git_reach_the_vm():
    sshd = Sshd()
    try:
        done = sshd.run("ssh", *sshd.options, "alpha.vsh", "echo from-$((40 + 2)); exit 7")
        equal((done.returncode, done.stdout), (7, b"from-42\n"), done.stderr)
        contains((home.data / "crosh" / "ssh_known_hosts").read_text(), "alpha.vsh ssh-ed25519")
        data = os.urandom(2_000_000)
        (top / "data").write_bytes(data)
        for argv in (["scp", "-q", *sshd.options, top / "data", f"alpha.vsh:{top}/by-scp"],
                     ["rsync", "-e", f"ssh -F {sshd.dir}/config", "-a", top / "data",
                      f"alpha.vsh:{top}/by-rsync"]):
            done = sshd.run(*map(str, argv))
            equal(done.returncode, 0, done.stderr)
        equal((top / "by-scp").read_bytes() == data, True, "scp")
        equal((top / "by-rsync").read_bytes() == data, True, "rsync")
        repository = top / "repository"
        script = "git init -q . && git -c user.name=n -c user.email=e commit -q --allow-empty -m first"
        repository.mkdir()
        equal(sshd.run("sh", "-c", script, cwd=repository).returncode, 0)
        done = sshd.run("git", "-c", f"core.sshCommand=ssh -F {sshd.dir}/config", "clone", "-q",
                        f"alpha.vsh:{repository}", top / "clone")
        equal(done.returncode, 0, done.stderr)
        contains(sshd.run("git", "-C", str(top / "clone"), "log", "--oneline").stdout, b"first")
    finally:
        sshd.close()


@case
def nothing_is_left_behind():
    child = int(Path(f"/proc/{launcher.agent.pid}/task/{launcher.agent.pid}/children")
                .read_text(encoding="ascii").split()[0])
    deadline = time.monotonic() + 40
    while len(os.listdir(f"/proc/{child}/fd")) > 7:
        assert time.monotonic() < deadline, os.listdir(f"/proc/{child}/fd")
        time.sleep(0.1)


if __name__ == "__main__":
    main(set_up, tear_down)
