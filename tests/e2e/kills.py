#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""VMs of the image termina that are killed in the middle of LXD's start, of a container's making and
of apt's work: the next start works, and nothing that was finished is lost.

$CROSH_TEST_ROUNDS kills of each kind (default 1), at moments that $CROSH_TEST_SEED decides. tests/lxd/cuts.py
does as much in less time, without a VM.
"""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

import aptroot
from harness import CROSH, Home, case, equal, main, termina_images, wait_for

# Much work under emulation, also where others work beside it.
PATIENCE = 900
ROUNDS = int(os.environ.get("CROSH_TEST_ROUNDS", "1"))
SEED = os.environ.get("CROSH_TEST_SEED") or str(time.time_ns())
PACKAGES = tuple(f"part-{letter}" for letter in "abcdef")
INSTALL = ("vsh", "alpha", "c1", "--", "apt-get", "-q", "-y", "install", *PACKAGES)
home = None
work = None
# What is finished: {container: {path: SHA-256}}, {container: state} and the packages' {path: SHA-256}.
files = {}
states = {}
packages = {}
# How long things take when nothing hits them.
took = {}


def set_up():
    """A VM with a container that runs and one that does not, each with a file."""
    global home, work  # pylint: disable=global-statement
    print(f"# CROSH_TEST_SEED={SEED} CROSH_TEST_ROUNDS={ROUNDS}", flush=True)
    home = Home(termina_images())
    work = Path(tempfile.mkdtemp(prefix="crosh-kills."))
    aptroot.image(work / "apt", aptroot.package_tools)
    aptroot.image(work / "plain", lambda root: (root / "srv/payload").write_bytes(
        random.Random(SEED).randbytes(6 << 20)))
    start("--size", "8G")
    crosh(*making("c1", work / "apt/rootfs.squashfs", work / "apt/first.tar.xz"))
    took["making"] = timed(making("c2", work / "plain/rootfs.squashfs", work / "plain/first.tar.xz"))
    states.update(c1="running", c2="running")
    for name in states:
        write_file(name, random.Random(SEED))
    crosh("vmc", "container", "stop", "alpha", "c2")
    states["c2"] = "stopped"
    sums = serve(1, random.Random(SEED))
    took["apt"] = timed(INSTALL)
    packages.update(sums)


def tear_down():
    """Ends all."""
    if home is not None:
        home.close()
    if work is not None:
        shutil.rmtree(work)


# ---- The VM ----

def crosh(*argv, status=0, **options):
    """One command; what it printed."""
    done = home.run("--", *map(str, argv), timeout=PATIENCE, **options)
    equal(done.returncode, status, f"{argv}: {done.stdout}{done.stderr}")
    return done.stdout


def begin(*argv):
    """Starts a command and does not wait for it."""
    return subprocess.Popen([str(CROSH), "--", *map(str, argv)], env=home.env, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def start(*options):
    """Starts the VM and waits for its LXD."""
    crosh("vmc", "start", "--no-shell", "--timeout", PATIENCE, *options, "alpha")


def inside(container, script, **options):
    """What a shell's script prints in a container."""
    return crosh("vsh", "alpha", container, "--", "sh", "-c", script, **options)


def making(name, rootfs, metadata):
    """The command that makes a container."""
    return ("vmc", "container", "--timeout", PATIENCE, "--user", "user", "alpha", name, rootfs,
            metadata)


def timed(argv):
    """Runs a command; how long it took."""
    began = time.monotonic()
    crosh(*argv)
    return time.monotonic() - began


def kill():
    """Ends the VM's launcher, and with it the VM, as a cut of the power would."""
    pid_file = home.runtime / "crosh" / "alpha" / "pid"
    wait_for(pid_file.exists, PATIENCE, "the launcher")
    os.kill(int(pid_file.read_text()), signal.SIGKILL)
    wait_for(lambda: json.loads(crosh("vmc", "status", "--json", "alpha"))["state"] == "killed",
             PATIENCE, "the end")


# ---- What is finished ----

def write_file(container, chance):
    """A file of random content, which is on the disk when this returns."""
    data = chance.randbytes(chance.randint(1, 100000))
    path = f"/root/{len(files.get(container, {}))}"
    inside(container, f"cat >{path} && sync", data=data.hex())
    files.setdefault(container, {})[path] = hashlib.sha256(data.hex().encode()).hexdigest()


def check_sums(container, sums):
    """That the files of a container have their content: those of one that is stopped, as the VM
    sees them."""
    at = ("alpha",) if states.get(container) == "stopped" else ("alpha", container)
    below = f"/data/pool/containers/{container}/rootfs" if at == ("alpha",) else ""
    told = "".join(f"{value}  {below}{path}\n" for path, value in sums.items())
    crosh("vsh", *at, "--", "sha256sum", "-c", data=told)


def check_finished():
    """That all of it is there, as it was, and nothing else is."""
    wait_for(lambda: listed().get("c1") == "running", PATIENCE, "the container that ran")
    equal(listed(), states)
    # Also not under a name that the list does not show as it is.
    equal(sorted(row["name"] for row in json.loads(crosh(
        "vsh", "alpha", "--", "lxc", "query", "/1.0/instances?recursion=1"))), sorted(states))
    for name, sums in files.items():
        check_sums(name, sums)
    if packages:
        check_packages(packages)


