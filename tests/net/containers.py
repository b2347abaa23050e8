# SPDX-License-Identifier: MIT
"""Containers of a VM, by address and by name: a real LXD in the place of a VM's, behind its link.

Nothing is translated on the way: the host routes the VM's network for containers to it.
"""

import os
import sys

from harness import case, contains, equal, main, wait_for

for place in ("../agent", "../lxd", "."):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), place))

# pylint: disable=wrong-import-position
from guest import Guest
from launcher import Launcher
from lxdhost import Lxd, tiny_image
from world import World, enter, run

WAIT = 120
world = lxd = launcher = termina = other = None
address = ""


def set_up():
    global world, lxd, launcher, termina, other, address
    world = World()
    lxd = Lxd()
    termina = Guest(world, "termina", pid=int(lxd.around[2]))
    termina.set_card()
    launcher = Launcher(termina.session.home, "termina", around=lxd.around, again=True)
    other = Guest(world, "other", beside=termina)
    other.set_card()
    lxd.run("lxc", "network", "set", "lxdbr0", "ipv4.address", termina.link["ct"])
    image = world.directory / "image"
    image.mkdir()
    rootfs, metadata = tiny_image(image)
    lxd.run("lxc", "image", "import", str(metadata), str(rootfs), "--alias", "tiny")
    lxd.run("lxc", "launch", "tiny", "penguin")

    def lease():
        global address
        address = lxd.run("lxc", "list", "-c4", "--format", "csv").split(" ")[0].strip()
        return address != ""

    wait_for(lease, WAIT, "the container's address")


def tear_down():
    if launcher is not None:
        launcher.close()
    for guest in (other, termina):
        if guest is not None:
            guest.close()
    if lxd is not None:
        lxd.close()
    if world is not None:
        world.close()


def reaches(done):
    contains(done.stdout, "1 packets transmitted, 1 received", done.stderr)


@case
def host_and_other_vms_reach_a_container_by_its_address():
    network = termina.link["ct"].rsplit(".", 1)[0]
    equal(address.rsplit(".", 1)[0], network)
    reaches(run("ping", "-c", "1", "-W", "60", address, check=False))
    reaches(other.run("ping", "-c", "1", "-W", "60", address, check=False))
    # As itself: what comes to the other VM is from the container, not from its VM.
    capture = world.spawn("nsenter", "-t", str(other.pid), "-n", "tcpdump", "-lnc", "1", "-i",
                          "eth0", "icmp[icmptype] == icmp-echo", stdout=-1, stderr=-1, text=True)
    wait_for(lambda: "listening" in capture.stderr.readline(), WAIT, "the capture")
    lxd.run("lxc", "exec", "penguin", "--", "ping", "-c", "3", "-W", "60",
            other.link["ip"].split("/")[0])
    contains(capture.stdout.readline(), f"IP {address} > {other.link['ip'].split('/')[0]}: ICMP")


@case
def a_container_is_known_by_its_names():
    for name in ("penguin", "penguin.termina", "penguin.termina.linux.test"):
        done = termina.session.crosh("ping", "-c", "1", "-W", "60", name)
        contains(done.stdout, f"PING {name} ({address})", done.stderr)
        reaches(done)
        equal(other.ask(other.link["gw"], name, 1), address, name)
    equal(other.ask(other.link["gw"], "nobody.termina.linux.test", 1), "none")
    equal([line for line in termina.session.log().split("\n") if "forbidden" in line], [])


def refusal(*argv):
    """What ping says of a target that it does not ask; -c: it would end."""
    done = termina.session.crosh("ping", "-c", "1", "-W", "1", *argv)
    equal((done.returncode, done.stdout), (2, ""))
    return done.stderr


@case
def a_vm_without_lxd_has_no_containers():
    termina.session.crosh("vmc", "create", "other")
    plain = Launcher(termina.session.home, "other", again=True, around=(
        "nsenter", "-t", str(other.pid), "-n", "-m"))
    try:
        other.run("sh", "-c", "[ ! -e /var/lib/lxd ] || mount -t tmpfs tmpfs /var/lib/lxd")
        equal(refusal("penguin.other"),
              "ping: no LXD answers in VM other: it has no container penguin\n"
              "hint: it is part of the image termina, and takes a while to start; look at: "
              "vmc logs other\n")
        equal(other.ask(other.link["gw"], "penguin.other", 1), "none")
    finally:
        plain.close()


@case
def a_container_without_an_address_is_said_so():
    equal(refusal("nobody.termina"), "ping: no such container in VM termina: nobody\n"
                                     "hint: see: vmc container list termina\n")
    equal(refusal("-6", "penguin"), "ping: penguin has no IPv6 address\n")
    lxd.run("lxc", "launch", "tiny", "mute", "--config", "user.none=1", "--no-profiles",
            "--storage", "default")
    equal(refusal("mute.termina"),
          "ping: the container mute of VM termina has no address\n"
          "hint: it may still be starting; \"vsh termina mute\" reaches it without one\n")
    lxd.run("lxc", "delete", "--force", "mute")


@case
def a_stopped_container_is_said_so_though_its_lease_lasts():
    reaches(termina.session.crosh("ping", "-c", "1", "-W", "60", "penguin"))
    lxd.run("lxc", "stop", "--force", "penguin")
    equal(refusal("penguin"), "ping: the container penguin of VM termina is stopped\n"
                              "hint: start it with \"vmc container start termina penguin\"\n")
    # Guests are told the same of it: there is no such name.
    wait_for(lambda: other.ask(other.link["gw"], "penguin.termina", 1) == "none", WAIT,
             "the name to be forgotten")
    lxd.run("lxc", "start", "penguin")
    wait_for(lambda: termina.session.crosh("ping", "-c", "1", "-W", "1", "penguin").returncode == 0,
             WAIT, "the container to be back")
    equal([line for line in termina.session.log().split("\n") if "forbidden" in line], [])


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
