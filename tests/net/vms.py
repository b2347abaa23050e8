# SPDX-License-Identifier: MIT
"""VMs' networks, for root in the host's network and for a user in a namespace of the user's own.

The VMs are real ones; the host and its internet are namespaces of this script (world.py).
"""

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys

from harness import CROSH, Skip, case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from world import (PAGE, SERVER, SERVER6, Session, World,  # pylint: disable=wrong-import-position
                   enter, exchange_datagram, fetch, is_root, make_echo, run)

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
    # None of its processes wanted more than it is left.
    equal([line for line in user.log().split("\n") if "forbidden" in line], [])
    equal(sorted(path.name for path in user.directory.iterdir()), ["keeper.log", "lock"])
    for setting in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
        with open(f"/proc/sys/net/{setting}", encoding="ascii") as f:
            equal(f.read(), "0\n", setting)


@for_both
def a_vm_gets_out_and_all_is_removed(user):
    said = user.start("one")
    equal([line for line in said.split("\n") if "warning" in line], [])
    contains(said, "\n  network ")
    known = facts(user, "one")
    equal(known["CROSH_NET_LINK"], "eth0")
    equal(known["CROSH_NET_ADDRESS"].split(".")[:3], ["100", "115", "92"])
    equal(known["CROSH_NET_ADDRESS"].split("/")[1], "30")
    equal(known["CROSH_NET_BRIDGE_ADDRESS"].split("/")[1], "26")
    contains(user.guest("one", "cat /etc/resolv.conf"),
             f"nameserver {known['CROSH_NET_GATEWAY']}\n")
    equal(user.guest("one", get(SERVER)), PAGE)
    # Who asks for an address, as a guest without an agent does, is given the same one.
    contains(user.guest("one", "udhcpc -i eth0 -n -q -s /bin/true 2>&1"),
             f"lease of {known['CROSH_NET_ADDRESS'].split('/')[0]} obtained from "
             f"{known['CROSH_NET_GATEWAY']}, lease time 43200")
    # The way out over IPv6 is announced to the namespace a moment after it is made.
    wait_for(lambda: user.guest("one", get(SERVER6)) == PAGE, WAIT, "the page over IPv6")
    # After a reboot inside it is as before.
    boot_id = user.guest("one", "cat /proc/sys/kernel/random/boot_id")
    user.crosh("vsh", "one", "--", "reboot")

    def rebooted():
        now = user.guest("one", "cat /proc/sys/kernel/random/boot_id")
        return now != boot_id and len(now) == len(boot_id)

    wait_for(rebooted, WAIT, "the reboot")
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
    user.stop("left", "right", "alone")
    gone(user)


WHO = """
import socket
listener = socket.create_server(("", 7000))
while True:
    stream, peer = listener.accept()
    stream.sendall(peer[0].encode() + b"\\n")
    stream.close()
"""


@for_both
def vms_of_another_host_see_who_speaks(user):
    # The internet is such a host here: it has an address of the plan, and ways there and back.
    other = "100.115.92.254"
    run(*world.inside(), "ip", "addr", "add", other, "dev", "lo")
    run(*world.inside(), "ip", "route", "add", "100.115.92.0/24", "via", "10.77.0.2")
    run("ip", "route", "add", "100.115.92.252/30", "via", "10.77.0.1")
    server = world.spawn(*world.inside(), sys.executable, "-c", WHO)
    user.start("one")
    wait_for(lambda: user.guest("one", f"nc -w 30 {SERVER} 7000") == "10.77.0.2\n", WAIT,
             "the host's address")
    # In a namespace of the user's nothing is routed: all goes out by its uplink.
    equal(user.guest("one", f"nc -w 30 {other} 7000"),
          "10.77.0.2\n" if user.is_user else address(user, "one") + "\n")
    user.stop("one")
    gone(user)
    server.kill()
    server.wait()
    run("ip", "route", "del", "100.115.92.252/30")
    run(*world.inside(), "ip", "route", "del", "100.115.92.0/24")
    run(*world.inside(), "ip", "addr", "del", other, "dev", "lo")


