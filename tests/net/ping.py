# SPDX-License-Identifier: MIT
"""ping and the net commands, in network namespaces of their own, beside the system's ping."""

import json
import os
import re
import subprocess

from harness import CROSH, Home, Skip, Terminal, case, contains, equal, main

NEAR, MIDDLE, FAR = (f"crosh-{os.getpid()}-{name}" for name in ("near", "middle", "far"))
NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]
home = None

# Two machines with a router between them; 10.9.0.9 is nobody.
SET_UP = f"""
ip -n {NEAR} link add name n0 type veth peer name m0 netns {MIDDLE}
ip -n {MIDDLE} link add name m1 type veth peer name f0 netns {FAR}
ip -n {NEAR} addr add 10.9.0.1/24 dev n0
ip -n {NEAR} addr add fd00:9::1/64 dev n0 nodad
ip -n {MIDDLE} addr add 10.9.0.2/24 dev m0
ip -n {MIDDLE} addr add fd00:9::2/64 dev m0 nodad
ip -n {MIDDLE} addr add 10.9.1.2/24 dev m1
ip -n {FAR} addr add 10.9.1.3/24 dev f0
ip -n {NEAR} link set n0 up
ip -n {MIDDLE} link set m0 up
ip -n {MIDDLE} link set m1 up
ip -n {FAR} link set f0 up
ip -n {NEAR} route add default via 10.9.0.2
ip -n {FAR} route add default via 10.9.1.2
ip netns exec {MIDDLE} sysctl -qw net.ipv4.ip_forward=1
"""


def set_up():
    global home
    home = Home()
    home.path.chmod(0o755)
    if os.geteuid() != 0:
        return
    for name in (NEAR, MIDDLE, FAR):
        subprocess.run(["ip", "netns", "add", name], check=True)
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    for line in SET_UP.strip().split("\n"):
        subprocess.run(line.split(), check=True)


def tear_down():
    for name in (NEAR, MIDDLE, FAR):
        subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
    if home is not None:
        home.close()


