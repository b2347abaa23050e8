# SPDX-License-Identifier: MIT
"""The agent's own SFTP server: packet by packet, and with OpenSSH's client."""

import os
import shutil
import stat
import struct
import subprocess
from pathlib import Path

from harness import Home, Skip, case, contains, equal, main

BUILD = os.environ.get("top_builddir", ".")
AGENT = os.environ.get("CROSH_AGENT", os.path.abspath(os.path.join(BUILD, "guest/agent/crosh-agent")))
OK, EOF, NO_FILE, DENIED, FAILURE, BAD, UNSUPPORTED = 0, 1, 2, 3, 4, 5, 8
READ, WRITE, APPEND, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 4, 8, 16, 32
NO_ATTRS = struct.pack(">I", 0)

home = top = None


def set_up():
    global home, top
    home = Home()
    top = home.path / "files"
    top.mkdir()


def tear_down():
    if home is not None:
        home.close()


def string(data):
    data = os.fsencode(data) if not isinstance(data, bytes) else data
    return struct.pack(">I", len(data)) + data


def take_string(data):
    size = struct.unpack(">I", data[:4])[0]
    return data[4:4 + size], data[4 + size:]


class Session:
    """One server; requests are answered one by one."""

    def __init__(self, around=()):
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([*around, AGENT, "--sftp-server"], cwd=top,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.number = 0
        self.raw(struct.pack(">BI", 1, 3))
        kind, self.version, rest = self.answer()
        equal((kind, self.version), (2, 3))
        self.extensions = {}
        while rest:
            name, rest = take_string(rest)
            self.extensions[name.decode()], rest = take_string(rest)

    def raw(self, packet):
        self.process.stdin.write(struct.pack(">I", len(packet)) + packet)
        self.process.stdin.flush()

    def answer(self):
        head = self.process.stdout.read(4)
        if len(head) < 4:
            return None, None, None
        packet = self.process.stdout.read(struct.unpack(">I", head)[0])
        return packet[0], struct.unpack(">I", packet[1:5])[0], packet[5:]

    def ask(self, kind, body):
        """The answer's type and fields; of a status, its code."""
        self.number += 1
        self.raw(struct.pack(">BI", kind, self.number) + body)
        kind, number, rest = self.answer()
        equal(number, self.number)
        return struct.unpack(">I", rest[:4])[0] if kind == 101 else (kind, rest)

    def extended(self, name, body):
        return self.ask(200, string(name) + body)

    def open(self, path, flags, attrs=NO_ATTRS):
        done = self.ask(3, string(path) + struct.pack(">I", flags) + attrs)
        return done if isinstance(done, int) else take_string(done[1])[0]

    def read(self, handle, offset, size):
        done = self.ask(5, string(handle) + struct.pack(">QI", offset, size))
        return done if isinstance(done, int) else take_string(done[1])[0]

    def write(self, handle, offset, data):
        return self.ask(6, string(handle) + struct.pack(">Q", offset) + string(data))

    def close(self, handle):
        return self.ask(4, string(handle))

    def name(self, kind, path):
        done = self.ask(kind, string(path))
        if isinstance(done, int):
            return done
        equal(done[0], 104)
        return take_string(done[1][4:])[0].decode()

    def end(self):
        self.process.stdin.close()
        equal(self.process.wait(60), 0)


def attributes(data):
    flags, size, uid, gid, mode, atime, mtime = struct.unpack(">IQIIIII", data[:32])
    equal(flags, 0xf)
    return size, uid, gid, mode, atime, mtime


@case
def it_says_what_it_can():
    session = Session()
    equal(session.extensions, {
        "posix-rename@openssh.com": b"1", "statvfs@openssh.com": b"2",
        "fstatvfs@openssh.com": b"2", "hardlink@openssh.com": b"1", "fsync@openssh.com": b"1",
        "lsetstat@openssh.com": b"1", "limits@openssh.com": b"1"})
    kind, limits = session.extended("limits@openssh.com", b"")
    packet, read, write, handles = struct.unpack(">QQQQ", limits)
    equal((kind, packet, read, write), (201, 263168, 261120, 261120))
    equal(session.extended("none@example.org", b""), UNSUPPORTED)
    equal(session.ask(99, b""), UNSUPPORTED)
    equal(handles >= 16, True)
    session.end()


@case
def files_are_read_and_written():
    session = Session()
    path = top / "file"
    equal(session.open(path, READ), NO_FILE)
    handle = session.open(path, READ | WRITE | CREATE | EXCLUSIVE, struct.pack(">II", 4, 0o640))
    equal(session.open(path, WRITE | CREATE | EXCLUSIVE), FAILURE)
    data = os.urandom(261120)
    equal(session.write(handle, 0, data), OK)
    equal(session.write(handle, 5_000_000_000, b"far"), OK)
    equal(session.read(handle, 0, 0xffffffff) == data, True)
    equal(session.read(handle, 5_000_000_000, 100), b"far")
    equal(session.read(handle, 5_000_000_003, 100), EOF)
    equal(session.read(handle, 1 << 63, 100), BAD)
    equal(session.write(handle, 1 << 63, b"x"), FAILURE)
    equal(session.extended("fsync@openssh.com", string(handle)), OK)
    kind, rest = session.ask(8, string(handle))
    size, uid, gid, mode, _, _ = attributes(rest)
    equal((kind, size, uid, gid, mode),
          (105, 5_000_000_003, os.getuid(), os.getgid(), stat.S_IFREG | 0o640))
    equal(session.ask(10, string(handle) + struct.pack(">IQ", 1, 10)), OK)
    equal(path.read_bytes() == data[:10], True)
    equal(session.close(handle), OK)
    equal(session.close(handle), NO_FILE)
    equal(session.read(handle, 0, 10), NO_FILE)
    handle = session.open(path, WRITE | APPEND)
    equal(session.write(handle, 0, b"end"), OK)
    equal(path.read_bytes() == data[:10] + b"end", True)
    # Another in the place of the first is not reached by the first one's handle.
    equal(session.close(handle), OK)
    fresh = session.open(path, READ)
    equal((session.read(handle, 0, 3), session.read(fresh, 10, 3)), (NO_FILE, b"end"))
    handle = session.open(path, WRITE | TRUNCATE)
    equal(path.read_bytes(), b"")
    session.end()


@case
def what_would_block_is_refused():
    session = Session()
    os.mkfifo(top / "fifo")
    equal(session.open(top / "fifo", READ), UNSUPPORTED)
    equal(session.open(top / "fifo", WRITE), FAILURE)
    session.end()


@case
def names_are_changed():
    session = Session()
    place = top / "names"
    equal(session.ask(14, string(place) + struct.pack(">II", 4, 0o700)), OK)
    equal(stat.S_IMODE(place.stat().st_mode), 0o700)
    (place / "a").write_text("a")
    (place / "b").write_text("b")
    # Onto one that is there: only the extension.
    equal(session.ask(18, string(place / "a") + string(place / "b")), FAILURE)
    equal(session.ask(18, string(place / "a") + string(place / "c")), OK)
    equal(session.extended("posix-rename@openssh.com",
                           string(place / "c") + string(place / "b")), OK)
    equal((place / "b").read_text(), "a")
    equal(session.extended("hardlink@openssh.com",
                           string(place / "b") + string(place / "hard")), OK)
    equal((place / "hard").stat().st_nlink, 2)
    equal(session.ask(20, string("to/nowhere") + string(place / "link")), OK)
    equal(session.name(19, place / "link"), "to/nowhere")
    equal(session.name(19, place / "b"), BAD)
    equal(session.ask(17, string(place / "link")), NO_FILE)
    kind, rest = session.ask(7, string(place / "link"))
    equal((kind, stat.S_ISLNK(attributes(rest)[3])), (105, True))
    times = struct.pack(">III", 8, 1_000_000_000, 1_100_000_000)
    equal(session.extended("lsetstat@openssh.com", string(place / "link") + times), OK)
    equal((place / "link").lstat().st_mtime, 1_100_000_000)
    equal(session.ask(9, string(place / "b") + struct.pack(">IQI", 1 | 4, 0, 0o4755)), OK)
    equal(((place / "b").stat().st_size, stat.S_IMODE((place / "b").stat().st_mode)), (0, 0o4755))
    equal(session.ask(15, string(place)), FAILURE)
    for name in ("b", "hard", "link"):
        equal(session.ask(13, string(place / name)), OK)
    equal(session.ask(13, string(place)), FAILURE)
    equal(session.ask(15, string(place)), OK)
    # A NUL does not make another name of it.
    (top / "kept").write_text("kept")
    equal(session.ask(13, string(os.fsencode(top) + b"/kept\0more")), BAD)
    equal((top / "kept").exists(), True)
    session.end()


@case
def paths_are_resolved():
    session = Session()
    (top / "dir").mkdir()
    (top / "way").symlink_to("dir")
    real = os.path.realpath(top)
    equal(session.name(16, "."), real)
    equal(session.name(16, ""), real)
    equal(session.name(16, "way/../way"), real + "/dir")
    equal(session.name(16, "way/new"), real + "/dir/new")
    equal(session.name(16, "/new"), "/new")
    equal(session.name(16, "none/new"), NO_FILE)
    equal(session.name(16, "none/.."), NO_FILE)
    session.end()


@case
def directories_are_listed():
    session = Session()
    place = top / "many"
    place.mkdir()
    for i in range(3000):
        (place / f"{i:04}{'n' * 200}").touch()
    handle = take_string(session.ask(11, string(place))[1])[0]
    found, answers = [], 0
    while not isinstance(done := session.ask(12, string(handle)), int):
        kind, rest = done
        equal(kind, 104)
        count, rest = struct.unpack(">I", rest[:4])[0], rest[4:]
        answers += 1
        for _ in range(count):
            name, rest = take_string(rest)
            line, rest = take_string(rest)
            equal(line.endswith(name), True)
            attributes(rest)
            rest = rest[32:]
            found.append(name.decode())
        equal(rest, b"")
    equal(done, EOF)
    equal(sorted(found), sorted([".", "..", *os.listdir(place)]))
    equal(answers > 10, True)
    equal(session.read(handle, 0, 10), NO_FILE)
    equal(session.close(handle), OK)
    equal(session.ask(11, string(top / "none")), NO_FILE)
    kind, rest = session.extended("statvfs@openssh.com", string(place))
    real = os.statvfs(place)
    equal((kind, struct.unpack(">11Q", rest)[:3], struct.unpack(">11Q", rest)[10]),
          (201, (real.f_bsize, real.f_frsize, real.f_blocks), real.f_namemax))
    session.end()


@case
def handles_end_somewhere():
    session = Session(["sh", "-c", "ulimit -n 40; exec \"$@\"", "sh"])
    limit = struct.unpack(">QQQQ", session.extended("limits@openssh.com", b"")[1])[3]
    equal(limit, 24)
    handles = [session.open(top, READ) for _ in range(24)]
    equal(any(isinstance(handle, int) for handle in handles), False)
    equal(session.open(top, READ), FAILURE)
    equal(session.ask(11, string(top)), FAILURE)
    equal(session.close(handles[7]), OK)
    equal(isinstance(session.open(top, READ), bytes), True)
    session.end()


@case
def what_is_malformed_is_refused():
    session = Session()
    for kind in [*range(3, 21), 200]:
        equal(session.ask(kind, b""), BAD, f"request {kind}")
        equal(session.ask(kind, struct.pack(">I", 0xffffffff) + b"x"), BAD, f"request {kind}")
    for handle in (b"", b"x", b"\0" * 8, b"\xff" * 8, b"\0" * 9):
        equal(session.close(handle), NO_FILE)
    session.end()
    for packet in (struct.pack(">I", 0), struct.pack(">I", 1 << 20), struct.pack(">IB", 1, 3)):
        session = Session()
        session.process.stdin.write(packet)
        session.process.stdin.flush()
        equal(session.answer(), (None, None, None))
        equal(session.process.wait(60), 1)


@case
def many_requests_at_once_are_answered_in_order():
    session = Session()
    path = top / "piece"
    path.write_bytes(bytes(range(256)) * 256)
    handle = session.open(path, READ)
    session.process.stdin.write(b"".join(
        struct.pack(">IBI", 29, 5, number) + string(handle) + struct.pack(">QI", number * 100, 100)
        for number in range(600)))
    session.process.stdin.flush()
    whole = path.read_bytes()
    for number in range(600):
        equal(session.answer(),
              (103, number, string(whole[number * 100:number * 100 + 100])))
    session.end()


@case
def openssh_works_with_it():
    if shutil.which("sftp") is None:
        raise Skip("OpenSSH's sftp is not installed")
    (top / "source").write_bytes(os.urandom(3_000_000))
    script = "\n".join(["put source copy", "rename copy moved", "ls -l moved", "get moved back",
                        "ln -s moved link", "df", "rm link", "mkdir d", "rmdir d", "rmdir none"])
    done = subprocess.run(["sftp", "-b", "-", "-D", f"{AGENT} --sftp-server"], input=script,
                          cwd=top, capture_output=True, text=True, check=False)
    contains(done.stderr, "none")
    contains(done.stdout, "3000000")
    equal((top / "back").read_bytes() == (top / "source").read_bytes(), True)
    equal(Path(top / "link").is_symlink(), False)


main(set_up, tear_down)
