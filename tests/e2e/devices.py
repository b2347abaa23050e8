# SPDX-License-Identifier: MIT
"""What a VM is given while it runs."""

import json

from harness import Home, case, contains, equal, images, main, wait_for

BOOT = 180
SECOND = 64 << 20
home = None


def set_up():
    global home
    home = Home(images())
    equal(run("vmc start --no-shell --memory 256M one").stdout, "")


def tear_down():
    if home is not None:
        home.close()


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


@case
def the_vm_stops():
    run("vmc stop one")


if __name__ == "__main__":
    main(set_up, tear_down)
