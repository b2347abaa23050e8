# SPDX-License-Identifier: MIT
"""sftp get and put of what changes meanwhile, tells no size, or may not have its mode and time."""

import hashlib
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from harness import CROSH, Skip, case, equal, main, wait_for
from server import SUBSYSTEM, end, errors_of, two_ends

home = server = None
there = here = None  # directories of the server, and of the client
MIB = 1 << 20
SCRIPT = Path(os.environ["top_srcdir"]).resolve() / "tests" / "sftp" / "hostile-server.py"
PROGRAM = "/usr/lib/openssh/sftp-server"
NO_SHELL = "ForceCommand internal-sftp\n"
CHANGED = "changed while it was read: the copy may have some of before and some of after that"


def set_up():
    global home, server, there, here
    home, server, there, here = two_ends()


def tear_down():
    end(home, server)


def serve(subsystem=SUBSYSTEM, more=""):
    """Has another one serve the files, and sshd have more settings."""
    plain = server.settings
    server.stop()
    server.settings = plain + more
    server.set_subsystem(subsystem)
    server.settings = plain
    server.start()


def sftp(*words, prefix=()):
    return subprocess.run([*prefix, str(CROSH), "-c", "sftp " + " ".join(map(str, words))],
                          env=home.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=300, check=False)


def ok(*words):
    done = sftp(*words)
    equal((done.returncode, errors_of(done)), (0, []), " ".join(map(str, words)))


def at(path):
    return f"{server.target}:{path}"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def large(path):
    """So much that no machine copies it before it is stopped."""
    block = os.urandom(MIB)
    with open(path, "wb") as file:
        for i in range(300):
            file.write(i.to_bytes(8, "big") + block[8:])


def stopped(words, part, how):
    """Runs a copy, and does how(process) when some of the part is there and nothing moves."""
    # pylint: disable=consider-using-with
    process = subprocess.Popen([str(CROSH), "-c", "sftp " + " ".join(map(str, words))],
                               env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: process.poll() is not None or
                 (part.exists() and part.stat().st_blocks * 512 > 40 * MIB), 120, "the part to grow")
        equal(process.poll(), None, "the copy was too fast")
        server.signal_sessions(signal.SIGSTOP)
        how(process)
        server.signal_sessions(signal.SIGCONT)
        error = process.communicate(timeout=120)[1]
    finally:
        process.kill()
        process.wait()
    return process.returncode, [line for line in error.splitlines() if "copying: " not in line]


@case
def what_tells_no_size_comes_to_its_end():
    for name in ("version", "filesystems"):
        ok("get", at(f"/proc/{name}"), here)
        equal((here / name).read_bytes() == Path(f"/proc/{name}").read_bytes(), True, name)
    serve(f"/usr/bin/env /usr/bin/python3 {SCRIPT}")
    try:
        ok("get", at("/unsized/large"), here)
    finally:
        serve()
    equal((here / "large").stat().st_size, 66 * MIB + 5)


@case
def what_tells_no_size_goes_to_its_end():
    for name in ("version", "filesystems"):
        ok("put", f"/proc/{name}", at(there / "from-proc"))
        equal((there / "from-proc").read_bytes() == Path(f"/proc/{name}").read_bytes(), True, name)
    (here / "nothing").write_text("")
    ok("put --verify", here / "nothing", at(there))
    equal((there / "nothing").read_bytes(), b"")


@case
def what_has_come_was_read_at_no_other_time():
    # The part has a mark instead.
    (there / "marked").write_bytes(os.urandom(2 * MIB))
    (here / "before").touch()
    ok("get", at(there / "marked"), here)
    (here / "after").touch()
    before, came, after = (os.stat(here / name).st_atime_ns for name in ("before", "marked", "after"))
    equal(before <= came <= after, True, (before, came, after))


