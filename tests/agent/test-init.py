#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# Tests of the agent as process 1, in namespaces of its own with a memory file system as root.
"""Usage: test-init.py [NAME...]. Needs root; reboot(2) there ends the namespace, nothing else."""

import hashlib
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wire  # noqa: E402

AGENT = os.path.abspath(os.environ.get("CROSH_AGENT") or os.path.join(
    os.environ.get("top_builddir", "."), "guest/agent/crosh-agent"))

OTHER = os.path.abspath(os.path.join(os.environ.get("top_builddir", "."), "tests/agent/other-agent"))

# All mounts are private to the namespace; the root is a file system of its own, so that the agent
# may make everything read-only at the end. It waits for the launcher's socket before it begins.
SCRIPT = """
set -eu
mount -t tmpfs none "$1"
mkdir -p "$1/bin" "$1/sbin" "$1/root" "$1/etc/crosh"
cp "$2" "$1/sbin/crosh-agent"
cp /bin/busybox "$1/bin/busybox"
for applet in sh sleep ps cat kill mount hostname id ls ifconfig grep sed; do ln -s busybox "$1/bin/$applet"; done
printf 'root:x:0:0:root:/root:/bin/sh\\nuser:x:1000:1000::/:/bin/sh\\n' > "$1/etc/passwd"
printf 'root:x:0:\\nuser:x:1000:\\nvideo:x:44:root,user\\n' > "$1/etc/group"
printf '# comment\\n/lib/modules/missing.ko\\n' > "$1/etc/crosh/modules"
echo testname > "$1/etc/hostname"
[ -z "$3" ] || printf '%s' "$3" > "$1/etc/crosh/startup"
printf '%s' "$4" > "$1/task"
while [ ! -e "$1/link" ]; do sleep 0.02; done
exec chroot "$1" /sbin/crosh-agent unknown --listen unix:/vsh --files unix:/files --streams unix:/streams --link unix:/link quiet
"""

POWEROFF, REBOOT = 0, 1
HELLO, ENDING, AGENT_READ, UPGRADE_FAILED, TIME_REQUEST = 1, 2, 3, 4, 5
STREAMS_CONNECT, STREAMS_LISTEN, STREAMS_ACCEPT, STREAMS_WATCH = 4, 5, 6, 7


def equal(value, wanted):
    assert value == wanted, "%r is not %r" % (value, wanted)


def wait_for(condition, what, timeout=60):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited for " + what
        time.sleep(0.02)


class Guest:
    """A namespace whose process 1 is the agent, and the launcher's end of its link."""

    def __init__(self, startup="", task=""):
        self.dir = tempfile.mkdtemp(prefix="crosh-init-")
        self.log = open(self.dir + ".log", "w+b")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--ipc", "--cgroup",
             "--kill-child", "sh", "-c", SCRIPT, "sh", self.dir, AGENT, startup, task],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.init = 0
        self.listener = None
        self.stream = None
        self.questions = 0

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def start(self):
        def first_child():
            with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as f:
                words = f.read().split()
            self.init = int(words[0]) if words else 0
            return self.init and os.path.exists(self.path("etc/hostname"))

        wait_for(first_child, "the namespace")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path("link"))
        self.listener.listen(8)
        self.listener.settimeout(60)
        self.accept()

    def path(self, name):
        """A file of the guest, before and after it has changed its root."""
        root = "/proc/%d/root" % self.init
        if os.readlink(root) == "/":
            root += self.dir
        return root + "/" + name

    def accept(self):
        if self.stream:
            self.stream.close()
        self.stream, _ = self.listener.accept()
        self.stream.settimeout(60)
        return self.message()

    def message(self):
        """The next message on the link but for the time; (field, parsed inner message)."""
        while True:
            header = self.stream.recv(4, socket.MSG_WAITALL)
            if not header:
                return None
            (size,) = struct.unpack("<I", header)
            ((field, value),) = wire.parse(self.stream.recv(size, socket.MSG_WAITALL))
            if field != TIME_REQUEST:
                return field, dict(wire.parse(value))
            # Not answered: process 1 here would set the clock of the whole machine.
            self.questions += 1

    def send(self, message):
        self.stream.sendall(struct.pack("<I", len(message)) + message)

    def offer(self, data, size=None, digest=None):
        """Offers another agent; the agent's next message."""
        digest = digest or hashlib.sha256(data).digest()
        self.send(wire.blob(3, wire.blob(1, b"id") + wire.number(2, size or len(data)) +
                            wire.blob(3, digest)))
        return self.message()

    def serve(self, data, message, pieces=None):
        """Answers what the agent asks for, at most that many times; its first other message."""
        while message and message[0] == AGENT_READ and pieces != 0:
            at = message[1].get(1, 0)
            self.send(wire.blob(4, wire.number(1, at) + wire.blob(2, data[at:at + 32768])))
            message = self.message()
            pieces = pieces and pieces - 1
        return message

    def upgrade(self, data):
        """Offers and serves; the agent's hello afterwards, or its refusal."""
        message = self.serve(data, self.offer(data))
        return message or self.accept()

    def shut_down(self):
        self.stream.sendall(struct.pack("<I", 2) + wire.blob(1, b""))

    def expect_end(self, kind, timeout=10):
        """Ending of that kind, then the end; proto3 leaves out the default kind."""
        equal(self.message(), (2, {1: kind} if kind else {}))
        self.process.wait(timeout)

    def session(self):
        return wire.Session(self.path("vsh"))

    @staticmethod
    def frame(stream):
        (size,) = struct.unpack("<I", stream.recv(4, socket.MSG_WAITALL))
        return stream.recv(size, socket.MSG_WAITALL)

    def stream_request(self, operation):
        """A stream of the stream service's, whose request was granted; the answer."""
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(20)
        stream.connect(self.path("streams"))
        request = wire.number(1, 1) + operation
        stream.sendall(struct.pack("<I", len(request)) + request)
        answer = dict(wire.parse(self.frame(stream)))
        equal(answer.get(1, 0), 0)
        return stream, answer

    def run(self, *argv, **kwargs):
        with self.session() as s:
            s.start(argv, **kwargs)
            s.eof()
            s.finish()
            return s.code, s.out.decode()

    def output(self):
        self.log.seek(0)
        return self.log.read().decode()

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for end in (self.stream, self.listener):
            if end:
                end.close()
        self.log.close()
        os.unlink(self.dir + ".log")
        os.rmdir(self.dir)


