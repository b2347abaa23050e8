#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# Tests of the agent as process 1, in namespaces of its own with a memory file system as root.
"""Usage: test-init.py [NAME...]. Needs root; reboot(2) there ends the namespace, nothing else."""

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

# All mounts are private to the namespace; the root is a file system of its own, so that the agent
# may make everything read-only at the end. It waits for the launcher's socket before it begins.
SCRIPT = """
set -eu
mount -t tmpfs none "$1"
mkdir -p "$1/bin" "$1/sbin" "$1/root" "$1/etc/crosh"
cp "$2" "$1/sbin/crosh-agent"
cp /bin/busybox "$1/bin/busybox"
for applet in sh sleep ps cat kill mount hostname id ls ifconfig; do ln -s busybox "$1/bin/$applet"; done
printf 'root:x:0:0:root:/root:/bin/sh\\nuser:x:1000:1000::/:/bin/sh\\n' > "$1/etc/passwd"
printf 'root:x:0:\\nuser:x:1000:\\nvideo:x:44:root,user\\n' > "$1/etc/group"
printf '# comment\\n/lib/modules/missing.ko\\n' > "$1/etc/crosh/modules"
echo testname > "$1/etc/hostname"
while [ ! -e "$1/link" ]; do sleep 0.02; done
exec chroot "$1" /sbin/crosh-agent unknown --listen unix:/vsh --files unix:/files --streams unix:/streams --link unix:/link quiet
"""

POWEROFF, REBOOT = 0, 1


def equal(value, wanted):
    assert value == wanted, "%r is not %r" % (value, wanted)


def wait_for(condition, what, timeout=8):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "waited for " + what
        time.sleep(0.02)


class Guest:
    """A namespace whose process 1 is the agent, and the launcher's end of its link."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="crosh-init-")
        self.log = open(self.dir + ".log", "w+b")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--ipc", "--cgroup",
             "--kill-child", "sh", "-c", SCRIPT, "sh", self.dir, AGENT],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.init = 0
        self.listener = None
        self.stream = None

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
        self.listener.settimeout(8)
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
        self.stream.settimeout(8)
        return self.message()

    def message(self):
        """The next message on the link; (field, parsed inner message)."""
        header = self.stream.recv(4, socket.MSG_WAITALL)
        if not header:
            return None
        (size,) = struct.unpack("<I", header)
        ((field, value),) = wire.parse(self.stream.recv(size, socket.MSG_WAITALL))
        return field, dict(wire.parse(value))

    def shut_down(self):
        self.stream.sendall(struct.pack("<I", 2) + wire.blob(1, b""))

    def expect_end(self, kind, timeout=10):
        """Ending of that kind, then the end; proto3 leaves out the default kind."""
        equal(self.message(), (2, {1: kind} if kind else {}))
        self.process.wait(timeout)

    def session(self):
        return wire.Session(self.path("vsh"))

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
