# SPDX-License-Identifier: MIT
"""Mounts whose files change at the server meanwhile, and files that several have open at once."""

import fcntl
import hashlib
import json
import mmap
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from pathlib import Path

from harness import Skip, case, equal, main, wait_for
from server import end, need_mounts, refused, two_ends

home = server = None
there = here = None  # the same directory, at the server and in the mount


def mount(directory, target, *options):
    done = home.run("-c", " ".join(["sftp mount", *options, f"{server.target}:{target}",
                                    str(directory)]))
    equal((done.stderr, done.returncode), ("", 0))


def mounts():
    return json.loads(home.run("-c", "sftp list --json").stdout or "[]")


def set_up():
    global home, server, there, here
    need_mounts()
    home, server, there, here = two_ends()
    mount(here, there, "--cache 1")


def tear_down():
    if home is None:
        return
    for entry in mounts():
        home.run("-c", f"sftp umount {entry['directory']}")
    end(home, server)


def is_there(name):
    """What the mount believes of names is a second old at most."""
    wait_for((here / name).exists, 60, name)
    return here / name


# ---- At the server ----


@case
def another_file_of_that_name_is_another_file():
    """Its size was that of the one that is open, and its contents cut to that."""
    (there / "replaced").write_bytes(b"a" * 100)
    with open(is_there("replaced"), "rb", buffering=0) as old:
        equal(old.read(10), b"a" * 10)
        (there / "new").write_bytes(b"b" * 1000)
        os.rename(there / "new", there / "replaced")

        def is_seen():
            os.fstat(old.fileno())
            return (here / "replaced").stat().st_size == 1000

        wait_for(is_seen, 60, "the new one's size")
        equal((here / "replaced").read_bytes(), b"b" * 1000)
        equal(os.fstat(old.fileno()).st_size, 100)
        equal(os.pread(old.fileno(), 1000, 0), b"a" * 100)


@case
def who_reads_on_does_not_hide_a_file_that_grew():
    """A handle that a new connection cannot stand for is no reason to refuse the name."""
    (there / "grown").write_bytes(b"a" * 100)
    with open(is_there("grown"), "rb", buffering=0) as old:
        equal(old.read(10), b"a" * 10)
        with open(there / "grown", "ab") as file:
            file.write(b"more")
        server.signal_sessions(signal.SIGKILL)
        wait_for(lambda: (here / "grown").stat().st_size == 104, 60, "its size")
        equal((here / "grown").read_bytes(), b"a" * 100 + b"more")


@case
def what_was_read_ahead_is_not_older_than_the_attributes():
    (there / "rewritten").write_bytes(b"a" * 500_000)
    with open(is_there("rewritten"), "rb", buffering=0) as reader:
        while reader.read(65536):
            pass
        with open(there / "rewritten", "r+b") as file:
            file.write(b"b" * 500_000)
        os.utime(there / "rewritten", (2_000_000_000, 2_000_000_000))
        wait_for(lambda: os.fstat(reader.fileno()).st_mtime == 2_000_000_000, 60, "its time")
        equal(os.pread(reader.fileno(), 500_000, 0) == b"b" * 500_000, True)
        equal((here / "rewritten").read_bytes() == b"b" * 500_000, True)


@case
def files_that_were_read_before_they_were_opened_grow_too():
    names = [f"row{i:02}" for i in range(12)]
    (there / "row").mkdir()
    for name in names:
        (there / "row" / name).write_bytes(b"start\n")
    equal(sorted(os.listdir(is_there("row"))), names)
    files = [open(here / "row" / name, "rb", buffering=0) for name in names]
    try:
        equal([file.read() for file in files], [b"start\n"] * 12)
        for name in names:
            with open(there / "row" / name, "ab") as file:
                file.write(b"more\n")
        wait_for(lambda: {os.fstat(file.fileno()).st_size for file in files} == {11}, 60,
                 "their sizes")
        equal([file.read() for file in files], [b"more\n"] * 12)
    finally:
        for file in files:
            file.close()


@case
def what_is_made_where_nothing_is_any_more():
    (there / "gone").mkdir()
    directory = os.open(is_there("gone"), os.O_RDONLY | os.O_DIRECTORY)
    try:
        (there / "gone").rmdir()
        equal(refused(lambda: os.mknod("x", stat.S_IFREG | 0o600, dir_fd=directory)), "ENOENT")
    finally:
        os.close(directory)


@case
def what_is_appended_comes_behind_what_others_have():
    (there / "log").write_bytes(b"one\n")
    equal(is_there("log").stat().st_size, 4)
    with open(there / "log", "ab") as other:
        other.write(b"two\n")
    subprocess.run(f"echo three >>{here}/log", shell=True, check=True)
    equal((there / "log").read_bytes(), b"one\ntwo\nthree\n")
    with open(here / "log", "ab", buffering=0) as file, open(there / "log", "ab",
                                                             buffering=0) as other:
        for i in range(100):
            file.write(b"here %d\n" % i)
            os.fsync(file.fileno())
            other.write(b"there %d\n" % i)
        equal(os.fstat(file.fileno()).st_size, os.fstat(other.fileno()).st_size)
        server.signal_sessions(signal.SIGKILL)
        other.write(b"last but one\n")
        file.write(b"last\n")
    equal((there / "log").read_bytes(), b"one\ntwo\nthree\n" + b"".join(
        b"here %d\nthere %d\n" % (i, i) for i in range(100)) + b"last but one\nlast\n")
    equal((here / "log").read_bytes(), (there / "log").read_bytes())


