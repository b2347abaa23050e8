#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cuts of the power: a real LXD on a data disk mounted as a VM's is, of which what had reached the
disk is all that there is afterwards. Nothing that was finished is lost, at whatever moment.

$CROSH_TEST_ROUNDS cuts at moments that $CROSH_TEST_SEED decides (default 4).
"""

import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import CROSH, Home, Skip, case, equal, main, wait_for
from launcher import Launcher
from lxdhost import TERMINA, Lxd, tiny_image

SEED = os.environ.get("CROSH_TEST_SEED") or str(time.time_ns())
home = Home()
disk = None
lxd = None
launcher = None
files = None


def shell(command):
    """One command of this host's, in the mount namespace of this test."""
    done = subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{command}: {done.stdout}")


class Disk:
    """A file that is a data disk, within a file system that copies files in an instant."""

    def __init__(self, path):
        self.path = path
        self.number = 0
        self.place = path / "data"
        self.place.mkdir()
        (path / "outer").mkdir()
        # As the image does it.
        text = (TERMINA / "data").read_text(encoding="utf-8")
        self.options = re.search(r"mount -t btrfs -o (\S+) ", text).group(1)
        try:
            shell(f"truncate -s 8G {path}/outer.img && mkfs.btrfs -q {path}/outer.img && "
                  f"mount -o loop {path}/outer.img {path}/outer")
        except AssertionError as reason:
            raise Skip("needs loop devices and btrfs") from reason
        shell(f"truncate -s 2G {self.file()} && mkfs.btrfs -q {self.file()}")
        self.mount()

    def file(self):
        """The file that is the disk now."""
        return self.path / "outer" / str(self.number)

    def mount(self):
        """Mounts it as it is in a VM."""
        shell(f"mount -o loop,{self.options} {self.file()} {self.place}")

    def unmount(self):
        """Once nobody uses it any more."""
        wait_for(lambda: subprocess.run(["umount", self.place], stderr=subprocess.DEVNULL,
                                        check=False).returncode == 0, 60, "the disk to be left")

    def cut(self, kill):
        """What is on the disk at this moment is what is mounted afterwards."""
        before = self.file()
        self.number += 1
        shell(f"cp --reflink=always {before} {self.file()}")
        kill()
        self.unmount()
        before.unlink()
        self.mount()

    def close(self):
        """Ends it."""
        self.unmount()
        shell(f"umount {self.path}/outer && rm -r {self.path}")


def set_up():
    """LXD with an image's files beside it."""
    global disk, lxd, launcher, files  # pylint: disable=global-statement
    print(f"# CROSH_TEST_SEED={SEED}", flush=True)
    disk = Disk(Path(tempfile.mkdtemp(prefix="crosh-cuts-")))
    lxd = Lxd(below=disk.place)
    launcher = Launcher(home, "alpha", around=lxd.around)
    (home.path / "image").mkdir()
    files = tiny_image(home.path / "image")


def tear_down():
    """Ends all."""
    if launcher is not None:
        launcher.close()
    if lxd is not None:
        lxd.close()
    if disk is not None:
        disk.close()
    home.close()


def crosh(*words, status=0, **options):
    """Runs one command; what it printed, after its status was looked at."""
    done = home.run("--", *map(str, words), timeout=300, **options)
    equal(done.returncode, status, f"{words}: {done.stderr}")
    return done.stdout


def cut():
    """A cut of the power and the next start."""
    global launcher  # pylint: disable=global-statement
    disk.cut(lxd.kill)
    launcher.close()
    lxd.start()
    equal(lxd.run("/usr/lib/crosh/lxd-ready"), "")
    launcher = Launcher(home, "alpha", around=lxd.around, again=True)


def listed():
    """{name: state} by vmc container list."""
    return {row["name"]: row["state"]
            for row in json.loads(crosh("vmc", "container", "list", "--json", "alpha"))}


def new_metadata(mark):
    """Metadata by which the same root is an image that LXD has not seen."""
    directory = home.path / mark
    directory.mkdir()
    (directory / "metadata.yaml").write_text("architecture: x86_64\ncreation_date: 1700000000\n"
                                             f"properties: {{description: {mark}}}\n")
    subprocess.run(["tar", "-C", directory, "-cJf", directory / "metadata.tar.xz", "metadata.yaml"],
                   check=True)
    return directory / "metadata.tar.xz"


