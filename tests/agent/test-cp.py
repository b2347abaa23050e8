#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vsh cp against the agent on this host, and against guests that are hostile."""

import hashlib
import os
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
top = Path(tempfile.mkdtemp(prefix="crosh-cp."))
launcher = other = None

FILE, DIRECTORY, LINK = 0, 1, 2


def set_up():
    """Two VMs, both with an agent on this host."""
    global launcher, other  # pylint: disable=global-statement
    launcher = Launcher(home, "alpha")
    other = Launcher(home, "beta")


def tear_down():
    """Ends them."""
    launcher.close()
    other.close()
    home.close()
    shutil.rmtree(top)


def cp(*args, status=0, **options):
    """Runs vsh cp; returns its stderr."""
    done = home.run("vsh", "cp", *map(str, args), **options)
    equal(done.returncode, status, f"status of vsh cp {args}: {done.stderr}")
    equal(done.stdout, "")
    return done.stderr


def fresh(name):
    """An empty directory."""
    path = top / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def guest(path):
    """The path in the VM, which is this host."""
    return f"alpha:{path}"


def make_tree(root):
    """A tree with all that a copy has to keep."""
    root.mkdir()
    (root / "plain").write_bytes(b"text\n")
    (root / "empty").write_bytes(b"")
    (root / "large").write_bytes(os.urandom(3_000_000))
    (root / "naïve ☃ \n\t'\"").write_bytes(b"odd name")
    os.close(os.open(os.fsencode(root) + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY))
    (root / "script").write_bytes(b"#!/bin/sh\n")
    (root / "script").chmod(0o751)
    (root / "secret").write_bytes(b"x")
    (root / "secret").chmod(0o400)
    (root / "sub" / "deeper").mkdir(parents=True)
    (root / "sub" / "deeper" / "leaf").write_bytes(b"leaf")
    (root / "sub" / "nothing").mkdir()
    (root / "sub").chmod(0o750)
    (root / "to-plain").symlink_to("plain")
    (root / "to-nowhere").symlink_to("/no/such/thing")
    (root / "to-sub").symlink_to("sub")
    for path in [*root.rglob("*"), root]:
        os.utime(path, ns=(0, 1_234_567_890_123_456_789 + hash(str(path)) % 10**12),
                 follow_symlinks=False)


def described(root):
    """All that a copy has to keep, by relative path."""
    found = {}
    for path in [root, *root.rglob("*")]:
        st = path.lstat()
        what = os.readlink(path) if path.is_symlink() else \
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
        mode = None if path.is_symlink() else st.st_mode
        found[str(path.relative_to(root))] = (what, mode, st.st_mtime_ns)
    return found


@case
def trees_there_and_back_are_the_same():
    work = fresh("trees")
    make_tree(work / "tree")
    (work / "there").mkdir()
    cp(work / "tree", guest(work / "there"))
    equal(described(work / "there" / "tree"), described(work / "tree"))
    (work / "back").mkdir()
    cp("-r", guest(work / "there" / "tree"), work / "back/")
    equal(described(work / "back" / "tree"), described(work / "tree"))
    # Again, over what is there.
    cp(guest(work / "there" / "tree"), work / "back")
    equal(described(work / "back" / "tree"), described(work / "tree"))
    # Under a name of its own.
    cp(guest(work / "there" / "tree"), work / "renamed")
    equal(described(work / "renamed"), described(work / "tree"))
    # What is in it, instead of itself.
    (work / "contents").mkdir()
    for source in ("tree/.", "tree/./", "tree/sub/.."):
        cp(guest(f"{work}/there/{source}"), work / "contents")
        equal(set(described(work / "contents")), set(described(work / "tree")), source)