@case
def connections_are_lost_under_much_that_is_written():
    data = os.urandom(1 << 20)
    for mode in ("wb", "ab"):
        wanted = hashlib.sha256()
        with open(here / mode, mode, buffering=0) as file:
            for i in range(48):
                if i % 10 == 9:
                    server.signal_sessions(signal.SIGKILL)
                piece = data[i:] + data[:i]
                equal(file.write(piece), len(piece))
                wanted.update(piece)
        equal(hashlib.sha256((there / mode).read_bytes()).hexdigest(), wanted.hexdigest(), mode)
        (here / mode).unlink()
    entry, = [entry for entry in mounts() if entry["directory"] == str(here)]
    equal(entry["lost_write_bytes"], 0)


@case
def what_was_written_last_is_there_last():
    """Also where what was written before has to be sent again."""
    model = bytearray(4 << 20)
    with open(here / "last", "wb", buffering=0) as file:
        for i in range(12):
            piece = os.urandom(1 << 20)
            for at in range(0, len(model), len(piece)):
                os.pwrite(file.fileno(), piece, at)
                model[at:at + len(piece)] = piece
            server.signal_sessions(signal.SIGKILL)
            for at in range(100_000, len(model), 100_000):
                os.pwrite(file.fileno(), b"%09d" % i, at)
                model[at:at + 9] = b"%09d" % i
            os.fsync(file.fileno())
            equal((there / "last").read_bytes() == model, True, f"round {i}")


@case
def what_is_appended_is_not_when_that_is_taken_back():
    with open(here / "back", "ab", buffering=0) as file:
        file.write(b"0123456789")
        fcntl.fcntl(file.fileno(), fcntl.F_SETFL, fcntl.fcntl(file.fileno(), fcntl.F_GETFL) &
                    ~os.O_APPEND)
        os.pwrite(file.fileno(), b"XY", 3)
    equal((there / "back").read_bytes(), b"012XY56789")
    # What is mapped is written by the handle that the kernel likes best.
    with open(here / "back", "ab", buffering=0) as file, open(here / "back", "r+b") as mapped:
        with mmap.mmap(mapped.fileno(), 10) as memory:
            memory[5:7] = b"ZZ"
            memory.flush()
        file.write(b"end")
    equal((there / "back").read_bytes(), b"012XYZZ789end")


# ---- Several handles ----


@case
def a_cut_by_one_comes_behind_what_another_wrote():
    for _ in range(20):
        with open(here / "cut", "wb", buffering=0) as first:
            for _ in range(50):
                first.write(b"x" * 100)
            open(here / "cut", "wb").close()
            equal(os.fstat(first.fileno()).st_size, 0)
        equal((there / "cut").read_bytes(), b"")
        with open(here / "cut", "wb", buffering=0) as first, open(here / "cut", "r+b",
                                                                  buffering=0) as second:
            for file in (first, second):
                for i in range(50):
                    os.pwrite(file.fileno(), b"x" * 100, i * 100)
            os.truncate(here / "cut", 0)
        equal((there / "cut").read_bytes(), b"")


@case
def a_reader_sees_what_all_writers_wrote():
    with open(here / "both", "w+b", buffering=0) as one, open(here / "both", "r+b",
                                                              buffering=0) as two:
        for at in range(0, 5000, 100):
            os.pwrite(one.fileno(), b"1" * 100, at)
            os.pwrite(two.fileno(), b"2" * 100, 5000 + at)
        with open(here / "both", "rb", buffering=0) as reader:
            equal(reader.read(20_000) == b"1" * 5000 + b"2" * 5000, True)


@case
def a_removed_files_attributes_are_set_by_who_reads_it():
    (here / "removed").write_bytes(b"still")
    with open(here / "removed", "rb", buffering=0) as reader:
        os.unlink(here / "removed")
        os.fchmod(reader.fileno(), 0o600)
        os.utime(reader.fileno(), (1_000_000_000, 1_100_000_000))
        equal((stat.S_IMODE(os.fstat(reader.fileno()).st_mode), os.fstat(reader.fileno()).st_mtime),
              (0o600, 1_100_000_000))
        equal(reader.read(), b"still")


