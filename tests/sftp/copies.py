# SPDX-License-Identifier: MIT
"""sftp get, put and sync with a real sshd on the loopback: contents, interruptions, reports."""

import hashlib
import json
import os
import signal
import stat
import subprocess
from pathlib import Path

from harness import CROSH, case, contains, equal, main, wait_for
from server import SUBSYSTEM, end, errors_of, two_ends

home = server = None
there = here = None  # directories of the server, and of the client
MIB = 1 << 20


def set_up():
    global home, server, there, here
    home, server, there, here = two_ends()


def tear_down():
    end(home, server)


def sftp(*words, **options):
    return home.run("-c", "sftp " + " ".join(map(str, words)), **options)


def ok(*words):
    done = sftp(*words)
    equal((done.returncode, errors_of(done)), (0, []), " ".join(map(str, words)))
    return done


def fresh(*names):
    """New directories, one at either end for each name."""
    made = []
    for name in names:
        for side in (there, here):
            (side / name).mkdir()
            made.append(side / name)
    return made


def tree(path):
    """Names, kinds, modes, times and contents below it."""
    found = {}
    for directory, names, files in os.walk(path):
        for name in names + files:
            full = Path(directory) / name
            status = full.lstat()
            found[str(full.relative_to(path))] = (
                stat.filemode(status.st_mode),
                None if full.is_symlink() else int(status.st_mtime),
                os.readlink(full) if full.is_symlink() else
                hashlib.sha256(full.read_bytes()).hexdigest() if full.is_file() else "")
    return found