@case
def from_vm_to_vm():
    work = fresh("between")
    make_tree(work / "tree")
    (work / "target").mkdir()
    cp(f"alpha:{work}/tree", f"beta:{work}/target")
    equal(described(work / "target" / "tree"), described(work / "tree"))
    cp(f"alpha:{work}/tree/large", f"alpha:{work}/tree/plain", f"beta:{work}/target")
    equal((work / "target" / "large").read_bytes(), (work / "tree" / "large").read_bytes())
    cp(f"alpha:{work}/tree/plain", f"beta:{work}/target/new-name")
    equal((work / "target" / "new-name").read_bytes(), b"text\n")
    contains(cp(f"alpha:{work}/tree/plain", f"beta:{work}/no/such/place", status=1), "beta: ")


@case
def files_and_their_targets():
    work = fresh("files")
    (work / "a").write_bytes(b"a")
    (work / "b").write_bytes(b"b")
    (work / "dir").mkdir()
    cp(work / "a", guest(work / "copy"))
    equal((work / "copy").read_bytes(), b"a")
    cp(work / "b", guest(work / "copy"))
    equal((work / "copy").read_bytes(), b"b")
    cp(work / "a", work / "b", guest(work / "dir"))
    equal(sorted(path.name for path in (work / "dir").iterdir()), ["a", "b"])
    cp(guest(work / "a"), guest(work / "b"), work / "dir")
    (work / "link").symlink_to("a")
    cp(guest(work / "link"), work / "followed")
    equal(((work / "followed").is_symlink(), (work / "followed").read_bytes()), (False, b"a"))
    done = subprocess.run([str(CROSH), "vsh", "cp", guest(work / "a"), "."],
                          env=home.env, cwd=work / "dir", check=False)
    equal(done.returncode, 0)
    (work / "odd:name").write_bytes(b"odd")
    subprocess.run([str(CROSH), "vsh", "cp", "./odd:name", guest(work / "dir")], env=home.env,
                   cwd=work, check=True)
    equal((work / "dir" / "odd:name").read_bytes(), b"odd")
    for source, target, text in (
            (work / "a", guest(f"{work}/none/"), "no such directory"),
            (work / "a", guest(f"{work}/a/"), "is not a directory"),
            (work / "a", guest(work / "none/x"), "No such file or directory"),
            (work / "none", guest(work / "x"), "No such file or directory"),
            (guest(work / "a"), f"{work}/none/", "no such directory"),
            (work / "a", guest("/dev/null"), "neither a file nor a directory"),
            (work / "dir", guest(work / "a"), "is there already and is not a directory"),
            (work / "a", f"alpha/penguin:{work}", "no such container 'penguin'")):
        done = home.run("vsh", "cp", str(source), str(target))
        contains(done.stderr, text, f"{source} -> {target}")
        assert done.returncode in (1, 3, 4), done.returncode
    contains(cp(work / "a", work / "b", status=2), "neither source nor target is in a VM")
    contains(cp(work / "a", guest(work), work, status=2), "all sources must be in the same place")
    contains(cp(work / "a", status=2), "target is missing")
    contains(cp("UPPER:a", work, status=2), "./UPPER:a")
    contains(cp("gamma:a", work, status=3), "gamma")
    contains(cp("--into", work / "a", guest(work / "copy"), status=1), "is not a directory")


@case
def what_cannot_be_copied_is_told_and_left_out():
    work = fresh("problems")
    (work / "tree").mkdir()
    os.mkfifo(work / "tree" / "fifo")
    (work / "tree" / "good").write_bytes(b"good")
    (work / "back").mkdir()
    contains(cp(work / "tree", guest(work / "there"), status=1),
             "warning: fifo: neither a file nor a directory")
    equal([path.name for path in (work / "there").iterdir()], ["good"])
    error = cp(guest(work / "tree"), guest(work / "none"), work / "back", status=1)
    contains(error, "warning: fifo: neither a file nor a directory")
    contains(error, f"vsh cp: alpha:{work}/none: No such file or directory\n")
    equal([path.name for path in (work / "back" / "tree").iterdir()], ["good"])
    if os.geteuid() != 0:
        raise Skip("the rest needs root")
    (work / "tree" / "closed").write_bytes(b"x")
    (work / "tree" / "closed").chmod(0)
    work.chmod(0o755)
    top.chmod(0o755)
    contains(cp("--user", "nobody", guest(work / "tree" / "closed"), work / "x", status=1),
             "closed: Permission denied")
    contains(cp("--user", "nobody", work / "tree" / "good", guest(work / "x"), status=5),
             "cannot make 'x': Permission denied")


