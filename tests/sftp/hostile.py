# SPDX-License-Identifier: MIT
"""A server that wants to write elsewhere than where its files were asked to."""

import os
import stat
from pathlib import Path

from harness import Home, case, contains, equal, main
from server import Server

home = server = None
victim = here = None


def set_up():
    global home, server, victim, here
    script = Path(os.environ["top_srcdir"]) / "tests" / "sftp" / "hostile-server.py"
    home = Home()
    victim, here = home.path / "victim", home.path / "here"
    victim.mkdir()
    here.mkdir()
    server = Server(home, f"/usr/bin/env VICTIM={victim} /usr/bin/python3 {script}")


def tear_down():
    if server is not None:
        server.stop()
    if home is not None:
        home.close()


@case
def nothing_is_written_elsewhere():
    before = sorted(os.listdir(home.path))
    target = here / "evil"
    done = home.run("-c", f"sftp get {server.target}:/evil {here}")
    equal(done.returncode, 1)
    equal(sorted(os.listdir(home.path)), before)
    equal(os.listdir(victim), [])
    equal(os.listdir(here), ["evil"])
    names = set(os.listdir(target))
    equal(names - {"out"}, {"good", "red\x1b[31m", "suid"})
    equal((target / "good").read_bytes(), b"harm!\n")
    equal(stat.S_IMODE((target / "suid").stat().st_mode), 0o644)
    # The name was a link and a directory: whichever it became, the file is not where the link goes.
    if "out" in names and not (target / "out").is_symlink():
        equal(os.listdir(target / "out"), ["inner"])
    for line in ("warning: /evil: has names that cannot be names here",
                 "warning: /evil/short: became shorter while it was read",
                 "warning: /evil/long: Bad message", "warning: /evil/bad-link: Bad message"):
        contains(done.stderr.splitlines(), line)
    equal("\x1b" in done.stderr, False)


@case
def links_that_are_there_are_not_followed():
    place = home.path / "place"
    (place / "evil").mkdir(parents=True)
    (place / "evil" / "out").symlink_to(victim)
    (place / "evil" / ".good.crosh-part").symlink_to(victim / "through")
    done = home.run("-c", f"sftp get {server.target}:/evil {place}")
    equal(done.returncode, 1)
    contains(done.stderr, "'out' is there already and is not a directory")
    equal(os.listdir(victim), [])
    equal((place / "evil" / "good").read_bytes(), b"harm!\n")


@case
def a_sync_removes_nothing_elsewhere():
    (victim / "precious").write_text("kept")
    target = home.path / "synced"
    target.mkdir()
    (target / "good").symlink_to(victim)
    (target / "extra").symlink_to(victim)
    (target / "inner").mkdir()
    (target / "inner" / "through").symlink_to(victim)
    done = home.run("-c", f"sftp sync --delete {server.target}:/evil {target}")
    equal(done.returncode, 1)
    equal((victim / "precious").read_text(), "kept")
    equal(os.listdir(victim), ["precious"])
    equal((target / "good").is_symlink(), False)
    equal("extra" in os.listdir(target) or "inner" in os.listdir(target), False)


@case
def a_listing_shows_none_of_it():
    done = home.run("-c", f"sftp ls {server.target}:/evil")
    equal(done.returncode, 0)
    equal(sorted(set(done.stdout.splitlines())),
          ["bad-link", "good", "long", "out", "out/", "red?[31m", "short", "suid"])


main(set_up, tear_down)
