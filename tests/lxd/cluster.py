#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmc cluster against three real LXDs on two hosts, each in namespaces of its own with a link to its
host, as VMs have: made, joined, one killed and back, left.
"""

import json
import re

from harness import Home, case, contains, equal, main, wait_for
from launcher import Launcher
from lxdhost import Lxd, Router, tiny_image

NAMES = {"alpha": 0, "beta": 0, "gamma": 1}  # on which host
NUMBERS = {"alpha": 6, "beta": 7, "gamma": 8}  # by the plan of addresses
home = Home()
hosts = ()
vms = {}
launchers = {}
image = None


def set_up():
    """Three LXDs that know nothing of each other. The second host knows no way to the first's."""
    global hosts, image  # pylint: disable=global-statement
    hosts = (Router(), Router())
    hosts[0].link(hosts[1])
    hosts[0].route("add", 8)
    for name, host in NAMES.items():
        vms[name] = Lxd((hosts[host], NUMBERS[name]))
        launchers[name] = Launcher(home, name, around=vms[name].around)
    (home.path / "image").mkdir()
    image = tuple(map(str, tiny_image(home.path / "image")))


def tear_down():
    """Ends all."""
    for each in (*launchers.values(), *vms.values()):
        each.close()
    for each in hosts:
        each.close()
    home.close()


def crosh(*words, status=0, **options):
    """Runs one command; what it printed, after its status was looked at."""
    done = home.run("--", *words, timeout=600, **options)
    equal(done.returncode, status, f"status of {' '.join(words)}: {done.stderr}")
    return done.stdout


def refused(*words, status, text):
    """Runs one command that fails so."""
    done = home.run("--", *words)
    equal((done.returncode, done.stdout), (status, ""), " ".join(words) + done.stderr)
    contains(done.stderr, text)


def stages(*words):
    """Runs one command; the stages that it showed."""
    done = home.run("--", *words, timeout=600)
    equal((done.returncode, done.stdout), (0, ""), " ".join(words) + done.stderr)
    return re.findall(r"^  (\w+) +\d+\.\d\d s$", done.stderr, re.M)


def join(name, member="alpha"):
    """One more member; what it showed."""
    return stages("vmc", "cluster", "join", name, member, "--address", vms[name].address)


def members(name="alpha"):
    """{member: (state, address)} by vmc cluster list."""
    return {item["name"]: (item["state"], item["address"])
            for item in json.loads(crosh("vmc", "cluster", "list", "--json", name))}


def online(*names):
    """What members() has to be when these are well."""
    return {name: ("online", vms[name].address + ":8443") for name in names}


def places(name="alpha"):
    """{container: (state, location)} by vmc container list."""
    return {item["name"]: (item["state"], item["location"])
            for item in json.loads(crosh("vmc", "container", "list", "--json", name))}


def address_of(container, vm="alpha"):
    """A container's address, when it has one."""
    def look():
        return json.loads(crosh("vmc", "container", "info", "--json", vm, container))["addresses"]
    wait_for(look, 120, "an address of " + container)
    return look()[0]


@case
def no_cluster_yet():
    """What needs one says so; what cannot be is refused."""
    refused("vmc", "cluster", "list", "alpha", status=4, text="VM alpha is not a member of a cluster")
    refused("vmc", "cluster", "leave", "alpha", status=4, text="VM alpha is not a member of a cluster")
    refused("vmc", "cluster", "token", "alpha", "beta", status=4, text="vmc cluster create alpha")
    refused("vmc", "cluster", "join", "beta", "alpha", "--address", vms["beta"].address, status=4,
            text="hint: make one of it: vmc cluster create alpha")
    refused("vmc", "cluster", "join", "beta", status=2, text="which cluster?")
    refused("vmc", "cluster", "join", "beta", "--token", "eyJ9", "--address", "192.0.2.1", status=2,
            text="this is no token of a cluster")
    refused("vmc", "cluster", "create", "alpha", status=3, text="hint: stop it and start it with")
    refused("vmc", "cluster", "create", "alpha", "--address", "a b", status=2, text="not an address")
    refused("vmc", "cluster", "create", "alpha", "--name", "1", status=2,
            text="cannot be the name of a cluster's member")
    equal(crosh("vmc", "cluster", "list"), "MEMBER  STATE  ROLES  ADDRESS  MESSAGE\n")
    # Nothing was changed by any of them.
    for name in NAMES:
        contains(vms[name].run("lxc", "network", "list", "--format", "csv"), "lxdbr0,bridge,YES")


@case
def a_failed_start_leaves_the_vm_as_it_was():
    """An address that the VM has not: LXD refuses, and all is taken back."""
    refused("vmc", "cluster", "create", "alpha", "--address", "192.0.2.1", status=1,
            text="LXD cannot be reached at 192.0.2.1:8443")
    contains(vms["alpha"].run("lxc", "network", "list", "--format", "csv"), "lxdbr0,bridge,YES")
    contains(vms["alpha"].run("lxc", "profile", "show", "default"), "network: lxdbr0")
    equal(vms["alpha"].run("ip", "-br", "link", "show", "type", "bridge").split()[0], "lxdbr0")


