# SPDX-License-Identifier: MIT
"""What the guest's agent does by itself: it becomes the host's build, and keeps the clock."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import CROSH, LIBEXEC, Home, case, contains, equal, images, main, wait_for

BOOT = 300
BUILT = Path(os.environ.get("CROSH_TEST_BUILT", Path(os.environ.get("top_builddir", ".")) / "tests"))
OTHER = BUILT / "agent" / "other-agent"
# How far off the guest's clock may be, in microseconds.
BOUND = 50_000
home = None
launchers = []


def set_up():
    global home
    home = Home(images())
    (home.runtime / "crosh").mkdir(mode=0o700)


def tear_down():
    for launcher in launchers:
        launcher.kill()
    if home is not None:
        home.close()


def version(program):
    done = subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.split()[1]


def status(name):
    """The VM's entry of vmc status --json; empty while it has no launcher."""
    done = home.run("-c", f"vmc status --json {name}")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def vsh(name, *args, **options):
    return home.run("vsh", name, "--", *args, **options)


def console(name):
    return (home.runtime / "crosh" / name / "console.log").read_text(errors="replace")


def start(name, *options):
    done = home.run("-c", " ".join(["vmc start --no-shell --memory 256M", *options, name]),
                    timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    return done.stderr


def launch(name, agent):
    """Runs the launcher itself, as vmc does, but with another copy of the agent to offer."""
    directory = home.runtime / "crosh" / name
    image = home.data / "crosh" / "images" / "micro"
    equal(home.run("-c", f"vmc create {name}").returncode, 0)
    directory.mkdir(mode=0o700, parents=True)
    with open(directory / "launcher.log", "wb") as log:
        launchers.append(subprocess.Popen(
            [LIBEXEC / "crosh-vm", "--name", name, "--runtime-dir", directory, "--memory", "256M",
             "--lock", home.data / "crosh" / "vms" / name / "lock", "--kernel", image / "vmlinux",
             "--initrd", image / "initramfs", "--agent", agent], env=home.env,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log))


def running(name):
    return status(name).get("state") == "running"


def launched(name, agent):
    launch(name, agent)
    wait_for(lambda: running(name), BOOT, "the VM")


def stop(name):
    done = home.run("-c", f"vmc stop {name}", timeout=BOOT)
    equal(done.returncode, 0, done.stderr)


def cpio(name, data, mode):
    """One entry of an archive of the format newc."""
    fields = [1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08x" % field for field in fields) + name + b"\0"
    return head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)


@case
def the_image_has_another_agent_than_the_host():
    image = home.data / "crosh" / "images" / "micro"
    initramfs = (image / "initramfs").read_bytes()
    # The kernel unpacks one archive after the other.
    (home.path / "initramfs").write_bytes(
        initramfs + bytes(-len(initramfs) % 512) +
        cpio(b"sbin/crosh-agent", OTHER.read_bytes(), 0o100755) + cpio(b"TRAILER!!!", b"", 0))
    shown = start("older", f"--kernel {image}/vmlinux", f"--initrd {home.path}/initramfs")
    equal("keeps its agent" in shown, False, shown)
    equal(status("older")["agent_version"], version(LIBEXEC / "crosh-agent"))
    contains(console("older"), "goes on from version 0.0.9-other")
    # It is in memory alone: the guest's file is what it was.
    contains(vsh("older", "/sbin/crosh-agent", "--version").stdout, "0.0.9-other")
    contains(vsh("older", "readlink", "/proc/1/exe").stdout, "memfd:crosh-agent")
    equal(vsh("older", "sh", "-c", "exit 7").returncode, 7)
    stop("older")


@case
def the_host_has_another_agent_than_the_image():
    launched("newer", OTHER)
    equal(status("newer")["agent_version"], "0.0.9-other")
    equal(vsh("newer", "echo", "works").stdout, "works\n")
    # A reboot begins with the image's again.
    vsh("newer", "reboot")
    wait_for(lambda: console("newer").count("goes on from version") == 2, BOOT, "the next boot")
    wait_for(lambda: running("newer"), BOOT, "the next boot")
    equal(status("newer")["agent_version"], "0.0.9-other")
    stop("newer")


@case
def a_damaged_copy_is_refused_and_the_vm_runs():
    own = version(LIBEXEC / "crosh-agent")
    damaged = home.path / "damaged"
    data = OTHER.read_bytes()
    damaged.write_bytes(data[:8192] + os.urandom(len(data) - 8192))
    launched("damaged", damaged)
    seen = status("damaged")
    equal(seen["agent_version"], own)
    contains(seen["notice"], f"the guest keeps its agent {own}: the other agent ended with status")
    contains(console("damaged"), f"it stays version {own}")
    equal(vsh("damaged", "echo", "works").stdout, "works\n")
    stop("damaged")
    damaged.write_bytes(b"no program\n")
    launched("text", damaged)
    contains(status("text")["notice"], "it is damaged, or of another machine's kind")
    equal(vsh("text", "echo", "works").stdout, "works\n")
    stop("text")


@case
def a_copy_that_ends_in_the_middle_is_refused():
    own = version(LIBEXEC / "crosh-agent")
    copy = home.path / "large"
    shutil.copy(OTHER, copy)
    # Bytes behind the program change nothing but how long the copying takes.
    with open(copy, "ab") as file:
        file.truncate(60 << 20)
    launch("cut", copy)
    wait_for(lambda: status("cut").get("agent_version") == own, BOOT, "the agent")
    equal(home.run("-c", "vmc pause cut").returncode, 0)
    os.truncate(copy, 1 << 20)
    equal(home.run("-c", "vmc resume cut").returncode, 0)
    wait_for(lambda: f"the guest keeps its agent {own}: the host could not read its agent to the "
             "end" in status("cut").get("notice", ""), BOOT, "the end of the copying")
    wait_for(lambda: running("cut"), BOOT, "the VM")
    equal(vsh("cut", "echo", "works").stdout, "works\n")


@case
def a_vm_killed_while_it_copies_starts_again():
    # The launcher's process is killed with the guest in whatever state the case before left it in,
    # and once more while it copies.
    copy = home.path / "large"
    shutil.copy(OTHER, copy)
    with open(copy, "ab") as file:
        file.truncate(60 << 20)
    launch("killed", copy)
    wait_for(lambda: status("killed").get("agent_version"), BOOT, "the agent")
    launchers[-1].send_signal(signal.SIGKILL)
    launchers[-1].wait()
    wait_for(lambda: not status("killed").get("pid"), 60, "the end of the launcher")
    start("killed")
    equal(status("killed")["agent_version"], version(LIBEXEC / "crosh-agent"))
    stop("killed")


def clock():
    """The guest's clock, less ours at the latest and the earliest moment; what is left to slew."""
    before = time.time_ns() // 1000
    done = vsh("clock", "/tmp/guest-clock")
    equal(done.returncode, 0, done.stderr)
    now, left = done.stdout.split()
    after = time.time_ns() // 1000
    return int(now) - after, int(now) - before, int(left)


def is_right():
    """Whether the guest's clock is within the bound, as far as can be told from here."""
    least, most, _ = clock()
    return least <= BOUND and most >= -BOUND


def steps():
    return console("clock").count("the clock was off by")


@case
def the_clock_is_right_after_the_start():
    start("clock")
    done = home.run("vsh", "cp", str(BUILT / "e2e" / "guest-clock"), "clock:/tmp/")
    equal(done.returncode, 0, done.stderr)
    wait_for(is_right, 120, "the clock")


@case
def a_clock_far_off_is_set():
    for off in (3_600_000_000, -70_000_000, 900_000):
        before = steps()
        equal(vsh("clock", "/tmp/guest-clock", str(off)).returncode, 0)
        equal(is_right(), False)
        wait_for(is_right, 200, "the clock")
        wait_for(lambda: steps() == before + 1, 60, "word of it")


@case
def a_clock_a_little_off_goes_slower_or_faster():
    wait_for(is_right, 200, "the clock")
    before = steps()
    # Not by a pause, which moves an emulated guest's clock by itself: within a minute it is looked at.
    equal(vsh("clock", "/tmp/guest-clock", "30000").returncode, 0)
    wait_for(lambda: clock()[2] != 0, 300, "the slew")
    equal(clock()[2] < 0, True)
    equal(steps(), before)


@case
def a_clock_that_stood_still_is_set_on():
    equal(vsh("clock", "/tmp/guest-clock", "-2000000").returncode, 0)
    equal(home.run("-c", "vmc pause clock").returncode, 0)
    equal(home.run("-c", "vmc resume clock").returncode, 0)
    wait_for(is_right, 120, "the clock")
    stop("clock")


def forwarder_runs(name):
    return (home.runtime / "crosh" / name / "ports.lock").exists()


@case
def ports_stay_in_a_vm_that_was_made_so():
    start("quiet", "--forward-ports=no")
    for _ in range(2):
        server = subprocess.Popen([str(CROSH), "vsh", "quiet", "--", "nc", "-l", "-p", "7171"],
                                  env=home.env, stdin=subprocess.DEVNULL)
        def ports():
            return json.loads(home.run("vsh", "ports", "--json", "quiet").stdout)

        wait_for(lambda: [entry for entry in ports() if entry["port"] == 7171], 60, "the server")
        equal([entry["here"] for entry in ports()], [None])
        equal(forwarder_runs("quiet"), False)
        server.kill()
        server.wait()
        stop("quiet")
        # It is the VM's, not that start's.
        start("quiet")
    stop("quiet")
    start("open")
    wait_for(lambda: forwarder_runs("open"), 60, "the forwarder of another VM")
    stop("open")


if __name__ == "__main__":
    main(set_up, tear_down)
