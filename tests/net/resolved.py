# SPDX-License-Identifier: MIT
"""VMs' names on a host whose resolver is systemd-resolved: a real one, on a system bus of its own.

It is in the network of this script, with /run and users of the script's. Debian's package would
change the name servers of this machine when installed, so it is unpacked beside it.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from guest import Guest  # pylint: disable=wrong-import-position
from world import RESOLVER, SERVER, SERVER6, World, enter, run  # pylint: disable=wrong-import-position

WAIT = 90
PACKAGES = ["systemd-resolved", "libnss-resolve"]
DAEMON = "lib/systemd/systemd-resolved"
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <include>POLICY</include>
</busconfig>
"""
NSS = "passwd: files\ngroup: files\nhosts: files resolve\n"

world = unpacked = alpha = None


def package():
    """Where Debian's package is unpacked; fetched when it is not there yet. None: it cannot be."""
    place = Path(os.environ.get("top_builddir", tempfile.gettempdir())) / "test-images"
    place.mkdir(exist_ok=True)
    with open(place / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        target = place / "systemd-resolved"
        if not (target / DAEMON).exists():
            with tempfile.TemporaryDirectory(dir=place) as name:
                done = subprocess.run(["apt-get", "download", *PACKAGES], cwd=name, check=False,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if done.returncode != 0:
                    return None
                new = Path(name, "new")
                for file in Path(name).glob("*.deb"):
                    run("dpkg", "-x", str(file), str(new))
                shutil.rmtree(target, ignore_errors=True)
                new.rename(target)
    return target


def skip(why):
    print(f"skipped: {why}")
    print("0 passed, 0 failed, 1 skipped")
    sys.exit(77)


def bind(source, place):
    run("mount", "--bind", str(source), place)


def start_resolver():
    """The bus and the resolver; what they need of the host's files is this script's alone."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for directory in ("dbus", "systemd/resolved.conf.d"):
        Path("/run", directory).mkdir(parents=True)
    for name in ("passwd", "group"):
        text = Path("/etc", name).read_text(encoding="utf-8")
        if "\nsystemd-resolve:" not in text:
            text += "systemd-resolve:x:987:" + ("987::/:/bin/false\n" if name == "passwd" else "\n")
        (world.directory / name).write_text(text)
        bind(world.directory / name, f"/etc/{name}")
    Path("/run/systemd/resolved.conf.d/test.conf").write_text(f"[Resolve]\nDNS={RESOLVER}\n")
    # As its package sets a host up.
    (world.directory / "resolv.conf").write_text("nameserver 127.0.0.53\noptions edns0\n")
    (world.directory / "nsswitch.conf").write_text(NSS)
    config = world.directory / "bus.conf"
    config.write_text(BUS.replace("POLICY", str(
        unpacked / "usr/share/dbus-1/system.d/org.freedesktop.resolve1.conf")))
    world.spawn("dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile",
                stderr=subprocess.DEVNULL)
    wait_for(Path("/run/dbus/system_bus_socket").exists, WAIT, "the bus")
    world.spawn(str(unpacked / DAEMON), stderr=subprocess.DEVNULL)
    wait_for(lambda: ask("status").returncode == 0, WAIT, "the resolver")


def set_up():
    global world, alpha
    world = World()
    start_resolver()
    alpha = Guest(world, "alpha")


def tear_down():
    if alpha is not None:
        alpha.close()
    if world is not None:
        world.close()


def ask(*argv):
    return run(str(unpacked / "usr/bin/resolvectl"), *argv, check=False)


def found(name):
    """The addresses that it finds for a name, each with the link that it heard of it by."""
    lines = ask("query", name).stdout.split("\n\n")[0].removeprefix(f"{name}:").split("\n")
    return {words[0]: words[-1] for words in map(str.split, lines) if words}


def getent(*argv):
    """The words of its answer, by the resolver's own NSS module."""
    library = next(unpacked.glob("usr/lib/*/libnss_resolve.so.2")).parent
    done = run("env", f"LD_LIBRARY_PATH={library}", "getent", *argv, check=False)
    return done.stdout.split()


def told(guest):
    """What the resolver knows of a guest's link: its lines."""
    return ask("status", "--no-pager", guest_link(guest)).stdout


def guest_link(guest):
    """The name of a guest's link on the host."""
    gateway = guest.link["gw"]
    return next(line.split()[0] for line in run("ip", "-br", "addr").stdout.splitlines()
                if f" {gateway}/30" in line)


def quiet():
    """Nothing of the keeper's processes wanted more than it is left, and nothing was refused."""
    equal([line for line in alpha.session.log().split("\n")
           if "forbidden" in line or "not told" in line], [])


@case
def every_program_knows_a_vms_names():
    address4, address6 = alpha.link["ip"].split("/")[0], alpha.link["ip6"].split("/")[0]
    wait_for(lambda: f"DNS Servers: {alpha.link['gw']}\n" in told(alpha), WAIT,
             "the word to the resolver")
    status = told(alpha)
    contains(status, "DNS Domain: ~linux.test ")
    for protocol in ("-DefaultRoute", "-LLMNR", "-mDNS", "-DNSOverTLS", "DNSSEC=no"):
        contains(status, protocol)
    equal(found("alpha.linux.test"), {address4: guest_link(alpha), address6: guest_link(alpha)})
    equal(found("nobody.linux.test"), {})
    # By libc, too, and the other way round.
    equal(getent("ahostsv4", "alpha.linux.test")[:2], [address4, "STREAM"])
    equal(getent("hosts", address4), [address4, "alpha.linux.test"])
    equal(getent("hosts", address6), [address6, "alpha.linux.test"])
    # Through the file that programs read which do not ask libc, and so from guests.
    alpha.set_card()
    equal(alpha.ask(alpha.link["gw"], "www.example", 1), SERVER)
    equal(alpha.ask(alpha.link["gw"], "alpha.linux.test", 1), address4)
    quiet()


@case
def names_of_others_are_not_asked_of_vms():
    equal(getent("ahostsv4", "www.example")[0], SERVER)
    equal(sorted(found("www.example")), [SERVER, SERVER6])
    equal("linux.test" in ask("status", "--no-pager").stdout.split("Link ")[0], False)


@case
def it_is_forgotten_with_the_link():
    beta = Guest(world, "beta", beside=alpha)
    link = guest_link(beta)
    try:
        wait_for(lambda: f"DNS Servers: {beta.link['gw']}\n" in told(beta), WAIT, "the word of it")
        contains(str(found("beta.linux.test")), repr(beta.link["ip"].split("/")[0]))
        # A launcher that is killed, with all that it had open.
        beta.relay.kill()
        beta.relay.wait(60)
        wait_for(lambda: found("beta.linux.test") == {}, WAIT, "its name to be forgotten")
        equal(link in ask("status", "--no-pager").stdout, False)
        equal(found("alpha.linux.test")[alpha.link["ip"].split("/")[0]], guest_link(alpha))
    finally:
        beta.close()
    quiet()


@case
def a_killed_keeper_leaves_no_names():
    alpha.keeper.kill()
    alpha.keeper.wait(60)
    alpha.relay.kill()
    alpha.relay.wait(60)
    wait_for(lambda: "linux.test" not in ask("status", "--no-pager").stdout, WAIT,
             "the names to be forgotten")
    equal(found("alpha.linux.test"), {})


if __name__ == "__main__":
    if "CROSH_TEST_WORLD" not in os.environ:
        if os.geteuid() != 0:
            skip("systemd-resolved wants several users, which root alone can be")
        if shutil.which("dbus-daemon") is None:
            skip("no dbus-daemon")
        if package() is None:
            skip("Debian's package systemd-resolved is not to be had")
    enter()
    unpacked = package()
    main(set_up, tear_down)