def make_tree(path):
    path.mkdir(exist_ok=True)
    (path / "empty").mkdir()
    (path / "sub" / "deep").mkdir(parents=True)
    for i in range(60):
        (path / "sub" / f"small{i}").write_bytes(os.urandom(i * 97))
    (path / "sub" / "deep" / "large").write_bytes(os.urandom(3 * MIB + 17))
    (path / "nothing").write_bytes(b"")
    (path / "ünï \n name").write_text("odd")
    (path / "link").symlink_to("sub/small1")
    (path / "dangling").symlink_to("/nowhere/at/all")
    (path / "run").write_text("#!/bin/sh\n")
    (path / "run").chmod(0o755)
    (path / "sub" / "deep" / "large").chmod(0o400)
    for full in [*path.rglob("*"), path]:
        os.utime(full, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    (path / "sub").chmod(0o555)


def at(path):
    return f"{server.target}:{path}"


@case
def a_file_goes_and_comes():
    data = os.urandom(5 * MIB + 3)
    (here / "file").write_bytes(data)
    (here / "file").chmod(0o640)
    os.utime(here / "file", (1_500_000_000, 1_500_000_000))
    done = ok("put", here / "file", at(there / "other"))
    equal((there / "other").read_bytes() == data, True)
    contains(done.stderr, "copying: 5.0 MiB in ")
    ok("get --verify", at(there / "other"), here)
    for path in (there / "other", here / "other"):
        status = path.stat()
        equal((path.read_bytes() == data, stat.S_IMODE(status.st_mode), int(status.st_mtime)),
              (True, 0o640, 1_500_000_000), str(path))
    # A relative path begins in the home directory, which is that of who runs sshd.
    equal(sorted(os.listdir(here)), ["file", "other"])
    equal(sorted(os.listdir(there)), ["other"])


@case
def trees_are_the_same_at_the_other_end():
    make_tree(here / "tree")
    ok("put", here / "tree", at(there))
    equal(tree(there / "tree"), tree(here / "tree"))
    ok("get --verify", at(there / "tree"), here / "back")
    equal(tree(here / "back"), tree(here / "tree"))
    # What ends in "/." is its contents.
    (here / "in").mkdir()
    ok("get", at(f"{there}/tree/."), here / "in")
    equal(tree(here / "in"), tree(here / "tree"))
    # Again, over what is there: a directory that may not be written to is root's to write.
    if os.geteuid() != 0:
        (there / "tree" / "sub").chmod(0o755)
    ok("put --verify", here / "tree", at(there))
    equal(tree(there / "tree"), tree(here / "tree"))


@case
def holes_stay_holes():
    with open(here / "sparse", "wb") as file:
        file.truncate(40 * MIB)
        file.seek(20 * MIB)
        file.write(b"x" * 5000)
    ok("put", here / "sparse", at(there))
    ok("get", at(there / "sparse"), here / "sparse2")
    for path in (there / "sparse", here / "sparse2"):
        equal(path.read_bytes() == (here / "sparse").read_bytes(), True)
        equal(path.stat().st_blocks * 512 < MIB, True, str(path))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def interrupt(words, part, how):
    """Runs a copy, and ends it by how(process) when some of the part file is there."""
    # pylint: disable=consider-using-with
    process = subprocess.Popen([str(CROSH), "-c", "sftp " + " ".join(map(str, words))],
                               env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    wait_for(lambda: process.poll() is not None or
             (part.exists() and part.stat().st_blocks * 512 > 8 * MIB), 120, "the part to grow")
    equal(process.poll(), None, "the copy was too fast")
    server.signal_sessions(signal.SIGSTOP)
    how(process)
    error = process.communicate(timeout=120)[1]
    return process.returncode, error


def large(path):
    """So much that no machine copies it before it is stopped."""
    block = os.urandom(MIB)
    with open(path, "wb") as file:
        for i in range(300):
            file.write(i.to_bytes(8, "big") + block[8:])


@case
def a_cut_copy_goes_on():
    large(there / "big")
    part = here / ".big.crosh-part"
    status, error = interrupt(["get", at(there / "big"), here], part,
                              lambda process: server.signal_sessions(signal.SIGKILL))
    equal((status, error), (123, f"sftp get: the connection to {server.user}@127.0.0.1 is lost\n"
                            "hint: the same command goes on where this one has stopped\n"))
    equal(os.path.exists(here / "big"), False)
    kept = part.stat()
    equal(kept.st_size > 8 * MIB, True)
    done = ok("get", at(there / "big"), here)
    equal((here / "big").stat().st_ino, kept.st_ino)  # the same file, gone on with
    equal(digest(here / "big"), digest(there / "big"))
    equal(part.exists(), False)
    del done
    (here / "big").unlink()


@case
def a_killed_copy_goes_on():
    part = here / ".big.crosh-part"
    interrupt(["get", at(there / "big"), here], part, lambda process: process.kill())
    server.signal_sessions(signal.SIGKILL)
    inode = part.stat().st_ino
    ok("get", at(there / "big"), here)
    equal((here / "big").stat().st_ino, inode)
    equal(digest(here / "big"), digest(there / "big"))


@case
def a_part_that_is_none_is_not_gone_on_with():
    (here / "big").unlink()
    part = here / ".big.crosh-part"
    data = bytearray((there / "big").read_bytes()[:30 * MIB])
    data[11 * MIB] ^= 1
    part.write_bytes(data)
    ok("get", at(there / "big"), here)
    equal(digest(here / "big"), digest(there / "big"))
    # Nor is a link of that name followed.
    (here / "victim").write_text("precious")
    (here / "big").unlink()
    part.symlink_to(here / "victim")
    ok("get", at(there / "big"), here)
    equal((here / "victim").read_text(), "precious")
    equal(digest(here / "big"), digest(there / "big"))


@case
def ctrl_c_leaves_a_part():
    (there / "big").rename(there / "big2")
    part = there / ".big.crosh-part"
    status, error = interrupt(["put", here / "big", at(there)], part,
                              lambda process: process.send_signal(signal.SIGINT))
    equal((status, error), (130, "sftp put: interrupted\n"
                            "hint: the same command goes on where this one has stopped\n"))
    server.signal_sessions(signal.SIGCONT)
    server.signal_sessions(signal.SIGKILL)
    inode = part.stat().st_ino
    equal((there / "big").exists(), False)
    ok("put --verify", here / "big", at(there))
    equal((there / "big").stat().st_ino, inode)
    equal(digest(there / "big"), digest(there / "big2"))
    equal([name for name in os.listdir(there) if name.startswith(".")], [])
    for path in (there / "big", there / "big2", here / "big"):
        path.unlink()


@case
def ctrl_c_ends_what_has_not_begun():
    (here / "file").write_text("")
    silent, asked = home.path / "silent", home.path / "asked"
    # It begins the protocol, and answers nothing that is asked then.
    silent.write_text("#!/bin/sh\nhead -c 9 >/dev/null\nprintf '\\0\\0\\0\\5\\2\\0\\0\\0\\3'\n"
                      f"head -c 1 >/dev/null\n: >'{asked}'\ncat >/dev/null\n")
    silent.chmod(0o755)
    server.stop()
    server.set_subsystem(silent)
    server.start()
    try:
        for words in (("get", at("file"), here), ("get", at("/file"), here),
                      ("put", here / "file", at("file")), ("put", here / "file", at("/file")),
                      ("sync", at("/file"), here / "none")):
            # pylint: disable=consider-using-with
            process = subprocess.Popen(
                [str(CROSH), "-c", "sftp " + " ".join(map(str, (*words, "--timeout", 3600)))],
                env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, text=True)
            try:
                wait_for(lambda: asked.exists() or process.poll() is not None, 60, "a question")
                process.send_signal(signal.SIGINT)
                equal((process.communicate(timeout=60)[1], process.returncode),
                      (f"sftp {words[0]}: interrupted\n", 130), words)
            finally:
                process.kill()
                process.wait()
            asked.unlink()
    finally:
        server.stop()
        server.set_subsystem(SUBSYSTEM)
        server.start()


@case
def what_cannot_be_copied_is_told():
    one, two = fresh("left")
    os.mkfifo(one / "fifo")
    (one / "good").write_text("good")
    done = sftp("get", at(f"{one}/."), two)
    equal((done.returncode, done.stderr.splitlines()[1:]),
          (1, [f"warning: {one}/./fifo: neither a file nor a directory"]))
    equal(os.listdir(two), ["good"])
    done = sftp("get", at(one / "none"), two)
    equal((done.returncode, done.stderr),
          (3, f"sftp get: {one}/none: No such file or directory\n"))
    done = sftp("get", at(one / "good"), two / "none" / "x")
    equal((done.returncode, done.stderr.splitlines()[0]),
          (3, f"sftp get: cannot open '{two}/none/': No such file or directory"))
    done = sftp("put", two / "none", at(one))
    equal((done.returncode, done.stderr), (3, f"sftp put: {two}/none: No such file or directory\n"))
    done = sftp("put", two / "good", at("/proc/none"))
    equal((done.returncode, done.stderr),
          (3, f"sftp put: {two}/good: cannot be made there: No such file or directory\n"))
    done = sftp("put", two / "good", "nowhere")
    equal((done.returncode, done.stderr.splitlines()[0]),
          (2, "sftp put: the last word must say where to: TARGET:[PATH]"))
    (two / "dir").mkdir()
    (one / "dir").write_text("a file")
    done = sftp("put", two / "dir", at(one))
    equal((done.returncode, done.stderr),
          (1, f"sftp put: {one}/dir is there already and is not a directory\n"))


@case
def a_full_disk_ends_it():
    if os.geteuid() != 0:
        return
    small = home.path / "small"
    small.mkdir()
    (there / "much").write_bytes(os.urandom(3 * MIB))
    script = (f"mount -t tmpfs -o size=1m none {small} && "
              f"{CROSH} -c 'sftp get {at(there / 'much')} {small}'; echo $?; ls -A {small}")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], env=home.env, text=True,
                          capture_output=True, timeout=120, check=False)
    equal((done.stdout, done.stderr), ("1\n", f"sftp get: {there}/much: No space left on device\n"))


