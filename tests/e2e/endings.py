# SPDX-License-Identifier: MIT
"""How VMs begin and end other than well: crash, kill, reboot, refusals; and what is left behind."""

import json
import os
import signal
from pathlib import Path

from harness import Home, case, contains, equal, main, wait_for

BOOT = 180
home = Home()


def state(name):
    """The VM's state by vmc list --json; None when there is no such VM."""
    vms = json.loads(home.run("-c", "vmc list --json").stdout)
    return next((vm["state"] for vm in vms if vm["name"] == name), None)


def runtime(name, file):
    return home.runtime / "crosh" / name / file


def ended(name):
    """How it ended, once it has."""
    path = runtime(name, "ended")
    wait_for(path.exists, 60, "the end of the VM")
    record = json.loads(path.read_text())
    return record["reason"], record["status"]


def start(name, *options):
    done = home.run("-c", " ".join(["vmc start --no-shell --memory 256M", *options, name]),
                    timeout=BOOT)
    equal(done.returncode, 0, done.stderr)


@case
def start_on_a_terminal_opens_a_shell_and_the_vm_outlives_it():
    terminal = home.terminal("-c", "vmc start --memory 256M beta")
    terminal.expect("#", BOOT)
    terminal.send("echo shell-in-$(hostname)\r")
    terminal.expect("shell-in-beta")
    terminal.send("exit\r")
    equal(terminal.end(), 0)
    equal(state("beta"), "running")


@case
def a_running_vm_is_confined():
    done = home.run("-c", "vmc security --json beta")
    survey = json.loads(done.stdout)
    equal([check for check in survey["checks"] if not check["ok"]], [])
    equal((done.returncode, survey["confined"]), (0, True), done.stderr)
    checks = {(check["process"], check["check"]) for check in survey["checks"]}
    wanted = {("supervisor", "seccomp"), ("launcher", "seccomp"), ("launcher", "landlock"),
              ("launcher", "pid namespace"), ("launcher", "net namespace")}
    if survey["accel"] == "kvm":
        wanted.add(("launcher", "mnt namespace"))
    else:
        wanted.add(("emulator", "seccomp"))
    equal(wanted - checks, set())
    names = {thread["name"] for thread in survey["threads"] if thread["process"] == "launcher"}
    equal("crosh-vm" in names, True, names)
    text = home.run("-c", "vmc security beta").stdout
    for part in ("PROCESS", "landlock", "descriptors of the launcher:"):
        contains(text, part)
    equal(" NO " in text, False, text)


@case
def a_reboot_inside_comes_back():
    boot_id = home.run("vsh", "beta", "--", "cat", "/proc/sys/kernel/random/boot_id").stdout
    equal(len(boot_id), 37)
    home.run("vsh", "beta", "--", "reboot")

    def rebooted():
        done = home.run("vsh", "beta", "--", "cat", "/proc/sys/kernel/random/boot_id")
        return done.returncode == 0 and len(done.stdout) == 37 and done.stdout != boot_id

    wait_for(rebooted, BOOT, "the guest to come back")


@case
def a_poweroff_inside_is_told_from_a_crash():
    home.run("vsh", "beta", "--", "poweroff")
    equal(ended("beta"), ("poweroff", 0))
    wait_for(lambda: state("beta") == "stopped", 20, "the state")


@case
def a_kernel_panic_is_a_crash():
    start("beta")
    home.run("vsh", "beta", "--", "sh", "-c", "echo c > /proc/sysrq-trigger")
    equal(ended("beta"), ("crash", 11))
    wait_for(lambda: state("beta") == "crashed", 20, "the state")
    contains(home.run("-c", "vmc logs beta").stdout, "Kernel panic")
    contains(home.run("-c", "vmc list").stderr, "(more: vmc crash beta)")


@case
def a_crash_leaves_a_report():
    done = home.run("-c", "vmc crash --json beta")
    equal(done.returncode, 0, done.stderr)
    report = json.loads(done.stdout)
    equal((report["version"], report["vm"], report["cpus"]), (1, "beta", 1))
    contains(report["reason"], "panic")
    contains(report["kernel_release"], ".")
    equal(any("Kernel panic" in line for line in report["console"]), True, report["console"])
    equal(len(report["console"]) <= 64, True)
    if report["accel"] == "kvm":
        contains(report["vcpus"][0]["general"]["rip"], "0xffffffff")
    else:
        contains("\n".join(report["registers"]), "RIP=ffffffff")
    text = home.run("-c", "vmc crash beta").stdout
    for part in ("beta", "panic", "last lines of the guest's console:", report["console"][-1]):
        contains(text, part)
    # A VM that has not crashed has none.
    home.run("-c", "vmc create gamma")
    done = home.run("-c", "vmc crash gamma")
    equal(done.returncode, 3)
    contains(done.stderr, "there is no report")
    home.run("-c", "vmc destroy -y gamma")