@case
def what_changes_while_it_comes_is_told():
    def grow(_process):
        with open(there / "big", "ab") as file:
            file.write(b"more")

    large(there / "big")
    size = (there / "big").stat().st_size
    part = here / ".big.crosh-part"
    equal(stopped(["get", at(there / "big"), here], part, grow),
          (1, [f"warning: {there}/big: {CHANGED}"]))
    equal((here / "big").stat().st_size, size)
    # The next sync finds it different.
    equal(int((here / "big").stat().st_mtime) <= int((there / "big").stat().st_mtime), True)
    os.truncate(there / "big", size)
    (here / "big").unlink()
    equal(stopped(["get", at(there / "big"), here], part,
                  lambda process: os.truncate(there / "big", 50 * MIB)),
          (1, [f"sftp get: {there}/big: became shorter while it was read"]))
    equal((here / "big").exists(), False)
    part.unlink(missing_ok=True)


@case
def what_changes_while_it_goes_is_told():
    def overwrite(_process):
        with open(here / "big", "r+b") as file:
            file.write(b"other")

    (there / "big").unlink()
    large(here / "big")
    part = there / ".big.crosh-part"
    equal(stopped(["put", here / "big", at(there)], part, overwrite),
          (1, [f"warning: {here}/big: {CHANGED}"]))
    equal((there / "big").stat().st_size, 300 * MIB)
    (there / "big").unlink()
    equal(stopped(["put", here / "big", at(there)], part,
                  lambda process: os.truncate(here / "big", 50 * MIB)),
          (1, [f"sftp put: {here}/big: became shorter while it was read"]))
    equal((os.listdir(there).count("big"), part.exists()), (0, False))


def change_the_middle(path, when):
    """Other bytes where nobody looks, and another time, which may be an older one."""
    with open(path, "r+b") as file:
        file.seek(11 * MIB)
        file.write(os.urandom(1000))
    os.utime(path, (when, when))


@case
def without_a_shell_a_cut_copy_goes_on():
    """Only with what it is a part of, and not with another that was moved there."""
    serve(more=NO_SHELL)
    try:
        for source, target, command in ((there / "far", here / "far", "get"),
                                        (here / "near", there / "near", "put")):
            words = ([command, at(source), here] if command == "get" else
                     [command, source, at(there)])
            part = target.parent / f".{target.name}.crosh-part"
            large(source)
            os.utime(source, (1_500_000_000, 1_500_000_000))
            stopped(words, part, lambda process: process.kill())
            inode = part.stat().st_ino
            ok(*words)
            equal((target.stat().st_ino == inode, digest(target) == digest(source)), (True, True),
                  command)
            # Of the same size, older, and the same at its beginning and where it was cut.
            target.unlink()
            stopped(words, part, lambda process: process.kill())
            change_the_middle(source, 1_400_000_000)
            ok(*words)
            equal(digest(target) == digest(source), True, command)
            source.unlink()
            target.unlink()
    finally:
        serve()


UNKEPT = ("permissions or times could not be set as the sources have them: {} of them, first that of "
          "{}: {}")


@case
def the_mark_of_what_goes_costs_no_answer():
    if not Path(PROGRAM).exists():
        raise Skip("no sftp-server here")
    # What sets times alone gets there with what the client sends next.
    script = home.path / "holding.py"
    script.write_text(
        "import subprocess, struct, sys\n"
        f"pipe = subprocess.Popen([{PROGRAM!r}], stdin=subprocess.PIPE).stdin\n"
        "held = b''\n"
        "while head := sys.stdin.buffer.read(4):\n"
        "    body = sys.stdin.buffer.read(struct.unpack('>I', head)[0])\n"
        "    held += head + body\n"
        "    at = 9 + struct.unpack('>I', body[5:9])[0] if body[0] == 10 else 0\n"
        "    if at == 0 or body[at:at + 4] != b'\\0\\0\\0\\x08':\n"
        "        pipe.write(held)\n"
        "        pipe.flush()\n"
        "        held = b''\n")
    (here / "held").write_bytes(os.urandom(2 * MIB))
    serve(f"/usr/bin/env /usr/bin/python3 {script}")
    try:
        ok("put --timeout 5", here / "held", at(there))
    finally:
        serve()
    equal(digest(there / "held"), digest(here / "held"))


