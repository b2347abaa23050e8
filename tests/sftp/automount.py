# SPDX-License-Identifier: MIT
"""The setting sftp.automount: what "vmc start" has mounted, and what "vmc stop" unmounts.

A script stands in for crosh-vm, in a mount namespace of the test's own: it has an agent of this
host, and tells that the guest is up.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from harness import CROSH, LIBEXEC, Home, Skip, case, contains, equal, main, wait_for

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "agent"))
from launcher import BUILD, Launcher  # noqa: E402 pylint: disable=wrong-import-position

home = top = None

GUEST = """#!{python}
import os, signal, socket, struct, sys
from pathlib import Path
from types import SimpleNamespace

os.environ["top_builddir"] = {build!r}
sys.path[:0] = [{tests!r}, {tests!r} + "/agent"]
import wire
from launcher import Launcher

options = dict(word[2:].split("=", 1) for word in sys.argv[1:] if "=" in word)
launcher = Launcher(SimpleNamespace(runtime=Path(options["runtime-dir"]).parents[1],
                                    data=Path(options["lock"]).parents[3]),
                    options["name"], again=True)

def end(*_):
    launcher.close()
    os._exit(0)

signal.signal(signal.SIGTERM, end)
running = wire.blob(2, wire.number(2, 1))
socket.socket(fileno=int(options["control-fd"])).sendall(struct.pack("<I", len(running)) + running)
while True:
    signal.pause()
"""

# Has a file open, and writes to it when it is told.
BUSY = """
import sys
with open(sys.argv[1], "wb", buffering=0) as file:
    print("open", flush=True)
    sys.stdin.readline()
    file.write(b"x" * 100_000)
    print("written", flush=True)
    sys.stdin.readline()
