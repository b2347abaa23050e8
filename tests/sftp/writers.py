# SPDX-License-Identifier: MIT
"""Files that are being written while their names change, connections are lost, or writes fail."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import signal
import socket
import stat
from pathlib import Path

from harness import Skip, case, equal, main, wait_for
from server import SUBSYSTEM, FarAway, end, need_mounts, refused, two_ends

MODELESS = Path(os.environ["top_srcdir"]).resolve() / "tests" / "sftp" / "modeless-server.py"
SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")

home = server = None
there = here = None  # the same directory, at the server and in the mount


def set_up():
    global home, server, there, here
    need_mounts()
    home, server, there, here = two_ends()
    done = home.run("-c", f"sftp mount {server.target}:{there} {here}")
    equal((done.stderr, done.returncode), ("", 0))


def tear_down():
    if home is None:
        return
    home.run("-c", f"sftp umount {here}")
    end(home, server)


def told(key, place=None):
    """What "sftp list" is told by a mount; here, as a child that is forked closes its copies of
    the files that are open, which waits for what is written to them.
    """
    path, = (path for path in (home.runtime / "crosh" / "mounts").glob("*/*")
             if path.is_socket() and
             json.loads((path.parent / "info.json").read_text())["directory"] == str(place or here))
    with socket.socket(socket.AF_UNIX) as status:
        status.connect(str(path))
        with status.makefile() as text:
            return json.load(text)[key]


def lost():
    """Bytes that the mount tells were lost."""
    return told("lost_write_bytes")


@contextlib.contextmanager
def fresh(port=None):
    """Another mount of the directory, which asks the server, or what leads to it, each time."""
    place = home.path / "fresh"
    place.mkdir(exist_ok=True)
    done = home.run("-c", f"sftp mount --cache 0 {server.user}@127.0.0.1:{port or server.port}:"
                          f"{there} {place}")
    equal((done.stderr, done.returncode), ("", 0))
    try:
        yield place
    finally:
        home.run("-c", f"sftp umount {place}")


def serve(subsystem):
    """Another one serves the files, and all connections are lost."""
    server.stop()
    server.set_subsystem(subsystem)
    server.start()


class Cut:
    """Nothing is answered within, and all connections are lost at the end."""

    def __enter__(self):
        server.signal_sessions(signal.SIGSTOP)

    def __exit__(self, *_):
        server.signal_sessions(signal.SIGKILL)


# ---- Another file of that name, after a lost connection ----


def written_while(change, first=b"a" * 1000, second=b"b" * 1000):
    """What close says of bytes that were written before, and what is lost, after a change."""
    before = lost()
    handle = os.open(here / "file", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(handle, first)
    os.fsync(handle)
    with Cut():
        os.pwrite(handle, second, len(first))
        change()
    errors = refused(lambda: os.fsync(handle)), refused(lambda: os.close(handle))
    return errors, lost() - before


@case
def what_is_still_the_same_is_written_on():
    equal(written_while(lambda: None), (("", ""), 0))
    equal((there / "file").read_bytes(), b"a" * 1000 + b"b" * 1000)
    (here / "file").unlink()


@case
def another_files_bytes_stay_what_they_are():
    """Another one is known by its size, its time, its mode, or by being no file."""
    def put(size, seconds, mode=0o644):
        (there / "other").write_bytes(b"o" * size)
        (there / "other").chmod(mode)
        os.utime(there / "other", (seconds, seconds))
        os.rename(there / "other", there / "file")

    now = int(there.stat().st_mtime) + 1000
    for size, seconds, mode in ((999, now, 0o644), (2001, now, 0o644), (0, now, 0o644),
                                (1000, 1_000_000_000, 0o644), (1000, now, 0o600)):
        equal(written_while(lambda: put(size, seconds, mode)), (("ESTALE", ""), 1000),
              f"{size} {seconds} {mode:o}")
        equal((there / "file").read_bytes(), b"o" * size)
        # Who comes by its name has the other one at once.
        equal((here / "file").stat().st_size, size)
        equal((here / "file").read_bytes(), b"o" * size)
        (here / "file").unlink()

    def link():
        (there / "target").write_bytes(b"t" * 1000)
        (there / "file").unlink()
        (there / "file").symlink_to("target")

    equal(written_while(link), (("ESTALE", ""), 1000))
    equal((there / "target").read_bytes(), b"t" * 1000)
    (there / "file").unlink()
    (there / "target").unlink()


@case
def a_log_that_was_rotated_is_not_gone_on_with():
    (there / "log").write_bytes(b"old\n" * 100)
    with open(here / "log", "ab", buffering=0) as log:
        log.write(b"one\n")
        os.fsync(log.fileno())
        with Cut():
            log.write(b"two\n")
            (there / "log").rename(there / "log.1")
            (there / "log").write_bytes(b"new\n")
        equal(refused(lambda: os.fsync(log.fileno())), "ESTALE")
    equal((there / "log").read_bytes(), b"new\n")
    equal((there / "log.1").read_bytes(), b"old\n" * 100 + b"one\n")
    for name in ("log", "log.1"):
        (there / name).unlink()


@case
def what_we_change_of_it_makes_no_other_file():
    """Its size, mode and times are changed here before the connection is lost, or meanwhile."""
    before = lost()
    with open(here / "ours", "w+b", buffering=0) as file, open(here / "ours", "rb",
                                                               buffering=0) as reader:
        file.write(b"x" * 300_000)
        equal(reader.read(10), b"x" * 10)
        os.fchmod(file.fileno(), 0o640)
        os.utime(file.fileno(), (1_000_000_000, 1_000_000_000))
        os.ftruncate(file.fileno(), 200_000)
        os.utime(here / "ours", (900_000_000, 900_000_000))
        os.fsync(file.fileno())
        server.signal_sessions(signal.SIGKILL)
        os.pwrite(file.fileno(), b"y" * 100, 250_000)
        server.signal_sessions(signal.SIGKILL)
        os.ftruncate(file.fileno(), 100_000)
        server.signal_sessions(signal.SIGKILL)
        os.fchmod(file.fileno(), 0o600)
        server.signal_sessions(signal.SIGKILL)
        os.pwrite(file.fileno(), b"z" * 100, 100_000)
        os.fsync(file.fileno())
        # Who reads it has known of all that, too.
        server.signal_sessions(signal.SIGKILL)
        equal(os.pread(reader.fileno(), 100, 100_000), b"z" * 100)
    equal((there / "ours").read_bytes(), b"x" * 100_000 + b"z" * 100)
    equal(lost() - before, 0)
    (here / "ours").unlink()


@case
def two_who_write_it_know_of_each_other():
    with open(here / "two", "wb", buffering=0) as one, open(here / "two", "r+b",
                                                            buffering=0) as two:
        one.write(b"1" * 1000)
        with Cut():
            two.seek(5000)
            two.write(b"2" * 1000)
            one.write(b"1" * 1000)
        for file in (two, one):
            os.fsync(file.fileno())
    equal((there / "two").read_bytes(), b"1" * 2000 + bytes(3000) + b"2" * 1000)
    (here / "two").unlink()


@case
def times_to_come_become_the_present():
    """A file may be from then: written to, it is from now."""
    future = there.stat().st_mtime + 100_000

    def written_on(path, prepare):
        with open(path, "r+b", buffering=0) as file:
            prepare(file)
            file.write(b"1")
            os.fsync(file.fileno())
            server.signal_sessions(signal.SIGKILL)
            equal(refused(lambda: (file.write(b"2"), os.fsync(file.fileno()))), "")
        equal((there / path.name).read_bytes(), b"12")
        path.unlink()

    def set_and_told(file):
        os.utime(file.fileno(), (future, future))
        equal(os.fstat(file.fileno()).st_mtime, int(future))

    for name in ("had", "set"):
        (there / name).write_bytes(b"")
    os.utime(there / "had", (future, future))
    with fresh() as place:
        written_on(place / "had", lambda file: None)
        written_on(place / "set", set_and_told)


@case
def who_opens_what_another_has_changed_knows_it_so():
    """The first one has it open from before, and may write."""
    (there / "changed").write_bytes(b"a" * 1000)
    os.utime(there / "changed", (1_000_000_000, 1_000_000_000))
    with fresh() as place:
        # Of handles alone, as what else asks for a file's state would have it told.
        first = os.open(place / "changed", os.O_RDWR)
        with open(there / "changed", "ab") as file:
            file.write(b"b" * 1000)
        second = os.open(place / "changed", os.O_RDWR)
        os.write(second, b"2")
        server.signal_sessions(signal.SIGKILL)
        os.write(second, b"2")
        equal([refused(lambda: os.fsync(second)), refused(lambda: os.close(second))], [""] * 2)
        equal((refused(lambda: os.read(first, 1)), refused(lambda: os.close(first))), ("", ""))
    equal((there / "changed").read_bytes(), b"22" + b"a" * 998 + b"b" * 1000)
    (there / "changed").unlink()


@case
def modes_that_are_not_kept_make_no_other_file():
    """They are set as a file is made, while it is open, and before it is opened."""
    if not SFTP_SERVER.exists():
        raise Skip(f"there is no {SFTP_SERVER}")
    serve(f"/usr/bin/python3 {MODELESS} {SFTP_SERVER}")
    try:
        with fresh() as place:
            def write_on(flags, mode=0o600):
                handle = os.open(place / "modeless", os.O_WRONLY | flags, mode)
                if flags == 0:
                    os.fchmod(handle, 0o640)
                os.write(handle, b"1")
                os.fsync(handle)
                server.signal_sessions(signal.SIGKILL)
                os.write(handle, b"2")
                equal([refused(lambda: os.fsync(handle)), refused(lambda: os.close(handle))],
                      [""] * 2)
                equal((there / "modeless").read_bytes(), b"12")

            before = os.umask(0)
            try:
                write_on(os.O_CREAT, 0o666)
            finally:
                os.umask(before)
            equal(stat.S_IMODE((there / "modeless").stat().st_mode) == 0o666, False)
            write_on(0)
            os.chmod(place / "modeless", 0o755)
            write_on(os.O_TRUNC)
            (place / "modeless").unlink()
    finally:
        serve(SUBSYSTEM)


# ---- Names that change here ----


@case
def what_is_renamed_is_written_on():
    """The file, its directory, with and without a connection that is lost behind that."""
    data, before = os.urandom(3 << 20), lost()
    for is_lost in (False, True):
        (here / "dir").mkdir()
        with open(here / "dir" / "a", "wb", buffering=0) as file:
            file.write(data)
            os.rename(here / "dir" / "a", here / "dir" / "b")
            file.write(data)
            if is_lost:
                server.signal_sessions(signal.SIGKILL)
            os.rename(here / "dir", here / "moved")
            if is_lost:
                server.signal_sessions(signal.SIGKILL)
            file.write(data)
        equal((there / "moved" / "b").read_bytes() == data * 3, True)
        (here / "moved" / "b").unlink()
        (here / "moved").rmdir()
    equal(lost() - before, 0)


@case
def what_is_renamed_without_a_connection_is_written_on():
    """Names and bytes go together to a server that is back, and far away."""
    far = FarAway(server.port, 0.03)
    server.know_at(far.port)
    place = home.path / "far"
    place.mkdir()
    done = home.run("-c", f"sftp mount {server.user}@127.0.0.1:{far.port}:{there} {place}")
    equal((done.stderr, done.returncode), ("", 0))
    try:
        # The kernel has no file written while that itself is renamed, and has one name of a
        # directory changed after the other.
        for i in range(4):
            (place / f"d{i}" / "a").mkdir(parents=True)
        files = [open(place / f"d{i}" / "a" / "file", "wb", buffering=0) for i in range(4)]
        for file in files:
            file.write(b"1" * 1000)
            os.fsync(file.fileno())
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            server.process.send_signal(signal.SIGSTOP)
            for stream in range(len(far.streams)):
                far.cut(stream)
            wait_for(lambda: told("state", place) == "lost", 60, "the loss")
            renames = [pool.submit(os.rename, place / f"d{i}" / "a", place / f"d{i}" / "b")
                       for i in range(4)]
            syncs = [pool.submit(lambda f=file: (f.write(b"2" * 1000), os.fsync(f.fileno())))
                     for file in files]
            server.process.send_signal(signal.SIGCONT)
            equal([refused(rename.result) for rename in renames], [""] * 4)
            equal([refused(sync.result) for sync in syncs], [""] * 4)
        for i, file in enumerate(files):
            file.close()
            equal((there / f"d{i}" / "b" / "file").read_bytes(), b"1" * 1000 + b"2" * 1000)
            shutil.rmtree(there / f"d{i}")
        equal(told("lost_write_bytes", place), 0)
    finally:
        server.process.send_signal(signal.SIGCONT)
        home.run("-c", f"sftp umount {place}")
        far.close()


@case
def a_rename_whose_answer_is_lost_is_done():
    # New directories, so that nothing has to be asked for before it is sent.
    (here / "in").mkdir()
    (here / "before").mkdir()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with Cut():
            rename = pool.submit(os.rename, here / "before", here / "in" / "behind")
            wait_for(server.has_unread, 60, "it to be sent")
        equal(refused(rename.result), "")
    equal(((there / "before").exists(), (there / "in" / "behind").is_dir()), (False, True))
    (here / "in" / "behind").rmdir()
    (here / "in").rmdir()


@case
def what_is_replaced_takes_nothing_of_the_new_one():
    """A rename over a file that is being written, and its removal."""
    data = os.urandom(2 << 20)
    (here / "new").write_bytes(b"new")
    with open(here / "old", "w+b", buffering=0) as file:
        file.write(data)
        os.rename(here / "new", here / "old")
        file.write(b"more")
        equal(os.fstat(file.fileno()).st_size, len(data) + 4)
        file.seek(0)
        equal(file.read() == data + b"more", True)
    equal((there / "old").read_bytes(), b"new")
    for change in (lambda: os.rename(here / "new", here / "old"),
                   lambda: os.unlink(here / "old")):
        (here / "new").write_bytes(b"new")
        with open(here / "old", "wb", buffering=0) as file:
            file.write(b"x")
            os.fsync(file.fileno())
            change()
            server.signal_sessions(signal.SIGKILL)
            equal(refused(lambda: (file.write(b"lost"), os.fsync(file.fileno()))), "ESTALE")
    equal((there / "old").exists(), False)
    equal((there / "new").read_bytes(), b"new")
    (here / "new").unlink()


# ---- Errors ----


@case
def fsync_is_of_all_that_was_written():
    """By whichever handle; the server is far away."""
    far = FarAway(server.port, 0.03)
    server.know_at(far.port)
    try:
        with fresh(far.port) as place, open(place / "synced", "wb", buffering=0) as file, \
             open(place / "synced", "rb", buffering=0) as other:
            for i in range(5):
                file.write(b"%d" % i)
            os.fsync(other.fileno())
            equal((there / "synced").read_bytes(), b"01234")
    finally:
        far.close()
    (there / "synced").unlink()


@case
def each_close_tells_until_fsync_has():
    """A child that was forked closes its copies, too, and takes no error away."""
    for is_synced in (False, True):
        handle = os.open(here / f"f{is_synced}", os.O_WRONLY | os.O_CREAT)
        os.write(handle, b"1")
        os.fsync(handle)
        with Cut():
            os.write(handle, b"2")
            (there / f"f{is_synced}").unlink()
        if is_synced:
            equal(refused(lambda h=handle: os.fsync(h)), "ENOENT")
        equal([refused(lambda h=h: os.close(h)) for h in (os.dup(handle), handle)],
              ["" if is_synced else "ENOENT"] * 2)


main(set_up, tear_down)