@case
def what_was_written_is_sent_when_the_mount_is_told_to_end():
    place = home.path / "told"
    place.mkdir()
    mount(place, there)
    process = next(int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline")
                   if str(place).encode() in words_of(path)[1:])
    with open(place / "told", "wb", buffering=0) as writer:
        for i in range(200):
            writer.write(b"line %03d\n" % i)
        os.kill(process, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{process}").exists(), 60, "its end")
        equal((there / "told").read_text().split("\n")[-2:], ["line 199", ""])
        equal(refused(lambda: os.fsync(writer.fileno())), "ENOTCONN")
        # Closing tells of it as well, and cannot be done twice.
        equal(refused(writer.close), "ENOTCONN")


def words_of(path):
    try:
        return path.read_bytes().split(b"\0")
    except OSError:
        return []


@case
def a_full_file_system_is_told_as_that():
    """One in the server's own namespace."""
    program = "/usr/lib/openssh/sftp-server"
    small, place = home.path / "small", home.path / "full"
    if os.geteuid() != 0 or not os.access(program, os.X_OK):
        raise Skip(f"not as root, or without {program}")
    small.mkdir()
    place.mkdir()
    server.set_subsystem(f"unshare -m --propagation private sh -c 'mount -t tmpfs -o size=256k "
                         f"none {small} && exec {program}'")
    server.stop()
    server.start()
    try:
        mount(place, small)
        with open(place / "file", "wb", buffering=0) as file:
            file.write(b"x" * 300_000)
            equal(refused(lambda: os.fsync(file.fileno())), "ENOSPC")
            equal(refused(lambda: os.fsync(file.fileno())), "")
            file.write(b"x" * 1000)
            equal(refused(file.close), "ENOSPC")
        # What is not there is not believed to be.
        equal((place / "file").stat().st_size, 256 * 1024)
        entry, = [entry for entry in mounts() if entry["directory"] == str(place)]
        # All but the first of the pieces.
        equal(entry["lost_write_bytes"], 301_000 - 255 * 1024)
        # Who does not look at what write tells learns it from close.
        handle = os.open(place / "file", os.O_WRONLY | os.O_APPEND)
        wait_for(lambda: refused(lambda: os.write(handle, b"x" * 10_000)), 60, "an error")
        equal(refused(lambda: os.close(handle)), "ENOSPC")
        equal(home.run("-c", f"sftp umount {place}").returncode, 0)
    finally:
        server.set_subsystem("internal-sftp")
        server.stop()
        server.start()
    equal(os.listdir(small), [])


# ---- Directories ----


@case
def a_move_to_another_file_system_is_told_as_that():
    """So that mv(1) copies."""
    try:
        other = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="crosh-test."))
    except OSError as problem:
        raise Skip("no /dev/shm here") from problem
    place = home.path / "root"
    place.mkdir()
    try:
        if os.stat(other).st_dev == os.stat(there).st_dev:
            raise Skip("one file system")
        (there / "moved").write_bytes(b"moved")
        mount(place, "/")
        paths = (f"{place}{there}/moved", f"{place}{other}/moved")
        equal(refused(lambda: os.rename(*paths)), "EXDEV")
        equal(refused(lambda: os.link(*paths)), "EXDEV")
        subprocess.run(["mv", *paths], check=True, timeout=60)
        equal(((other / "moved").read_bytes(), (there / "moved").exists()), (b"moved", False))
    finally:
        home.run("-c", f"sftp umount {place}")
        shutil.rmtree(other)


@case
def listings_that_are_too_old_are_not_kept():
    for i in range(50):
        (there / "walk" / f"d{i}").mkdir(parents=True)
    wait_for((here / "walk").exists, 60, "walk")
    for _ in os.walk(here / "walk"):
        pass

    def kept():
        os.listdir(here / "walk" / "d0")
        entry, = [entry for entry in mounts() if entry["directory"] == str(here)]
        return entry["cached_listings"]

    wait_for(lambda: kept() < 10, 60, "them to go")


@case
def what_is_believed_for_no_time_is_listed_anew():
    (there / "anew").mkdir()
    place = home.path / "anew"
    place.mkdir()
    mount(place, there / "anew", "--cache 0")
    for i in range(20):
        (there / "anew" / str(i)).mkdir()
        equal(len(os.listdir(place)), i + 1)
        equal(os.listdir(place / str(i)), [])
    equal(home.run("-c", f"sftp umount {place}").returncode, 0)


@case
def a_large_directory_is_not_listed_for_each_name_that_goes():
    lots, place = there / "lots", home.path / "lots"
    lots.mkdir()
    place.mkdir()
    names = [f"some-name-{i:05}" for i in range(21_000)]
    for name in names:
        (lots / name).touch()
    mount(place, lots, "--cache 1")
    equal(len(os.listdir(place)), 21_000)
    listing = received(place)

    def is_asked():
        os.stat(place / names[0])
        return received(place) > listing

    wait_for(is_asked, 60, "what is known of the names to be too old")
    for name in names[:1000]:
        os.unlink(place / name)
    equal(received(place) < 4 * listing, True,
          f"{received(place)} bytes after a listing of {listing}")
    equal(home.run("-c", f"sftp umount {place}").returncode, 0)


def received(place):
    entry, = [entry for entry in mounts() if entry["directory"] == str(place)]
    return entry["received_bytes"]


main(set_up, tear_down)