def near(*argv, user=(), env=None):
    """Runs a program on the near machine."""
    if os.geteuid() != 0:
        raise Skip("only root can make network namespaces that are linked")
    return subprocess.run(["ip", "netns", "exec", NEAR, *user, *map(str, argv)], check=False,
                          env={**home.env, **(env or {})}, timeout=60, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def crosh(*argv, **options):
    return near(CROSH, *argv, **options)


def shape(text):
    """The text without what differs from run to run: times."""
    text = re.sub(r"\d+(\.\d+)?( ?ms)", r"T\2", text)
    return re.sub(r"= [\d./]+ ms|= [\d./]+/T ms", "= T", text)


def same_as_ping(*argv):
    """Whether status and output are those of the system's ping."""
    ours, theirs = crosh("ping", *argv), near("ping", *argv)
    equal(shape(ours.stdout), shape(theirs.stdout), "output")
    equal(ours.returncode, theirs.returncode, "status")
    return ours


@case
def an_answer_looks_as_ping_shows_it():
    done = same_as_ping("-c", 3, "-i", "0.2", "127.0.0.1")
    equal((done.returncode, done.stderr), (0, ""))
    contains(done.stdout, "3 packets transmitted, 3 received, 0% packet loss")
    same_as_ping("-c", 1, "fd00:9::2")
    same_as_ping("-c", 1, "-q", "10.9.1.3")


@case
def large_requests_come_back_whole():
    done = crosh("ping", "-c", 1, "-s", 65507, "10.9.1.3")
    equal(done.returncode, 0, done.stderr)
    contains(done.stdout, "65515 bytes from 10.9.1.3: icmp_seq=1 ttl=63 time=")
    done = crosh("ping", "-c", 1, "-s", 65508, "10.9.1.3")
    equal((done.returncode, done.stdout), (2, ""))


@case
def what_routers_say_is_shown():
    done = same_as_ping("-c", 1, "-t", 1, "10.9.1.3")
    equal(done.returncode, 1)
    contains(done.stdout, "From 10.9.0.2 icmp_seq=1 Time to live exceeded\n")
    contains(done.stdout, "1 packets transmitted, 0 received, +1 errors, 100% packet loss")
    done = crosh("ping", "-c", 1, "-W", 5, "10.9.0.9")
    equal(done.returncode, 1)
    contains(done.stdout, "From 10.9.0.1 icmp_seq=1 Destination Host Unreachable\n")


@case
def no_way_at_all_is_an_error():
    done = crosh("ping", "-c", 1, "-6", "2001:db8::1")
    equal(done.returncode, 1)
    contains(done.stderr, "ping: 2001:db8::1: Network is unreachable\n")
    done = crosh("ping", "-c", 1, "no-such-host.invalid")
    equal((done.returncode, done.stdout), (2, ""))
    contains(done.stderr, "ping: no-such-host.invalid: ")


@case
def the_options_are_those_of_ping():
    done = crosh("ping", "-D", "-c", 1, "10.9.1.3")
    equal(done.returncode, 0, done.stderr)
    equal(len(re.findall(r"^\[\d{10}\.\d{6}\] 64 bytes from 10\.9\.1\.3: icmp_seq=1 ",
                         done.stdout, re.M)), 1, done.stdout)
    for option, address, status in (("-4", "10.9.1.3", 0), ("-6", "fd00:9::2", 0),
                                    ("-4", "fd00:9::2", 2), ("-6", "10.9.1.3", 2)):
        done = same_as_ping(option, "-c", 1, address)
        equal(done.returncode, status, done.stderr)
    # Until the deadline, which cuts short what -c wanted: that is a failure, as ping has it.
    done = same_as_ping("-w", 1, "-i", 30, "10.9.1.3")
    equal(done.returncode, 0)
    done = same_as_ping("-w", 1, "-i", 30, "-c", 2, "10.9.1.3")
    equal(done.returncode, 1)
    contains(done.stdout, "1 packets transmitted, 1 received, 0% packet loss")


@case
def several_targets_get_a_line_each():
    done = crosh("ping", "127.0.0.1", "10.9.1.3", "10.9.1.3", "fd00:9::2")
    equal((done.returncode, done.stderr), (0, ""))
    equal(sorted(re.sub(r"\(.*\)", "()", line) for line in done.stdout.splitlines()),
          ["10.9.1.3 is alive ()", "127.0.0.1 is alive ()", "3 of 3 answered",
           "fd00:9::2 is alive ()"])
    # 10.9.1.9 is behind the router, whose word comes only after three seconds.
    done = crosh("ping", "-W", "0.3", "127.0.0.1", "10.9.1.9")
    equal(done.returncode, 1)
    contains(done.stdout, "10.9.1.9 does not answer\n1 of 2 answered\n")


@case
def json_tells_the_numbers():
    done = crosh("ping", "--json", "-c", 2, "-i", "0.1", "10.9.1.3")
    equal(done.returncode, 0, done.stderr)
    (entry,) = json.loads(done.stdout)
    rtt = entry.pop("rtt_ms")
    equal(entry, {"target": "10.9.1.3", "address": "10.9.1.3", "sent": 2, "received": 2,
                  "duplicates": 0, "errors": 0, "loss_percent": 0.0})
    equal(0 < rtt["min"] <= rtt["avg"] <= rtt["max"], True, rtt)


@case
def the_gateway_is_gw():
    done = crosh("ping", "-c", 1, "gw")
    equal(done.returncode, 0, done.stderr)
    contains(done.stdout, "PING gw (10.9.0.2) 56(84) bytes of data.\n")
    done = subprocess.run(["unshare", "-n", str(CROSH), "ping", "-c", "1", "gw"], env=home.env,
                          check=False, text=True, capture_output=True, timeout=60)
    equal((done.returncode, done.stderr), (2, "ping: gw: this host has no default route\n"))


@case
def users_ping_where_the_system_lets_them():
    near("sysctl", "-qw", "net.ipv4.ping_group_range=1 0")
    done = crosh("ping", "-c", 1, "10.9.1.3", user=NOBODY)
    equal(done.returncode, 5)
    equal(done.stderr, "ping: ICMP socket: Operation not permitted\n"
          "hint: let users ping: sysctl net.ipv4.ping_group_range='0 2147483647'\n")
    near("sysctl", "-qw", "net.ipv4.ping_group_range=0 2147483647")
    for address in ("10.9.1.3", "fd00:9::2"):
        done = crosh("ping", "-c", 1, address, user=NOBODY)
        equal(done.returncode, 0, done.stderr)
    done = crosh("ping", "-c", 1, "-t", 1, "10.9.1.3", user=NOBODY)
    contains(done.stdout, "From 10.9.0.2 icmp_seq=1 Time to live exceeded\n")
    done = crosh("ping", "-f", "10.9.1.3", user=NOBODY)
    equal((done.returncode, done.stderr), (5, "ping: only root may flood\n"))
    done = crosh("ping", "-i", "0.001", "10.9.1.3", user=NOBODY)
    equal((done.returncode, done.stdout), (2, ""))


@case
def a_flood_is_answered():
    done = crosh("ping", "-f", "-c", 500, "10.9.1.3")
    equal(done.returncode, 0, done.stderr)
    contains(done.stdout, "500 packets transmitted, 500 received, 0% packet loss")


@case
def an_interface_can_be_chosen():
    equal(crosh("ping", "-c", 1, "-I", "n0", "10.9.1.3").returncode, 0)
    equal(crosh("ping", "-c", 1, "-I", "10.9.0.1", "10.9.1.3").returncode, 0)
    done = crosh("ping", "-c", 1, "-I", "nolink", "10.9.1.3")
    equal((done.returncode, done.stderr),
          (1, "ping: -I nolink: neither a link nor an address of this host\n"))


@case
def a_stopped_vm_is_said_to_be_stopped():
    home.run("-c", "vmc create box")
    done = crosh("ping", "-c", 1, "box")
    equal((done.returncode, done.stdout), (2, ""))
    equal(done.stderr, 'ping: the VM box is stopped\nhint: start it with "vmc start box"\n')
    done = crosh("ping", "--all")
    equal((done.returncode, done.stdout), (1, "the VM box is stopped\n"))


@case
def wrong_command_lines_are_refused():
    for argv in (["-c", "0", "::1"], ["-i", "x", "::1"], ["-W", "-1", "::1"], ["-4", "-6", "::1"],
                 ["-t", "256", "::1"], [], ["--all", "::1"]):
        equal(crosh("ping", *argv).returncode, 2, argv)


@case
def ctrl_c_ends_with_the_statistics():
    terminal = Terminal(["ip", "netns", "exec", NEAR, str(CROSH), "ping", "127.0.0.1"], home.env)
    terminal.expect("icmp_seq=1 ttl=64")
    terminal.send("\x03")
    terminal.expect("1 packets transmitted, 1 received, 0% packet loss")
    equal(terminal.end(), 130)


@case
def tracepath_is_the_systems():
    done, theirs = crosh("tracepath", "-m", 4, "10.9.1.3"), near("tracepath", "-n", "10.9.1.3")
    # A hop may be asked more than once.
    ours, theirs = ({tuple(line.split()[:2]) for line in text.splitlines()}
                    for text in (done.stdout, theirs.stdout))
    equal(ours, theirs, done.stderr)
    contains(ours, ("2:", "10.9.1.3"))
    done = crosh("tracepath", "--", "-V")  # an argument, not tracepath's option
    equal(done.returncode, 1)
    contains(done.stderr, "-V: ")


@case
def the_tables_are_the_kernels():
    links = {link["name"]: link for link in json.loads(crosh("net", "links", "--json").stdout)}
    equal(sorted(links), ["lo", "n0"])
    equal((links["n0"]["kind"], links["n0"]["state"], links["n0"]["mtu"]), ("veth", "up", 1500))
    addrs = [(a["link"], a["address"]) for a in json.loads(crosh("net", "addrs", "--json").stdout)
             if a["scope"] == "global"]
    equal(sorted(addrs), [("n0", "10.9.0.1/24"), ("n0", "fd00:9::1/64")])
    equal(crosh("ipaddrs", "--json").stdout, crosh("net", "addrs", "--json").stdout)
    routes = json.loads(crosh("route", "--json").stdout)
    contains([(r["to"], r["via"], r["link"]) for r in routes], ("default", "10.9.0.2", "n0"))
    crosh("ping", "-c", 1, "10.9.0.2")
    neighbours = json.loads(crosh("net", "neigh", "--json").stdout)
    contains([(n["address"], n["link"]) for n in neighbours], ("10.9.0.2", "n0"))
    before = {s["name"]: s for s in json.loads(crosh("net", "stats", "--json").stdout)}
    crosh("ping", "-c", 3, "-i", "0.01", "127.0.0.1")
    after = {s["name"]: s for s in json.loads(crosh("net", "stats", "--json").stdout)}
    equal(after["lo"]["rx_packets"] - before["lo"]["rx_packets"] >= 6, True, after["lo"])
    contains(crosh("net", "links").stdout, "NAME  STATE  KIND")


@case
def names_of_links_are_shown_whatever_they_are():
    odd = os.fsdecode(b"a\xff\x1b[1mb")
    near("ip", "link", "add", odd, "type", "veth", "peer", "name", "p0")
    try:
        contains(crosh("net", "links").stdout, "\na??[1mb ")
        done = crosh("net", "links", "--json")
        contains([link["name"] for link in json.loads(done.stdout or "[]")], "a??[1mb", done.stderr)
    finally:
        near("ip", "link", "del", "p0")


if __name__ == "__main__":
    main(set_up, tear_down)
