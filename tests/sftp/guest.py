# SPDX-License-Identifier: MIT
"""The files of a guest, whose agent runs on this host: bare SFTP on a plain session."""

import json
import os
import shutil
import struct
import sys
from pathlib import Path

from harness import Home, Skip, case, contains, equal, main

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests", "agent"))
import wire  # noqa: E402 pylint: disable=wrong-import-position
from launcher import Launcher  # noqa: E402 pylint: disable=wrong-import-position

home = launcher = top = None


def set_up():
    global home, launcher, top
    if not Path("/usr/lib/openssh/sftp-server").exists():
        raise Skip("no sftp-server here")
    home = Home()
    top = home.path / "files"
    top.mkdir()
    launcher = Launcher(home, "alpha")


def tear_down():
    if launcher is not None:
        launcher.close()
        home.close()


def plain(argv, data):
    """Runs argv as a plain session; returns all that comes behind READY."""
    with wire.Session(launcher.ports[9001]) as session:
        session.send(wire.setup_request(argv) + wire.number(101, 1))
        size = struct.unpack("<I", session.exactly(4))[0]
        fields = dict(wire.parse(session.exactly(size)))
        if fields[1] != wire.READY:
            return fields
        equal(fields[103], 1, "is_plain")
        session.sock.sendall(data)
        session.sock.shutdown(1)
        out = b""
        while piece := session.sock.recv(65536):
            out += piece
        return out


@case
def a_plain_session_is_the_commands_own():
    data = bytes(range(256)) * 400  # less than the sockets hold
    equal(plain(["cat"], data) == data, True)
    equal(plain(["sh", "-c", "echo out; echo err >&2; exit 3"], b""), b"out\n")


@case
def one_that_cannot_start_says_why():
    fields = plain_of("nobody-here")
    equal(fields[1], wire.FAILED)
    contains(fields[2].decode(), "nobody-here")


def plain_of(user):
    with wire.Session(launcher.ports[9001]) as session:
        session.send(wire.setup_request(["true"], user=user) + wire.number(101, 1))
        size = struct.unpack("<I", session.exactly(4))[0]
        return dict(wire.parse(session.exactly(size)))


@case
def a_guests_files_are_listed():
    (top / "file").write_text("abc")
    done = home.run("-c", f"sftp ls --json alpha:{top}")
    equal((done.stderr, done.returncode), ("", 0))
    equal([(e["name"], e["size"]) for e in json.loads(done.stdout)], [("file", 3)])


@case
def a_guests_files_are_mounted():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    done = home.run("-c", f"sftp mount alpha:{top}")
    equal((done.stdout, done.stderr, done.returncode),
          (f"alpha:{top} is at {home.path}/crosh/alpha\n", "", 0))
    mounted = home.path / "crosh" / "alpha"
    data = os.urandom(2_000_000)
    (mounted / "copy").write_bytes(data)
    equal((top / "copy").read_bytes() == data, True)
    launcher.cut()
    equal((mounted / "copy").read_bytes() == data, True)
    equal(home.run("-c", f"sftp umount alpha:{top}").returncode, 0)
    equal(os.listdir(mounted), [])


@case
def what_is_not_there_is_said():
    done = home.run("-c", "sftp ls beta:/")
    contains(done.stderr, "beta")
    equal(done.returncode, 3)
    done = home.run("-c", "sftp ls alpha/none:/")
    contains(done.stderr, "sftp ls: alpha/none: ")
    equal(done.returncode, 1)


main(set_up, tear_down)
