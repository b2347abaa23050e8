# SPDX-License-Identifier: MIT
"""What a VM is given at its start and while it runs: disks, directories, ports."""

import hashlib
import json
import os
import signal
import subprocess
from pathlib import Path

from harness import CROSH, Home, Skip, case, contains, equal, main, wait_for

BOOT = 180
SECOND = 64 << 20
home = Home()


def set_up():
    options = "--shared-memory"
    if has_virtiofsd():
        directory("tools", "notes", "of the host\n")
        directory("fixed", "stone", "carved\n")
        options = f"--share {home.path}/tools --share {home.path}/fixed:rock:ro"
    equal(run(f"vmc start --no-shell --memory 256M {options} --port first --port org.x one").stdout,
          "")


def has_virtiofsd():
    return any(Path(path).exists() for path in ("/usr/libexec/virtiofsd", "/usr/lib/virtiofsd",
                                                "/usr/lib/qemu/virtiofsd"))


def directory(name, file_name, text):
    path = home.path / name
    path.mkdir()
    (path / file_name).write_text(text)
    return path


def run(command, status=0):
    done = home.run("-c", command, timeout=BOOT)
    equal(done.returncode, status, f"{command}: {done.stderr}")
    return done


def guest(script, *words):
    done = home.run("vsh", "one", "--", "sh", "-c", script, "sh", *words)
    equal(done.returncode, 0, done.stderr)
    return done.stdout.rstrip("\n")


def blocks():
    return guest("ls /sys/block").split()


def disks():
    return {disk["name"]: disk for disk in json.loads(run("vmc disk list --json one").stdout)}


def file(name, size=SECOND):
    path = home.path / name
    if not path.exists():
        path.write_bytes(b"")
    with open(path, "r+b") as opened:
        opened.truncate(size)
    return path