"""


def enter():
    """Starts the script again where what it mounts is its own.

    In a namespace of a user, the directories above the modules belong to somebody unknown, of whom
    crosh takes none.
    """
    if "CROSH_TEST_MOUNTS" in os.environ:
        return
    how = ["unshare", "-m"]
    if os.geteuid() != 0 or subprocess.run(
            [*how, "mount", "-t", "tmpfs", "try", "/mnt"], check=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL).returncode != 0:
        print("skipped: needs root and a mount namespace")
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    os.environ["CROSH_TEST_MOUNTS"] = "1"
    os.execvp(how[0], [*how, sys.executable, *sys.argv])


def set_up():
    global home, top
    if not Path("/usr/lib/openssh/sftp-server").exists():
        raise Skip("no sftp-server here")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    home = Home()
    top = home.path / "files"
    top.mkdir()
    guest = home.path / "crosh-vm"
    guest.write_text(GUEST.format(python=sys.executable, build=os.path.abspath(BUILD),
                                  tests=str(TESTS)))
    guest.chmod(0o755)
    subprocess.run(["mount", "--bind", str(guest), str(LIBEXEC / "crosh-vm")], check=True)
    subprocess.run(["mount", "--bind", "/bin/true", str(LIBEXEC / "crosh-mkimage")], check=True)
    for name in ("kernel", "initrd"):
        (home.path / name).write_bytes(b"\x7fELF")
    (home.path / "config" / "crosh").mkdir(parents=True)
    automount("on")


def tear_down():
    if home is None:
        return
    for entry in mounts():
        home.run("-c", f"sftp umount --timeout 20 {entry['directory']}")
    for vm in json.loads(home.run("-c", "vmc list --json").stdout):
        home.run("-c", f"vmc stop --force {vm['name']}")
    home.close()


def automount(value):
    (home.path / "config" / "crosh" / "config").write_text(f"set sftp.automount {value}\n")


def run(command, status=0):
    done = home.run("-c", command)
    equal(done.returncode, status, f"{command}: {done.stderr}")
    return done


def start(name="alpha"):
    done = run(f"vmc start --no-shell --kernel {home.path}/kernel --initrd {home.path}/initrd {name}")
    equal([line for line in done.stderr.splitlines() if "warning" in line], [])


def mounts():
    return json.loads(home.run("-c", "sftp list --json").stdout or "[]")


def places():
    return [(entry["target"], entry["directory"], entry["state"]) for entry in mounts()]


def mounters(target):
    """The processes that mount it, or wait for its guest."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")[1:-1]
            theirs = f"HOME={home.path}".encode() in (path.parent / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if theirs and words == [b"sftp", b"mount", b"--auto", target.encode()]:
            found.append(path.parent.name)
    return found


@case
def a_start_mounts_and_a_stop_unmounts():
    start()
    wait_for(lambda: places() == [("alpha", f"{home.path}/crosh/alpha", "connected")], 60,
             "the mount")
    wait_for(lambda: mounters("alpha") == [], 60, "its maker's end")
    by_hand = home.path / "here"
    by_hand.mkdir()
    run(f"sftp mount alpha:{top} {by_hand}")
    done = run("vmc stop alpha")
    contains(done.stderr, "alpha stopped (")
    equal("/crosh/alpha" in done.stderr, False, done.stderr)
    # What the user mounted waits for the VM to come back.
    equal([place[:2] for place in places()], [(f"alpha:{top}", str(by_hand))])
    equal((home.path / "crosh" / "alpha").exists(), False)
    run(f"sftp umount {by_hand}")
    run("vmc destroy -y alpha")


@case
def nothing_is_mounted_unasked():
    automount("off")
    try:
        start()
        # It would have been begun before the start's end.
        equal(mounters("alpha"), [])
        equal(mounts(), [])
        # By hand it ends with the VM as well, whatever the setting says then.
        run(f"sftp mount --auto alpha:{top}")
        equal(places(), [(f"alpha:{top}", f"{home.path}/crosh/alpha", "connected")])
        run(f"sftp mount --auto alpha:{top}")
        equal(len(mounts()), 1)
        contains(run(f"sftp mount alpha:{top}", 4).stderr, "is mounted there already")
        run("vmc stop alpha")
        equal(mounts(), [])
        run("vmc destroy -y alpha")
    finally:
        automount("on")


@case
def of_a_vm_for_containers_it_is_penguin():
    image = home.data / "crosh" / "images" / "termina"
    image.mkdir(parents=True)
    for name in ("vmlinux", "initramfs"):
        (image / name).write_bytes(b"\x7fELF")
    (image / "manifest.json").write_text('{"format": 1, "image": "termina", "modules": []}')
    run("vmc start --no-shell termina")
    # There is none here, and it is waited for until the VM ends.
    equal(len(mounters("termina/penguin")), 1)
    run("vmc stop termina")
    wait_for(lambda: mounters("termina/penguin") == [], 120, "its end")
    equal(mounts(), [])
    equal((home.path / "crosh" / "penguin").exists(), False)
    run("vmc destroy -y termina")
    shutil.rmtree(image)


@case
def a_stop_goes_on_past_what_cannot_be_sent():
    start()
    wait_for(lambda: len(mounts()) == 1, 60, "the mount")
    wait_for(lambda: mounters("alpha") == [], 60, "its maker's end")
    run("sftp umount alpha")
    run(f"sftp mount --auto alpha:{top}")
    stopped = guest_processes()
    equal(len(stopped) > 1, True)
    with subprocess.Popen([sys.executable, "-c", BUSY, str(home.path / "crosh" / "alpha" / "busy")],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as busy:
        equal(busy.stdout.readline(), b"open\n")
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            busy.stdin.write(b"go on\n")
            busy.stdin.flush()
            equal(busy.stdout.readline(), b"written\n")
            done = run("vmc stop alpha")
            contains(done.stderr, "warning: programs are busy in ")
            contains(done.stderr, "alpha stopped (")
        finally:
            busy.kill()
            for pid in stopped:
                os.kill(pid, signal.SIGKILL)
    wait_for(lambda: mounts() == [], 120, "the mount's end")
    run("vmc destroy -y alpha")


def guest_processes():
    """The agent and all that it has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        if b"crosh-agent\0--listen" in read(path / "cmdline") and \
                f"HOME={home.path}".encode() in read(path / "environ").split(b"\0"):
            found += [path.name, *descendants(path.name)]
    return sorted({int(pid) for pid in found})


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""


def descendants(pid):
    found = []
    for task in Path("/proc", pid, "task").glob("*/children"):
        for child in read(task).decode().split():
            found += [child, *descendants(child)]
    return found


@case
def a_guest_that_is_not_up_yet_is_tried_again():
    launcher = Launcher(home, "late")
    waiter = None
    try:
        ports, tries = launcher.ports, []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(home.path / "not-yet"))
        listener.listen(8)

        def refuse():
            while True:
                try:
                    stream, _ = listener.accept()
                except OSError:
                    return
                tries.append(1)
                stream.close()

        threading.Thread(target=refuse, daemon=True).start()
        launcher.ports = {9001: str(home.path / "not-yet")}
        waiter = subprocess.Popen([str(CROSH), "sftp", "mount", "--auto", f"late:{top}"],
                                  env=home.env, stdout=subprocess.PIPE, text=True)
        wait_for(lambda: len(tries) >= 2, 60, "the second attempt")
        # Another need not wait as well.
        equal(run(f"sftp mount --auto late:{top}").stdout, "")
        equal(mounts(), [])
        launcher.ports = ports
        equal(waiter.communicate(timeout=120)[0], f"late:{top} is at {home.path}/crosh/late\n")
        equal(waiter.returncode, 0)
        run("sftp umount --auto other")
        equal(len(mounts()), 1)
        run("sftp umount --auto late")
        equal(mounts(), [])
    finally:
        if waiter is not None and waiter.poll() is None:
            waiter.kill()
        listener.close()
        launcher.close()
    equal(home.run("-c", "sftp mount --auto late").returncode != 0, True)


@case
def what_cannot_be_automatic_is_refused():
    contains(run("sftp mount --auto jane@localhost:", 2).stderr, "--auto is for guests")


if __name__ == "__main__":
    enter()
    main(set_up, tear_down)