def making(name, metadata):
    """The command that makes a container."""
    return ("vmc", "container", "--timeout", "200", "--user", "user", "alpha", name, files[0],
            metadata)


def check_made(name):
    """That it runs, with its user, and has its image's content."""
    wait_for(lambda: listed()[name] == "running", 120, f"{name} to run")
    equal(crosh("vsh", "--user", "user", "alpha", name, "--", "sh", "-c", "id -un; pwd"),
          "user\n/home/user\n")
    told = crosh("vsh", "alpha", name, "--", "sha256sum", "/bin/busybox")
    equal(told.split()[0], subprocess.run(["sha256sum", "/bin/busybox"], stdout=subprocess.PIPE,
                                          text=True, check=True).stdout.split()[0])


@case
def a_container_that_was_made_is_whole():
    crosh(*making("c1", new_metadata("one")))
    cut()
    equal(sorted(listed()), ["c1"])
    check_made("c1")


@case
def an_image_that_was_sent_is_whole():
    metadata = new_metadata("two")
    crosh(*making("c2", metadata))
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c2")
    cut()
    equal(sorted(listed()), ["c1"])
    (disk.place / "out").mkdir()
    for image in json.loads(lxd.run("lxc", "query", "/1.0/images")):
        lxd.run("lxc", "image", "export", image.rsplit("/", 1)[1], f"{disk.place}/out/image")
        equal((disk.place / "out/image.root").read_bytes() == files[0].read_bytes(), True, image)
    # The name that was deleted is free.
    crosh(*making("c2", metadata))
    check_made("c2")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c2")


@case
def what_was_imported_copied_and_kept_is_whole():
    crosh("vsh", "alpha", "c1", "--", "sh", "-c", "cd /root; for i in 1 2 3 4 5 6 7 8; do "
          "head -c 100000 /dev/urandom >$i; done; sha256sum ? >sums; sync")
    archive = home.path / "c1.tar.zst"
    crosh("vmc", "container", "export", "alpha", "c1", archive)
    crosh("vmc", "container", "import", "alpha", archive, "imported")
    cut()
    equal(sorted(listed()), ["c1", "imported"])
    crosh("vmc", "container", "snapshot", "alpha", "c1", "kept")
    cut()
    crosh("vmc", "container", "copy", "alpha", "c1", "copied")
    cut()
    equal(sorted(listed()), ["c1", "copied", "imported"])
    for name in listed():
        crosh("vmc", "container", "start", "alpha", name)
        crosh("vsh", "alpha", name, "--", "sh", "-c", "cd /root && sha256sum -c sums")
    equal([row["name"] for row in json.loads(
        crosh("vmc", "container", "info", "--json", "alpha", "c1"))["snapshots"]], ["kept"])
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "copied", "imported")


@case
def a_container_is_made_and_the_power_cut_at_any_moment():
    began = time.monotonic()
    crosh(*making("c3", new_metadata("three")))
    took = time.monotonic() - began
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c3")
    for number in range(int(os.environ.get("CROSH_TEST_ROUNDS", "4"))):
        chance = random.Random(f"{SEED} {number}")
        words = making("c3", new_metadata(f"round{number}"))
        with subprocess.Popen([str(CROSH), "--", *map(str, words)], env=home.env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as doing:
            try:
                doing.communicate(timeout=chance.uniform(0, took * 1.1))
            except subprocess.TimeoutExpired:
                pass
            is_made = doing.returncode == 0
            cut()
            doing.communicate(timeout=120)
        print(f"# round {number}: {'made' if is_made else listed().get('c3', 'nothing')}", flush=True)
        if is_made:
            check_made("c3")
        equal([name for name in json.loads(lxd.run("lxc", "query", "/1.0/instances"))
               if "crosh-new" in name], [])
        crosh(*words)
        check_made("c3")
        check_made("c1")
        crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c3")


if __name__ == "__main__":
    # Mounts of its own, which end with it.
    if "CROSH_TEST_MOUNTS" not in os.environ and os.geteuid() == 0:
        os.execvpe("unshare", ["unshare", "-m", "--propagation", "private", sys.executable,
                               *sys.argv], {**os.environ, "CROSH_TEST_MOUNTS": "own"})
    main(set_up, tear_down)