@case
def a_source_that_is_missing_is_an_error():
    work = fresh("missing")
    (work / "good").write_bytes(b"good")
    (work / "to").mkdir()
    equal(cp(guest(work / "none"), work / "to", status=1),
          f"vsh cp: alpha:{work}/none: No such file or directory\n")
    equal(cp(guest(work / "none"), f"beta:{work}/to", status=1),
          f"vsh cp: alpha:{work}/none: No such file or directory\n")
    equal(cp(work / "none", guest(work / "to"), status=3),
          f"vsh cp: {work}/none: No such file or directory\n")
    equal(os.listdir(work / "to"), [])
    # Of several, the others are copied.
    for source, target, told in ((str, guest, ""), (guest, str, "alpha:")):
        error = cp(source(work / "none"), source(work / "good"), target(work / "to"), status=1)
        contains(error, f"vsh cp: {told}{work}/none: No such file or directory\n")
        equal(os.listdir(work / "to"), ["good"])
        (work / "to" / "good").unlink()
    equal(cp(work / "none", work / "neither", guest(work / "to"), status=1),
          f"vsh cp: {work}/none: No such file or directory\n"
          f"vsh cp: {work}/neither: No such file or directory\n")


@case
def a_container_needs_no_name_of_the_default_vm():
    work = fresh("container")
    contains(cp("penguin:a", work, status=3), "there is no VM named penguin")
    default = Launcher(home, "termina")
    try:
        contains(cp("penguin:a", work, status=1), "no such container 'penguin'")
        contains(cp(CROSH, "penguin:", status=1), "no such container 'penguin'")
        (work / "a").write_bytes(b"a")
        cp(f"termina:{work}/a", work / "b")
        equal((work / "b").read_bytes(), b"a")
    finally:
        default.close()
        shutil.rmtree(home.data / "crosh" / "vms" / "termina")


@case
def rights_of_others_are_not_copied():
    work = fresh("rights")
    (work / "suid").write_bytes(b"x")
    (work / "suid").chmod(0o6755)
    cp(guest(work / "suid"), work / "copy")
    equal((work / "copy").stat().st_mode & 0o7777, 0o755)
    if os.geteuid() != 0:
        raise Skip("the rest needs root")
    (work / "home").mkdir()
    os.chown(work / "home", 65534, 65534)
    work.chmod(0o755)
    cp("--user", "nobody", work / "suid", guest(work / "home"))
    equal((work / "home" / "suid").stat().st_uid, 65534)


@case
def holes_stay_holes():
    work = fresh("sparse")
    with open(work / "sparse", "wb") as f:
        f.truncate(64 << 20)
        for offset in (0, 30 << 20, (64 << 20) - 4096):
            f.seek(offset)
            f.write(os.urandom(4096))
    cp(work / "sparse", guest(work / "there"))
    cp(guest(work / "there"), work / "back")
    for name in ("there", "back"):
        st = (work / name).stat()
        equal(st.st_size, 64 << 20)
        assert st.st_blocks * 512 < 1 << 20, f"{name} takes {st.st_blocks * 512} bytes"
    equal(subprocess.run(["cmp", work / "sparse", work / "back"], check=False).returncode, 0)
    with open(work / "hole", "wb") as f:
        f.truncate(5 << 20)
    cp(work / "hole", guest(work / "empty"))
    equal((work / "empty").stat().st_size, 5 << 20)
    equal((work / "empty").stat().st_blocks, 0)