def inside(user, source):
    """Runs Python in the network that the VMs are in; what it prints."""
    done = run(*user.inside(), sys.executable, "-c", source, check=False)
    return done.stdout + done.stderr


TCP_QUERY = """
import socket, struct
def ask(name, kind):
    query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    for label in name.split("."):
        query += bytes([len(label)]) + label.encode()
    query += struct.pack(">BHH", 0, kind, 1)
    with socket.create_connection(("{gateway}", 53), 60) as s:
        s.sendall(struct.pack(">H", len(query)) + query)
        size = struct.unpack(">H", s.recv(2, socket.MSG_WAITALL))[0]
        answer = s.recv(size, socket.MSG_WAITALL)
    return answer
print(socket.inet_ntoa(ask("www.example", 1)[-4:]))
print(socket.inet_ntoa(ask("alpha.linux.test", 1)[-4:]))
print(ask("nobody.linux.test", 1)[3] & 15)
print(len(ask("big.example", 16)) > 1500)
"""


@for_both
def names_are_known_in_guests_and_to_crosh(user):
    user.start("alpha")
    user.start("beta")
    alpha, beta = facts(user, "alpha"), facts(user, "beta")
    address4, address6 = (alpha[f"CROSH_NET_ADDRESS{n}"].split("/")[0] for n in ("", "6"))
    gateway = beta["CROSH_NET_GATEWAY"]
    # The internet's names by the host's name server; ours by the keeper's own word.
    said = user.guest("beta", f"nslookup www.example {gateway}")
    contains(said, f"Address: {SERVER}\n")
    contains(said, f"Address: {SERVER6}\n")
    for name in ("alpha", "alpha.linux.test"):
        said = user.guest("beta", f"nslookup {name} {beta['CROSH_NET_GATEWAY6']}")
        contains(said, f"Address: {address4}\n", name)
        contains(said, f"Address: {address6}\n", name)
    contains(user.guest("beta", f"nslookup {address4} {gateway}"), "name = alpha.linux.test\n")
    contains(user.guest("beta", f"nslookup nobody.linux.test {gateway}"), "NXDOMAIN")
    equal(inside(user, TCP_QUERY.format(gateway=gateway)), f"{SERVER}\n{address4}\n3\nTrue\n")
    # crosh's commands.
    done = user.crosh("ping", "-c", "2", "-i", "0.2", "alpha")
    equal(done.returncode, 0, done.stderr)
    contains(done.stdout, f"PING alpha ({address4}) ")
    contains(done.stdout, "2 packets transmitted, 2 received, 0% packet loss")
    for target in (address4, address6, "alpha.linux.test"):
        equal(user.crosh("ping", "-c", "1", target).returncode, 0, target)
    done = user.crosh("ping", "-6", "-c", "1", "alpha.linux.test")
    contains(done.stdout, f"({address6})", done.stderr)
    done = user.crosh("ping", "-a")
    equal((done.returncode, sorted(line.split()[0] for line in done.stdout.splitlines()[:2])),
          (0, ["alpha", "beta"]), done.stdout)
    names = json.loads(user.crosh("net", "names", "--json").stdout)
    equal([(n["address"], n["vm"]) for n in names if n["name"] == "alpha.linux.test"],
          [(address4, "alpha"), (address6, "alpha")])
    # And to every program, by nsswitch.conf; but not where the addresses would lead nowhere.
    library = {"LD_LIBRARY_PATH": str(CROSH.parent.parent / "lib")}
    for where in ((), (str(CROSH), "net", "exec")):
        done = subprocess.run([*user.before, *where, "getent", "ahosts", "alpha.linux.test"],
                              env={**user.home.env, **library}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, check=False)
        known = sorted({line.split()[0] for line in done.stdout.splitlines()})
        reachable = where or not user.is_user
        equal((known, done.returncode),
              (sorted([address4, address6]), 0) if reachable else ([], 2))
    done = subprocess.run([*user.before, str(CROSH), "net", "exec", "getent", "ahostsv6", "ALPHA"],
                          env={**user.home.env, **library}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, text=True, check=False)
    equal(done.stdout.split()[0], address6)
    user.stop("alpha")
    done = user.crosh("ping", "-c", "1", "alpha")
    equal((done.returncode, done.stderr), (2, "ping: the VM alpha is stopped\n"
                                              "hint: start it with \"vmc start alpha\"\n"))
    user.stop("beta")
    gone(user)