class Companion(Guest):
    """An agent beside another init, a shell, as one that was handed over to begins."""

    def __init__(self):  # pylint: disable=super-init-not-called
        self.dir = tempfile.mkdtemp(prefix="crosh-init-")
        self.log = open(self.dir + ".log", "w+b")  # pylint: disable=consider-using-with
        self.stream, self.questions = None, 0
        self.sockets = {}
        for name in ("vsh", "files", "system", "streams", "link"):
            self.sockets[name] = socket.socket(socket.AF_UNIX)
            self.sockets[name].bind(self.path(name))
            self.sockets[name].listen(8)
        self.listener = self.sockets.pop("link")
        self.listener.settimeout(60)
        state = os.memfd_create("handover", 0)
        os.write(state, wire.number(1, 1) + wire.blob(2, "before") + wire.number(3, 1) +
                 wire.number(4, 2) + wire.number(10, 1) + b"".join(
                     wire.blob(5, wire.blob(1, name) + wire.number(2, end.fileno()))
                     for name, end in self.sockets.items()))
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c",
             '"$@" & wait', "sh", AGENT, "--handover", str(state), "--link",
             "unix:" + self.path("link")],
            pass_fds=[state, *(end.fileno() for end in self.sockets.values())],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        os.close(state)

    def start(self):
        self.accept()

    def path(self, name):
        return self.dir + "/" + name

    def __exit__(self, *exc):
        for name in (*self.sockets, "link"):
            os.unlink(self.path(name))
        for end in self.sockets.values():
            end.close()
        super().__exit__(*exc)


def test_agent_beside_another_init_is_upgraded_too():
    with Companion() as guest:
        field, hello = guest.upgrade(program(OTHER))
        equal((field, hello[2], hello[4], hello[5]), (HELLO, b"0.0.9-other", 1, 2))
        equal(guest.run("sh", "-c", "echo works; cat /proc/1/comm"), (0, "works\nsh\n"))
        equal(guest.upgrade(program(AGENT))[0], HELLO)
        equal(guest.run("cat", "/proc/1/comm"), (0, "sh\n"))
        assert "goes on from version 0.0.9-other" in guest.output(), guest.output()
        # As process 1 it would take SIGTERM for a wish to reboot.
        with guest.session() as s:
            # The shell ends with it, and then this session.
            s.start(["sh", "-c", "read line; exec pkill -TERM -P 1 -x crosh-agent"])
            s.data(b"now\n")
            guest.expect_end(POWEROFF, 60)


