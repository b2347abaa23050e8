# SPDX-License-Identifier: MIT
"""Hosts as they are found: other firewalls, VPNs, one family of addresses alone, other programs.

Each case is one such host, with a guest whose card is set up as the agent does it.
"""

import json
import os
import shutil
import sys

from harness import Skip, case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from guest import Guest  # pylint: disable=wrong-import-position
from world import PAGE, SERVER, SERVER6, World, enter, is_root, run  # pylint: disable=wrong-import-position

WAIT = 90
world = None


def set_up():
    global world
    world = World()


def tear_down():
    if world is not None:
        world.close()


class Host:
    """A guest for a case, which ends with it."""

    def __init__(self, **how):
        self.guest = Guest(world, "box", **how)

    def __enter__(self):
        self.guest.set_card()
        return self.guest

    def __exit__(self, *exception):
        # None of the keeper's processes wanted more than it is left.
        forbidden = [line for line in self.guest.session.log().split("\n") if "forbidden" in line]
        self.guest.close()
        equal(forbidden, [])


def problems(guest):
    """What the doctor finds, and its advice."""
    done = guest.session.crosh("net", "doctor", "--json")
    return [(f["check"], f["mend"]) for f in json.loads(done.stdout) if f["state"] == "PROBLEM"]


@case
def docker_drops_what_it_does_not_know():
    if shutil.which("iptables") is None or "nf_tables" not in run("iptables", "-V").stdout:
        raise Skip("there is no iptables over nf_tables (Debian: iptables)")
    with Host() as guest:
        equal(guest.page(SERVER), PAGE)
        # The daemon's own rules, in its order.
        for rule in ("-N DOCKER", "-N DOCKER-ISOLATION-STAGE-1", "-N DOCKER-USER",
                     "-A FORWARD -j DOCKER-USER", "-A FORWARD -j DOCKER-ISOLATION-STAGE-1",
                     "-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                     "-A FORWARD -o docker0 -j DOCKER", "-A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
                     "-A DOCKER-ISOLATION-STAGE-1 -j RETURN", "-A DOCKER-USER -j RETURN",
                     "-P FORWARD DROP"):
            run("iptables", *rule.split())
        equal(guest.page(SERVER), "")
        found = problems(guest)
        equal([check for check, _ in found], ["firewall"])
        contains(found[0][1], "iptables -I DOCKER-USER -i crosh+ -j ACCEPT")
        run("sh", "-c", found[0][1])
        equal(guest.page(SERVER), PAGE)
        run("nft", "delete", "table", "ip", "filter")


@case
def a_vpn_takes_the_default_route_by_rules():
    # As WireGuard's wg-quick has it: a table of its own, and all but marked packets go by that.
    run("ip", "link", "add", "vpn0", "type", "veth", "peer", "name", "vpn1", "netns",
        str(world.internet.pid))
    run("ip", "addr", "add", "10.66.0.2/24", "dev", "vpn0")
    run("ip", "link", "set", "vpn0", "mtu", "1420", "up")
    run(*world.inside(), "ip", "addr", "add", "10.66.0.1/24", "dev", "vpn1")
    run(*world.inside(), "ip", "link", "set", "vpn1", "mtu", "1420", "up")
    run("ip", "route", "add", "default", "via", "10.66.0.1", "dev", "vpn0", "table", "51820")
    run("ip", "rule", "add", "not", "fwmark", "51820", "table", "51820")
    run("ip", "rule", "add", "table", "main", "suppress_prefixlength", "0")
    try:
        with Host() as guest:
            before = counter("vpn0")
            equal(guest.page(SERVER), PAGE)
            # By the VPN, and by nothing else; names, too.
            equal(counter("vpn0") > before, True)
            equal(guest.ask(guest.link["gw"], "www.example", 1), SERVER)
            equal(problems(guest), [])
    finally:
        run("ip", "rule", "del", "table", "main", "suppress_prefixlength", "0")
        run("ip", "rule", "del", "not", "fwmark", "51820", "table", "51820")
        run("ip", "link", "del", "vpn0")


def counter(name):
    """Packets that an interface has sent."""
    shown = json.loads(run("ip", "-s", "-j", "link", "show", "dev", name).stdout)
    return shown[0]["stats64"]["tx"]["packets"]


@case
def the_way_out_is_ipv6_alone():
    run("ip", "route", "del", "default")
    try:
        with Host() as guest:
            equal(guest.page(f"[{SERVER6}]"), PAGE)
            equal(guest.page(SERVER), "")
            contains(guest.ask(guest.link["gw6"], "box.linux.test", 1), guest.link["ip"][:-3])
    finally:
        run("ip", "route", "add", "default", "via", "10.77.0.1")


@case
def pasta_is_the_way_out_where_slirp4netns_is_not():
    if shutil.which("pasta") is None or not is_root():
        raise Skip("there is no pasta (Debian: passt), or no right to be another user")
    programs = world.directory / "programs"
    programs.mkdir()
    for name in ("pasta", "pasta.avx2"):
        if shutil.which(name):
            (programs / name).symlink_to(shutil.which(name))
    with Host(user=True, path=str(programs)) as guest:
        wait_for(lambda: guest.page(SERVER) == PAGE, WAIT, "the page")
        equal(guest.ask(guest.link["gw"], "www.example", 1), SERVER)
        contains(run("pgrep", "-a", "-f", "ns-ifname up0", check=False).stdout, "pasta")


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