@case
def a_server_that_sets_no_modes_gets_the_files():
    if not Path(PROGRAM).exists():
        raise Skip("no sftp-server here")
    (here / "tree" / "sub").mkdir(parents=True)
    (here / "tree" / "one").write_text("one")
    (here / "tree" / "sub" / "two").write_text("two")
    os.utime(here / "tree" / "one", (1_500_000_000, 1_500_000_000))
    serve(f"{PROGRAM} -P setstat,fsetstat")
    try:
        done = sftp("put", here / "tree" / "one", at(there / "alone"))
        equal((done.returncode, errors_of(done)),
              (0, ["warning: " + UNKEPT.format(1, there / "alone", "Permission denied")]))
        done = sftp("put --verify", here / "tree", at(there))
        first = errors_of(done)[0].split("first that of ")[1].split(":")[0]
        equal((done.returncode, errors_of(done)),
              (0, ["warning: " + UNKEPT.format(4, first, "Permission denied")]))
    finally:
        serve()
    equal([(there / name).read_text() for name in ("alone", "tree/one", "tree/sub/two")],
          ["one", "one", "two"])
    equal([name for name in os.listdir(there) if name.startswith(".")], [])


@case
def a_directory_here_that_takes_no_modes_gets_the_files():
    if shutil.which("strace") is None:
        raise Skip("strace is not installed")
    (there / "modes").mkdir()
    (there / "modes" / "file").write_text("text")
    (there / "modes" / "file").chmod(0o604)
    os.utime(there / "modes" / "file", (1_500_000_000, 1_500_000_000))
    done = sftp("get", at(there / "modes"), here, prefix=(
        "strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fchmod", "-e",
        "inject=fchmod:error=EPERM"))
    first = errors_of(done)[0].split("first that of ")[1].split(":")[0]
    equal((done.returncode, errors_of(done)),
          (0, ["warning: " + UNKEPT.format(2, first, "Operation not permitted")]))
    status = (here / "modes" / "file").stat()
    equal(((here / "modes" / "file").read_text(), stat.S_IMODE(status.st_mode),
           int(status.st_mtime)), ("text", 0o600, 1_500_000_000))


@case
def ctrl_c_ends_a_check():
    """That of what is there already, which a server may take long for."""
    large(there / "long")
    part = here / ".long.crosh-part"
    stopped(["get", at(there / "long"), here], part, lambda process: process.kill())
    asked = home.path / "asked"
    commands = home.path / "commands"
    if not Path(PROGRAM).exists():
        raise Skip("no sftp-server here")
    commands.write_text("#!/bin/sh\ncase $SSH_ORIGINAL_COMMAND in *sha256sum*) echo crosh; head -n 2 "
                        f">/dev/null; : >'{asked}'; exec sleep 600;; esac\n"
                        f"exec {PROGRAM}\n")
    commands.chmod(0o755)
    serve(more=f"ForceCommand {commands}\n")
    try:
        # pylint: disable=consider-using-with
        process = subprocess.Popen(
            [str(CROSH), "-c", f"sftp get --timeout 3600 {at(there / 'long')} {here}"],
            env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True)
        try:
            wait_for(lambda: asked.exists() or process.poll() is not None, 60, "a question")
            process.send_signal(signal.SIGINT)
            equal((process.communicate(timeout=60)[1], process.returncode),
                  ("sftp get: interrupted\n"
                   "hint: the same command goes on where this one has stopped\n", 130))
        finally:
            process.kill()
            process.wait()
    finally:
        serve()


main(set_up, tear_down)