@for_both
def links_are_shown_cut_and_captured(user):
    user.start("gamma")
    gamma = facts(user, "gamma")
    address4 = gamma["CROSH_NET_ADDRESS"].split("/")[0]
    shown = json.loads(user.crosh("net", "list", "--json").stdout)
    equal([(vm["vm"], vm["state"], vm["kind"], vm["address"], vm["containers"]) for vm in shown],
          [("gamma", "up", "nat", gamma["CROSH_NET_ADDRESS"], gamma["CROSH_NET_BRIDGE_ADDRESS"])])
    path = user.home.path / "frames.pcapng"
    capture = subprocess.Popen([*user.before, str(CROSH), "net", "capture", "-c", "12", "gamma",
                                str(path)], env=user.home.env, stderr=subprocess.PIPE, text=True)
    world.children.append(capture)
    wait_for(lambda: path.exists() and path.stat().st_size > 0, WAIT, "the capture's begin")
    while capture.poll() is None:
        equal(user.crosh("ping", "-c", "1", "gamma").returncode, 0)
    equal((capture.returncode, capture.stderr.read()), (0, "12 frames captured, 0 lost\n"))
    frames = run("tcpdump", "-nr", str(path))
    contains(frames.stdout, f" > {address4}: ICMP echo request")
    contains(frames.stdout, f" IP {address4} > ")
    rates = json.loads(user.crosh("net", "list", "--rates", "1", "--json").stdout)
    equal([sorted(vm) for vm in rates if vm["rx_rate"] >= 0 and vm["tx_rate"] >= 0][0][-2:],
          ["tx_rate", "vm"])
    equal(user.crosh("net", "down", "gamma").returncode, 0)
    equal(json.loads(user.crosh("net", "list", "--json").stdout)[0]["state"], "down")
    equal(user.crosh("ping", "-c", "1", "-W", "1", "gamma").returncode, 1)
    equal(user.crosh("net", "up", "gamma").returncode, 0)
    equal(user.crosh("ping", "-c", "1", "gamma").returncode, 0)
    equal(user.guest("gamma", get(SERVER)), PAGE)
    # A program of the host's, in there.
    done = user.crosh("net", "exec", "ping", "-q", "-c", "1", address4)
    contains(done.stdout, "1 packets transmitted, 1 received", done.stderr)
    equal(user.crosh("net", "exec", "sh", "-c", "exit 7").returncode, 7)
    equal(user.crosh("net", "down", "nobody").returncode, 3)
    user.stop("gamma")
    gone(user)


def lease(user, name):
    """The file that keeps a VM's address while it is stopped."""
    return user.home.data / "crosh" / "vms" / name / "lease"