def sync(*words):
    done = ok("sync", *words)
    return json.loads(done.stdout) if "--json" in words[0] else done.stdout


def counts(**given):
    return {"dry_run": False, "copied": 0, "bytes": 0, "made": 0, "deleted": 0, "unchanged": 0,
            "left_out": 0, **given}


@case
def sync_does_what_is_needed():
    one, two = there / "s1", here / "s1"
    make_tree(one)
    files = 60 + 1 + 1 + 1 + 1 + 2  # small, large, nothing, odd, run; links
    size = sum(full.lstat().st_size for full in one.rglob("*")
               if full.is_file() and not full.is_symlink())
    equal(sync("--json --dry-run", at(one), two),
          counts(dry_run=True, copied=files, bytes=size, made=3))
    equal(two.exists(), False)
    equal(sync("--json", at(one), two), counts(copied=files, bytes=size, made=3))
    equal(tree(two), tree(one))
    equal(sync("--json", at(one), two), counts(unchanged=files))
    # One changed, one new, one gone, one of another kind.
    (one / "sub").chmod(0o755)
    (one / "nothing").write_text("some")
    (one / "new").write_text("new")
    (one / "run").unlink()
    (one / "sub" / "small5").unlink()
    (one / "sub" / "small5").mkdir()
    (one / "sub" / "small5" / "inner").write_text("inner")
    done = sftp("sync --json", at(one), two)
    equal((done.returncode, json.loads(done.stdout)),
          (1, counts(copied=2, bytes=7, unchanged=files - 3, left_out=1)))
    contains(done.stderr, f"warning: {one}/sub/small5: 'small5' is there already and is not a "
             "directory")
    lines = sync("--delete -n", at(one), two)
    equal(lines, f"delete {one}/run\ndelete {one}/sub/small5\nmake {one}/sub/small5\n"
          f"copy {one}/sub/small5/inner\nwould be: 1 copied (5 bytes), 1 directories made, "
          f"2 deleted, {files - 1} unchanged, 0 left out\n")
    equal(sync("--delete --json", at(one), two),
          counts(copied=1, bytes=5, made=1, deleted=2, unchanged=files - 1))
    equal(tree(two), tree(one))