def test_hello_says_who_and_when():
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    guest = Guest()
    with guest:
        guest.stream.close()
        field, hello = guest.accept()
        equal(field, 1)
        equal(hello[1], 1)
        equal(hello[3].decode(), os.uname().release)
        assert before * 1e6 <= hello[4] <= hello[5] <= time.clock_gettime(time.CLOCK_BOOTTIME) * 1e6


def test_what_a_system_needs_is_there():
    with Guest() as guest:
        mounts = guest.run("cat", "/proc/mounts")[1]
        for target in ("/proc", "/sys", "/dev", "/dev/pts", "/dev/shm", "/run", "/tmp",
                       "/sys/fs/cgroup"):
            assert " %s " % target in mounts, (target, mounts)
        equal(guest.run("hostname")[1], "testname\n")
        assert "127.0.0.1" in guest.run("ifconfig", "lo")[1]
        equal(guest.run("sh", "-c", "ls -d /dev/fd/0 /dev/stdin /dev/stderr")[0], 0)
        equal(guest.run("id", "-u", user="user")[1], "1000\n")
        equal(guest.run("id", "-G", user="user")[1], "1000 44\n")
        equal(guest.run("id", "-G")[1], "0 44\n")
        assert "cannot load module /lib/modules/missing.ko" in guest.output(), guest.output()


def test_shutdown_request():
    with Guest() as guest:
        guest.shut_down()
        guest.expect_end(POWEROFF)


def test_signals_of_poweroff_and_reboot():
    for number, kind in ((signal.SIGUSR2, POWEROFF), (signal.SIGUSR1, POWEROFF),
                         (signal.SIGPWR, POWEROFF), (signal.SIGTERM, REBOOT),
                         (signal.SIGINT, REBOOT)):
        with Guest() as guest:
            guest.run("kill", "-%d" % number, "1")
            guest.expect_end(kind)


def test_shutdown_ends_the_stubborn():
    with Guest() as guest:
        with guest.session() as s:
            s.start(["sh", "-c", "trap '' TERM HUP; echo ready; while :; do sleep 0.1; done"])
            s.until(b"ready")
            start = time.monotonic()
            guest.shut_down()
            guest.expect_end(POWEROFF)
            assert 1.5 < time.monotonic() - start < 6


def test_shutdown_is_quick_and_sessions_end_in_order():
    with Guest() as guest:
        with guest.session() as s:
            s.start(["sh", "-i"], pty=True, size=(24, 80), env={"PS1": "> "})
            s.until(b"> ")
            start = time.monotonic()
            guest.shut_down()
            equal(s.finish(), 128 + signal.SIGHUP)
            guest.expect_end(POWEROFF)
            assert time.monotonic() - start < 2


def test_link_is_dialled_again():
    with Guest() as guest:
        for _ in range(3):
            equal(guest.accept()[0], 1)
        for garbage in (b"\xff" * 16, struct.pack("<I", 3) + b"\x0a\xff\x01"):
            guest.stream.sendall(garbage)
            equal(guest.accept()[0], 1)
        equal(guest.run("id", "-u")[1], "0\n")
        guest.stream.sendall(struct.pack("<I", 0) + struct.pack("<I", 4) + wire.blob(9, b"ab"))
        guest.shut_down()
        guest.expect_end(POWEROFF)


def test_restored_guest_gets_fresh_randomness():
    # The time in the message is right: process 1 here would set the clock of the whole machine.
    with Guest() as guest:
        message = wire.blob(2, wire.number(1, int(time.time() * 1e6)) + wire.blob(2, os.urandom(64)))
        guest.stream.sendall(struct.pack("<I", len(message)) + message)
        wait_for(lambda: "restored from a snapshot" in guest.output(), "the agent's word")
        assert "cannot stir" not in guest.output(), guest.output()
        guest.shut_down()
        guest.expect_end(POWEROFF)


def test_service_is_started_again():
    with Guest() as guest:
        def service():
            lines = guest.run("ps")[1].split("\n")
            return [int(line.split()[0]) for line in lines if "crosh-agent" in line][1]

        old = service()
        with guest.session() as survivor:
            survivor.start(["cat"])
            guest.run("kill", "-9", str(old))
            wait_for(lambda: "starting it again" in guest.output(), "the restart's message")
            assert service() != old
            survivor.data(b"alive")
            survivor.eof()
            equal(survivor.finish(), 0)
            equal(survivor.out, b"alive")