@case
def created_with_what_it_has():
    """The first member keeps its container, which is on the VM's own bridge from then on."""
    crosh("vmc", "container", "alpha", "c1", *image)
    equal(stages("vmc", "cluster", "create", "alpha", "--address", vms["alpha"].address),
          ["network", "cluster"])
    equal(members(), online("alpha"))
    equal(places(), {"c1": ("running", "alpha")})
    contains(crosh("vmc", "cluster", "list", "alpha"), "alpha   online  database-leader, database  ")
    equal(crosh("vmc", "cluster", "list"), crosh("vmc", "cluster", "list", "alpha"))
    refused("vmc", "cluster", "create", "alpha", status=4, text="is a member of a cluster already")
    equal(vms["alpha"].run("ip", "-br", "link", "show", "type", "bridge").split()[0], "ctbr0")
    crosh("vmc", "container", "restart", "--force", "alpha", "c1")
    equal(129 < int(address_of("c1").removeprefix("100.115.98.")) < 191, True)


@case
def an_interrupted_join_is_undone_or_gone_on_with():
    """What a killed "join" leaves is neither in the way of "leave" nor of "join"."""
    beta = vms["beta"]
    for devices in ("eth0", "root"):
        beta.run("lxc", "profile", "device", "remove", "default", devices)
    beta.run("lxc", "network", "delete", "lxdbr0")
    beta.run("lxc", "storage", "delete", "default")
    equal(stages("vmc", "cluster", "leave", "beta"), ["alone"])
    contains(beta.run("lxc", "profile", "show", "default"), "network: lxdbr0")
    equal(beta.run("lxc", "storage", "list", "--format", "csv").split(",")[0], "default")
    beta.run("lxc", "profile", "device", "remove", "default", "eth0")
    beta.run("lxc", "network", "delete", "lxdbr0")


@case
def without_a_way_nothing_is_changed():
    """A token of a host that cannot be reached is said so before the VM loses anything."""
    crosh("vmc", "container", "gamma", "own", *image)
    crosh("vmc", "container", "delete", "-y", "-f", "gamma", "own")
    images = vms["gamma"].run("lxc", "image", "list", "--format", "csv")
    contains(images, "Tiny tiny")
    token = crosh("vmc", "cluster", "token", "alpha", "gamma").strip()
    refused("vmc", "cluster", "join", "gamma", "--token", token, "--address",
            vms["gamma"].address, status=1,
            text=f"VM gamma cannot reach the cluster's member at {vms['alpha'].address}:8443: "
                 "cannot connect: Network is unreachable\nhint: ")
    equal(vms["gamma"].run("lxc", "image", "list", "--format", "csv"), images)
    hosts[1].route("add", 6, 7)


@case
def joined():
    """Two more: by a VM of this host, and by a token from another host."""
    crosh("vmc", "container", "gamma", "own", *image)
    refused("vmc", "cluster", "join", "gamma", "alpha", status=4,
            text="VM gamma has containers, which would be lost")
    crosh("vmc", "container", "delete", "-y", "-f", "gamma", "own")
    equal(join("beta"), ["storage", "network", "cluster"])
    refused("vmc", "cluster", "token", "alpha", "beta", status=4, text="a member named beta already")
    token = crosh("vmc", "cluster", "token", "beta", "gamma").strip()
    # LXD itself takes it, too: it is its own, and one thing more.
    refused("vmc", "cluster", "join", "gamma", "--token", token[:-8], "--address", "192.0.2.1",
            status=2, text="this is no token of a cluster")
    equal(stages("vmc", "cluster", "join", "gamma", "--token", token, "--address",
                 vms["gamma"].address), ["storage", "network", "cluster"])
    for name in NAMES:
        equal(members(name), online(*NAMES))
        equal(places(name), {"c1": ("running", "alpha")})
    equal(len(json.loads(crosh("vmc", "cluster", "list", "--json"))), 3)


@case
def containers_anywhere():
    """--target, and containers of different members reach each other by their own addresses."""
    crosh("vmc", "container", "beta", "c2", *image, "--target", "gamma")
    refused("vmc", "container", "alpha", "c3", *image, "--target", "delta", status=3,
            text="LXD says: Cluster member not found")
    refused("vmc", "container", "alpha", "c3", *image, "--target", "no/where", status=2,
            text="--target: 'no/where' cannot be")
    equal(places("alpha"), {"c1": ("running", "alpha"), "c2": ("running", "gamma")})
    contains(crosh("vmc", "container", "list", "alpha"), "LOCATION\n")
    contains(crosh("vmc", "container", "info", "alpha", "c2"), "location    gamma\n")
    first, second = address_of("c1"), address_of("c2")
    equal(second.startswith("100.115.99."), True, second)
    equal(crosh("vsh", "gamma", "c2", "--", "hostname"), "c2\n")
    # From one container to the other, over both VMs and the router between them.
    contains(crosh("vsh", "alpha", "c1", "--", "ping", "-c", "1", "-W", "60", second),
             "1 packets received")
    contains(crosh("vsh", "gamma", "c2", "--", "ping", "-c", "1", "-W", "60", first),
             "1 packets received")
    # The bridge's name server knows who has told it a name.
    contains(crosh("vsh", "gamma", "c2", "--", "nslookup", "c2.lxd", "100.115.99.1"),
             "Address: " + second)
    # A process of that number is another one's in another VM, or none.
    refused("vsh", "alpha", "c2", "--", "hostname", status=1, text="container c2 is not ")
    equal(crosh("vsh", "gamma", "c2", "--", "/opt/crosh/agent", "--version").split()[0],
          "crosh-agent")