def interrupted(source, target, part, end):
    """A copy that is ended by end() once some of it has arrived; its status."""
    before = part.stat().st_size if part.exists() else 0
    launcher.limit(16 << 20)  # however fast the machine: the copy cannot be over before it is ended
    process = subprocess.Popen([str(CROSH), "vsh", "cp", str(source), str(target)], env=home.env,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for(lambda: part.exists() and part.stat().st_size > before + (8 << 20), 30,
             "some more of the copy")
    end(process)
    process.communicate(timeout=30)
    launcher.limit(None)
    return process.returncode


@case
def an_interrupted_copy_goes_on_where_it_was():
    work = fresh("resume")
    with open(work / "big", "wb") as f:
        for _ in range(200):
            f.write(os.urandom(1 << 20))
    for direction in ("in", "out"):
        target = work / f"copy-{direction}"
        source, there = (work / "big", guest(target)) if direction == "in" else \
            (guest(work / "big"), target)
        part = work / f".{target.name}.crosh-part"
        ends = {"cut": (lambda process: launcher.cut(), 123),
                "SIGINT": (lambda process: process.send_signal(signal.SIGINT), 130),
                "kill": (lambda process: process.kill(), -9)}
        for what, (end, status) in ends.items():
            equal(interrupted(source, there, part, end), status, f"{direction} by {what}")
            equal(target.exists(), False, "a file that is not whole")
        size = part.stat().st_size
        assert 8 << 20 < size < 200 << 20, size
        inode = part.stat().st_ino
        wait_for(lambda part=part: subprocess.run(["flock", "-n", part, "true"], check=False)
                 .returncode == 0, 10, "the receiver to go")
        cp(source, there)
        equal((target.stat().st_ino, part.exists()), (inode, False))
        equal(subprocess.run(["cmp", work / "big", target], check=False).returncode, 0)
        # What is there but is not the beginning of the file is not gone on with.
        target.unlink()
        part.write_bytes(os.urandom(9 << 20))
        cp(source, there)
        equal(subprocess.run(["cmp", work / "big", target], check=False).returncode, 0)
        target.unlink()


@case
def two_copies_to_one_name_do_not_mix():
    work = fresh("locked")
    (work / "big").write_bytes(os.urandom(2 << 20))
    part = work / ".copy.crosh-part"
    part.write_bytes(b"")
    holder = subprocess.Popen(["flock", part, "sh", "-c", "echo held; read x"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    contains(cp(work / "big", guest(work / "copy"), status=4), "another copy to 'copy' is under way")
    holder.communicate(b"\n")
    cp(work / "big", guest(work / "copy"))


@case
def a_full_disk_is_told():
    if os.geteuid() != 0:
        raise Skip("needs root for a small file system")
    work = fresh("full")
    (work / "small").mkdir()
    (work / "big").write_bytes(b"x" * (4 << 20))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1M", "none", work / "small"],
                      check=False).returncode != 0:
        raise Skip("cannot mount")
    try:
        for source, target in ((work / "big", guest(work / "small")),
                               (guest(work / "big"), work / "small")):
            error = cp(source, target, status=1)
            contains(error, "cannot write 'big': No space left on device")
            equal(os.listdir(work / "small"), [])
    finally:
        subprocess.run(["umount", work / "small"], check=True)


@case
def problems_stand_on_lines_of_their_own():
    work = fresh("problems")
    (work / "there").write_text("here\n")
    (work / "to").mkdir()
    terminal = home.terminal("vsh", "cp", guest(work / "none"), guest(work / "there"), str(work / "to"),
                             columns=200)
    equal(terminal.end(), 1)
    equal(terminal.text().split("\n")[0], f"vsh cp: alpha:{work}/none: No such file or directory")


@case
def progress_is_shown_on_a_terminal():
    work = fresh("progress")
    (work / "big").write_bytes(b"x" * (50 << 20))
    terminal = home.terminal("vsh", "cp", str(work / "big"), guest(work / "copy"))
    equal(terminal.end(), 0)
    contains(terminal.text(), "50.0 MiB")


class Hostile:
    """A guest's file service that answers a get by a script."""

    def __init__(self, path):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(4)
        self.script = None
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """For ever."""
        while True:
            self.stream, _ = self.listener.accept()
            self.stream.settimeout(20)
            try:
                (size,) = struct.unpack("<I", self.stream.recv(4))
                self.stream.recv(size)
                self.send(b"")
                self.script(self)
                self.stream.recv(65536)
            except OSError:
                pass
            self.stream.close()

    def send(self, message):
        """One message."""
        self.stream.sendall(struct.pack("<I", len(message)) + message)

    def entry(self, kind, name, source=0, size=0, link=b"", mode=0o644, resume=0):
        """ToReceiver.entry."""
        body = wire.number(1, kind) + wire.blob(2, name) + wire.number(3, source) + \
            wire.number(4, mode) + wire.number(7, size) + wire.blob(8, link) + wire.number(9, resume)
        self.send(wire.blob(2, body))

    def begin(self, offset):
        """ToReceiver.begin."""
        self.send(wire.blob(3, wire.number(1, offset)))

    def data(self, offset, data):
        """ToReceiver.data."""
        self.send(wire.blob(4, wire.number(1, offset) + wire.blob(2, data)))

    def end(self, size):
        """ToReceiver.end."""
        self.send(wire.blob(5, wire.number(1, size)))

    def leave(self):
        """ToReceiver.leave."""
        self.send(wire.blob(6, b""))

    def problem(self, text):
        """ToReceiver.problem."""
        self.send(wire.blob(7, wire.blob(1, text)))

    def done(self):
        """ToReceiver.done."""
        self.send(wire.blob(8, b""))


def file(peer, name, content=b"owned", **more):
    """A whole small file."""
    peer.entry(FILE, name, size=len(content), **more)
    if content:
        peer.data(0, content)
    peer.end(len(content))


@case
def a_hostile_guest_does_not_leave_the_target():
    path = str(top / "hostile.sock")
    hostile = Hostile(path)
    evil = Launcher(home, "evil", {9003: path})
    work = fresh("hostile")
    outside = fresh("outside")
    (outside / "victim").write_bytes(b"untouched")
    before = described(outside)

    def inside(*script):
        """Within the directory that was asked for."""
        def run(peer):
            peer.entry(DIRECTORY, "tree", mode=0o755)
            for step in script:
                step(peer)
            peer.leave()
            peer.done()
        return run

    bad_names = [b"..", b".", b"", b"a/b", b"/etc/crosh-test", b"../outside/victim", b"a\0b",
                 b"x" * 256]
    scripts = {f"the name {name!r}": inside(lambda peer, name=name: file(peer, name))
               for name in bad_names}
    scripts.update({f"the directory {name!r}": inside(lambda peer, name=name: peer.entry(
        DIRECTORY, name)) for name in bad_names})
    scripts.update({
        "a directory through a link": inside(
            lambda peer: peer.entry(LINK, "way", link=str(outside)),
            lambda peer: peer.entry(DIRECTORY, "way"), lambda peer: file(peer, "victim")),
        "more leaves than directories": inside(lambda peer: peer.leave(), lambda peer: peer.leave(),
                                               lambda peer: file(peer, "victim")),
        "a source that was not asked for": lambda peer: file(peer, "x", source=1),
        "data without a file": inside(lambda peer: peer.data(0, b"x")),
        "data before the offset": inside(lambda peer: peer.entry(FILE, "x", size=9),
                                         lambda peer: peer.data(5, b"xx"),
                                         lambda peer: peer.data(4, b"x")),
        "data beyond the size": inside(lambda peer: peer.entry(FILE, "x", size=9),
                                       lambda peer: peer.data(8, b"xx")),
        "data at an overflowing offset": inside(lambda peer: peer.entry(FILE, "x", size=9),
                                                lambda peer: peer.data(2**64 - 1, b"xx")),
        "an impossible size": inside(lambda peer: peer.entry(FILE, "x", size=2**63)),
        "an end beyond the size": inside(lambda peer: peer.entry(FILE, "x", size=9),
                                         lambda peer: peer.end(10)),
        "data instead of begin": inside(lambda peer: peer.entry(FILE, "x", size=2 << 20, resume=1),
                                        lambda peer: peer.data(0, b"x")),
        "a begin beyond the size": inside(lambda peer: peer.entry(FILE, "x", size=9, resume=1),
                                          lambda peer: peer.begin(10)),
        "a file in a file": inside(lambda peer: peer.entry(FILE, "x", size=9),
                                   lambda peer: file(peer, "y")),
        "an end in the middle": lambda peer: (peer.entry(DIRECTORY, "tree"), peer.done()),
        "a link to nothing": inside(lambda peer: peer.entry(LINK, "x", link=b"")),
        "a link with a NUL": inside(lambda peer: peer.entry(LINK, "x", link=b"a\0b")),
        "too deep": lambda peer: [peer.entry(DIRECTORY, "d") for _ in range(200)],
        "garbage": lambda peer: peer.stream.sendall(b"\xff" * 100),
        "a malformed message": lambda peer: peer.send(b"\x12\xff\x01"),
        "an unknown message": lambda peer: peer.send(wire.blob(15, b"x")),
        "an unknown type": inside(lambda peer: peer.entry(7, "x")),
    })
    for what, script in scripts.items():
        hostile.script = script
        shutil.rmtree(work)
        work.mkdir()
        error = home.run("vsh", "cp", "evil:tree", str(work)).stderr
        assert "broke the protocol" in error or "malformed" in error or "too long" in error or \
            "not a directory" in error, f"{what}: {error}"
        equal(described(outside), before, what)
        assert not list(work.rglob("*.crosh-part")), what

    # Names that the guest chooses at the top are not the ones that are used.
    hostile.script = lambda peer: (file(peer, ".bashrc"), peer.done())
    cp("evil:innocent", work)
    equal((work / "innocent").read_bytes(), b"owned")
    equal((work / ".bashrc").exists(), False)
    # What is in the way under the name is replaced, not followed.
    (work / "innocent").unlink()
    (work / "innocent").symlink_to(outside / "victim")
    (work / ".innocent.crosh-part").symlink_to(outside / "victim")
    (work / "d").mkdir()
    cp("evil:innocent", work)
    equal(((work / "innocent").is_symlink(), (work / "innocent").read_bytes()), (False, b"owned"))
    os.link(outside / "victim", work / ".innocent.crosh-part")
    cp("evil:innocent", work)
    equal((outside / "victim").read_bytes(), b"untouched")
    # Words of the guest.
    hostile.script = lambda peer: (peer.problem("\033]0;owned\a"), file(peer, "x"), peer.done())
    contains(cp("evil:x", work, status=1), "warning: ?]0;owned?")
    # The other way round and in between.
    contains(cp("evil:x", "alpha:" + str(work / "through"), status=1), "warning")
    hostile.script = lambda peer: (file(peer, "../../outside/victim"), peer.done())
    cp("evil:x", "alpha:" + str(work / "d"))
    equal([entry.name for entry in (work / "d").iterdir()], ["x"])
    hostile.script = lambda peer: peer.stream.shutdown(socket.SHUT_RDWR)
    contains(cp("evil:x", work, status=123), "the connection was lost")
    evil.close()


@case
def requests_that_make_no_sense_are_answered():
    for request, text in ((b"\xff\xff", "malformed"), (wire.number(1, 2), "version 2"),
                          (wire.number(1, 1), "an unknown request"),
                          (wire.number(1, 1) + wire.blob(3, "no-such-user"), "no such user"),
                          (wire.number(1, 1) + wire.blob(2, "penguin"), "no such container"),
                          (wire.number(1, 1) + wire.blob(4, wire.blob(1, b"a\0b")), "no path"),
                          (wire.number(1, 1) + wire.blob(5, wire.blob(1, b"a\0b")), "no path")):
        with wire.Session(launcher.ports[9003]) as stream:
            stream.send(request)
            answer = dict(stream.receive())
            assert answer[1] >= 1 << 63, "a negative code"
            contains(answer[2].decode(), text)
    deadline = time.monotonic() + 10
    children = Path(f"/proc/{launcher.agent.pid}/task/{launcher.agent.pid}/children")
    while len(children.read_text(encoding="ascii").split()) > 1:  # the stream service stays
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.05)


if __name__ == "__main__":
    main(set_up, tear_down)