def test_orphans_are_reaped():
    with Guest() as guest:
        guest.run("sh", "-c", "for i in 1 2 3 4 5; do (sleep 0.1 &) ; done")

        def gone():
            states = []
            with open("/proc/%d/task/%d/children" % (guest.init, guest.init)) as f:
                for pid in f.read().split():
                    with open("/proc/%s/stat" % pid) as stat:
                        states.append(stat.read().rpartition(")")[2].split()[0])
            return len(states) == 2 and "Z" not in states

        wait_for(gone, "the orphans to be gone")


def program(path):
    with open(path, "rb") as f:
        return f.read()


def test_hello_says_which_build():
    with Guest() as guest:
        field, hello = guest.accept()
        equal(field, HELLO)
        equal(hello[7], 1)
        notes = subprocess.run(["readelf", "-n", AGENT], stdout=subprocess.PIPE, text=True,
                               env={**os.environ, "LC_ALL": "C"}, check=True).stdout
        equal("Build ID: " + hello[6].hex() in notes, True)
        assert hello[6].hex() not in subprocess.run(
            ["readelf", "-n", OTHER], stdout=subprocess.PIPE, text=True, check=True).stdout


def test_upgrade_keeps_what_runs():
    old, new = program(AGENT), program(OTHER)
    with Guest() as guest:
        first = guest.accept()[1]
        with guest.session() as terminal, guest.session() as pipes:
            terminal.start(["sh", "-i"], pty=True, size=(24, 80), env={"PS1": "> "})
            terminal.until(b"> ")
            pipes.start(["cat"])
            # A stream to a program of the guest, which answers through it.
            guest.run("sh", "-c", "busybox nc -l -p 7 -e cat </dev/null >/dev/null 2>&1 &")
            wait_for(lambda: ":0007" in guest.run("cat", "/proc/net/tcp", "/proc/net/tcp6")[1],
                     "the guest's server")
            place = wire.blob(1, wire.blob(1, "127.0.0.1") + wire.number(2, 7))
            stream, _ = guest.stream_request(wire.blob(STREAMS_CONNECT, wire.blob(1, place)))
            for version, data in (("0.0.9-other", new), (first[2].decode(), old)):
                field, hello = guest.upgrade(data)
                equal((field, hello[2].decode()), (HELLO, version))
                equal((hello[4], hello[5]), (first[4], first[5]))
                stream.sendall(version.encode())
                equal(stream.recv(len(version), socket.MSG_WAITALL).decode(), version)
                terminal.data(b"echo still-$((40 + 2))\r")
                terminal.until(b"still-42")
                equal(guest.run("/sbin/crosh-agent", "--version")[0], 0)
                equal(guest.run("cat", "/proc/1/comm")[1], "crosh-agent\n")
            stream.close()
            pipes.data(b"alive")
            pipes.eof()
            equal(pipes.finish(), 0)
            equal(pipes.out, b"alive")
        output = guest.output()
        assert "version 0.0.9-other goes on from version " in output, output
        assert "starting it again" not in output, output
        # The services are the new agent's: two, and no third.
        wait_for(lambda: guest.run("ps")[1].count("crosh-agent") == 4, "the old services to go")
        guest.shut_down()
        guest.expect_end(POWEROFF)


STARTUP = """
step first sh /task first
service beside sh /task beside
step second sh /task second
step third sh /task third
stop end sh /task end
"""
TASK = """
echo $1 >>/root/begun
case $1 in
beside) exec sleep 1000 ;;
second) while [ ! -e /root/go ]; do sleep 0.1; done ;;
third) echo why >&2; exit 3 ;;
esac
"""


def test_upgrade_goes_on_with_the_start_up():
    with Guest(STARTUP, TASK) as guest:
        def begun():
            # A service and the step behind it begin at the same time.
            return sorted(guest.run("cat", "/root/begun")[1].split())

        wait_for(lambda: len(begun()) == 3, "the second step")
        for agent in (OTHER, AGENT):
            equal(guest.upgrade(program(agent))[0], HELLO)
        equal(begun(), ["beside", "first", "second"])
        guest.run("sh", "-c", ": >/root/go")
        wait_for(lambda: guest.run("cat", "/run/crosh/stages")[1].endswith("over\n"), "the end")
        lines = guest.run("cat", "/run/crosh/stages")[1].split("\n")
        equal([line.split()[:2] for line in lines[:3]],
              [["first", "done"], ["second", "done"], ["third", "failed"]])
        equal(lines[2].split()[3:], ["why"])
        equal(begun(), ["beside", "first", "second", "third"])
        # A service that ends is ours to start again.
        guest.run("sh", "-c", "kill $(ps | grep 'sleep 100[0]' | sed 's/ *\\([0-9]*\\).*/\\1/')")
        wait_for(lambda: begun().count("beside") == 2, "the service to be started again")