def listed():
    """{name: state} by vmc container list."""
    return {row["name"]: row["state"]
            for row in json.loads(crosh("vmc", "container", "list", "--json", "alpha"))}


def rounds(kind):
    """The rounds of a kind, each with chances of its own, and finished work before it."""
    for number in range(1, ROUNDS + 1):
        chance = random.Random(f"{SEED} {kind} {number}")
        write_file("c1", chance)
        began = time.monotonic()
        yield number, chance
        print(f"# {kind} {number}: {time.monotonic() - began:.0f} s", flush=True)


def hit(kind, number, doing, delay):
    """Kills the VM while the command goes on, so long after now; whether that had succeeded before."""
    time.sleep(delay)
    status = doing.poll()
    kill()
    doing.communicate(timeout=PATIENCE)
    print(f"# {kind} {number}: killed after {delay:.2f} s, " +
          ("in the middle" if status is None else f"after its end with {status}"), flush=True)
    if status is not None:
        equal(status, 0, "what ended before the kill")
    return status == 0


# ---- The kinds ----

@case
def a_kill_while_lxd_starts():
    began_lxd = None
    for number, chance in rounds("LXD's start"):
        crosh("vmc", "stop", "--timeout", PATIENCE, "alpha")
        if began_lxd is None:
            # How long it takes from the data disk's mounting to LXD's being ready.
            with begin("vmc", "start", "--no-shell", "--timeout", PATIENCE, "alpha") as starting:
                for line in starting.stderr:
                    if line.startswith("  prepare "):
                        began_lxd = time.monotonic()
            took["start"] = time.monotonic() - began_lxd
            crosh("vmc", "stop", "--timeout", PATIENCE, "alpha")
        with begin("vmc", "start", "--no-shell", "--timeout", PATIENCE, "alpha") as starting:
            for line in starting.stderr:
                if line.startswith("  prepare "):
                    break
            hit("LXD's start", number, starting, chance.uniform(0, took["start"] * 1.1))
        start()
        check_finished()


@case
def a_kill_while_a_container_is_made():
    for number, chance in rounds("making"):
        name = f"young-{number}"
        # Of an image that LXD has not yet, or of one that it has.
        mark = chance.choice([f"mark{number}", "first"])
        words = making(name, work / "plain/rootfs.squashfs",
                       aptroot.metadata(work / "plain", mark))
        is_made = hit("making", number, begin(*words),
                      chance.uniform(0, took["making"] * (1.2 if mark != "first" else 0.7)))
        start()
        # One that has its name is whole, though it may not have been started yet.
        if is_made or name in listed():
            states[name] = "running" if is_made else listed()[name]
        else:
            print(f"# making {number}: rolled back", flush=True)
        wait_for(lambda n=name: n not in states or listed()[n] == states[n], PATIENCE, name)
        check_finished()
        if is_made:
            check_young(name)
        crosh(*words)
        states[name] = "running"
        check_young(name)
        check_finished()
        crosh("vmc", "container", "delete", "-y", "--force", "alpha", name)
        del states[name]
        equal(listed(), states)


def check_young(name):
    """That a container is whole: its image's content, and its user."""
    payload = random.Random(SEED).randbytes(6 << 20)
    check_sums(name, {"/srv/payload": hashlib.sha256(payload).hexdigest()})
    inside(name, "test -d /home/user && grep -q ^user: /etc/passwd")


@case
def a_kill_while_apt_installs():
    for number, chance in rounds("apt"):
        sums = serve(number + 1, chance)
        packages.clear()
        if hit("apt", number, begin(*INSTALL), chance.uniform(0, took["apt"] * 1.1)):
            packages.update(sums)
        start()
        check_finished()
        crosh("vsh", "alpha", "c1", "--", "sh", "-c", aptroot.REPAIR)
        crosh(*INSTALL)
        packages.update(sums)
        check_finished()


def serve(version, chance):
    """A version of the packages, which apt in the container knows of. {path: SHA-256}."""
    sums = aptroot.repository(work / "repository", chance, version, PACKAGES)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(work / "repository", "repository")
    shutil.rmtree(work / "repository")
    done = home.run_bytes("vsh", "alpha", "c1", "--", "sh", "-c", "rm -rf /srv/repository && "
                          "tar -C /srv -xf - && "
                          "echo 'deb [trusted=yes] file:/srv/repository ./' >/etc/apt/sources.list && "
                          "sync", data=archive.getvalue(), timeout=PATIENCE)
    equal(done.returncode, 0, done.stderr)
    inside("c1", "apt-get -q update && sync")
    return sums


def check_packages(sums):
    """That they are installed, with all their files, and dpkg has nothing to complain of."""
    equal(inside("c1", "/usr/bin/dpkg --audit"), "")
    told = inside("c1", "/usr/bin/dpkg-query -W -f '${Package} ${Status}\\n' part-\\*")
    equal(told.splitlines(), [f"{name} install ok installed" for name in PACKAGES])
    check_sums("c1", sums)


if __name__ == "__main__":
    main(set_up, tear_down)