@for_both
def ports_are_published_and_kept(user):
    serve = "mkdir -p /www; echo from the guest >/www/index.html; httpd -h /www -p 80"
    # The place that a VM of that name begins to look at is leased to another one.
    number = 6 + hashlib.sha256(b"web").digest()[0] % 58
    equal(user.crosh("vmc", "create", "other").returncode, 0)
    lease(user, "other").write_text(f"100.115.92.{4 * number + 2}/30\n")
    user.start("web")
    had = facts(user, "web")
    equal(lease(user, "web").read_text(), had["CROSH_NET_ADDRESS"] + "\n")
    equal(had["CROSH_NET_ADDRESS"], f"100.115.92.{4 * (number + 1 if number < 63 else 6) + 2}/30")
    user.guest("web", serve)
    equal(user.crosh("net", "publish", "web", "18080:80").returncode, 0)
    equal(user.crosh("net", "publish", "web", "15353:5353/udp").returncode, 0)
    equal(fetch(18080), "from the guest\n")
    echo = user.home.path / "echo"
    make_echo(echo)
    done = user.crosh("vsh", "cp", str(echo), "web:/tmp/echo")
    equal(done.returncode, 0, done.stderr)
    user.guest("web", "/tmp/echo")
    equal(exchange_datagram(15353, b"there and back"), b"there and back")
    shown = json.loads(user.crosh("net", "publish", "list", "--json").stdout)
    equal([(p["vm"], p["address"], p["host_port"], p["guest_port"], p["protocol"], p["state"])
           for p in shown], [("web", "127.0.0.1", 18080, 80, "tcp", "served"),
                             ("web", "127.0.0.1", 15353, 5353, "udp", "served")])
    done = user.crosh("net", "publish", "web", "18080:81")
    equal((done.returncode, done.stderr.split("\n")[0]),
          (4, "net publish: port 18080 is published already: 18080:80"))
    # At an address of IPv6, too; what they lead to is the guest's IPv4.
    equal(user.crosh("net", "publish", "web", "[::1]:18080:80").returncode, 0)
    equal(user.crosh("net", "publish", "web", "[::1]:15353:5353/udp").returncode, 0)
    equal(fetch(18080, "::1"), "from the guest\n")
    equal(exchange_datagram(15353, b"by the other way", "::1"), b"by the other way")
    # A port that another program has is not noted.
    with socket.create_server(("127.0.0.1", 18081)):
        done = user.crosh("net", "publish", "web", "18081:80")
        contains(done.stderr, "cannot listen on port 18081 of 127.0.0.1: Address already in use")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 18081))
        done = user.crosh("net", "publish", "web", "18081:80/udp")
        contains(done.stderr, "cannot listen on port 18081 of 127.0.0.1: Address already in use")
    user.stop("web")
    equal(fetch(18080), "")
    equal([p["state"] for p in json.loads(user.crosh("net", "publish", "list", "--json").stdout)],
          ["stopped"] * 4)
    # A port that another program has by then is missing alone, and said so.
    with socket.create_server(("127.0.0.1", 18080)):
        said = user.start("web")
        contains(said, "warning: web: cannot listen on port 18080 of 127.0.0.1: Address already in "
                       "use: it is not published\n")
        equal([p["state"] for p in
               json.loads(user.crosh("net", "publish", "list", "--json").stdout)],
              ["stopped", "served", "served", "served"])
        user.stop("web")
    # It is there again with the VM, until it is removed; and the addresses are those of before,
    # though the place of the first choice is free now.
    equal(user.crosh("vmc", "destroy", "--yes", "other").returncode, 0)
    user.start("web")
    equal(facts(user, "web"), had)
    user.guest("web", serve)
    equal(fetch(18080), "from the guest\n")
    equal(user.crosh("net", "publish", "remove", "web", "18080:80").returncode, 0)
    equal(fetch(18080), "")
    equal(user.crosh("net", "publish", "remove", "web", "18080:80").returncode, 3)
    equal(len(json.loads(user.crosh("net", "publish", "list", "--json").stdout)), 3)
    user.stop("web")
    gone(user)


def findings(user):
    """What the doctor calls a problem: check, finding, what would mend it; and its status."""
    done = user.crosh("net", "doctor", "--json")
    return [(f["check"], f["found"], f["mend"]) for f in json.loads(done.stdout)
            if f["state"] == "PROBLEM"], done.returncode


