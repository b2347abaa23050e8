# SPDX-License-Identifier: MIT
"""What a user without rights does first with a VM's network, on a host that gives the VM one by itself."""

import json
import os
import sys

from harness import case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from world import PAGE, SERVER, Session, World, enter, processes, run  # pylint: disable=wrong-import-position

WAIT = 90
world = user = None


def set_up():
    global world, user
    world = World()
    user = Session(True)


def tear_down():
    if user is not None:
        user.close()
    if world is not None:
        world.close()


def ping(target):
    done = user.crosh("ping", "-c", "2", "-i", "0.2", "-W", "60", target)
    contains(done.stdout, "2 packets transmitted, 2 received, 0% packet loss", done.stderr)
    equal(done.returncode, 0)


def page(where):
    """A script that prints the page of a web server, from the guest or from the host."""
    return f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 30 {where} | sed '1,/^.$/d'"


@case
def a_vm_has_a_network_without_being_asked():
    said = user.start("first")
    equal([line for line in said.split("\n") if "warning" in line], [])
    listed = json.loads(user.crosh("net", "list", "--json").stdout)
    equal([(vm["vm"], vm["state"], vm["kind"]) for vm in listed], [("first", "up", "nat")])


@case
def hosts_and_vms_are_pinged():
    ping("gw")
    ping("first")
    ping("first.linux.test")


@case
def the_guest_knows_names_and_gets_out():
    contains(user.guest("first", "nslookup www.example"), f"Address: {SERVER}\n")
    own = user.guest("first", "nslookup first.linux.test")
    contains(own, "Address: 100.115.92.")
    equal(user.guest("first", page(f"{SERVER} 80")), PAGE)
    equal(user.guest("first", page("www.example 80")), PAGE)


@case
def a_port_is_published():
    user.guest("first", "mkdir -p /www; echo from the guest >/www/index.html; httpd -h /www -p 80")
    equal(user.crosh("net", "publish", "first", "18080:80").returncode, 0)
    equal(run("sh", "-c", page("127.0.0.1 18080")).stdout, "from the guest\n")


@case
def nothing_is_left():
    user.stop("first")
    wait_for(lambda: not user.keepers(), WAIT, "the keeper to end")
    equal(processes("slirp4netns --configure"), [])
    equal(sorted(path.name for path in user.directory.iterdir()), ["keeper.log", "lock"])
    equal([line for line in user.log().split("\n") if "forbidden" in line or "Landlock" in line], [])


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
