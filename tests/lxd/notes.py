#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a user of Crostini does with containers, in that order: the default container, lxc in the VM,
an image server, containers of several distributions, the VM stopped and started again.

The images are built here: Debian of two releases, and a small one.
"""

import fcntl
import json
import os
import re
import subprocess
from pathlib import Path

from harness import CROSH, LIBEXEC, Home, case, contains, equal, main, wait_for
from launcher import Launcher
from lxdhost import Lxd, tiny_image
from simplestreams import Server, Tree

home = Home()
lxd = None
launcher = None
server = None
tree = None
releases = []  # Debian's: the default image's, and another


def debian(*options):
    """The directory of an image of Debian, built when it is not there yet."""
    directory = Path(os.environ.get("top_builddir", home.path)) / "test-images"
    directory.mkdir(exist_ok=True)
    output = directory / "-".join(["penguin", *[word.strip("-") for word in options]])
    with open(directory / "penguin.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([str(LIBEXEC / "crosh-mkimage"), "penguin", "--if-needed", *options,
                               "--output", str(output)], timeout=1500, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"the image could not be built: {done.stdout}")
    return output


def set_up():
    """The images, a server that has them, and a VM's worth of LXD."""
    global lxd, launcher, server, tree  # pylint: disable=global-statement
    lxd = Lxd()
    launcher = Launcher(home, "termina", around=lxd.around)
    tree = Tree(home.path / "tree")
    default = debian()
    (home.data / "crosh" / "images").mkdir(parents=True)
    (home.data / "crosh" / "images" / "penguin").symlink_to(default)
    suite = json.loads((default / "manifest.json").read_text())["root"]["suite"]
    other = "trixie" if suite != "trixie" else "bookworm"
    releases[:] = suite, other
    for suite, directory in ((suite, default), (other, debian("--suite", other))):
        tree.add("debian", suite, directory / "rootfs.squashfs", directory / "metadata.tar.xz")
    (home.path / "tiny").mkdir()
    tree.add("tiny", "one", *tiny_image(home.path / "tiny", release="one"))
    server = Server(tree, home.path, lxd.around)


def tear_down():
    """Ends them."""
    for what in (server, launcher, lxd):
        if what is not None:
            what.close()
    home.close()


def crosh(*words, status=0, **options):
    """Runs one command; what it printed, after its status was looked at."""
    done = home.run("--", *words, timeout=600, **options)
    equal(done.returncode, status, f"status of {' '.join(words)}: {done.stderr}")
    return done.stdout


def vm_home():
    """Where lxc in the VM keeps its remotes: the VM is this host, whose own home is nobody's here."""
    return f"{home.path}/vm-home"


def in_vm(*words):
    """Runs a command in the VM, as a user at its shell does."""
    return crosh("vsh", "--env", "LXD_DIR=/var/lib/lxd", "--env", f"HOME={vm_home()}", "termina",
                 "--", *words)


def states():
    """{name: state} by vmc container list."""
    return {item["name"]: item["state"]
            for item in json.loads(crosh("vmc", "container", "list", "--json", "termina"))}


@case
def the_default_container():
    """vmc container termina penguin: made, started, with a user of one's own."""
    done = home.run("--", "vmc", "container", "termina", "penguin", timeout=600,
                    env={"LANG": "en_GB.UTF-8"})
    equal((done.returncode, done.stdout), (0, ""), done.stderr)
    equal(states(), {"penguin": "running"})
    inside = crosh("vsh", "--user", "user", "termina", "penguin", "--", "sh", "-c",
                   "id -un; id -u; pwd; hostname; sudo -n id -u; cat /etc/default/locale;"
                   "locale -a | grep -c en_GB; cat /proc/1/comm")
    equal(inside.split("\n"), ["user", "1000", "/home/user", "penguin", "0", "LANG=en_GB.UTF-8", "1",
                               "systemd", ""])
    # The system in it comes up whole.
    state = crosh("vsh", "termina", "penguin", "--", "sh", "-c",
                  "systemctl is-system-running --wait; systemctl --failed --plain --no-legend")
    equal(state, "running\n")


@case
def the_image_is_no_vms():
    """The default image is listed, and no VM starts from it."""
    contains(crosh("vmc", "image", "list"), "penguin  penguin  ")
    done = home.run("--", "vmc", "start", "--no-shell", "--image", "penguin", "other")
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, "the image penguin is one for containers, not for VMs\n"
             "hint: make a container from it: vmc container VM penguin\n")


@case
def a_shell_in_it():
    """vsh termina penguin: a login shell on a terminal."""
    terminal = home.terminal("vsh", "--user", "user", "termina", "penguin")
    try:
        terminal.expect("user@penguin:~$", 60)
        terminal.send("echo $0; tty\r")
        terminal.expect("-bash", 60)
        terminal.expect("/dev/pts/", 60)
        terminal.send("exit\r")
        equal(terminal.end(60), 0)
    finally:
        terminal.close()


