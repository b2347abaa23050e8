# SPDX-License-Identifier: MIT
"""Mounts of a real sshd on the loopback: what a file system must do, and what may not happen."""

import concurrent.futures
import errno
import hashlib
import json
import mmap
import os
import random
import shutil
import signal
import stat
import subprocess
import threading
from pathlib import Path

from harness import CROSH, Home, Skip, case, contains, equal, main, wait_for
from server import SSHD, FarAway, Server, end, need_mounts, refused, two_ends

home = server = None
there = here = None  # the same directory, at the server and in the mount


def mount(*options, target=None, directory=None):
    return home.run("-c", " ".join(["sftp mount", *options, str(target or f"{server.target}:{there}"),
                                    str(directory or here)]))


def umount(directory=None):
    return home.run("-c", f"sftp umount {directory or here}")


def set_up():
    global home, server, there, here
    need_mounts()
    home, server, there, here = two_ends()
    done = mount()
    equal((done.stdout, done.stderr, done.returncode),
          (f"{server.target}:{there} is at {here}\n", "", 0))


def tear_down():
    if home is None:
        return
    for entry in json.loads(home.run("-c", "sftp list --json").stdout or "[]"):
        umount(entry["directory"])
    end(home, server)


def tree(path):
    """Names, kinds, contents and modes below it."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in names + files:
            full = Path(directory) / name
            status = full.lstat()
            found[str(full.relative_to(path))] = (
                stat.filemode(status.st_mode), int(status.st_mtime),
                os.readlink(full) if full.is_symlink() else
                hashlib.sha256(full.read_bytes()).hexdigest() if full.is_file() else "")
    return found


@case
def the_list_tells_of_it():
    entries = json.loads(home.run("-c", "sftp list --json").stdout)
    equal([(e["directory"], e["target"], e["state"], e["connections"]) for e in entries],
          [(str(here), f"{server.target}:{there}", "connected", 1)])
    contains(home.run("-c", "sftp list").stdout, str(here))


@case
def files_go_both_ways():
    data = random.randbytes(3_000_001)
    (here / "up").write_bytes(data)
    equal((there / "up").read_bytes() == data, True)
    (there / "down").write_bytes(data[::-1])
    equal((here / "down").read_bytes() == data[::-1], True)


@case
def what_is_written_arrives_while_the_file_is_open():
    lines = [f"line {i}\n".encode() for i in range(20)]
    with open(here / "log", "wb", buffering=0) as log:
        for line in lines:
            log.write(line)
        wait_for(lambda: (there / "log").read_bytes() == b"".join(lines), 60, "all lines")
    (here / "log").unlink()


@case
def figures_are_listed():
    data = random.randbytes(2_000_000)
    (there / "figures").write_bytes(data)
    equal((here / "figures").read_bytes() == data, True)
    entry = json.loads(home.run("-c", "sftp list --json").stdout)[0]
    equal(entry["received_bytes"] > 2_000_000, True)

    def is_moving():
        (here / "figures").write_bytes(data)
        moving = json.loads(home.run("-c", "sftp list --json").stdout)[0]
        return 0 < moving["sent_bytes_per_second"] < moving["sent_bytes"]

    wait_for(is_moving, 60, "a rate")
    equal(entry["cached_names"] >= 1, True)
    equal(entry["cache_asked"] >= entry["cache_known"] >= 0, True)
    asked = entry["cache_asked"]
    os.listdir(here)
    (here / "no such name").exists()
    entry = json.loads(home.run("-c", "sftp list --json").stdout)[0]
    equal(entry["cache_asked"] > asked, True)
    wait_for(lambda: json.loads(home.run("-c", "sftp list --json").stdout)[0]
             ["sent_bytes_per_second"] == 0, 60, "the rate's end")
    lines = home.run("-c", "sftp list --verbose").stdout.splitlines()
    equal(lines[0].split(), ["DIRECTORY", "TARGET", "STATE", "READ", "READ/S", "SENT", "SENT/S",
                             "CONNECTIONS", "NAMES", "LISTINGS", "FILES", "KNOWN"])
    equal(len(lines), 2)
    contains(lines[1], "  0 B  ")
    equal(lines[1].split()[-1].endswith("%"), True)
    equal(home.run("-c", "sftp list").stdout.splitlines()[0].split()[-1], "SENT/S")
    (here / "figures").unlink()


@case
def a_tree_stays_what_it_is():
    source = home.path / "source"
    for i in range(40):
        directory = source / f"d{i % 7}" / f"é{i % 3}"
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / f"file {i}"
        file.write_bytes(random.randbytes(i * 997))
        file.chmod(0o640 if i % 2 else 0o755)
    (source / "link").symlink_to("d0/é0")
    for directory, _, files in os.walk(source):
        for name in files:
            os.utime(Path(directory) / name, (1_000_000_000, 1_100_000_000), follow_symlinks=False)
    os.utime(source / "link", (1_000_000_000, 1_100_000_000), follow_symlinks=False)
    subprocess.run(["tar", "-cf", str(home.path / "tree.tar"), "-C", str(source), "."], check=True)
    (here / "tree").mkdir()
    subprocess.run(["tar", "-xf", str(home.path / "tree.tar"), "-C", str(here / "tree")],
                   check=True)
    equal(tree(here / "tree"), tree(source), "through the mount")
    equal(tree(there / "tree"), tree(source), "at the server")
    shutil.rmtree(here / "tree")
    equal((there / "tree").exists(), False)


@case
def names_that_are_there_and_not():
    for function, number in (
            (lambda: os.mkdir(here / "up"), errno.EEXIST),
            (lambda: os.symlink("x", here / "up"), errno.EEXIST),
            (lambda: os.link(here / "down", here / "up"), errno.EEXIST),
            (lambda: os.open(here / "up", os.O_CREAT | os.O_EXCL | os.O_WRONLY), errno.EEXIST),
            (lambda: os.open(here / "none", os.O_RDONLY), errno.ENOENT),
            (lambda: os.unlink(here / "none"), errno.ENOENT),
            (lambda: os.rename(here / "none", here / "other"), errno.ENOENT),
            (lambda: os.rmdir(here / "up"), errno.ENOTDIR),
            (lambda: os.mkdir(here / ("x" * 256)), errno.ENAMETOOLONG),
            (lambda: os.setxattr(here / "up", "user.x", b""), errno.ENOTSUP)):
        try:
            function()
        except OSError as error:
            equal(error.errno, number)
        else:
            raise AssertionError(f"no error, but {errno.errorcode[number]} is due")
    (here / "full").mkdir()
    (here / "full" / "x").touch()
    try:
        os.rmdir(here / "full")
    except OSError as error:
        equal(error.errno, errno.ENOTEMPTY)
    else:
        raise AssertionError("a full directory was removed")


@case
def renames_and_links():
    (here / "one").write_text("one")
    (here / "two").write_text("two")
    os.rename(here / "one", here / "two")
    equal((there / "two").read_text(), "one")
    equal((there / "one").exists(), False)
    os.link(here / "two", here / "three")
    equal((there / "three").stat().st_nlink, 2)
    (here / "moved").mkdir()
    (here / "moved" / "in").write_text("in")
    os.rename(here / "moved", here / "gone")
    equal((here / "gone" / "in").read_text(), "in")
    equal(sorted(os.listdir(here)), sorted(os.listdir(there)))


@case
def modes_times_and_sizes():
    file = here / "two"
    os.chmod(file, 0o4751)
    equal(oct((there / "two").stat().st_mode), "0o104751")
    os.utime(file, (1_234_567_890, 987_654_321))
    os.truncate(file, 10_000)
    equal(file.read_bytes(), b"one" + bytes(9997))
    os.truncate(file, 2)
    status = (there / "two").stat()
    # Who cuts a file takes its set-id bit away, unless that is root.
    equal((oct(status.st_mode), status.st_size),
          ("0o104751" if os.geteuid() == 0 else "0o100751", 2))
    os.utime(file, (1_234_567_890, 987_654_321))
    equal((int((there / "two").stat().st_atime), int(file.stat().st_mtime)),
          (1_234_567_890, 987_654_321))
    equal(file.stat().st_uid, os.getuid())


@case
def what_is_the_owners_to_set_is_refused_as_that():
    # A root that may not give files away is told what others are.
    with Home() as other:
        second = Server(other)
        try:
            second.stop()
            second.start(("setpriv", "--bounding-set=-chown", SSHD) if os.geteuid() == 0 else (SSHD,))
            (other.path / "here").mkdir()
            done = other.run("-c", f"sftp mount {second.target}:{there} {other.path}/here")
            equal((done.stderr, done.returncode), ("", 0))
            equal(refused(lambda: os.chown(other.path / "here" / "two", 12345, -1)), "EPERM")
            equal(other.run("-c", f"sftp umount {other.path}/here").returncode, 0)
        finally:
            second.stop()


@case
def beyond_four_gigabytes():
    with open(here / "sparse", "wb") as file:
        file.seek(5 << 30)
        file.write(b"end")
    equal((there / "sparse").stat().st_size, (5 << 30) + 3)
    with open(here / "sparse", "rb") as file:
        file.seek((5 << 30) - 4)
        equal(file.read(), bytes(4) + b"end")
    os.unlink(here / "sparse")


@case
def beyond_the_largest_file():
    """Told at once, and as that, where a program leaps there."""
    probe = there / "probe"
    with open(probe, "wb") as file:
        try:
            os.ftruncate(file.fileno(), 1 << 60)
        except OSError as problem:
            equal(problem.errno, errno.EFBIG)
        else:
            raise Skip("this file system takes files of any size")
        finally:
            probe.unlink()

    handle = os.open(here / "large", os.O_RDWR | os.O_CREAT)
    try:
        equal(os.pwrite(handle, b"near", 0), 4)
        equal(os.pwrite(handle, b"x", 5 << 30), 1)
        equal(refused(lambda: os.pwrite(handle, b"x", 1 << 60)), "EFBIG")
        equal(os.pwrite(handle, b"more", 4), 4)
        equal(refused(lambda: os.ftruncate(handle, 1 << 60)), "EFBIG")
        equal(refused(lambda: os.truncate(here / "large", 1 << 60)), "EFBIG")
        equal(refused(lambda: os.fsync(handle)), "")
        equal(os.fstat(handle).st_size, (5 << 30) + 1)
    finally:
        os.close(handle)
    equal((there / "large").stat().st_size, (5 << 30) + 1)
    with open(there / "large", "rb") as file:
        equal(file.read(8), b"nearmore")
    (here / "large").unlink()


@case
def handles_see_each_other():
    with open(here / "shared", "w+b", buffering=0) as a, open(here / "shared", "r+b",
                                                              buffering=0) as b:
        a.write(b"0123456789")
        equal(b.read(4), b"0123")
        b.write(b"XY")
        a.seek(0)
        equal(a.read(), b"0123XY6789")
        os.ftruncate(b.fileno(), 5)
        equal(os.fstat(a.fileno()).st_size, 5)
    with open(here / "shared", "ab") as file:
        file.write(b"-end")
    equal((there / "shared").read_bytes(), b"0123X-end")


@case
def a_removed_file_lives_while_it_is_open():
    with open(here / "brief", "w+b", buffering=0) as file:
        file.write(b"still")
        os.unlink(here / "brief")
        equal(os.path.exists(here / "brief"), False)
        file.write(b" here")
        file.seek(0)
        equal(file.read(), b"still here")
        equal(os.fstat(file.fileno()).st_size, 10)


@case
def many_names_are_listed_once():
    (there / "many").mkdir()
    names = {f"n{i:04}" for i in range(2500)}
    for name in names:
        (there / "many" / name).touch()
    listing = make("listing")
    equal(mount(target=f"{server.target}:{there}/many", directory=listing).returncode, 0)
    listed = os.listdir(listing)
    equal((len(listed), set(listed) == names), (2500, True))
    with os.scandir(listing) as entries:
        for entry in entries:
            os.unlink(entry.path)
    equal(os.listdir(there / "many"), [])
    equal(umount(listing).returncode, 0)


@case
def random_work_has_the_same_result():
    """The same thousands of operations on a file here and on a local one."""
    seed = random.randrange(1 << 32)
    rng = random.Random(seed)
    local = home.path / "reference"
    with open(local, "w+b", buffering=0) as one, open(here / "random", "w+b",
                                                      buffering=0) as two:
        for step in range(3000):
            kind = rng.randrange(10)
            at, size = rng.randrange(600_000), rng.choice((1, 100, 4096, 70_000, 300_000))
            if kind < 4:
                data = rng.randbytes(size)
                equal(os.pwrite(one.fileno(), data, at), os.pwrite(two.fileno(), data, at))
            elif kind < 8:
                equal(os.pread(one.fileno(), size, at) == os.pread(two.fileno(), size, at), True,
                      f"seed {seed}, step {step}, {size} bytes at {at}")
            elif kind == 8:
                for file in (one, two):
                    os.ftruncate(file.fileno(), at)
            else:
                equal(os.fstat(one.fileno()).st_size, os.fstat(two.fileno()).st_size,
                      f"seed {seed}, step {step}")
                os.fsync(two.fileno())
    equal((there / "random").read_bytes() == local.read_bytes(), True, f"seed {seed}")


@case
def many_work_at_once():
    errors = []

    def work(number):
        try:
            directory = here / f"worker{number}"
            directory.mkdir()
            for i in range(30):
                data = random.randbytes(i * 1000)
                (directory / f"{i}").write_bytes(data)
                if (directory / f"{i}").read_bytes() != data:
                    errors.append(f"{number}/{i} differs")
            shutil.rmtree(directory)
        except OSError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(errors, [])


@case
def the_servers_own_changes_come_through():
    done = mount("--cache 0", directory=make("fresh"))
    equal(done.returncode, 0, done.stderr)
    fresh = home.path / "fresh"
    (there / "log").write_text("one\n")
    equal((fresh / "log").read_text(), "one\n")
    with open(there / "log", "a", encoding="ascii") as file:
        file.write("two\n")
    equal((fresh / "log").read_text(), "one\ntwo\n")
    (there / "log").unlink()
    equal((fresh / "log").exists(), False)
    equal(umount(fresh).returncode, 0)


def make(name):
    directory = home.path / name
    directory.mkdir(exist_ok=True)
    return directory


@case
def read_only_means_it():
    ro = make("ro")
    equal(mount("--read-only", directory=ro).returncode, 0)
    try:
        (ro / "new").write_text("x")
    except OSError as error:
        equal(error.errno, errno.EROFS)
    else:
        raise AssertionError("it was written to")
    equal(umount(ro).returncode, 0)


@case
def a_lost_connection_comes_back():
    (here / "kept").write_bytes(b"k" * 500_000)
    with open(here / "kept", "rb", buffering=0) as reader, open(here / "written", "wb",
                                                               buffering=0) as writer:
        equal(reader.read(3), b"kkk")
        writer.write(b"before ")
        server.signal_sessions(signal.SIGKILL)
        writer.write(b"after")
        os.fsync(writer.fileno())
        reader.seek(400_000)
        equal(reader.read(3), b"kkk")
    equal((there / "written").read_bytes(), b"before after")
    entry = json.loads(home.run("-c", "sftp list --json").stdout)[0]
    equal((entry["state"], entry["lost_write_bytes"]), ("connected", 0))
    equal(entry["connections"] >= 2, True)


@case
def reads_under_way_outlive_their_connection():
    data = random.randbytes(32 << 20)
    (here / "apart").write_bytes(data)
    offsets = [i * (4 << 20) + 4096 for i in range(1, 8)] + [len(data) - 512]
    # Else the kernel would ask again for what did not come.
    fd = os.open(here / "apart", os.O_RDONLY | os.O_DIRECT)

    def read(at):
        with mmap.mmap(-1, 4096) as buffer:
            size = os.preadv(fd, [buffer], at)
            return buffer[:size]

    try:
        with concurrent.futures.ThreadPoolExecutor(len(offsets)) as pool:
            server.signal_sessions(signal.SIGSTOP)
            reads = [pool.submit(read, at) for at in offsets]
            wait_for(lambda: in_preadv2() == len(offsets), 60, "all to be asked for")
            server.signal_sessions(signal.SIGKILL)
            equal([read.result() == data[at:at + 4096] for at, read in zip(offsets, reads)],
                  [True] * len(offsets))
    finally:
        os.close(fd)
    (here / "apart").unlink()


def in_preadv2():
    """Threads of ours that wait in preadv2."""
    number = {"x86_64": "327", "aarch64": "286"}[os.uname().machine]
    calls = [task.joinpath("syscall").read_text() for task in Path("/proc/self/task").iterdir()]
    return sum(call.split()[0] == number for call in calls)


@case
def another_file_is_not_taken_for_the_same():
    (here / "swapped").write_bytes(b"a" * 300_000)
    with open(here / "swapped", "rb", buffering=0) as reader:
        reader.read(1)
        (there / "other").write_bytes(b"b" * 300_001)
        os.rename(there / "other", there / "swapped")
        server.signal_sessions(signal.SIGKILL)
        try:
            os.pread(reader.fileno(), 10, 290_000)
        except OSError as error:
            equal(error.errno, errno.ESTALE)
        else:
            # What the kernel had of it is as good as any.
            equal(os.pread(reader.fileno(), 10, 290_000), b"a" * 10)


@case
def a_frozen_server_is_not_waited_for_for_ever():
    slow = make("slow")
    equal(mount("--timeout 2 --cache 0", directory=slow).returncode, 0)
    equal((slow / "kept").stat().st_size, 500_000)
    server.process.send_signal(signal.SIGSTOP)
    server.signal_sessions(signal.SIGSTOP)
    try:
        try:
            os.stat(slow / "kept")
        except OSError as error:
            equal(error.errno in (errno.ETIMEDOUT, errno.EIO), True, errno.errorcode[error.errno])
        else:
            raise AssertionError("a frozen server answered")
        # Mounting it again does not ask that server what is there.
        done = mount(directory=slow)
        equal((done.stderr, done.returncode),
              (f"sftp mount: {server.target}:{there} is mounted there already: {slow}\n"
               f"hint: sftp umount {slow}\n", 4))
    finally:
        server.signal_sessions(signal.SIGCONT)
        server.process.send_signal(signal.SIGCONT)
    wait_for(lambda: answers(slow / "kept"), 120, "the mount to come back")
    equal(umount(slow).returncode, 0)


def answers(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


@case
def a_busy_mount_is_unmounted():
    busy = make("busy")
    equal(mount(directory=busy).returncode, 0)
    with open(busy / "kept", "rb", buffering=0) as file:
        done = umount(busy)
        equal((done.stdout, done.stderr, done.returncode),
              ("", f"warning: programs are busy in {busy}: they keep the files that they have "
               "open\n", 0))
        equal(os.path.ismount(busy), False)
        equal(file.read(3), b"kkk")
        entries = json.loads(home.run("-c", "sftp list --json").stdout)
        equal([e["state"] for e in entries if e["directory"] == str(busy)],
              ["unmounted, but busy"])
    wait_for(lambda: len(json.loads(home.run("-c", "sftp list --json").stdout)) == 1, 60,
             "its process to end")


@case
def what_is_mounted_again_where_one_is_busy_ends_alone():
    again, files = make("again"), []
    (there / "held").touch()
    try:
        for _ in range(4):
            equal(mount(directory=again).returncode, 0)
            # pylint: disable-next=consider-using-with
            files.append(open(again / "held", "rb", buffering=0))
            equal(umount(again).returncode, 0)
        equal(mount(directory=again).returncode, 0)
        entries = json.loads(home.run("-c", "sftp list --json").stdout)
        equal([e["state"] for e in entries if e["directory"] == str(again)],
              ["unmounted, but busy"] * 4 + ["connected"])
        done = home.run("-c", f"sftp umount --timeout 30 {again}")
        equal((done.stdout, done.stderr, done.returncode), ("", "", 0))
        equal(os.path.ismount(again), False)
    finally:
        for file in files:
            file.close()
    wait_for(lambda: len(json.loads(home.run("-c", "sftp list --json").stdout)) == 1, 60,
             "their processes to end")
    (there / "held").unlink()


@case
def a_killed_mount_is_cleaned_up():
    dead = make("dead")
    equal(mount(directory=dead).returncode, 0)
    equal(os.path.ismount(dead), True)
    for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = cmdline.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"/crosh-sftpfs") and str(dead).encode() in words:
            os.kill(int(cmdline.parent.name), signal.SIGKILL)
    wait_for(lambda: not answers(dead / "kept"), 60, "its process to end")
    # The kernel closes a dead process's files one after the other: its lock may be the last.
    wait_for(lambda: str(dead) not in [e["directory"] for e in json.loads(
        home.run("-c", "sftp list --json").stdout)], 60, "its lock")
    equal(os.listdir(dead), [])


@case
def a_list_leaves_a_starting_mount_alone():
    if shutil.which("strace") is None:
        raise Skip("strace is not installed")
    starting, mounts = make("starting"), home.runtime / "crosh" / "mounts"
    before = set(os.listdir(mounts))
    # It is slow to take its lock, and the list is read as soon as there is anything to see.
    with subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e",
                           "inject=flock:delay_enter=1000000", str(CROSH), "-c",
                           f"sftp mount {server.target}:{there} {starting}"], env=home.env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(lambda: process.poll() is not None or set(os.listdir(mounts)) - before, 60,
                     "its directory")
            home.run("-c", "sftp list")
            equal((process.communicate(timeout=60)[1], process.returncode), ("", 0))
        finally:
            process.kill()
    equal(str(starting) in [e["directory"] for e in json.loads(
        home.run("-c", "sftp list --json").stdout)], True)
    equal(umount(starting).returncode, 0)


@case
def root_needs_no_fusermount():
    if os.geteuid() != 0:
        raise Skip("root alone unmounts without it")
    alone = make("alone")
    equal(mount(directory=alone).returncode, 0)
    path, home.env["PATH"] = home.env["PATH"], str(home.path / "none")
    try:
        done = umount(alone)
    finally:
        home.env["PATH"] = path
    equal((done.stderr, done.returncode, os.path.ismount(alone)), ("", 0, False))


@case
def a_directory_that_was_made_for_it_goes_with_it():
    made, target = home.path / "crosh" / f"{server.user}@127.0.0.1", f"{server.target}:{there}"
    equal(home.run("-c", f"sftp mount {target}").returncode, 0)
    equal((os.path.ismount(made), umount(made).returncode, made.exists()), (True, 0, False))
    # One that was there stays, and so does what was put into one meanwhile.
    made.mkdir()
    equal(home.run("-c", f"sftp mount {target}").returncode, 0)
    equal((umount(made).returncode, made.exists()), (0, True))
    made.rmdir()
    equal(home.run("-c", f"sftp mount {target}").returncode, 0)
    equal((mount(directory=made, target=f"{server.target}:/").returncode, os.path.ismount(made)),
          (4, True))
    equal((umount(made).returncode, made.exists()), (0, False))


@case
def errors_say_what_to_do():
    done = mount()
    equal((done.stderr, done.returncode),
          (f"sftp mount: {server.target}:{there} is mounted there already: {here}\n"
           f"hint: sftp umount {here}\n", 4))
    done = home.run("-c", f"sftp umount {home.path}/none")
    equal((done.stderr, done.returncode),
          (f"sftp umount: {home.path}/none is not mounted\nhint: see what is: sftp list\n", 3))
    done = mount(target=f"{server.target}:/none", directory=make("none"))
    equal((done.stderr, done.returncode),
          (f"sftp mount: {server.user}@127.0.0.1:/none: No such file or directory\n", 3))
    done = home.run("-c", "sftp ls '@'")
    equal(done.returncode, 2)


@case
def strangers_are_refused():
    known = server.ssh / "known_hosts"
    text = known.read_text()
    known.write_text("")
    done = home.run("-c", f"sftp ls {server.target}")
    equal((done.stdout, done.stderr, done.returncode),
          ("", f"sftp ls: {server.user}@127.0.0.1: 127.0.0.1 is not in known_hosts: it shows "
           f"{server.fingerprint()}\nhint: if its owner says that this is its key, make it known: "
           f"ssh -p {server.port} {server.user}@127.0.0.1\n", 5))
    known.write_text(text)
    server.stop()
    server.new_host_key()
    server.start()
    done = home.run("-c", f"sftp ls {server.target}")
    contains(done.stderr, f"the key of 127.0.0.1 is not the one in known_hosts: it shows "
                          f"{server.fingerprint()}")
    equal((done.stdout, done.returncode), ("", 5))
    server.know()
    key = (server.ssh / "id_ed25519").rename(server.ssh / "hidden")
    done = home.run("-c", f"sftp ls {server.target}")
    key.rename(server.ssh / "id_ed25519")
    equal((done.stderr, done.returncode),
          (f"sftp ls: {server.user}@127.0.0.1: 127.0.0.1 lets nobody in with what was offered\n"
           f"hint: it takes: keys; try: ssh -p {server.port} {server.user}@127.0.0.1\n", 5))


@case
def listings():
    (there / "list" / "sub").mkdir(parents=True)
    (there / "list" / "a\x1b[31m").write_text("abc")
    done = home.run("-c", f"sftp ls {server.target}:{there}/list")
    equal((done.stdout, done.returncode), ("a?[31m\nsub/\n", 0))
    entries = json.loads(home.run("-c", f"sftp ls --json {server.target}:{there}/list").stdout)
    equal([(e["name"], e["size"] if e["name"] != "sub" else 0) for e in entries],
          [("a?[31m", 3), ("sub", 0)])
    done = home.run("-c", f"sftp ls -l {server.target}:{there}/list")
    equal(done.stdout.splitlines()[1].split()[0], "-rw-r--r--")


@case
def a_long_file_far_away_goes_by_two_connections():
    far = FarAway(server.port, 0.005)
    server.know_at(far.port)
    directory = make("far")
    data = random.randbytes(1 << 20)
    try:
        equal(mount(target=f"{server.user}@127.0.0.1:{far.port}:{there}",
                    directory=directory).returncode, 0)
        with open(directory / "long", "w+b", buffering=0) as file:
            wanted = hashlib.sha256()

            def write(count):
                for _ in range(count):
                    piece = data[(at := random.randrange(1 << 19)):] + data[:at]
                    file.write(piece)
                    wanted.update(piece)

            def write_until(condition, what):
                for _ in range(2000):
                    write(1)
                    if condition():
                        return
                raise AssertionError(f"written in vain for {what}")

            write_until(lambda: sum(taken > 2 << 20 for taken in far.taken) == 2,
                        "another connection to be used")
            write(40)
            # Bytes that are written twice are in the end those that were written last.
            with open(directory / "twice", "wb", buffering=0) as twice:
                twice.write(data * 8)
                for at in range(0, 8 << 20, 1 << 20):
                    os.pwrite(twice.fileno(), data[::-1], at)
                    os.pwrite(twice.fileno(), b"last", at + 1000)
            piece = bytearray(data[::-1])
            piece[1000:1004] = b"last"
            equal((there / "twice").read_bytes() == bytes(piece) * 8, True)
            # What it has taken and not confirmed goes the other way, and so does the rest.
            far.cut(1)
            write(20)
            os.utime(file.fileno(), (1_000_000_000, 1_100_000_000))
        equal((there / "long").stat().st_mtime, 1_100_000_000)
        equal(hashlib.sha256((there / "long").read_bytes()).hexdigest(), wanted.hexdigest())
    finally:
        umount(directory)
        far.close()
    for name in ("long", "twice"):
        (there / name).unlink()


@case
def what_is_read_in_order_is_read_before():
    """Files that are opened one after the other, while they change here and at the server."""
    (here / "row").mkdir()
    for i in range(60):
        (here / "row" / f"f{i:02}").write_bytes(f"{i} ".encode() * i)
    for i in range(60):
        path = here / "row" / f"f{i:02}"
        equal(path.read_bytes(), f"{i} ".encode() * i, path.name)
        if i == 20:
            (here / "row" / "f21").write_bytes(b"20 " * 20)
            (here / "row" / "f22").unlink()
            (here / "row" / "f23").rename(here / "row" / "f22")
            os.truncate(here / "row" / "f24", 0)
            for k, content in ((21, b"20 " * 20), (22, b"23 " * 23), (24, b"")):
                equal((here / "row" / f"f{k}").read_bytes(), content)
            equal((here / "row" / "f23").exists(), False)
            (here / "row" / "f22").rename(here / "row" / "f23")
            for k in (21, 22, 24):
                (here / "row" / f"f{k}").write_bytes(f"{k} ".encode() * k)
    shutil.rmtree(here / "row")


@case
def what_nobody_may_run_is_told():
    for name, mode in (("plain", 0o644), ("program", 0o755)):
        (here / name).write_text("#!/bin/sh\n")
        (here / name).chmod(mode)
    equal([os.access(here / name, os.X_OK) for name in ("plain", "program")], [False, True])
    equal([os.access(here / name, os.R_OK | os.W_OK) for name in ("plain", "program")],
          [True, True])


@case
def another_namespaces_copy_does_not_keep_it():
    directory = make("copied")
    equal(mount(directory=directory).returncode, 0)
    # A container that starts has all mounts of its host, and does not follow what happens to them.
    with subprocess.Popen(["unshare", "-rm", "--propagation", "private", "sh", "-c",
                           "echo; exec sleep 300"], stdout=subprocess.PIPE) as other:
        try:
            other.stdout.readline()
            done = umount(directory)
            equal((done.stderr, done.returncode), ("", 0))
            equal([e["directory"] for e in json.loads(home.run("-c", "sftp list --json").stdout)],
                  [str(here)])
        finally:
            other.kill()


@case
def nothing_is_left():
    equal(umount().returncode, 0)
    equal(os.listdir(here), [])
    equal(list((home.runtime / "crosh" / "mounts").iterdir()), [])


main(set_up, tear_down)
