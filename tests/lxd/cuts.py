#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Cuts of the power: a real LXD on a data disk mounted as a VM's is, of which what had reached the
disk is all that there is afterwards. Nothing that was finished is lost, at whatever moment.

$CROSH_TEST_ROUNDS cuts of each kind at moments that $CROSH_TEST_SEED decides (default 2).
"""

import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import CROSH, Home, Skip, case, equal, main, wait_for
from launcher import Launcher
from lxdhost import TERMINA, Lxd, tiny_image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))

import aptroot  # pylint: disable=wrong-import-position

ROUNDS = int(os.environ.get("CROSH_TEST_ROUNDS", "2"))
PACKAGES = tuple(f"part-{letter}" for letter in "abcdef")
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


def launch_again():
    """The VM's launcher, until commands find the VM."""
    global launcher  # pylint: disable=global-statement
    launcher = Launcher(home, "alpha", around=lxd.around, again=True)
    wait_for(lambda: home.run("vmc", "container", "list", "alpha").returncode == 0, 60, "the VM")


def cut():
    """A cut of the power and the next start."""
    disk.cut(lxd.kill)
    launcher.close()
    lxd.start()
    equal(lxd.run("/usr/lib/crosh/lxd-ready"), "")
    launch_again()


def rounds(kind):
    """The rounds of a kind, each with chances of its own."""
    for number in range(1, ROUNDS + 1):
        yield number, random.Random(f"{SEED} {kind} {number}")


def cut_in_the_middle(words, seconds):
    """Begins a command and cuts the power so long after; whether it had succeeded before."""
    with subprocess.Popen([str(CROSH), "--", *map(str, words)], env=home.env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as doing:
        try:
            doing.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            pass
        is_done = doing.returncode == 0
        cut()
        doing.wait(timeout=120)
    return is_done


def timed(words):
    """Runs a command; how long it took."""
    began = time.monotonic()
    crosh(*words)
    return time.monotonic() - began


def listed():
    """{name: state} by vmc container list."""
    return {row["name"]: row["state"]
            for row in json.loads(crosh("vmc", "container", "list", "--json", "alpha"))}


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
    crosh(*making("c1", aptroot.metadata(home.path, "one")))
    cut()
    equal(sorted(listed()), ["c1"])
    check_made("c1")


@case
def an_image_that_was_sent_is_whole():
    metadata = aptroot.metadata(home.path, "two")
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
def a_full_disk_is_in_the_way_only_while_it_is_full():
    images = {"c5": aptroot.metadata(home.path, "full"), "c6": home.path / "one.tar.xz"}
    lxd.run("sh", "-c", f"head -c 3G /dev/zero >{disk.place}/filler", check=False)
    for name, metadata in images.items():
        crosh(*making(name, metadata), status=1)
    equal(list(listed()), ["c1"])
    (disk.place / "filler").unlink()
    for name, metadata in images.items():
        crosh(*making(name, metadata))
        check_made(name)
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c5")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c6")


@case
def the_power_is_cut_while_a_container_is_made():
    took = timed(making("c3", aptroot.metadata(home.path, "three")))
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c3")
    for number, chance in rounds("making"):
        words = making("c3", aptroot.metadata(home.path, f"round{number}"))
        is_made = cut_in_the_middle(words, chance.uniform(0, took * 1.1))
        print(f"# making {number}: {'made' if is_made else listed().get('c3', 'nothing')}", flush=True)
        if is_made:
            check_made("c3")
        equal([name for name in json.loads(lxd.run("lxc", "query", "/1.0/instances"))
               if "crosh-new" in name], [])
        crosh(*words)
        check_made("c3")
        check_made("c1")
        crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c3")


@case
def the_power_is_cut_while_lxd_starts():
    global launcher  # pylint: disable=global-statement
    began = time.monotonic()
    cut()
    took = time.monotonic() - began
    for number, chance in rounds("start"):
        disk.cut(lxd.kill)
        launcher.close()
        lxd.begin()
        time.sleep(chance.uniform(0, took))
        disk.cut(lxd.kill)
        lxd.start()
        equal(lxd.run("/usr/lib/crosh/lxd-ready"), "")
        launch_again()
        check_made("c1")
        print(f"# start {number}", flush=True)


@case
def the_power_is_cut_while_apt_installs():
    image = aptroot.image(home.path / "apt", aptroot.package_tools)
    crosh("vmc", "container", "--network-timeout", "0", "--user", "root", "alpha", "c4", *image)
    install = ("vsh", "alpha", "c4", "--", "apt-get", "-q", "-y", "install", *PACKAGES)
    sums = serve(1, random.Random(SEED))
    took = timed(install)
    for number, chance in rounds("apt"):
        # What was there when apt said so.
        cut()
        wait_for(lambda: listed()["c4"] == "running", 120, "c4 to run")
        check_packages(sums)
        sums = serve(number + 1, chance)
        is_done = cut_in_the_middle(install, chance.uniform(0, took * 1.1))
        wait_for(lambda: listed()["c4"] == "running", 120, "c4 to run")
        print(f"# apt {number}: {'done' if is_done else 'not done'}", flush=True)
        if is_done:
            check_packages(sums)
        crosh("vsh", "alpha", "c4", "--", "sh", "-c", aptroot.REPAIR)
        crosh(*install)
        check_packages(sums)


def serve(version, chance):
    """A version of the packages, which apt in the container knows of. {path: SHA-256}."""
    sums = aptroot.repository(home.path / "repository", chance, version, PACKAGES)
    archive = subprocess.run(["tar", "-C", home.path, "-c", "repository"], check=True,
                             stdout=subprocess.PIPE).stdout
    shutil.rmtree(home.path / "repository")
    done = home.run_bytes("vsh", "alpha", "c4", "--", "sh", "-c", "rm -rf /srv/repository && "
                          "tar -C /srv -xf - && echo 'deb [trusted=yes] file:/srv/repository ./' "
                          ">/etc/apt/sources.list && apt-get -q update && sync", data=archive)
    equal(done.returncode, 0, done.stderr)
    return sums


def check_packages(sums):
    """That they are installed, with all their files, and dpkg has nothing to complain of."""
    told = crosh("vsh", "alpha", "c4", "--", "sh", "-c", "/usr/bin/dpkg --audit; "
                 "/usr/bin/dpkg-query -W -f '${Package} ${Status}\\n' part-\\*")
    equal(told.splitlines(), [f"{name} install ok installed" for name in PACKAGES])
    crosh("vsh", "alpha", "c4", "--", "sha256sum", "-c", data="".join(
        f"{value}  {path}\n" for path, value in sums.items()))


if __name__ == "__main__":
    # Mounts of its own, which end with it.
    if "CROSH_TEST_MOUNTS" not in os.environ and os.geteuid() == 0:
        os.execvpe("unshare", ["unshare", "-m", "--propagation", "private", sys.executable,
                               *sys.argv], {**os.environ, "CROSH_TEST_MOUNTS": "own"})
    main(set_up, tear_down)
