# SPDX-License-Identifier: MIT
"""A launcher of a few lines that stands in for crosh-vm: it owns a VM's runtime directory and
connects vsock.sock with unix sockets of this host.
"""

import fcntl
import os
import select
import shutil
import socket
import subprocess
import tempfile
import threading

from harness import wait_for, without_startup_files

without_startup_files()

BUILD = os.environ.get("top_builddir", ".")
AGENT = os.environ.get("CROSH_AGENT", os.path.join(BUILD, "guest/agent/crosh-agent"))


class Launcher:
    """Answers CONNECT PORT on vsock.sock and passes the bytes on to whoever serves that port.

    That is an agent of its own, run by the command around it, or what is given:
    {port: path of a unix socket}.
    """

    def __init__(self, home, name, ports=None, around=(), again=False):
        directory = home.runtime / "crosh" / name
        directory.mkdir(parents=True, mode=0o700, exist_ok=again)
        directory.parent.chmod(0o700)
        config = home.data / "crosh" / "vms" / name
        config.mkdir(parents=True, mode=0o700, exist_ok=again)
        if not (config / "config.json").exists():
            (config / "config.json").write_text("{}")
        self.lock = open(config / "lock", "w", encoding="ascii")  # pylint: disable=R1732
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        self.agent_dir = tempfile.mkdtemp(prefix="crosh-agent-")
        self.agent = None
        self.ports = ports
        if ports is None:
            self.ports = {9001: self.agent_dir + "/vsh", 9002: self.agent_dir + "/streams",
                          9003: self.agent_dir + "/files"}
            self.agent = subprocess.Popen([*around, AGENT, "--listen", "unix:" + self.ports[9001],
                                           "--files", "unix:" + self.ports[9003],
                                           "--streams", "unix:" + self.ports[9002]])
        self.listener = socket.socket(socket.AF_UNIX)
        (directory / "vsock.sock").unlink(missing_ok=True)
        self.listener.bind(str(directory / "vsock.sock"))
        self.listener.listen(64)
        self.streams = []
        self.room = None
        self.room_changed = threading.Condition()
        threading.Thread(target=self.serve, daemon=True).start()
        wait_for(lambda: all(map(os.path.exists, self.ports.values())), 10, "the agent")

    def serve(self):
        """Accepts streams for ever."""
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near):
        """One stream: the handshake, then bytes both ways."""
        line = b""
        while not line.endswith(b"\n"):
            line += near.recv(1)
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self.ports[int(line.removeprefix(b"CONNECT "))])
        except (KeyError, OSError):
            near.close()
            return
        near.sendall(b"OK 1024\n")
        self.streams.append((near, far))
        ended = threading.Event()
        threading.Thread(target=self.watch, args=(near, far, ended), daemon=True).start()
        there = threading.Thread(target=self.copy, args=(near, far), daemon=True)
        there.start()
        self.copy(far, near, ended)
        there.join()
        near.close()
        far.close()

    @staticmethod
    def watch(near, far, ended):
        """Tells the agent at once when the client goes, also while it takes no data."""
        poll = select.poll()
        poll.register(near, 0)
        poll.poll()
        if ended.is_set():
            return  # one direction has ended by itself, the other is let do so
        for end in (near, far):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def copy(self, source, sink, ended=None):
        """Bytes one way, then that direction's end; a broken one ends both."""
        try:
            while data := source.recv(65536):
                self.take_room(len(data))
                sink.sendall(data)
            if ended is not None:
                ended.set()
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for end in (source, sink):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def limit(self, size):
        """Lets only size more bytes through, all streams and directions together; None: all."""
        with self.room_changed:
            self.room = size
            self.room_changed.notify_all()

    def take_room(self, size):
        """Waits until size bytes may pass."""
        with self.room_changed:
            self.room_changed.wait_for(lambda: self.room is None or self.room >= size)
            if self.room is not None:
                self.room -= size

    def cut(self):
        """Breaks all streams, as a VM does that dies."""
        for near, far in self.streams:
            for end in (near, far):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        self.streams.clear()

    def close(self):
        """Ends the agent."""
        self.limit(None)
        if self.agent is not None:
            self.agent.terminate()
            self.agent.wait(10)
        self.listener.close()
        self.lock.close()
        shutil.rmtree(self.agent_dir)