@case
def the_sum_of_all():
    """top shows each container once, though every member knows of all."""
    rows = json.loads(crosh("vmc", "container", "top", "--json", "--sort", "name"))
    equal([(row["vm"], row["name"]) for row in rows], [("alpha", "c1"), ("gamma", "c2")])
    equal([row["name"] for row in json.loads(crosh("vmc", "container", "top", "--json", "beta"))], [])


@case
def one_is_killed():
    """The others go on: one is seen offline, a container is made, all are back with it."""
    vms["gamma"].kill()
    launchers.pop("gamma").close()
    wait_for(lambda: members("alpha")["gamma"][0] == "offline", 180, "gamma to be missed")
    equal({name: state for name, (state, _) in members("beta").items()},
          {"alpha": "online", "beta": "online", "gamma": "offline"})
    contains(crosh("vmc", "cluster", "list", "beta"), "No heartbeat")
    equal(places("alpha"), {"c1": ("running", "alpha"), "c2": ("error", "gamma")})
    crosh("vmc", "container", "beta", "c3", *image, "--target", "beta")
    equal(places("alpha")["c3"], ("running", "beta"))
    refused("vmc", "cluster", "remove", "-y", "alpha", "beta", status=4, text="member beta is alive")
    refused("vmc", "cluster", "leave", "beta", status=4, text="member gamma is Offline: without both")
    vms["gamma"].start()
    launchers["gamma"] = Launcher(home, "gamma", around=vms["gamma"].around, again=True)
    wait_for(lambda: members("alpha") == online(*NAMES), 180, "gamma to be back")
    wait_for(lambda: places("alpha")["c2"] == ("running", "gamma"), 180, "its container to run")
    equal(places("gamma"), {"c1": ("running", "alpha"), "c2": ("running", "gamma"),
                            "c3": ("running", "beta")})
    equal(crosh("vsh", "gamma", "c2", "--", "hostname"), "c2\n")


@case
def left():
    """A member goes when nothing is on it, and then is as it was before."""
    refused("vmc", "cluster", "leave", "beta", status=4, text="containers are on VM beta: c3")
    refused("vmc", "container", "move", "beta", "c3", "alpha", status=4, text="container c3 is running")
    crosh("vmc", "container", "stop", "--force", "beta", "c3")
    crosh("vmc", "container", "move", "beta", "c3", "alpha")
    equal(places("beta")["c3"], ("stopped", "alpha"))
    crosh("vmc", "container", "start", "beta", "c3")
    equal(crosh("vsh", "alpha", "c3", "--", "hostname"), "c3\n")
    equal(stages("vmc", "cluster", "leave", "beta"), ["cluster", "alone"])
    equal(members("alpha"), online("alpha", "gamma"))
    equal(places("beta"), {})
    crosh("vmc", "container", "beta", "single", *image)
    equal(193 < int(address_of("single", "beta").removeprefix("100.115.98.")) < 255, True)
    equal(places("beta"), {"single": ("running", "")})
    crosh("vmc", "container", "delete", "-y", "-f", "beta", "single")
    # And can come again.
    join("beta", "gamma")
    equal(members("beta"), online(*NAMES))


@case
def a_dead_one_is_forgotten():
    """remove, for a VM that does not come back."""
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c2")
    vms["gamma"].kill()
    wait_for(lambda: members("alpha")["gamma"][0] == "offline", 180, "gamma to be missed")
    refused("vmc", "cluster", "remove", "alpha", "gamma", status=2, text="hint: say so with -y")
    refused("vmc", "cluster", "remove", "-y", "alpha", "delta", status=3, text="has no member delta")
    crosh("vmc", "cluster", "remove", "-y", "alpha", "gamma")
    equal(members("beta"), online("alpha", "beta"))
    # The last one leaves as well, when it has nothing to lose.
    crosh("vmc", "cluster", "leave", "beta")
    refused("vmc", "cluster", "leave", "alpha", status=4, text="it is the cluster's last member")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c1", "c3")
    crosh("vmc", "cluster", "leave", "alpha")
    refused("vmc", "cluster", "list", "alpha", status=4, text="is not a member of a cluster")
    crosh("vmc", "container", "alpha", "again", *image)
    equal(places("alpha"), {"again": ("running", "")})


if __name__ == "__main__":
    main(set_up, tear_down)
