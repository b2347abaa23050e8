# SPDX-License-Identifier: MIT
"""VMs' networks, for root in the host's network and for a user in a namespace of the user's own.

The VMs are real ones; the host and its internet are namespaces of this script (world.py).
"""

import os
import signal
import sys

from harness import Skip, case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from world import PAGE, SERVER, SERVER6, Session, World, enter, is_root, run  # pylint: disable=wrong-import-position

WAIT = 90
world = None
sessions = []


def set_up():
    global world
    world = World()


def tear_down():
    for session in sessions:
        session.close()
    if world is not None:
        world.close()


def session(user):
    if user and not is_root():
        raise Skip("only root can be another user")
    sessions.append(Session(user))
    return sessions[-1]


def for_both(function):
    """A case for each kind of user."""
    def as_root():
        function(session(False))

    def as_user():
        function(session(True))

    as_root.__name__ = function.__name__ + "_as_root"
    as_user.__name__ = function.__name__ + "_as_user"
    case(as_root)
    case(as_user)
    return function


def get(address):
    """A script that fetches the page at an address, its body alone."""
    return (f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 30 {address} 80 | "
            "sed '1,/^.$/d'")


def facts(user, name):
    """What the agent wrote about the network."""
    lines = user.guest(name, "cat /run/crosh/network").split()
    return dict(line.split("=", 1) for line in lines)


def address(user, name):
    return facts(user, name)["CROSH_NET_ADDRESS"].split("/")[0]


def gone(user):
    """Waits until nothing of a session's network is left."""
    wait_for(lambda: not user.keepers(), WAIT, "the keeper to end")
    equal([line for line in run("ip", "-br", "link").stdout.split("\n")
           if line.startswith("crosh")], [])
    equal(run("nft", "list", "tables").stdout, "")
    equal(sorted(path.name for path in user.directory.iterdir()), ["keeper.log", "lock"])
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as f:
        equal(f.read(), "0\n")


@for_both
def a_vm_gets_out_and_all_is_removed(user):
    said = user.start("one")
    equal([line for line in said.split("\n") if "warning" in line], [])
    known = facts(user, "one")
    equal(known["CROSH_NET_LINK"], "eth0")
    equal(known["CROSH_NET_ADDRESS"].split(".")[:3], ["100", "115", "92"])
    equal(known["CROSH_NET_ADDRESS"].split("/")[1], "30")
    equal(known["CROSH_NET_BRIDGE_ADDRESS"].split("/")[1], "26")
    contains(user.guest("one", "cat /etc/resolv.conf"),
             f"nameserver {known['CROSH_NET_GATEWAY']}\n")
    equal(user.guest("one", get(SERVER)), PAGE)
    equal(user.guest("one", get(SERVER6)), PAGE)
    # After a reboot inside it is as before.
    boot_id = user.guest("one", "cat /proc/sys/kernel/random/boot_id")
    user.crosh("vsh", "one", "--", "reboot")
    wait_for(lambda: user.guest("one", "cat /proc/sys/kernel/random/boot_id") not in
             (boot_id, "status 123\n", "status 4\n", "status 1\n"), WAIT, "the reboot")
    equal(user.guest("one", get(SERVER)), PAGE)
    user.stop("one")
    gone(user)


@for_both
def vms_reach_each_other_unless_isolated(user):
    user.start("left")
    user.start("right", "--cpus", "2")
    user.start("alone", "--network", "isolated")
    right, alone = address(user, "right"), address(user, "alone")
    contains(user.guest("left", f"ping -q -c 2 -W 20 {right}"), "2 packets received")
    right6 = facts(user, "right")["CROSH_NET_ADDRESS6"].split("/")[0]
    contains(user.guest("left", f"ping -6 -q -c 2 -W 20 {right6}"), "2 packets received")
    contains(user.guest("left", f"ping -q -c 2 -W 2 {alone}"), " 0 packets received")
    contains(user.guest("alone", f"ping -q -c 2 -W 2 {right}"), " 0 packets received")
    equal(user.guest("alone", get(SERVER)), PAGE)
    # Nobody may speak in another's name.
    gateway = facts(user, "left")["CROSH_NET_GATEWAY"]
    user.guest("left", f"ip addr add {alone}/32 dev eth0")
    contains(user.guest("left", f"ping -q -c 2 -W 2 -I {alone} {gateway}"), " 0 packets received")
    user.stop("left", "right", "alone")
    gone(user)


@for_both
def a_killed_launcher_leaves_nothing(user):
    user.start("dying")
    for pid_file in user.home.runtime.glob("crosh/*/pid"):
        os.kill(int(pid_file.read_text()), signal.SIGKILL)
    gone(user)


@for_both
def no_network_where_none_is_wanted(user):
    equal(user.start("none", "--no-network").count("warning"), 0)
    equal(user.guest("none", "ls /sys/class/net"), "lo\n")
    equal(user.keepers(), [])
    user.stop("none")


@case
def what_a_killed_keeper_left_is_replaced():
    user = session(False)
    user.start("first")
    os.kill(user.keepers()[0], signal.SIGKILL)
    wait_for(lambda: not user.keepers(), WAIT, "the keeper to end")
    # The VM's link is its launcher's: it works on.
    equal(user.guest("first", get(SERVER)), PAGE)
    user.start("second")
    equal(user.guest("second", get(SERVER)), PAGE)
    equal(run("nft", "list", "tables").stdout.count("table inet crosh_"), 1)
    user.stop("first", "second")
    gone(user)


@case
def addresses_go_around_what_the_host_routes():
    user = session(False)
    # As a tailnet has it; and a VPN that takes everything is none to go around.
    run("ip", "route", "add", "100.64.0.0/10", "dev", "up0")
    run("ip", "route", "add", "0.0.0.0/1", "via", "10.77.0.1")
    run("ip", "route", "add", "128.0.0.0/1", "via", "10.77.0.1")
    try:
        user.start("around")
        equal(facts(user, "around")["CROSH_NET_ADDRESS"].split(".")[:3], ["10", "115", "92"])
        equal(user.guest("around", get(SERVER)), PAGE)
        user.stop("around")
    finally:
        for route in ("100.64.0.0/10", "0.0.0.0/1", "128.0.0.0/1"):
            run("ip", "route", "del", route)
    gone(user)


@case
def where_it_cannot_be_a_vm_starts_without():
    user = session(True)
    run("chmod", "600", "/dev/net/tun")
    try:
        said = user.start("without")
        contains(said, "warning: without has no network: /dev/net/tun: Permission denied; let users "
                       "make interfaces in their own namespaces: chmod 0666 /dev/net/tun\n")
        user.stop("without")
        done = user.crosh("vmc", "start", "--no-shell", "--network", "nat", "without")
        equal(done.returncode, 5, done.stderr)
        contains(done.stderr, "VM without did not start: no network: /dev/net/tun: Permission "
                              "denied\n")
    finally:
        run("chmod", "666", "/dev/net/tun")
    gone(user)


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
