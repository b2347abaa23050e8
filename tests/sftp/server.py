# SPDX-License-Identifier: MIT
"""A real sshd on the loopback for the sftp tests, with keys of its own."""

import errno
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from harness import Home, Skip, without_startup_files

without_startup_files()

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
SUBSYSTEM = os.environ.get("CROSH_TEST_SUBSYSTEM", "internal-sftp")


def free_port():
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class FarAway:
    """A way to the server on which everything takes a while, each way."""

    def __init__(self, port, seconds):
        self.seconds, self.server = seconds, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.streams = []
        self.taken = []  # bytes from the client, by stream
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Accepts for ever."""
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:  # closed
                return
            far = socket.create_connection(("127.0.0.1", self.server))
            self.taken.append(0)
            self.streams.append((near, far))
            for source, sink in ((near, far), (far, near)):
                pieces = queue.Queue()
                number = len(self.streams) - 1 if source is near else None
                threading.Thread(target=self.take, args=(source, pieces, number),
                                 daemon=True).start()
                threading.Thread(target=self.give, args=(pieces, sink), daemon=True).start()

    def take(self, source, pieces, number):
        """Notes when each piece is due."""
        try:
            while data := source.recv(1 << 20):
                if number is not None:
                    self.taken[number] += len(data)
                pieces.put((time.monotonic() + self.seconds, data))
        except OSError:
            pass
        pieces.put((0, b""))

    @staticmethod
    def give(pieces, sink):
        """Passes the pieces on when they are."""
        try:
            while True:
                due, data = pieces.get()
                if not data:
                    break
                time.sleep(max(0, due - time.monotonic()))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def cut(self, stream):
        """Breaks one of the connections: they count from 0."""
        for end in self.streams[stream]:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        """Ends it."""
        self.listener.close()
        for i in range(len(self.streams)):
            self.cut(i)


class Server:
    """One that lets in who has home's key, and knows who runs the tests.

    CROSH_TEST_SUBSYSTEM, such as "/path/to/crosh-agent --sftp-server", has another serve the files.
    """

    def __init__(self, home, subsystem=SUBSYSTEM):
        if SSHD is None:
            raise Skip("sshd is not installed")
        self.directory = home.path / "sshd"
        self.directory.mkdir()
        self.port = free_port()
        self.user = pwd.getpwuid(os.getuid()).pw_name
        self.target = f"{self.user}@127.0.0.1:{self.port}"
        self.process = None
        self.ssh = home.path / ".ssh"
        self.ssh.mkdir(mode=0o700)
        self.new_host_key()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        str(self.ssh / "id_ed25519")], check=True)
        self.settings = (
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.directory}/key\n"
            f"AuthorizedKeysFile {self.ssh}/id_ed25519.pub\nStrictModes no\nUsePAM no\n"
            f"PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            f"PermitRootLogin yes\nPidFile none\n")
        self.set_subsystem(subsystem)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.start()
        self.know()

    def set_subsystem(self, subsystem):
        """Another one serves the files, from the next start or session on."""
        link = self.directory / "subsystem"
        link.unlink(missing_ok=True)
        internal = subsystem == "internal-sftp"
        if not internal:
            link.write_text(f"#!/bin/sh\nexec {subsystem}\n")
            link.chmod(0o755)
        (self.directory / "config").write_text(
            f"{self.settings}Subsystem sftp {subsystem if internal else link}\n")

    def new_host_key(self):
        """Another identity, from the next start on."""
        for name in ("key", "key.pub"):
            (self.directory / name).unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f",
                        str(self.directory / "key")], check=True)

    def know(self):
        """Writes the present key to known_hosts."""
        (self.ssh / "known_hosts").unlink(missing_ok=True)
        self.know_at(self.port)

    def know_at(self, port):
        """Adds the present key for another port that leads to it."""
        key = " ".join((self.directory / "key.pub").read_text().split()[:2])
        with open(self.ssh / "known_hosts", "a", encoding="ascii") as known:
            known.write(f"[127.0.0.1]:{port} {key}\n")

    def fingerprint(self):
        """As ssh-keygen shows it."""
        done = subprocess.run(["ssh-keygen", "-lf", str(self.directory / "key.pub")], check=True,
                              capture_output=True, text=True)
        return done.stdout.split()[1]

    def start(self, program=(SSHD,)):
        """Listens; program: what takes sshd's options."""
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([*program, "-D", "-e", "-f", str(self.directory / "config")],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        for _ in range(600):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError("sshd does not listen")

    def sessions(self):
        """The processes that serve sessions: all that descend from the listener."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            parents[int(stat.parent.name)] = int(fields[1])
        found = []
        for pid in parents:
            at = pid
            while at in parents and at != self.process.pid:
                at = parents[at]
            if at == self.process.pid and pid != self.process.pid:
                found.append(pid)
        return found

    def signal_sessions(self, number):
        """Sends it to all of them."""
        for pid in self.sessions():
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def has_unread(self):
        """Whether a client has sent what no session has read."""
        for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
            fields = line.split()
            if (int(fields[1].split(":")[1], 16) == self.port and fields[3] == "01" and
                    int(fields[4].split(":")[1], 16) > 0):
                return True
        return False

    def stop(self):
        """Ends the listener and every session."""
        if self.process is None:
            return
        sessions = self.sessions()
        self.process.kill()
        self.process.wait()
        for pid in sessions:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process = None


def refused(work):
    """The error's name; "" when there is none."""
    try:
        work()
    except OSError as problem:
        return errno.errorcode[problem.errno]
    return ""


def need_mounts(*programs):
    """Skips where nothing can be mounted, or one of the programs is missing."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Skip("no /dev/fuse here")
    for program in ("fusermount3", *programs):
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")


def two_ends():
    """A home, a server that lets it in, and a directory for the files of either: all that end() ends."""
    home = Home()
    try:
        server = Server(home)
    except BaseException:
        home.close()
        raise
    there, here = home.path / "there", home.path / "here"
    there.mkdir()
    here.mkdir()
    return home, server, there, here


def end(home, server):
    """Ends what is there of them."""
    if server is not None:
        server.stop()
    if home is not None:
        home.close()


def errors_of(done):
    """The lines of errors of what crosh has done, without those that tell of progress."""
    return [line for line in done.stderr.splitlines() if not line.startswith("copying: ")]
