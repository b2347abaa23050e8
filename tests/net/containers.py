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
from world import SERVER, World, enter, exchange_datagram, fetch, make_echo, run

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
    # As the agent does.
    (world.directory / "guest.conf").write_text(f"nameserver {termina.link['gw']}\n")
    lxd.run("mount", "--bind", str(world.directory / "guest.conf"), "/etc/resolv.conf")
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


@case
def containers_and_vms_ask_by_name_too():
    for name in ("penguin", "penguin.termina", "penguin.termina.linux.test"):
        # By the name server that the bridge tells its containers of, which asks the VM's.
        said = lxd.run("lxc", "exec", "penguin", "--", "nslookup", name,
                       termina.link["ct"].split("/")[0], check=False)
        contains(said, f"Address: {address}\n", name)
    for name, wanted in (("other.linux.test", other.link["ip"].split("/")[0]),
                         ("www.example", SERVER)):
        said = lxd.run("lxc", "exec", "penguin", "--", "nslookup", name,
                       termina.link["ct"].split("/")[0], check=False)
        contains(said, f"Address: {wanted}\n", name)


@case
def ports_of_a_container_are_published():
    lxd.run("lxc", "exec", "penguin", "--", "sh", "-c",
            "mkdir -p /www; echo from penguin >/www/index.html; httpd -h /www -p 80")
    make_echo(world.directory / "echo")
    lxd.run("lxc", "file", "push", "--mode=755", str(world.directory / "echo"), "penguin/tmp/echo")
    lxd.run("lxc", "exec", "penguin", "--", "/tmp/echo")
    for host in ("127.0.0.1", "::1"):
        at = f"[{host}]:" if ":" in host else ""
        for ports in ("18070:80", "15370:5353/udp"):
            done = termina.session.crosh("net", "publish", "termina/penguin", f"{at}{ports}")
            equal(done.returncode, 0, done.stderr)
        equal(fetch(18070, host), "from penguin\n")
        equal(exchange_datagram(15370, b"there and back", host), b"there and back")
    for at in ("", "[::1]:"):
        for ports in ("18070:80", "15370:5353/udp"):
            equal(termina.session.crosh("net", "publish", "remove", "termina/penguin",
                                        f"{at}{ports}").returncode, 0)
    equal(fetch(18070), "")


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
def a_bridge_without_an_address_is_said_so_at_once():
    lxd.run("ip", "addr", "del", termina.link["ct"], "dev", "lxdbr0")
    try:
        # What would be said after the time that a slow guest is given is another word.
        equal(refusal("penguin"),
              "ping: the container penguin of VM termina has no address: the bridge of the VM's "
              "containers is down\n"
              "hint: it is there again when the VM is restarted; \"vsh termina penguin\" reaches it "
              "without one\n")
    finally:
        lxd.run("ip", "addr", "add", termina.link["ct"], "dev", "lxdbr0")
    wait_for(lambda: termina.session.crosh("ping", "-c", "1", "-W", "1", "penguin").returncode == 0,
             WAIT, "the container to be known again")


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
