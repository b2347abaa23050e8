# SPDX-License-Identifier: MIT
"""The files of a VM that is booted, whose root has a busybox and at first nothing else: by the agent's own
server, and by an sshd that comes to it; across the VM's end, and while it stands still.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness import Home, Skip, case, contains, equal, images, main, wait_for

BOOT = 240
# What the start of an sshd takes of a guest, and what the test looks with.
APPLETS = ("sh", "id", "mkdir", "mktemp", "rm", "ls", "cat", "stat", "umount")
SSHD = "/usr/sbin/sshd"
NO_SSHD = "it has no sshd\nhint: without SSH none is needed"
home = work = mounted = None
data = os.urandom(2_000_000)


def set_up():
    """A running VM."""
    global home, work, mounted  # pylint: disable=global-statement
    shared = images()
    home = Home()
    (home.data / "crosh" / "images").mkdir(parents=True)
    (home.data / "crosh" / "images" / "micro").symlink_to(shared / "micro")
    # The kernel's package is there already.
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "crosh"
    if cache.exists():
        (home.path / "cache").mkdir()
        (home.path / "cache" / "crosh").symlink_to(cache)
    work = Path(tempfile.mkdtemp(prefix="crosh-sftp."))
    mounted = home.path / "crosh" / "one"
    (home.path / "data.bin").write_bytes(data)
    run(f"vmc image import plain {make_root()}")
    start("--memory 256M --image plain --size 1G")


def tear_down():
    """Ends all."""
    if home is not None:
        home.close()
    if work is not None:
        shutil.rmtree(work)


def run(command, status=0):
    """One command line."""
    done = home.run("-c", command, timeout=BOOT)
    equal(done.returncode, status, f"{command}: {done.stdout}{done.stderr}")
    return done


def start(options=""):
    """Starts the VM."""
    run(f"vmc start --no-shell --timeout {BOOT} {options} one")


def guest(script):
    """What a shell script in the VM prints."""
    done = home.run("vsh", "one", "--", "sh", "-c", script, timeout=BOOT)
    equal(done.returncode, 0, f"{script}: {done.stdout}{done.stderr}")
    return done.stdout


def make_root():
    """A distribution of one program; sshd's user is there, as sshd's package would make it."""
    root = work / "root"
    for path in ("bin", "usr/sbin", "etc/crosh", "root", "tmp", "dev", "proc", "sys", "run", "home/jane"):
        (root / path).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n"
                                         "sshd:x:100:65534::/run/sshd:/bin/false\n")
    (root / "etc" / "shadow").write_text("root:*:20000:0:99999:7:::\n")
    (root / "etc" / "crosh" / "startup").write_text("step ready /bin/busybox true\n")
    return root


def need_sshd():
    """Puts this host's sshd and its libraries into the VM."""
    if not os.path.exists(SSHD):
        raise Skip("sshd is not installed")
    if guest(f"ls -d {SSHD} 2>/dev/null; true") != "":
        return
    done = subprocess.run(["ldd", SSHD], check=True, stdout=subprocess.PIPE, text=True)
    for library in [*re.findall(r"(/\S+) \(0x", done.stdout), SSHD]:
        guest(f"mkdir -p {os.path.dirname(library)}")
        run(f"vsh cp {os.path.realpath(library)} one:{library}")


def need_fuse():
    """Skips where nothing can be mounted."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")


def keys():
    """The keys that the servers of the sessions there have; no two lines are the same."""
    return guest("cat /dev/shm/crosh-sshd.*/server 2>/dev/null; true")


def copy_both_ways(option):
    """A file there and back again, and what it and a directory made there are to others."""
    (home.path / "back").unlink(missing_ok=True)
    guest("rm -rf /root/*")
    run(f"sftp put {option} --verify {home.path}/data.bin one:there")
    run(f"sftp get {option} --verify one:there {home.path}/back")
    equal((home.path / "back").read_bytes() == data, True)
    done = home.run("sftp", "shell", *option.split(), "one", data="mkdir made\n")
    equal((done.returncode, done.stderr), (0, ""))
    equal(guest("stat -c '%n %a %u' /root/*"), "/root/made 755 0\n/root/there 644 0\n")
    equal(run(f"sftp ls {option} one:").stdout, "made/\nthere\n")


def outlives_the_vm(option):
    """A mount that is used before, while and after the VM is gone."""
    need_fuse()
    guest("rm -rf /root/*")
    run(f"sftp mount {option} --timeout 5 --cache 0 one")
    try:
        (mounted / "before").write_bytes(data)
        equal(guest("stat -c %s /root/before"), f"{len(data)}\n")
        first = keys()
        with open(mounted / "before", "rb") as reader:
            equal(reader.read(100), data[:100])
            run("vmc stop one")
            try:
                equal(error_of("stat", mounted / "other"), "Connection timed out")
            finally:
                start()
            wait_for(lambda: state() == "connected", BOOT, "the mount to be connected again")
            equal(reader.read() == data[100:], True)
        (mounted / "after").write_text("more\n")
        equal(guest("cat /root/after"), "more\n")
        return first, keys()
    finally:
        run(f"sftp umount {mounted}")


def error_of(*argv):
    """Why a program that looks at the mount fails, which it does in time."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=BOOT, check=False)
    equal(done.returncode, 1, done.stdout)
    return done.stdout.rstrip("\n").rsplit(": ", 1)[-1]


