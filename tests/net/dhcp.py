# SPDX-License-Identifier: MIT
"""Addresses for guests without an agent: real clients of DHCP, DHCPv6 and router advertisements."""

import os
import shutil
import signal
import subprocess
import sys

from harness import Skip, case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from guest import Guest  # pylint: disable=wrong-import-position
from world import PAGE, SERVER, World, enter, run  # pylint: disable=wrong-import-position

WAIT = 90
NETWORKD = "/lib/systemd/systemd-networkd"
world = guest = None
link = {}


def set_up():
    global world, guest
    world = World()
    guest = Guest(world, "disk")
    link.update(guest.link)
    for directory in ("/run", "/etc/systemd/network", "/var/lib/dhcp"):
        if os.path.isdir(directory):
            inside("mount", "-t", "tmpfs", "tmpfs", directory)
    # networkd takes a /sys that cannot be written for a sign that no udev is to be waited for.
    inside("mount", "-t", "sysfs", "-o", "ro", "sysfs", "/sys")
    own = world.directory / "guest-resolv.conf"
    own.write_text("")
    inside("mount", "--bind", str(own), "/etc/resolv.conf")


def tear_down():
    if guest is not None:
        guest.close()
    if world is not None:
        world.close()


def inside(*argv, check=True):
    """Runs a program in the guest."""
    return guest.run(*argv, check=check)


def addresses(family):
    """The guest's addresses of that family that are no link's own."""
    lines = inside("ip", f"-{family}", "-o", "addr", "show", "dev", "eth0").stdout.splitlines()
    return [line.split()[3] for line in lines if "scope global" in line]


def default_route(family):
    return inside("ip", f"-{family}", "route", "show", "default").stdout


def dhclient(family, leases, *options):
    """Runs dhclient once; what it said."""
    config = world.directory / "dhclient.conf"
    config.write_text("request subnet-mask, broadcast-address, routers, domain-name, "
                      "domain-name-servers, host-name, interface-mtu, dhcp6.name-servers, "
                      "dhcp6.domain-search;\ntimeout 60;\nretry 1;\ninitial-interval 1;\n")
    done = inside("dhclient", f"-{family}", "-1", "-v", "-sf", "/sbin/dhclient-script", "-cf",
                  str(config), "-lf", str(leases), "-pf", str(world.directory / "dhclient.pid"),
                  *options, "eth0", check=False)
    inside("pkill", "-F", str(world.directory / "dhclient.pid"), check=False)
    return done.stderr


@case
def a_client_gets_the_lease_and_all_it_needs():
    if shutil.which("dhclient") is None:
        raise Skip("there is no dhclient (Debian: isc-dhcp-client)")
    leases = world.directory / "leases4"
    guest.fresh()
    said = dhclient(4, leases)
    contains(said, f"DHCPOFFER of {link['ip'].split('/')[0]} from {link['gw']}")
    contains(said, f"DHCPACK of {link['ip'].split('/')[0]} from {link['gw']}")
    equal(addresses(4), [link["ip"]])
    contains(default_route(4), f"default via {link['gw']} dev eth0")
    text = leases.read_text()
    for line in (f"option routers {link['gw']};", f"option domain-name-servers {link['gw']};",
                 "option subnet-mask 255.255.255.252;", 'option domain-name "linux.test";',
                 'option host-name "disk";', f"option interface-mtu {link['mtu']};",
                 "option dhcp-lease-time 43200;"):
        contains(text, line)
    contains((world.directory / "guest-resolv.conf").read_text(), f"nameserver {link['gw']}\n")
    # The way out, and names by the server that it was told of.
    equal(guest.page(SERVER), PAGE)
    equal(guest.ask(link["gw"], "www.example", 1), SERVER)
    equal(guest.ask(link["gw"], "disk.linux.test", 1), link["ip"].split("/")[0])


@case
def an_initramfs_sets_itself_up_by_ip_dhcp():
    """What a kernel's parameter ip=dhcp has the initramfs of a distribution do."""
    ipconfig = "/usr/lib/klibc/bin/ipconfig"
    if not os.path.exists(ipconfig):
        raise Skip("there is no ipconfig (Debian: klibc-utils)")
    guest.fresh()
    # It notes for other programs of the initramfs what it was told.
    told = inside("unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /run && "
                  f"{ipconfig} -t 60 :::::eth0:dhcp >&2 && cat /run/net-eth0.conf").stdout
    known = dict(line.split("=", 1) for line in told.replace("'", "").splitlines())
    address, gateway = link["ip"].split("/")[0], link["gw"]
    equal([known[key] for key in ("PROTO", "IPV4ADDR", "IPV4NETMASK", "IPV4GATEWAY", "IPV4DNS0",
                                  "HOSTNAME", "DNSDOMAIN")],
          ["dhcp", address, "255.255.255.252", gateway, gateway, "disk", "linux.test"])
    equal(addresses(4), [link["ip"]])
    contains(default_route(4), f"default via {gateway} dev eth0")
    contains(inside("ip", "link", "show", "dev", "eth0").stdout, f"mtu {link['mtu']} ")
    equal(guest.page(SERVER), PAGE)


