# SPDX-License-Identifier: MIT
"""Launchers that live, die, or do not answer, played by processes of the test's own."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from harness import CROSH, Home, Skip, case, contains, equal, main

home = None

# Holds a VM as its launcher does. argv: the lock, and signals to ignore.
HOLDER = """
import fcntl, signal, sys, time
for name in sys.argv[2:]:
    signal.signal(getattr(signal, name), signal.SIG_IGN)
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(120)
"""


def set_up():
    global home
    home = Home()


def tear_down():
    if home is not None:
        home.close()


def run(command, status=0):
    done = home.run("-c", command)
    equal(done.returncode, status, f"{command}: {done.stderr}")
    return done


def runtime(name):
    path = home.runtime / "crosh" / name
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    return path


def data(name):
    return home.data / "crosh" / "vms" / name


def vm(name):
    return next(vm for vm in json.loads(run("vmc list --json").stdout) if vm["name"] == name)


class Holder:
    """A launcher that holds its VM and hears nothing."""

    def __init__(self, name, *ignored):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(data(name) / "lock"), *ignored],
            stdout=subprocess.PIPE)
        equal(self.process.stdout.readline(), b"held\n")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def end(self):
        """How it ended: the negative number of a signal."""
        return self.process.wait(10)


def socket_at(path):
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


@case
def what_a_killed_launcher_left_is_cleaned():
    run("vmc create dead")
    directory = runtime("dead")
    for name in ("control.sock", "vsock.sock", "vsock.sock_7777", "console.sock"):
        socket_at(directory / name).close()
    (directory / "pid").write_text(f"{os.getpid()}\n")
    (directory / "console.log").write_text("last words\n")
    equal(vm("dead")["state"], "killed")
    equal(vm("dead")["ended"]["reason"], "killed")
    equal(sorted(path.name for path in directory.iterdir()),
          ["console.log", "ended"])
    equal(run("vmc logs dead").stdout, "last words\n")
    contains(run("vmc status dead").stdout, "the launcher was killed")
    run("vmc stop dead", 4)
    run("vmc destroy -y dead")
    equal(directory.exists(), False)


@case
def a_crash_is_told():
    run("vmc create crashed")
    (runtime("crashed") / "ended").write_text(
        '{"reason":"crash","detail":"triple fault","status":11,"time":1800000000}')
    equal(vm("crashed")["state"], "crashed")
    equal(vm("crashed")["ended"], {"reason": "crash", "detail": "triple fault", "status": 11,
                                   "time": 1800000000})
    contains(run("vmc status crashed").stdout, "triple fault")
    for reason, status in (("poweroff", 0), ("reset", 10), ("killed", 12), ("failed", 1)):
        (runtime("crashed") / "ended").write_text(
            f'{{"reason":"{reason}","detail":"","status":{status},"time":1}}')
        equal(vm("crashed")["state"], "stopped", reason)


@case
def a_held_vm_is_left_alone():
    run("vmc create held")
    with Holder("held"):
        equal(vm("held")["state"], "starting")
        contains(run("vmc start --no-shell held", 4).stderr, "VM held is already running")
        contains(run("vmc destroy -y held", 4).stderr, "VM held is running")
        terminal = home.terminal("-c", "vmc destroy held")
        equal(terminal.end(), 4, "refused before anybody is asked")
        contains(terminal.text(), "VM held is running")
    equal(vm("held")["state"], "stopped")


@case
def a_vm_runs_once_whatever_the_runtime_directory():
    run("vmc create roaming")
    other = {"XDG_RUNTIME_DIR": str(home.path / "other-run")}
    (home.path / "other-run").mkdir(mode=0o700)
    there = home.path / "other-run" / "crosh" / "roaming"
    there.mkdir(mode=0o700, parents=True)
    there.parent.chmod(0o700)
    with Holder("roaming") as holder:
        (data("roaming") / "lock").write_text(f"{there}\n")
        listener = socket_at(there / "control.sock")
        # It does not answer, which can be told only by whoever found its socket.
        equal(vm("roaming")["state"], "hung")
        contains(run("vmc start --no-shell roaming", 4).stderr,
                 f"VM roaming is already running (in {there})")
        done = home.run("-c", "vmc start --no-shell roaming", env=other)
        equal(done.returncode, 4, done.stderr)
        contains(done.stderr, "VM roaming is already running\n")
        run("vmc stop --force roaming")
        equal(holder.end(), -signal.SIGTERM)
        listener.close()
    equal(vm("roaming")["state"], "killed")
    equal(there.joinpath("control.sock").exists(), False)
    run("vmc destroy -y roaming")
    equal(there.exists(), False)


@case
def a_deaf_launcher_is_ended_by_signal():
    run("vmc create deaf")
    with Holder("deaf") as holder:
        contains(run("vmc stop deaf").stderr, "deaf stopped")
        equal(holder.end(), -signal.SIGTERM)
    with Holder("deaf", "SIGTERM") as holder:
        run("vmc stop --timeout 1 deaf")
        equal(holder.end(), -signal.SIGKILL)
    equal(vm("deaf")["state"], "stopped")


@case
def a_mute_launcher_does_not_hang_the_list():
    run("vmc create mute")
    with Holder("mute") as holder:
        listener = socket_at(runtime("mute") / "control.sock")
        equal(vm("mute")["state"], "hung")
        run("vmc stop --force mute")
        equal(holder.end(), -signal.SIGTERM)
        listener.close()


@case
def a_start_waits_for_a_killed_launcher_to_be_gone():
    run("vmc create dying")
    lock = open(data("dying") / "lock", "w", encoding="ascii")
    # The one that took the lock is killed; its child has the same description of it.
    taker = subprocess.Popen([sys.executable, "-c", "import fcntl, sys\n"
                              "fcntl.flock(int(sys.argv[1]), fcntl.LOCK_EX)", str(lock.fileno())],
                             pass_fds=[lock.fileno()])
    equal(taker.wait(60), 0)
    if f":{os.fstat(lock.fileno()).st_ino} " not in Path("/proc/locks").read_text(encoding="ascii"):
        lock.close()
        raise Skip("in a namespace of processes the kernel hides the locks of who is gone")
    child = subprocess.Popen(["sleep", "600"], pass_fds=[lock.fileno()],
                             stdout=subprocess.DEVNULL)
    lock.close()
    start = subprocess.Popen([str(CROSH), "-c", "vmc start --no-shell dying"], env=home.env,
                             stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        equal(start.stderr.readline(),
              "waiting for the launcher of dying, which was killed, to be gone\n")
        equal(start.poll(), None, "the start, while it waits")
        child.kill()
        child.wait()
        equal(start.stderr.readline(), "starting dying\n")
    finally:
        child.kill()
        child.wait()
        start.kill()
        start.communicate()


@case
def a_babbling_launcher_is_ended_too():
    run("vmc create babble")
    with Holder("babble") as holder:
        listener = socket_at(runtime("babble") / "control.sock")
        babbler = subprocess.Popen(
            [sys.executable, "-c",
             "import socket, sys\n"
             "listener = socket.socket(fileno=int(sys.argv[1]))\n"
             "while True:\n"
             "    client, _ = listener.accept()\n"
             "    client.sendall(b'\\xff' * 4096)\n", str(listener.fileno())],
            pass_fds=[listener.fileno()])
        try:
            equal(vm("babble")["state"], "hung")
            run("vmc stop --force babble")
            equal(holder.end(), -signal.SIGTERM)
        finally:
            babbler.kill()
            babbler.wait()
            listener.close()


@case
def only_the_holder_is_signalled():
    run("vmc create other")
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (runtime("other") / "pid").write_text(f"{bystander.pid}\n")
        with Holder("other") as holder:
            run("vmc stop --force other")
            holder.end()
        equal(bystander.poll(), None, "the process that the pid file named")
        (runtime("other") / "pid").write_text(f"{bystander.pid}\n")
        run("vmc stop other", 4)
        equal(bystander.poll(), None, "the process that the pid file named")
    finally:
        bystander.kill()
        bystander.wait()


if __name__ == "__main__":
    main(set_up, tear_down)
