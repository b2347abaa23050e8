# SPDX-License-Identifier: MIT
"""Addresses for guests without an agent: real clients of DHCP, DHCPv6 and router advertisements.

The keeper is asked for a VM's link; in place of a launcher, a child of this script leads its frames
to an interface of a third namespace, where the clients run as in a guest.
"""

import array
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys

from harness import LIBEXEC, Skip, case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from world import RESOLVER, SERVER, Session, World, enter, run  # pylint: disable=wrong-import-position

WAIT = 90
TUNSETIFF, TUNGETVNETHDRSZ = 0x400454CA, 0x800454D7
NETWORKD = "/lib/systemd/systemd-networkd"
world = session = keeper = guest = None
link = {}


def relay(descriptor):
    """In the guest's namespace: makes its card and leads frames between that and the link."""
    card = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(card, TUNSETIFF, struct.pack("16sH22x", b"eth0", 0x1002))
    head = struct.unpack("i", fcntl.ioctl(descriptor, TUNGETVNETHDRSZ, bytes(4)))[0]
    while True:
        for ready in select.select([card, descriptor], [], [])[0]:
            try:
                if ready == card:
                    os.write(descriptor, bytes(head) + os.read(card, 70000))
                else:
                    os.write(card, os.read(descriptor, 70000)[head:])
            except OSError:
                pass  # either is off just now


def field(number, data):
    """A field of a protobuf message."""
    if isinstance(data, int):
        return bytes([number << 3, data])
    return bytes([number << 3 | 2, len(data)]) + data


def strings(data):
    """The text fields of a protobuf message, of messages in it, too; by their numbers' path."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        value = number()
        if key & 7 != 2:
            continue
        part = data[at:at + value]
        at += value
        try:
            found[key >> 3] = strings(part)
        except IndexError:
            found[key >> 3] = part.decode(errors="replace")
    return found


def attach(name):
    """Asks the keeper for a VM's link: its descriptor; its facts are in link."""
    path = session.directory / "net.sock"
    wait_for(path.exists, WAIT, "the keeper")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(str(path))
        s.send(field(1, 1) + field(2, field(1, name.encode()) + field(2, 1)))
        data, control, _, _ = s.recvmsg(65536, socket.CMSG_SPACE(64))
    descriptors = array.array("i")
    descriptors.frombytes(control[0][2])
    text = data.split(b"mac=")[1]
    text = b"mac=" + text[:text.index(b"ct6=") + 60].split(b"/64:")[0]
    for item in text.decode(errors="ignore").split(","):
        key, value = item.split("=")
        link[key] = value
    return descriptors[0]


def set_up():
    global world, session, keeper, guest
    world = World()
    session = Session()
    session.directory.mkdir(parents=True)
    session.directory.parent.chmod(0o700)
    session.directory.chmod(0o700)
    equal(session.crosh("vmc", "create", "disk").returncode, 0)
    log = open(session.directory / "keeper.log", "wb")  # pylint: disable=consider-using-with
    keeper = world.spawn(str(LIBEXEC / "crosh-net"), "--directory", str(session.directory),
                         stdout=log, stderr=log, env=session.home.env)
    descriptor = attach("disk")
    guest = world.spawn("unshare", "-n", "-m", "sleep", "infinity")
    wait_for(lambda: os.readlink(f"/proc/{guest.pid}/ns/net") != os.readlink("/proc/self/ns/net"),
             60, "the guest")
    inside("mount", "--make-rprivate", "/")
    for directory in ("/run", "/etc/systemd/network", "/var/lib/dhcp"):
        if os.path.isdir(directory):
            inside("mount", "-t", "tmpfs", "tmpfs", directory)
    # networkd takes a /sys that cannot be written for a sign that no udev is to be waited for.
    inside("mount", "-t", "sysfs", "-o", "ro", "sysfs", "/sys")
    own = world.directory / "guest-resolv.conf"
    own.write_text("")
    inside("mount", "--bind", str(own), "/etc/resolv.conf")
    world.spawn("nsenter", "-t", str(guest.pid), "-n", sys.executable, __file__, "--relay",
                str(descriptor), pass_fds=[descriptor])
    os.close(descriptor)
    wait_for(lambda: inside("ip", "link", "show", "eth0", check=False).returncode == 0, WAIT,
             "the card")
    inside("ip", "link", "set", "lo", "up")
    inside("ip", "link", "set", "eth0", "address", link["mac"])


def tear_down():
    if session is not None:
        session.close()
    if world is not None:
        world.close()


def inside(*argv, check=True):
    """Runs a program in the guest."""
    return run("nsenter", "-t", str(guest.pid), "-n", "-m", *argv, check=check)


def addresses(family):
    """The guest's addresses of that family that are no link's own."""
    lines = inside("ip", f"-{family}", "-o", "addr", "show", "dev", "eth0").stdout.splitlines()
    return [line.split()[3] for line in lines if "scope global" in line]


def default_route(family):
    return inside("ip", f"-{family}", "route", "show", "default").stdout