def test_upgrade_waits_for_listening_streams():
    with Guest() as guest:
        listening, answer = guest.stream_request(
            wire.blob(STREAMS_LISTEN, wire.blob(1, wire.blob(3, "x11"))))
        path = dict(wire.parse(answer[3]))[2].decode()
        equal(guest.upgrade(program(OTHER))[0], HELLO)
        # Whoever connects there is accepted by the service that listens.
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(guest.path(path))
            client.sendall(b"hello")
            ((what, incoming),) = wire.parse(guest.frame(listening))
            equal(what, 1)
            accepted, _ = guest.stream_request(wire.blob(STREAMS_ACCEPT, incoming))
            # The place goes with who listens there; the stream stays, and the other takes over.
            listening.close()
            wait_for(lambda: not os.path.exists(guest.path(path)), "the end of the place")
            guest.stream_request(wire.blob(STREAMS_WATCH, b""))[0].close()
            equal(accepted.recv(5, socket.MSG_WAITALL), b"hello")
            accepted.sendall(b"answer")
            equal(client.recv(6, socket.MSG_WAITALL), b"answer")
            accepted.close()
            equal(client.recv(1), b"")
        # The services are the new agent's: two, and no third.
        wait_for(lambda: guest.run("ps")[1].count("crosh-agent") == 4, "the old services to go")


def refused(guest, message, reason):
    """That the agent has stayed, why, and that it works."""
    equal(message[0], UPGRADE_FAILED)
    equal(message[1][2].decode(), reason)
    equal(guest.run("id", "-u")[1], "0\n")
    guest.stream.close()
    equal(guest.accept()[1].get(7), 1)
    assert "it stays version " in guest.output(), guest.output()


def test_upgrade_that_fails_keeps_the_agent():
    new = program(OTHER)
    changed = bytearray(new)
    changed[len(new) // 2] ^= 1
    with Guest() as guest:
        refused(guest, guest.serve(bytes(changed), guest.offer(new)),
                "the other agent did not arrive as it was sent")
        refused(guest, guest.serve(new[:100000], guest.offer(new)),
                "the host could not read its agent to the end")
        refused(guest, guest.upgrade(b"#!/bin/no/such\n" * 1000),
                "the other agent ended with status 126 on trial")
        # As it is on the host's disk: damaged, and hashed so.
        refused(guest, guest.upgrade(new[:4096] + bytes(len(new) - 4096)),
                "the other agent ended with status 139 on trial")
        refused(guest, guest.upgrade(program("/bin/busybox")),
                "the other agent ended with status 127 on trial")
        refused(guest, guest.offer(new, size=1 << 40), "the offer of another agent makes no sense")
        refused(guest, guest.offer(new, digest=b"short"),
                "the offer of another agent makes no sense")
        equal(guest.upgrade(new)[1][2], b"0.0.9-other")


def test_upgrade_that_is_cut_short_begins_again():
    new = program(OTHER)
    with Guest() as guest:
        for pieces in (0, 1, 5):
            equal(guest.serve(new, guest.offer(new), pieces)[0], AGENT_READ)
            field, hello = guest.accept()
            equal(field, HELLO)
            assert hello[2] != b"0.0.9-other"
        # Late pieces of one that was given up are nobody's.
        guest.send(wire.blob(4, wire.number(1, 0) + wire.blob(2, new[:32768])))
        equal(guest.upgrade(new)[1][2], b"0.0.9-other")
        guest.shut_down()
        guest.expect_end(POWEROFF)


def test_time_is_asked_for_and_goes_without_an_answer():
    with Guest() as guest:
        wait_for(lambda: guest.questions or guest.offer(b"", digest=b"short"), "a message")
        equal(guest.questions, 1)


def main():
    if os.geteuid() != 0 or not os.path.exists("/bin/busybox") or not shutil.which("unshare") or \
            subprocess.run(["unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--ipc",
                            "--cgroup", "true"], check=False).returncode != 0:
        print("skipped: needs root, busybox and namespaces")
        print("0 passed, 0 failed, 1 skipped")
        return 77
    passed = failed = 0
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (sys.argv[1:] and name[5:] not in sys.argv[1:]):
            continue
        try:
            test()
            passed += 1
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("FAILED %s\n%s" % (name, traceback.format_exc()), flush=True)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