@case
def a_disk_comes_is_used_grows_and_goes():
    path = file("second, with comma.img")
    for turn in range(2):
        run(f"vmc disk attach --name more one '{path}'")
        wait_for(lambda: blocks() == ["vda"], 60, "the disk")
        equal(disks()["more"]["detachable"], True)
        equal(guest("cat /sys/block/vda/size"), str(SECOND // 512 + turn * 2048 * 16))
        guest("echo turn $1 >/t && dd if=/t of=/dev/vda bs=512 seek=7 conv=sync && sync", str(turn))
        equal(path.read_bytes()[7 * 512:7 * 512 + 7], f"turn {turn}\n".encode())
        run("vmc disk resize one more 80M")
        wait_for(lambda: guest("cat /sys/block/vda/size") == str((80 << 20) // 512), 60, "the size")
        run("vmc disk limit --iops 100 one more")
        equal(disks()["more"]["operations_limit"]["per_second"], 100)
        run("vmc disk detach one more")
        wait_for(lambda: blocks() == [], 60, "the disk's end")
        equal(disks(), {})


@case
def what_cannot_be_attached_is_refused_and_nothing_stays():
    path = file("taken.img")
    run(f"vmc disk attach --name taken one {path}")
    for options, reason in ((f"--name taken one {file('other.img')}", "a disk taken already"),
                            (f"one {path}", "in use by another VM"),
                            (f"one {file('empty.img', 0)}", "it is empty")):
        done = home.run("-c", f"vmc disk attach {options}")
        equal(done.returncode != 0, True, options)
        contains(done.stderr, reason)
    equal(list(disks()), ["taken"])
    run("vmc disk detach one taken")
    wait_for(lambda: blocks() == [], 60, "the disk's end")
    contains(run("vmc disk detach one taken", 3).stderr, "the VM has no disk taken")


def shares():
    return {share["name"]: share for share in json.loads(run("vmc share --json one").stdout)}


@case
def directories_of_the_start_are_there_at_once():
    if not has_virtiofsd():
        raise Skip("there is no virtiofsd (Debian: qemu-system-common)")
    equal(guest("cat /mnt/shared/tools/notes"), "of the host")
    guest("head -c 3000000 /dev/urandom >/mnt/shared/tools/made && sync")
    equal(guest("sha256sum </mnt/shared/tools/made").split()[0],
          hashlib.sha256((home.path / "tools" / "made").read_bytes()).hexdigest())
    equal(shares()["tools"], {"name": "tools", "path": f"{home.path}/tools", "read_only": False,
                             "mounted": True})


@case
def what_is_shared_read_only_cannot_be_written_whatever_the_guest_does():
    if not has_virtiofsd():
        raise Skip("there is no virtiofsd (Debian: qemu-system-common)")
    equal(guest("cat /mnt/shared/rock/stone"), "carved")
    equal(shares()["rock"]["read_only"], True)
    contains(guest("echo x 2>&1 >/mnt/shared/rock/stone || true"), "Read-only file system")
    contains(guest("mkdir -p /other && mount -t virtiofs rock /other && mount -o remount,rw /other;"
                   "echo x 2>&1 >/other/stone; rm -f /other/stone 2>&1; umount /other"),
             "Read-only file system")
    equal((home.path / "fixed" / "stone").read_text(), "carved\n")


@case
def a_directory_comes_is_used_and_goes():
    if not has_virtiofsd():
        raise Skip("there is no virtiofsd (Debian: qemu-system-common)")
    path = directory("late", "word", "came\n")
    for turn in range(2):
        run(f"vmc share one {path}:later")
        equal(guest("cat /mnt/shared/later/word"), "came")
        guest("echo turn $1 >/mnt/shared/later/turn", str(turn))
        equal((path / "turn").read_text(), f"turn {turn}\n")
        equal(shares()["later"]["mounted"], True)
        done = home.run("-c", f"vmc share one {path}:later")
        equal(done.returncode != 0, True)
        contains(done.stderr, "has a shared directory later already")
        equal(run(f"vmc unshare one {path if turn else 'later'}").stderr, "")
        equal(guest("ls /mnt/shared").split(), ["rock", "tools"])
        equal(sorted(shares()), ["rock", "tools"])
    equal((home.runtime / "crosh" / "one" / "fs.sock_later").exists(), False)
    contains(run("vmc unshare one later", 3).stderr, "has no shared directory later")


@case
def a_directory_in_use_stays():
    if not has_virtiofsd():
        raise Skip("there is no virtiofsd (Debian: qemu-system-common)")
    run(f"vmc share one {home.path}/late")
    guest("cd /mnt/shared/late && (sleep 600 </dev/null >/dev/null 2>&1 & echo $! >/user)")
    done = run("vmc unshare one late", 4)
    contains(done.stderr, "could not leave the shared directory late")
    contains(done.stderr, "uses /mnt/shared/late")
    equal(guest("cat /mnt/shared/late/word"), "came")
    equal(shares()["late"]["mounted"], True)
    guest("kill $(cat /user)")
    run("vmc unshare one late")
    # One to be there after the reboot.
    run(f"vmc share one {home.path}/late:lasting")


@case
def what_cannot_be_shared_is_refused():
    for options, reason in ((f"{home.path}/nothing", "nothing"),
                            (f"{home.path}/fixed/stone", "is not a directory"),
                            (f"{home.path}/fixed:a/b", "fixed:a/b"),
                            (f"'{home.path}/fixed:so?'", "unlike 'so?'")):
        done = home.run("-c", f"vmc share one {options}")
        equal(done.returncode != 0, True, options)
        contains(done.stderr, reason)


def port_device(name):
    return guest("for p in /sys/class/virtio-ports/*; do"
                 " [ \"$(cat $p/name 2>/dev/null)\" = $1 ] && echo /dev/${p##*/}; done; true", name)


# What is read before anybody is there is an end of file, and not the last word.
READER = """exec 3<$1
until [ -s /first ]; do dd bs=1 count=1 <&3 >/first 2>/dev/null; sleep 0.1; done
cat <&3 >/rest
cat /first /rest | sha256sum; rm /first /rest"""


@case
def a_port_carries_what_is_piped_into_it_whole():
    data = bytes(range(251)) * 4000
    device = port_device("first")
    equal(device.startswith("/dev/vport"), True, device)
    # Whoever sends waits for a reader, and leaves once that has all.
    sender = subprocess.Popen([str(CROSH), "vmc", "console", "one", "first"], env=home.env,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reader = subprocess.Popen([str(CROSH), "vsh", "one", "--", "sh", "-c", READER, "sh", device],
                              env=home.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        equal(sender.communicate(data, timeout=60), (b"", b""))
        equal(sender.returncode, 0)
        equal(reader.communicate(timeout=60)[0].split()[0].decode(),
              hashlib.sha256(data).hexdigest())
    finally:
        sender.kill()
        reader.kill()


@case
def a_port_brings_what_the_guest_writes_to_one_at_a_time():
    device = port_device("org.x")
    listener = subprocess.Popen([str(CROSH), "vmc", "console", "one", "org.x"], env=home.env,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        guest("head -c 300000 /dev/zero >$1 && echo end >$1", device)
        equal(listener.stdout.read(300004), bytes(300000) + b"end\n")
        contains(run("vmc console one org.x", 4).stderr, "somebody uses port org.x already")
        listener.send_signal(signal.SIGINT)
        equal(listener.wait(60) != 0, True, "interrupted")
    finally:
        listener.kill()
    contains(run("vmc console one none", 3).stderr, "has no port none")


@case
def an_attached_disk_stays_over_a_reboot():
    path = file("lasting.img")
    path.write_bytes(b"lasting".ljust(1 << 20, b"\0"))
    run(f"vmc disk attach --read-only --name lasting one {path}")
    boot = guest("cat /proc/sys/kernel/random/boot_id")
    home.run("vsh", "one", "--", "reboot")
    wait_for(lambda: home.run("vsh", "one", "--", "cat", "/proc/sys/kernel/random/boot_id").stdout
             .strip() not in ("", boot), 120, "the reboot")
    equal(guest("head -c 7 /dev/vda"), "lasting")
    equal(guest("cat /sys/block/vda/ro"), "1")
    contains(run("vmc disk detach one lasting", 4).stderr, "since its start")
    if has_virtiofsd():
        equal(guest("cat /mnt/shared/lasting/word /mnt/shared/tools/notes"), "came\nof the host")
        contains(run("vmc unshare one tools").stderr, "until it is stopped")


def helpers():
    """The processes that serve this home's directories, by id, without those that are dead."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            program = Path(os.readlink(path / "exe")).name
            if str(home.path) in (path / "cmdline").read_text() and \
               program in ("crosh-share", "virtiofsd"):
                found[path.name] = program
        except (OSError, ValueError):
            pass
    return found


@case
def the_vm_stops_and_takes_its_helpers_along():
    if has_virtiofsd():
        equal(len(helpers()) >= 6, True, "a keeper and a daemon for each directory")
    run("vmc stop one")
    wait_for(lambda: helpers() == {}, 60, "the end of those who serve directories")


@case
def so_does_one_that_is_killed():
    if not has_virtiofsd():
        raise Skip("there is no virtiofsd (Debian: qemu-system-common)")
    home.run("-c", "vmc stop one", timeout=BOOT)
    run("vmc start --no-shell one")
    equal(guest("ls /mnt/shared").split(), ["lasting", "rock"])
    equal(len(helpers()) >= 4, True)
    os.kill(int((home.runtime / "crosh" / "one" / "pid").read_text()), signal.SIGKILL)
    wait_for(lambda: helpers() == {}, 60, "the end of those who serve directories")


@case
def a_daemon_that_died_is_replaced():
    if not has_virtiofsd():
        raise Skip("there is no virtiofsd (Debian: qemu-system-common)")
    home.run("-c", "vmc stop one", timeout=BOOT)
    run("vmc start --no-shell one")
    before = helpers()
    for pid, program in before.items():
        if program == "virtiofsd":
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass # it went with another one
    wait_for(lambda: sum(program == "virtiofsd" and pid not in before
                         for pid, program in helpers().items()) >= 2, 60, "other daemons")
    # Emulated, its guest hangs on files that nobody serves; and ends all the same.
    equal(run("vmc stop one").stderr.count("by force"), 0)
    equal(json.loads((home.runtime / "crosh" / "one" / "ended").read_text())["reason"], "poweroff")
    wait_for(lambda: helpers() == {}, 60, "the end of those who serve directories")


if __name__ == "__main__":
    main(set_up, home=home)