def fresh():
    """The guest as it begins: its card without addresses, off."""
    inside("ip", "link", "set", "eth0", "down")
    inside("ip", "addr", "flush", "dev", "eth0")


ASK = """
import socket, struct, sys
def ask(server, name, kind):
    query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    for label in name.split("."):
        query += bytes([len(label)]) + label.encode()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        for _ in range(12):
            try:
                s.sendto(query + struct.pack(">BHH", 0, kind, 1), (server, 53))
                return s.recv(600)
            except OSError:
                pass
    return bytes(12)
answer = ask(sys.argv[1], sys.argv[2], int(sys.argv[3]))
count = answer[7]
size = 4 if sys.argv[3] == "1" else 16
print(socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, answer[-size:])
      if count else "none")
"""


def ask(server, name, kind):
    """What the name server at the gateway says of a name, as the guest asks: an address, or none."""
    done = inside(sys.executable, "-c", ASK, server, name, str(kind))
    return done.stdout.strip()


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
    fresh()
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
    done = inside(sys.executable, "-c", "import urllib.request as u; print(u.urlopen("
                  f"'http://{SERVER}/', timeout=60).read().decode(), end='')")
    equal(done.stdout, "hello from the internet\n")
    equal(ask(link["gw"], "www.example", 1), SERVER)
    equal(ask(link["gw"], "disk.linux.test", 1), link["ip"].split("/")[0])


@case
def an_address_of_before_is_refused():
    if shutil.which("dhclient") is None:
        raise Skip("there is no dhclient (Debian: isc-dhcp-client)")
    leases = world.directory / "leases-old"
    leases.write_text('lease {\n  interface "eth0";\n  fixed-address 10.9.8.7;\n'
                      "  option subnet-mask 255.255.255.0;\n  option dhcp-lease-time 7200;\n"
                      "  renew 4 2037/12/31 10:00:00;\n  rebind 4 2037/12/31 11:00:00;\n"
                      "  expire 4 2037/12/31 12:00:00;\n}\n")
    fresh()
    said = dhclient(4, leases)
    contains(said, "DHCPREQUEST for 10.9.8.7")
    contains(said, f"DHCPNAK from {link['gw']}")
    equal(addresses(4), [link["ip"]])


@case
def another_card_gets_nothing():
    if shutil.which("dhclient") is None:
        raise Skip("there is no dhclient (Debian: isc-dhcp-client)")
    fresh()
    inside("ip", "link", "set", "eth0", "address", "02:00:00:00:00:01")
    try:
        config = world.directory / "short.conf"
        config.write_text("timeout 4;\nretry 1;\ninitial-interval 1;\n")
        said = inside("dhclient", "-4", "-1", "-v", "-cf", str(config), "-lf",
                      str(world.directory / "leases-none"), "-pf",
                      str(world.directory / "dhclient.pid"), "eth0", check=False).stderr
        contains(said, "DHCPDISCOVER on eth0")
        contains(said, "No DHCPOFFERS received.")
        equal("DHCPOFFER of" in said, False)
    finally:
        inside("ip", "link", "set", "eth0", "address", link["mac"])


@case
def ipv6_comes_by_advertisements_and_by_dhcpv6():
    prefix = link["ip6"].split("::")[0]
    fresh()
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
    equal(ask(link["gw"], "disk.linux.test", 28), "none")
    leases = world.directory / "leases6"
    said = dhclient(6, leases)
    contains(said, "RCV: Reply message on eth0")
    contains(addresses(6), link["ip6"].split("/")[0] + "/128")
    contains(leases.read_text(), f"option dhcp6.name-servers {link['gw6']};")
    contains(leases.read_text(), 'option dhcp6.domain-search "linux.test.";')
    equal(ask(link["gw6"], "disk.linux.test", 28), link["ip6"].split("/")[0])
    done = run("ping", "-6", "-q", "-c", "1", "-W", "60", link["ip6"].split("/")[0], check=False)
    contains(done.stdout, "1 packets transmitted, 1 received")


@case
def networkd_takes_all_of_it():
    if not os.path.exists(NETWORKD):
        raise Skip("there is no systemd-networkd (Debian: systemd)")
    fresh()
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
    fresh()
    inside("ip", "addr", "add", link["ip"], "dev", "eth0")
    inside("ip", "link", "set", "eth0", "up")
    equal(ask(link["gw"], "www.example", 1), SERVER)
    children = run("pgrep", "-P", str(keeper.pid)).stdout.split()
    equal(len(children), 1)
    with open(f"/proc/{children[0]}/status", encoding="ascii") as f:
        status = dict(line.split(":\t", 1) for line in f)
    equal((int(status["CapPrm"], 16), int(status["CapEff"], 16), status["Seccomp"].strip(),
           status["NoNewPrivs"].strip()), (0, 0, "2", "1"))
    os.kill(int(children[0]), signal.SIGKILL)
    equal(ask(link["gw"], "www.example", 1), SERVER)
    contains(session.log(), "crosh-net: the front died; another one follows\n")
    equal(RESOLVER in session.log(), False)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--relay"]:
        relay(int(sys.argv[2]))
    enter()
    main(set_up, tear_down)