@case
def an_address_of_before_is_refused():
    if shutil.which("dhclient") is None:
        raise Skip("there is no dhclient (Debian: isc-dhcp-client)")
    leases = world.directory / "leases-old"
    leases.write_text('lease {\n  interface "eth0";\n  fixed-address 10.9.8.7;\n'
                      "  option subnet-mask 255.255.255.0;\n  option dhcp-lease-time 7200;\n"
                      "  renew 4 2037/12/31 10:00:00;\n  rebind 4 2037/12/31 11:00:00;\n"
                      "  expire 4 2037/12/31 12:00:00;\n}\n")
    guest.fresh()
    said = dhclient(4, leases)
    contains(said, "DHCPREQUEST for 10.9.8.7")
    contains(said, f"DHCPNAK from {link['gw']}")
    equal(addresses(4), [link["ip"]])


@case
def ipv6_comes_by_advertisements_and_by_dhcpv6():
    prefix = link["ip6"].split("::")[0]
    guest.fresh()
    inside("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=1")
    inside("ip", "link", "set", "eth0", "up")
    # By the kernel alone: an address of its own making, and the way out.
    wait_for(lambda: [a for a in addresses(6) if a.startswith(prefix + ":")] != [], WAIT,
             "an address by advertisement")
    wait_for(lambda: "proto ra" in default_route(6), WAIT, "the route by advertisement")
    contains(inside("ip", "-6", "addr", "show", "dev", "eth0").stdout, f"mtu {link['mtu']} ")
    if shutil.which("dhclient") is None:
        raise Skip("there is no dhclient (Debian: isc-dhcp-client)")
    # A guest that has taken no address by DHCPv6 is not known by the one that it did not take.
    dhclient(4, world.directory / "leases4")
    equal(guest.ask(link["gw"], "disk.linux.test", 28), "none")
    leases = world.directory / "leases6"
    said = dhclient(6, leases)
    contains(said, "RCV: Reply message on eth0")
    contains(addresses(6), link["ip6"].split("/")[0] + "/128")
    contains(leases.read_text(), f"option dhcp6.name-servers {link['gw6']};")
    contains(leases.read_text(), 'option dhcp6.domain-search "linux.test.";')
    equal(guest.ask(link["gw6"], "disk.linux.test", 28), link["ip6"].split("/")[0])
    done = run("ping", "-6", "-q", "-c", "1", "-W", "60", link["ip6"].split("/")[0], check=False)
    contains(done.stdout, "1 packets transmitted, 1 received")


@case
def networkd_takes_all_of_it():
    if not os.path.exists(NETWORKD):
        raise Skip("there is no systemd-networkd (Debian: systemd)")
    guest.fresh()
    inside("sh", "-c", "printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=yes\\n[DHCPv4]\\n"
                       "UseDomains=yes\\n[IPv6AcceptRA]\\nUseDomains=yes\\n' "
                       ">/etc/systemd/network/10-eth0.network; "
                       "mkdir -p /run/systemd/netif/links /run/systemd/netif/leases "
                       "/run/systemd/netif/lldp; chmod -R 777 /run/systemd/netif")
    daemon = world.spawn("nsenter", "-t", str(guest.pid), "-n", "-m", NETWORKD,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wanted = [link["ip6"].split("/")[0] + "/128"]
        wait_for(lambda: addresses(4) == [link["ip"]] and set(wanted) <= set(addresses(6)), WAIT,
                 "the addresses")
        index = inside("cat", "/sys/class/net/eth0/ifindex").stdout.strip()

        def state():
            return inside("cat", f"/run/systemd/netif/links/{index}", check=False).stdout

        wait_for(lambda: link["gw"] in state() and link["gw6"] in state(), WAIT,
                 "both name servers")
        contains(state(), "linux.test")
        contains(default_route(4), f"default via {link['gw']} dev eth0 proto dhcp")
        contains(default_route(6), "proto ra")
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(60)


@case
def a_front_that_dies_is_followed_by_another():
    guest.fresh()
    inside("ip", "addr", "add", link["ip"], "dev", "eth0")
    inside("ip", "link", "set", "eth0", "up")
    equal(guest.ask(link["gw"], "www.example", 1), SERVER)
    children = run("pgrep", "-P", str(guest.keeper.pid)).stdout.split()
    equal(len(children), 1)
    with open(f"/proc/{children[0]}/status", encoding="ascii") as f:
        status = dict(line.split(":\t", 1) for line in f)
    with open(f"/proc/{guest.keeper.pid}/status", encoding="ascii") as f:
        equal([line.split(":\t")[1].strip() for line in f if line.startswith("Seccomp:")], ["2"])
    equal((int(status["CapPrm"], 16), int(status["CapEff"], 16), status["Seccomp"].strip(),
           status["NoNewPrivs"].strip()), (0, 0, "2", "1"))
    os.kill(int(children[0]), signal.SIGKILL)
    equal(guest.ask(link["gw"], "www.example", 1), SERVER)
    contains(guest.session.log(), "crosh-net: the front died; another one follows\n")
    equal("forbidden" in guest.session.log(), False)


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