@case
def a_forced_stop_is_a_kill():
    start("beta")
    done = home.run("-c", "vmc stop --force beta")
    equal(done.returncode, 0, done.stderr)
    equal(ended("beta"), ("killed", 12))


@case
def a_terminated_launcher_stops_its_guest_gracefully():
    start("beta")
    os.kill(int(runtime("beta", "pid").read_text()), signal.SIGTERM)
    equal(ended("beta"), ("poweroff", 0))


@case
def a_killed_launcher_leaves_nothing_in_the_way():
    start("beta")
    os.kill(int(runtime("beta", "pid").read_text()), signal.SIGKILL)
    wait_for(lambda: state("beta") == "killed", 20, "the death to be noticed")
    start("beta")
    equal(home.run("vsh", "beta", "--", "echo", "back").stdout, "back\n")
    done = home.run("-c", "vmc stop beta", timeout=BOOT)
    equal(done.returncode, 0, done.stderr)


def descendants(pid):
    """The processes below a process."""
    children = [int(word) for task in os.listdir(f"/proc/{pid}/task")
                for word in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return children + [pid for child in children for pid in descendants(child)]


@case
def whatever_runs_the_guest_holds_the_lock():
    """A launcher that is killed may be gone before its emulator, which still has the disks."""
    start("beta")
    lock = str(home.data / "crosh/vms/beta/lock")
    pids = [int(runtime("beta", "pid").read_text())]
    pids += descendants(pids[0])
    equal(len(pids) >= 2, True, pids)
    for pid in pids:
        held = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
        equal(lock in held, True, Path(f"/proc/{pid}/cmdline").read_bytes()[:80])
    equal(home.run("-c", "vmc stop beta", timeout=BOOT).returncode, 0)


@case
def a_start_right_after_a_kill_works():
    for _ in range(3):
        start("beta")
        os.kill(int(runtime("beta", "pid").read_text()), signal.SIGKILL)
    start("beta")
    equal(home.run("-c", "vmc stop beta", timeout=BOOT).returncode, 0)


@case
def disks_keep_what_is_written():
    disk = home.path / "disk, with comma.img"
    disk.write_bytes(b"\0" * (8 << 20))
    start("disky", f"--extra-disk '{disk}'")
    script = "echo kept > /tmp/x; dd if=/tmp/x of=/dev/vda bs=512 seek=100 conv=sync; sync"
    done = home.run("vsh", "disky", "--", "sh", "-c", script)
    equal(done.returncode, 0, done.stderr)
    equal(home.run("vsh", "disky", "--", "blockdev", "--getsize64", "/dev/vda").stdout,
          f"{8 << 20}\n")
    home.run("-c", "vmc stop disky", timeout=BOOT)
    equal(disk.read_bytes()[51200:51205], b"kept\n")


@case
def refusals_are_clear_and_leave_nothing():
    no_kernel = home.path / "no-kernel"
    no_kernel.write_bytes(b"this is no kernel" * 100)
    truncated = home.path / "truncated"
    truncated.write_bytes((home.data / "crosh/images/micro/vmlinuz").read_bytes()[:5000])
    for options, status, text in (
            (f"--kernel {no_kernel} x1", 1, "no-kernel"),
            (f"--kernel {truncated} x1", 1, "truncated"),
            (f"--kernel {home.path}/absent x1", 3, "absent"),
            ("--memory 9000G x1", 2, "memory"),
            ("--cpus 65 x1", 2, "cpus"),
            ("--extra-disk /no/such/disk x1", 3, "/no/such/disk"),
            ("../x", 2, "../x"),
            ("''", 2, "name"),
            ("a" * 300, 2, "name")):
        done = home.run("-c", f"vmc start --no-shell {options}", timeout=BOOT)
        equal(done.returncode, status, f"{options}: {done.stderr}")
        contains(done.stderr, text, options)
        equal(state("x1"), None, options)
        equal([str(path) for path in home.runtime.glob("crosh/x1/*")], [], options)
    for command in ("vmc stop nobody", "vmc logs nobody", "vsh nobody", "vmc destroy -y nobody"):
        done = home.run("-c", command)
        equal(done.returncode, 3, f"{command}: {done.stderr}")
        contains(done.stderr, "nobody", command)


if __name__ == "__main__":
    main(home=home)