def state():
    """The mount's, by sftp list."""
    (item,) = json.loads(run("sftp list --json").stdout)
    return item["state"]


def stands_still(option):
    """A mount of a VM that does not go on, and new sessions there."""
    need_fuse()
    guest("rm -rf /root/*")
    run(f"sftp mount {option} --timeout 5 --cache 0 one")
    try:
        (mounted / "file").write_text("first\n")
        run("vmc pause one")
        try:
            equal(error_of("cat", mounted / "file"), "Connection timed out")
            done = home.run("sftp", "ls", *option.split(), "--timeout", "5", "one:", timeout=BOOT)
            contains(done.stderr, "sftp ls: one: ")
            # It is the launcher or the client who first has waited ten seconds.
            equal(done.returncode in (1, 124), True, done.stderr)
        finally:
            run("vmc resume one")
        wait_for(lambda: state() == "connected", BOOT, "the mount to be connected again")
        equal((mounted / "file").read_text(), "first\n")
    finally:
        run(f"sftp umount {mounted}")


@case
def the_agent_is_the_server_where_there_is_none():
    copy_both_ways("")


@case
def a_mount_outlives_the_vm():
    equal(outlives_the_vm(""), ("", ""))


@case
def a_vm_that_stands_still_holds_nobody_up():
    stands_still("")


@case
def without_an_sshd_ssh_is_refused():
    for command in ("ls --ssh one:", f"get --ssh one:x {home.path}/x", "mount --ssh one"):
        done = run(f"sftp {command}", 5)
        equal(done.stderr, f"sftp {command.split()[0]}: one: {NO_SSHD}\n")
    # The hint is what can be done there.
    guest("printf '#!/bin/sh\\n' >/bin/apk && /bin/busybox chmod 755 /bin/apk")
    equal(run("sftp ls --ssh one:", 5).stderr,
          f"sftp ls: one: {NO_SSHD}; else install it there: apk add openssh-server\n")
    guest("rm /bin/apk")


@case
def a_busybox_starts_an_sshd():
    need_sshd()
    copy_both_ways("--ssh")
    wait_for(lambda: keys() == "", BOOT, "the session's keys to be gone")


@case
def a_mount_by_ssh_outlives_the_vm_with_other_keys():
    need_sshd()
    need_fuse()
    first, second = outlives_the_vm("--ssh")
    equal([text.splitlines()[0] for text in (first, second)], ["-----BEGIN OPENSSH PRIVATE KEY-----"] * 2)
    equal(first != second, True)
    wait_for(lambda: keys() == "", BOOT, "the session's keys to be gone")


@case
def a_vm_that_stands_still_holds_nobody_up_by_ssh():
    need_sshd()
    stands_still("--ssh")
    wait_for(lambda: keys() == "", BOOT, "the sessions' keys to be gone")


@case
def accounts_that_sshd_refuses_are_told_of():
    need_sshd()
    guest("echo 'root:!:20000:0:99999:7:::' >/etc/shadow")
    try:
        done = run("sftp ls --ssh one:", 5)
        contains(done.stderr, "sftp ls: one: the server does not let us in: ")
        contains(done.stderr, "\nhint: sshd lets nobody in whose account is locked or whose shell is not "
                 "there; without SSH neither matters\n")
        run("sftp ls one:")
    finally:
        guest("echo 'root:*:20000:0:99999:7:::' >/etc/shadow")
    wait_for(lambda: keys() == "", BOOT, "the session's keys to be gone")


if __name__ == "__main__":
    main(set_up, tear_down)