@case
def lxc_in_the_vm():
    """lxc list, info, info --show-log, exec."""
    contains(in_vm("lxc", "list"), "| penguin | RUNNING | 100.115.93.")
    contains(in_vm("sh", "-c", "lxc info penguin | grep 'Status: '"), "Status: RUNNING\n")
    contains(in_vm("lxc", "info", "--show-log", "penguin"), "Log:\n")
    contains(in_vm("lxc", "exec", "penguin", "--", "/bin/bash", "-c", "cat /etc/*elease*"),
             'PRETTY_NAME="Debian GNU/Linux ')


@case
def from_the_host():
    """ping of the container's address, and ssh without any network."""
    info = json.loads(crosh("vmc", "container", "info", "--json", "termina", "penguin"))
    equal(len(info["addresses"]), 1)
    contains(lxd.run("ping", "-c", "1", "-W", "20", info["addresses"][0]), " 0% packet loss")
    key = home.path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    crosh("vsh", "--user", "user", "termina", "penguin", "--", "sh", "-c",
          "mkdir -m 700 .ssh && cat >.ssh/authorized_keys", data=(home.path / "key.pub").read_text())
    done = subprocess.run(
        ["ssh", "-F", "/dev/null", "-i", key, "-o", f"UserKnownHostsFile={home.path}/known",
         "-o", "StrictHostKeyChecking=accept-new", "-o", "BatchMode=yes",
         "-o", f"ProxyCommand={CROSH} vsh proxy termina/penguin 22", "user@penguin", "id -un; echo $LANG"],
        env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, timeout=300, check=False)
    equal((done.returncode, done.stdout), (0, "user\nen_GB.UTF-8\n"), done.stderr)


@case
def a_remote():
    """lxc remote list and add, image list and info."""
    contains(in_vm("lxc", "remote", "list"), "| images ")
    in_vm("mkdir", "-p", f"{vm_home()}/.config/lxc/servercerts")
    crosh("vsh", "cp", str(server.certificate),
          f"termina:{vm_home()}/.config/lxc/servercerts/google.crt")
    in_vm("lxc", "remote", "add", "google", server.url, "--protocol=simplestreams")
    contains(in_vm("lxc", "remote", "list"), f"| google          | {server.url}")
    listed = in_vm("lxc", "image", "list", "google:")
    equal(sorted(set(re.findall(r"^\| (\w+/\w+) ", listed, re.M))),
          [*sorted("debian/" + release for release in releases), "tiny/one"])
    contains(in_vm("lxc", "image", "info", "google:debian/" + releases[0]),
             f"release: {releases[0]}\n")


@case
def three_distributions():
    """lxc launch from it, list, exec; the releases are those that were asked for."""
    for image, name, release in (
            ("debian/" + releases[0], "mycrosdebiancontainer", releases[0]),
            ("debian/" + releases[1], "myotherdebiancontainer", releases[1]),
            ("tiny/one", "mytinycontainer", "one")):
        in_vm("sh", "-c", f"lxc launch google:{image} {name} </dev/null")
        contains(in_vm("lxc", "list"), f"| {name} ")
        contains(in_vm("lxc", "exec", name, "--", "sh", "-c", "cat /etc/*elease*"), release)
        # vsh leads into every one of them, whether systemd runs in it or not.
        contains(crosh("vsh", "termina", name, "--", "sh", "-c", "cat /etc/os-release"), release)
        crosh("vsh", "termina", name, "--", "sh", "-c", f"echo {name} >/root/mine && sync")
    in_vm("lxc", "stop", "--force", "myotherdebiancontainer")


@case
def stopped_and_started_again():
    """Containers and what was changed in them are there again, stopped or started as they were."""
    global launcher, server  # pylint: disable=global-statement
    before = states()
    lxd.run("lxd", "shutdown", "--timeout", "120")
    launcher.close()
    lxd.kill()
    lxd.start()
    launcher = Launcher(home, "termina", around=lxd.around, again=True)
    server.close()
    server = Server(tree, home.path, lxd.around)
    wait_for(lambda: states() == before, 300, "the containers to be as they were")
    equal(before["myotherdebiancontainer"], "stopped")
    in_vm("lxc", "start", "myotherdebiancontainer")
    for name in ("mycrosdebiancontainer", "myotherdebiancontainer", "mytinycontainer"):
        equal(crosh("vsh", "termina", name, "--", "cat", "/root/mine"), name + "\n")
    equal(crosh("vsh", "--user", "user", "termina", "penguin", "--", "sudo", "id", "-u"), "0\n")


@case
def another_way_to_launch():
    """vmc container termina mycontainer --container_name=mycontainer --user=jdoe --shell."""
    shell = crosh("vmc", "container", "termina", "mycontainer", "--container_name=mycontainer",
                  "--user=jdoe", "--shell", data="id -un; hostname; exit 3\n", status=3)
    equal(shell, "jdoe\nmycontainer\n")
    equal(states()["mycontainer"], "running")


@case
def straight_from_the_server():
    """vmc container termina c1 https://... debian/RELEASE, from a server that LXD does not know."""
    crosh("vmc", "container", "termina", "c1", server.url, "debian/" + releases[0],
          "--certificate", str(server.certificate))
    contains(crosh("vsh", "--user", "user", "termina", "c1", "--", "cat", "/etc/os-release"),
             releases[0])


if __name__ == "__main__":
    main(set_up, tear_down)
