#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Containers from image servers of the simplestreams kind, and interruptions of their making."""

import json
import signal
import subprocess

from harness import CROSH, Home, case, contains, equal, main, wait_for
from launcher import Launcher
from lxdhost import Lxd, tiny_image
from simplestreams import Server, Tree

home = Home()
lxd = None
launcher = None
server = None
files = {}


def set_up():
    """One LXD and one server for all cases."""
    global lxd, launcher, server  # pylint: disable=global-statement
    lxd = Lxd()
    launcher = Launcher(home, "alpha", around=lxd.around)
    tree = Tree(home.path / "tree")
    for release in ("one", "two", "slow"):
        (home.path / release).mkdir()
        files[release] = tiny_image(home.path / release, release=release)
    tree.add("tiny", "one", *files["one"])
    tree.add("tiny", "two", *files["two"])
    tree.add("tiny", "slow", *files["slow"], stall=True)
    server = Server(tree, home.path, lxd.around)


def tear_down():
    """Ends them."""
    for what in (server, launcher, lxd):
        if what is not None:
            what.close()
    home.close()


def crosh(*words, status=0, **options):
    """Runs one command; what it printed, after its status was looked at."""
    done = home.run("--", *words, **options)
    equal(done.returncode, status, f"status of {' '.join(words)}: {done.stderr}")
    return done.stdout


def states():
    """{name: state} by vmc container list."""
    return {item["name"]: item["state"]
            for item in json.loads(crosh("vmc", "container", "list", "--json", "alpha"))}


def create(name, image, *more, certificate=True, **options):
    """vmc container from the server."""
    trust = ("--certificate", str(server.certificate)) if certificate else ()
    return home.run("--", "vmc", "container", "alpha", name, server.url, image, *trust, *more,
                    **options)


def release_in(name):
    """What the container was made from."""
    return crosh("vsh", "alpha", name, "--", "sh", "-c", ". /etc/os-release; echo $VERSION_ID")


@case
def straight_from_a_server():
    """vmc container VM CT SERVER ALIAS."""
    done = create("c1", "tiny/two")
    equal((done.returncode, done.stdout), (0, ""), done.stderr)
    equal(release_in("c1"), "two\n")
    equal(states(), {"c1": "running"})
    contains("\n".join(server.asked_for()), "/streams/v1/index.json\n")
    done = create("c2", "tiny/one")
    equal(done.returncode, 0, done.stderr)
    equal(release_in("c2"), "one\n")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c1", "c2")


@case
def what_the_server_has_not():
    """No such image, no such server, a certificate that is not trusted: errors, and nothing left."""
    done = create("c1", "tiny/three")
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, "vmc container: container c1 cannot be made: LXD says: ")
    done = create("c1", "tiny/slow", certificate=False)
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, "certificate")
    done = home.run("--", "vmc", "container", "alpha", "c1", "https://127.0.0.1:9", "tiny/one")
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, "connection refused")
    equal(states(), {})


@case
def interrupted():
    """Ctrl-C ends a download in the VM; the same command begins anew."""
    command = subprocess.Popen([CROSH, "-c", f"vmc container alpha c4 {server.url} tiny/slow "
                                f"--certificate {server.certificate}"], env=home.env,
                               stderr=subprocess.PIPE, text=True)
    wait_for(lambda: making("c4"), 60, "LXD to be at it")
    command.send_signal(signal.SIGINT)
    text = command.communicate(timeout=120)[1]
    equal(command.returncode, 130, text)
    contains(text, "interrupted: ")
    contains(text, "container c4")
    done = create("c4", "tiny/one", "--timeout", "60")
    equal(done.returncode, 0, text + done.stderr)


def making(name):
    """Whether LXD works on that container."""
    found = json.loads(lxd.run("lxc", "query", "/1.0/operations?recursion=1"))
    return f"crosh-new-{name}" in json.dumps(found.get("running", []))


@case
def timeout_is_no_failure():
    """A time-out says what goes on; the same command waits for it, and delete undoes it."""
    done = create("c3", "tiny/slow", "--timeout", "1")
    equal((done.returncode, done.stdout), (124, ""), done.stderr)
    contains(done.stderr, "container c3 is still being made; this command only stops waiting for it\n"
             "(watch: vmc container list alpha; the same command again waits on)\n")
    # No second download is begun by waiting once more.
    before = len([path for path in server.asked_for() if "stall" in path])
    done = create("c3", "tiny/slow", "--timeout", "1")
    equal(done.returncode, 124, done.stderr)
    equal(len([path for path in server.asked_for() if "stall" in path]), before)
    crosh("vmc", "container", "delete", "-y", "alpha", "c3")
    wait_for(lambda: not making("c3"), 60, "LXD to leave it")


@case
def the_vm_is_killed_meanwhile():
    """What was half made is gone afterwards, what was whole is there; the same command works."""
    global launcher, server  # pylint: disable=global-statement
    crosh("vmc", "container", "alpha", "whole", *map(str, files["one"]))
    crosh("vsh", "alpha", "whole", "--", "sh", "-c", "echo kept >/root/kept && sync")
    equal(create("c5", "tiny/slow", "--timeout", "1").returncode, 124)
    lxd.run("lxc", "init", "--empty", "crosh-new-c7")
    lxd.run("lxc", "init", "--empty", "crosh-news")
    launcher.close()
    lxd.kill()
    lxd.start()
    launcher = Launcher(home, "alpha", around=lxd.around, again=True)
    # What a VM's start does last clears up, and says nothing of it.
    equal(lxd.run("/usr/lib/crosh/lxd-ready"), "")
    equal(sorted(name.rsplit("/", 1)[1] for name in json.loads(lxd.run("lxc", "query", "/1.0/instances"))
                 if "crosh-new" in name), ["crosh-news"])
    lxd.run("lxc", "delete", "crosh-news")
    # LXD starts again what ran.
    wait_for(lambda: {name: state for name, state in states().items() if name in ("whole", "c5")} ==
             {"whole": "running"}, 120, "what was whole, alone and running")
    crosh("vmc", "container", "alpha", "whole")
    equal(crosh("vsh", "alpha", "whole", "--", "cat", "/root/kept"), "kept\n")
    crosh("vmc", "container", "alpha", "c5", *map(str, files["two"]))
    equal(release_in("c5"), "two\n")


@case
def killed_at_every_moment():
    """kill -9 of all of the VM during the making, at moments further and further on."""
    global launcher  # pylint: disable=global-statement
    for round_number in range(8):
        command = subprocess.Popen([CROSH, "--", "vmc", "container", "alpha", "c6",
                                    *map(str, files["two"])], env=home.env,
                                   stderr=subprocess.PIPE, text=True)
        try:
            command.wait(0.05 + 0.12 * round_number)
        except subprocess.TimeoutExpired:
            pass
        launcher.close()
        lxd.kill()
        command.communicate(timeout=120)
        lxd.start()
        launcher = Launcher(home, "alpha", around=lxd.around, again=True)
        # Whether or not the remains are cleared up at the start.
        if round_number % 2 == 0:
            equal(lxd.run("/usr/lib/crosh/lxd-ready"), "")
        crosh("vmc", "container", "alpha", "c6", *map(str, files["two"]))
        equal(release_in("c6"), "two\n")
        contains(crosh("vsh", "alpha", "c6", "--", "cat", "/etc/passwd"), ":1000:1000:")
        equal([name for name in json.loads(lxd.run("lxc", "query", "/1.0/instances"))
               if "crosh-new" in name], [])
        crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c6")


if __name__ == "__main__":
    main(set_up, tear_down)
