# SPDX-License-Identifier: MIT
"""An arm64 guest, emulated: the machine that an arm64 host without KVM gives its guests."""

import json
import os
import subprocess
from pathlib import Path

from harness import Home, case, contains, equal, main, wait_for

BOOT = 240
BUILD = Path(os.environ.get("top_builddir", "."))
IMAGE = Path(os.environ["CROSH_FOREIGN_IMAGE"])
home = Home()
runtime = home.runtime / "crosh" / "one"
config = home.data / "crosh" / "vms" / "one"


def start(*options):
    """Starts the VM as "vmc start" does, with a launcher that knows the other machine."""
    for directory in (runtime, config):
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    runtime.parent.chmod(0o700)
    (config / "config.json").write_text("{}")
    log = (home.path / "launcher.log").open("wb")
    launcher = subprocess.Popen([
        BUILD / "tests/e2e/foreign-launcher", "--name=one", f"--runtime-dir={runtime}",
        f"--lock={config}/lock", f"--kernel={IMAGE}/vmlinux", f"--initrd={IMAGE}/initramfs",
        "--memory=256M", "--accel=tcg", *options], stderr=log)
    log.close()
    wait_for(lambda: launcher.poll() is not None or status().get("state") == "running", BOOT,
             "the agent")
    equal(launcher.poll(), None, (home.path / "launcher.log").read_text())
    return launcher


def status():
    done = home.run("-c", "vmc status --json one")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def guest(script):
    done = home.run("vsh", "one", "--", "sh", "-c", script, timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    return done.stdout.rstrip("\n")


def ended():
    return json.loads((runtime / "ended").read_text())["reason"]


@case
def it_boots_and_its_devices_work():
    disk = home.path / "disk.img"
    disk.write_bytes(b"of the host".ljust(1 << 20, b"\0"))
    launcher = start("--cpus=2", f"--disk={disk}", "--port=first")
    equal(guest("uname -m"), "aarch64")
    equal(guest("nproc"), "2")
    equal(status()["accel"], "tcg")
    equal(guest("head -c 11 /dev/vda"), "of the host")
    guest("echo of the guest | dd of=/dev/vda bs=512 seek=4 conv=notrunc,sync 2>/dev/null; sync")
    equal(disk.read_bytes()[2048:2060], b"of the guest")
    equal(guest("cat /sys/class/virtio-ports/*/name"), "first")
    equal(guest("head -c 4 /dev/hwrng | wc -c"), "4")
    contains(home.run("-c", f"vmc disk attach one {disk}").stderr, "cannot be told")
    home.run("-c", "vmc pause one")
    equal(status()["state"], "paused")
    home.run("-c", "vmc resume one")
    equal(guest("echo back"), "back")
    home.run("-c", "vmc stop one", timeout=BOOT)
    equal(launcher.wait(BOOT), 0)
    equal(ended(), "poweroff")


@case
def the_power_button_is_a_key():
    launcher = start()
    equal(home.run("-c", "vmc button one").returncode, 0)
    equal(launcher.wait(BOOT), 0)
    equal(ended(), "poweroff")


@case
def a_reboot_comes_back_and_a_panic_ends_it():
    launcher = start()
    boot = guest("cat /proc/sys/kernel/random/boot_id")
    home.run("vsh", "one", "--", "reboot")
    wait_for(lambda: home.run("vsh", "one", "--", "cat", "/proc/sys/kernel/random/boot_id").stdout
             .strip() not in ("", boot), BOOT, "the reboot")
    home.run("vsh", "one", "--", "sh", "-c", "echo c >/proc/sysrq-trigger", timeout=BOOT)
    # Debian's kernel has no driver of QEMU's panic device, and QEMU no other kind of reset.
    equal(launcher.wait(BOOT), 10)
    equal(ended(), "reset")


if __name__ == "__main__":
    main(home=home)
