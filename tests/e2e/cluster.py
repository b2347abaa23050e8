#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmc cluster with three VMs of the image termina, on the network that crosh-net gives them; one of
them is killed. That takes a quarter of an hour under emulation, and tests/lxd/cluster.py does the
same with three LXDs: ./check leaves it out.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

for directory in ("net", "lxd", "agent"):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / directory))

from harness import Home, case, contains, equal, main, termina_images, wait_for  # pylint: disable=C0413
from lxdhost import tiny_image  # pylint: disable=wrong-import-position
from world import enter  # pylint: disable=wrong-import-position

BOOT = 1200
NAMES = ("one", "two", "three")
home = None
image = None


def set_up():
    """Three VMs that know nothing of each other."""
    global home, image  # pylint: disable=global-statement
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    home = Home()
    home.env["CROSH_NETWORK"] = "nat"
    images = home.data / "crosh" / "images"
    images.mkdir(parents=True)
    (images / "termina").symlink_to(termina_images() / "termina")
    (home.path / "image").mkdir()
    image = tuple(map(str, tiny_image(home.path / "image")))
    for name in NAMES:
        start(name)


def tear_down():
    """Ends all."""
    if home is not None:
        home.close()


def crosh(*words):
    """Runs one command; what it printed, after its status was looked at."""
    began = time.monotonic()
    done = home.run("--", *words, timeout=BOOT)
    print(f"# {time.monotonic() - began:.1f} s: {' '.join(words)}", flush=True)
    equal(done.returncode, 0, f"status of {' '.join(words)}: {done.stderr}")
    return done.stdout


def start(name):
    """Starts a VM, with the patience that a loaded machine needs."""
    crosh("vmc", "start", "--no-shell", "--timeout", str(BOOT), "--memory", "768M", "--size", "4G",
          name)


def states(vm):
    """{member: state}."""
    return {item["name"]: item["state"]
            for item in json.loads(crosh("vmc", "cluster", "list", "--json", vm))}


def places(vm):
    """{container: (state, location)}."""
    return {item["name"]: (item["state"], item["location"])
            for item in json.loads(crosh("vmc", "container", "list", "--json", vm))}


def address_of(container):
    """A container's address, when it has one."""
    def look():
        return json.loads(crosh("vmc", "container", "info", "--json", "one", container))["addresses"]
    wait_for(lambda: [a for a in look() if ":" not in a], BOOT, "an address of " + container)
    return [a for a in look() if ":" not in a][0]


@case
def three_are_joined():
    crosh("vmc", "cluster", "create", "one")
    crosh("vmc", "cluster", "join", "two", "one")
    crosh("vmc", "cluster", "join", "three", "two")
    equal(states("three"), {"one": "online", "two": "online", "three": "online"})
    print(crosh("vmc", "cluster", "list", "one"), flush=True)


@case
def containers_of_two_members_reach_each_other_and_the_host():
    crosh("vmc", "container", "one", "c1", *image, "--timeout", str(BOOT), "--target", "one")
    crosh("vmc", "container", "one", "c3", *image, "--timeout", str(BOOT), "--target", "three")
    equal(places("two"), {"c1": ("running", "one"), "c3": ("running", "three")})
    contains(crosh("vsh", "one", "c1", "--", "ping", "-c", "1", "-W", "60", address_of("c3")),
             "1 packets received")
    contains(crosh("ping", "-c", "1", "-W", "60", "c3.three"), "1 received")
    print(crosh("vmc", "container", "list", "two"), crosh("vmc", "container", "top", "--once"),
          flush=True)


@case
def one_is_killed_and_comes_back():
    pid = int((home.runtime / "crosh" / "three" / "pid").read_text())
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: states("one")["three"] == "offline", BOOT, "the dead one to be missed")
    print(crosh("vmc", "cluster", "list", "two"), flush=True)
    crosh("vmc", "container", "two", "c2", *image, "--timeout", str(BOOT), "--target", "two")
    equal(places("one")["c2"], ("running", "two"))
    start("three")
    wait_for(lambda: set(states("one").values()) == {"online"}, BOOT, "all to be well")
    wait_for(lambda: places("two")["c3"] == ("running", "three"), BOOT, "its container to run")
    equal(crosh("vsh", "three", "c3", "--", "hostname"), "c3\n")


@case
def all_are_stopped_and_started():
    for name in NAMES:
        crosh("vmc", "stop", "--timeout", "600", name)
    for name in NAMES:
        start(name)
    wait_for(lambda: set(states("two").values()) == {"online"}, BOOT, "all to be well")
    wait_for(lambda: places("two") == {"c1": ("running", "one"), "c2": ("running", "two"),
                                       "c3": ("running", "three")}, BOOT, "all containers to run")


@case
def one_leaves():
    crosh("vmc", "container", "stop", "--force", "three", "c3")
    crosh("vmc", "container", "move", "--timeout", str(BOOT), "three", "c3", "one")
    crosh("vmc", "cluster", "leave", "three")
    equal(states("one"), {"one": "online", "two": "online"})
    crosh("vmc", "container", "three", "own", *image, "--timeout", str(BOOT))
    equal(places("three"), {"own": ("running", "")})


if __name__ == "__main__":
    if "CROSH_TEST_WORLD" not in os.environ:
        termina_images()  # while there is a way to the distribution's mirror
    enter()
    main(set_up, tear_down)
