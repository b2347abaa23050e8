# SPDX-License-Identifier: MIT
"""What the rules between VMs' links let through, by what comes out at the other end.

A ping tells little of them: it needs both ways, and its answer goes to whom the question named.
Here datagrams are sent, and all that reach the other guest's card are counted. Each that shall not
arrive is followed by one that does, on the same way.
"""

import os
import sys
from pathlib import Path

from harness import case, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from guest import Guest  # pylint: disable=wrong-import-position
from world import SERVER, SERVER6, World, enter, run  # pylint: disable=wrong-import-position

WAIT = 90
world = left = right = alone = None
watches = []

SEND = """
import socket, sys
source, to, text = sys.argv[1:]
with socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM) as s:
    if source:
        s.bind((source, 0))
    s.sendto(text.encode(), (to, 9))
"""

# Every packet that comes to the card, whomever it is for: whence it says it is, and what it says.
WATCH = """
import socket
with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as s:
    s.bind(("eth0", 3))
    print("watching", flush=True)
    while True:
        data, where = s.recvfrom(2000)
        if where[2] == socket.PACKET_OUTGOING or b"test: " not in data:
            continue
        source = (socket.inet_ntop(socket.AF_INET6, data[8:24]) if data[0] >> 4 == 6 else
                  socket.inet_ntop(socket.AF_INET, data[12:16]))
        print(source, data[data.index(b"test: ") + 6:].decode(), flush=True)
"""


def set_up():
    global world, left, right, alone
    world = World()
    left = Guest(world, "left")
    right = Guest(world, "right", beside=left)
    alone = Guest(world, "alone", beside=left, isolated=True)
    for guest in (left, right, alone):
        guest.set_card()
    # The keeper's rules are tried, not what a distribution sets beside them.
    for setting in Path("/proc/sys/net/ipv4/conf").glob("*/rp_filter"):
        setting.write_text("0")


def tear_down():
    for watch in watches:
        watch.kill()
    for guest in (right, alone, left):
        if guest is not None:
            guest.close()
    if world is not None:
        world.close()


def own(guest, family):
    """A guest's address."""
    return guest.link["ip6" if family == 6 else "ip"].split("/")[0]


def send(guest, to, text, source=""):
    """A datagram from a guest, or (None) from the host."""
    argv = (sys.executable, "-c", SEND, source, to, "test: " + text)
    if guest is None:
        run(*argv)
    else:
        guest.run(*argv)


class Watch:
    """All that comes to a guest's card from now on."""

    def __init__(self, guest):
        self.path = world.directory / f"watch-{len(watches)}"
        with open(self.path, "wb") as out:
            watches.append(world.spawn("nsenter", "-t", str(guest.pid), "-n", sys.executable, "-c",
                                       WATCH, stdout=out))
        wait_for(lambda: self.lines() == ["watching"], WAIT, "the watch")

    def lines(self):
        return self.path.read_text().split("\n")[:-1]

    def until(self, text):
        """What has come when a datagram of that text has."""
        wait_for(lambda: any(line.endswith(" " + text) for line in self.lines()), WAIT, text)
        return self.lines()[1:]


def nobody_speaks_in_anothers_name(family):
    watch = Watch(right)
    # The way is known from now on, and nothing else than the datagrams waits for it.
    send(left, own(right, family), "begin")
    watch.until("begin")
    for source in (own(alone, family), SERVER6 if family == 6 else SERVER):
        left.run("ip", "addr", "add", source, "dev", "lo", *(["nodad"] if family == 6 else []))
        send(left, own(right, family), "a lie", source)
        left.run("ip", "addr", "del", source, "dev", "lo")
    send(left, own(right, family), "end")
    equal(watch.until("end"), [f"{own(left, family)} begin", f"{own(left, family)} end"])


@case
def nobody_speaks_in_anothers_name_by_ipv4():
    nobody_speaks_in_anothers_name(4)


@case
def nobody_speaks_in_anothers_name_by_ipv6():
    nobody_speaks_in_anothers_name(6)


def nobody_reaches_whom_is_isolated(family):
    at_right, at_alone = Watch(right), Watch(alone)
    send(left, own(alone, family), "across")
    send(left, own(right, family), "beside")
    # The first has gone through the host, too, wherever it went.
    equal(at_right.until("beside"), [f"{own(left, family)} beside"])
    send(None, own(alone, family), "from the host")
    equal([line.split(" ", 1)[1] for line in at_alone.until("from the host")], ["from the host"])


@case
def nobody_reaches_whom_is_isolated_by_ipv4():
    nobody_reaches_whom_is_isolated(4)


@case
def nobody_reaches_whom_is_isolated_by_ipv6():
    nobody_reaches_whom_is_isolated(6)


def who_is_isolated_reaches_nobody(family):
    watch = Watch(right)
    gateway = alone.link["gw6" if family == 6 else "gw"]
    send(alone, own(right, family), "across")
    # An answer from the host: what was sent before has gone through it.
    equal(alone.ask(gateway, "alone.linux.test", 1), own(alone, 4))
    send(left, own(right, family), "beside")
    equal(watch.until("beside"), [f"{own(left, family)} beside"])


@case
def who_is_isolated_reaches_nobody_by_ipv4():
    who_is_isolated_reaches_nobody(4)


@case
def who_is_isolated_reaches_nobody_by_ipv6():
    who_is_isolated_reaches_nobody(6)


ASK_BOTH = """
import socket, struct, sys
query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\\x04left\\x05linux\\x04test\\0\\0\\1\\0\\1"
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as other, socket.socket(family, socket.SOCK_DGRAM) as own:
    own.settimeout(60)
    # What is answered comes in the order of the questions.
    for _ in range(3):
        other.sendto(query, (sys.argv[1], 53))
        own.sendto(query, (sys.argv[2], 53))
        own.recv(600)
    other.setblocking(False)
    try:
        print(len(other.recv(600)))
    except BlockingIOError:
        print("own alone")
"""


ASK_BY_TCP = """
import socket, struct, sys
query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0) + b"\\x04left\\x05linux\\x04test\\0\\0\\1\\0\\1"
for server in sys.argv[1:]:
    with socket.create_connection((server, 53), 60) as s:
        try:
            s.sendall(struct.pack(">H", len(query)) + query)
            print("an answer" if s.recv(600) else "nothing")
        except OSError:
            print("nothing")
"""


def a_guest_asks_its_own_gateway(key):
    done = left.run(sys.executable, "-c", ASK_BOTH, right.link[key], left.link[key])
    equal(done.stdout, "own alone\n")


@case
def a_guest_uses_up_no_others_questions():
    for key in ("gw", "gw6"):
        a_guest_asks_its_own_gateway(key)
    # Nor is it answered by TCP.
    done = left.run(sys.executable, "-c", ASK_BY_TCP, right.link["gw"], left.link["gw"])
    equal(done.stdout, "nothing\nan answer\n")


@case
def streams_that_are_no_vms_keep_their_size():
    rules = run("nft", "list", "tables").stdout.split()
    text = run("nft", "list", "chain", "inet", rules[-1], "forward").stdout
    sizes = [line.split()[:2] for line in text.split("\n") if "maxseg" in line]
    equal(sizes, [["iifname", "@links"], ["oifname", "@links"]])


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