@case
def sync_goes_the_other_way():
    one, two = here / "s2", there / "s2"
    make_tree(one)
    files = 66
    equal(sync("--json", one, at(two))["copied"], files)
    equal(tree(two), tree(one))
    equal(sync("--json", one, at(two)), counts(unchanged=files))
    (one / "sub").chmod(0o755)
    (two / "sub").chmod(0o755)
    (two / "sub" / "extra").mkdir()
    (two / "sub" / "extra" / "file").write_text("x")
    (two / "more").symlink_to("/")
    (two / "link").unlink()
    (two / "link").symlink_to("elsewhere")
    equal(sync("--json --delete --dry-run", one, at(two)),
          counts(dry_run=True, copied=1, deleted=3, unchanged=files - 1))
    equal(sync("--json --delete", one, at(two)),
          counts(copied=1, deleted=3, unchanged=files - 1))
    equal(tree(two), tree(one))
    # The same size and time, other contents: only --checksum finds it.
    (two / "run").write_text("#!/bin/XX\n")
    os.utime(two / "run", (1_600_000_000, 1_600_000_000))
    equal(sync("--json", one, at(two)), counts(unchanged=files))
    equal(sync("--json --checksum", one, at(two)),
          counts(copied=1, bytes=10, unchanged=files - 1))
    # And with the same contents and another time nothing is copied.
    os.utime(two / "run", (1_500_000_000, 1_500_000_000))
    equal(sync("--json --checksum", one, at(two)), counts(unchanged=files))
    equal(tree(two), tree(one))


@case
def times_that_the_protocol_has_not_are_the_nearest():
    """And are the same at the next time, too."""
    near = fresh("old")[1]
    (near / "before").write_text("1969")
    (near / "after").write_text("2107")
    os.utime(near / "before", (-86_400, -86_400))
    os.utime(near / "after", (1 << 32, 1 << 32))
    equal(sync("--json", near, at(there / "old")), counts(copied=2, bytes=8))
    equal([(there / "old" / name).stat().st_mtime for name in ("before", "after")],
          [0, (1 << 32) - 1])
    equal(sync("--json", near, at(there / "old")), counts(unchanged=2))


@case
def sync_wants_one_server():
    done = sftp("sync", here, there)
    equal((done.returncode, done.stderr),
          (2, "sftp sync: neither is at a server\nhint: write TARGET:[PATH] for one of them\n"))
    (there / "single").write_text("x")
    done = sftp("sync", at(there / "single"), here / "x")
    equal((done.returncode, done.stderr), (1, f"sftp sync: {there}/single is not a directory\n"))


main(set_up, tear_down)