@case
def the_doctor_finds_what_is_in_the_way():
    user = session(False)
    user.start("patient")
    patient = facts(user, "patient")
    equal(findings(user), ([], 0))
    # As Docker leaves a host.
    run("nft", "add table ip filter; add chain ip filter FORWARD { type filter hook forward "
               "priority 0; policy drop; }; add chain ip filter DOCKER-USER")
    rules = run("nft", "list", "ruleset").stdout
    found, status = findings(user)
    equal((found, status), ([("firewall", "chain FORWARD of table ip filter drops what no rule "
                              "accepts", "iptables -I DOCKER-USER -i crosh+ -j ACCEPT; iptables -I "
                              "DOCKER-USER -o crosh+ -j ACCEPT")], 1))
    equal(user.guest("patient", get(SERVER)), "")
    equal(run("nft", "list", "ruleset").stdout, rules)
    # What it advises helps.
    run("nft", "delete chain ip filter DOCKER-USER")
    mend = findings(user)[0][0][2]
    contains(mend, "nft 'insert rule ip filter FORWARD iifname")
    run("sh", "-c", mend)
    equal(user.guest("patient", get(SERVER)), PAGE)
    run("nft", "delete", "table", "ip", "filter")
    # As ufw leaves one: nothing comes in that nobody allowed, names and addresses neither.
    run("nft", "add table ip filter; add chain ip filter INPUT { type filter hook input "
               "priority 0; policy drop; }; add rule ip filter INPUT ct state established accept")
    equal(user.guest("patient", f"nslookup www.example {patient['CROSH_NET_GATEWAY']} >/dev/null "
                                "2>&1 || echo no answer"), "no answer\n")
    found = findings(user)[0]
    equal([(check, text) for check, text, _ in found],
          [("firewall", "chain INPUT of table ip filter drops what comes in and no rule accepts: "
                        "guests get no names and no addresses from this host")])
    run("sh", "-c", found[0][2])
    contains(user.guest("patient", f"nslookup www.example {patient['CROSH_NET_GATEWAY']}"), SERVER)
    contains(user.guest("patient", "udhcpc -i eth0 -n -q -s /bin/true 2>&1"), " obtained from ")
    run("nft", "delete", "table", "ip", "filter")
    network = ".".join(patient["CROSH_NET_ADDRESS"].split(".")[:3]) + ".0/24"
    run("ip", "route", "add", network, "dev", "up0")
    run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    found, status = findings(user)
    equal(([(check, mend) for check, _, mend in found], status),
          ([("forwarding", "sysctl -w net.ipv4.ip_forward=1"),
            ("routes", "start it again, it moves: vmc stop patient; vmc start patient")], 1))
    equal(found[1][1], f"{network} on up0 overlaps {patient['CROSH_NET_ADDRESS']} of VM patient")
    run("ip", "route", "del", network)
    user.stop("patient")
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
    user.guest("first", "mkdir -p /www; echo from the guest >/www/index.html; httpd -h /www -p 80")
    equal(user.crosh("net", "publish", "first", "18090:80").returncode, 0)
    os.kill(user.keepers()[0], signal.SIGKILL)
    wait_for(lambda: not user.keepers(), WAIT, "the keeper to end")
    # The VM's link is its launcher's: it works on.
    equal(user.guest("first", get(SERVER)), PAGE)
    user.start("second")
    equal(user.guest("second", get(SERVER)), PAGE)
    # The new keeper has taken it over, with all that belongs to it.
    equal(user.guest("first", get(SERVER)), PAGE)
    equal(fetch(18090), "from the guest\n")
    equal(user.crosh("ping", "-c", "1", "first").returncode, 0)
    equal(sorted(vm["vm"] for vm in json.loads(user.crosh("net", "list", "--json").stdout)),
          ["first", "second"])
    equal(run("nft", "list", "tables").stdout.count("table inet crosh_"), 1)
    user.stop("first", "second")
    gone(user)


@case
def a_namespace_that_was_lost_is_said_so():
    user = session(True)
    user.start("lost")
    os.kill(user.keepers()[0], signal.SIGKILL)
    wait_for(lambda: not user.keepers(), WAIT, "the keeper to end")
    user.start("found")
    equal(user.guest("found", get(SERVER)), PAGE)
    done = user.crosh("net", "doctor")
    contains(done.stdout, "VM lost lost its network with a keeper that was killed: start it again")
    equal(done.returncode, 1)
    user.stop("lost")
    user.start("lost")
    equal(user.guest("lost", get(SERVER)), PAGE)
    user.stop("lost", "found")
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
        contains(done.stderr, "VM without did not start (stage network): no network: /dev/net/tun: Permission "
                              "denied\n")
    finally:
        run("chmod", "666", "/dev/net/tun")
    gone(user)


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
