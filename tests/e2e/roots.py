# SPDX-License-Identifier: MIT
"""Images with a root: imported from directories, archives and disks; their start-up, layers, inits."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness import CROSH, Home, case, contains, equal, images, main, wait_for

BOOT = 240
APPLETS = ("sh", "cat", "ls", "echo", "sleep", "mount", "touch", "test", "false", "true", "df", "ps",
           "uname", "poweroff", "reboot", "init", "rm", "readlink", "mkdir")
home = None
work = None


def set_up():
    """A home whose images are its own, with the shared small one linked in."""
    global home, work  # pylint: disable=global-statement
    shared = images()
    home = Home()
    (home.data / "crosh" / "images").mkdir(parents=True)
    (home.data / "crosh" / "images" / "micro").symlink_to(shared / "micro")
    # The kernel's package is there already.
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "crosh"
    if cache.exists():
        (home.path / "cache").mkdir()
        (home.path / "cache" / "crosh").symlink_to(cache)
    work = Path(tempfile.mkdtemp(prefix="crosh-roots."))


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


def make_root(name, startup=None, inittab=None):
    """A distribution of one program."""
    root = work / name
    for path in ("bin", "sbin", "etc/crosh", "root", "tmp", "dev", "proc", "sys", "run"):
        (root / path).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    if startup is not None:
        (root / "etc" / "crosh" / "startup").write_text(startup)
    if inittab is not None:
        (root / "sbin" / "init").symlink_to("../bin/busybox")
        (root / "etc" / "inittab").write_text(inittab)
        (root / "etc" / "fstab").write_text("/dev/nowhere / ext4 defaults 0 1\n")
    return root


def stages(done):
    """The stages that a start showed: their names, and of one that failed that."""
    rows = [line.split() for line in done.stderr.splitlines() if line.startswith("  ")]
    return [row[0] + (" failed" if row[1] == "failed" else "") for row in rows
            if row[0] not in ("note:", "|")]


def digest(path):
    """What is in a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def vsh(vm, *argv, status=0):
    """What a program of the VM says."""
    done = home.run("vsh", vm, "--", *argv, timeout=BOOT)
    equal(done.returncode, status, done.stderr)
    return done.stdout.strip()


@case
def a_directory_becomes_an_image_that_vms_share_and_do_not_write_to():
    make_root("plain", "# what we want\nstep first /bin/sh -c exit\nservice ticker /bin/sleep 10000\n"
              "step second /bin/touch /run/second\nstop end /bin/touch /root/ended\n")
    run(f"vmc image import plain {work}/plain")
    image = home.data / "crosh" / "images" / "plain"
    before = {path.name: digest(path) for path in image.iterdir()}
    manifest = json.loads((image / "manifest.json").read_text())
    equal({name: entry["sha256"] for name, entry in manifest["files"].items()},
          {name: value for name, value in before.items() if name != "manifest.json"})
    done = run("vmc start --no-shell --memory 256M --image plain --size 1G one")
    equal(stages(done)[-2:], ["first", "second"])
    equal(vsh("one", "cat", "/run/crosh/stages").splitlines()[-1], "over")
    vsh("one", "ls", "/run/second")
    vsh("one", "sh", "-c", "echo mine >/root/mine; rm /etc/passwd")
    run("vmc stop one")
    done = run("vmc start --no-shell one")
    # Its layer stays, and what runs before the end has run.
    equal(vsh("one", "cat", "/root/mine"), "mine")
    vsh("one", "ls", "/root/ended")
    vsh("one", "ls", "/etc/passwd", status=1)
    # Another VM of the image has nothing of it.
    run("vmc start --no-shell --memory 256M --image plain --size 1G two")
    equal(vsh("two", "ls", "/root"), "")
    run("vmc stop one two")
    equal({path.name: digest(path) for path in image.iterdir()}, before)


@case
def a_service_that_ends_is_started_again():
    run("vmc start --no-shell one")
    first = vsh("one", "sh", "-c", "ps | { while read a b c d; do case $d in *10000*) echo $a; esac; done; }")
    first = first.split()[0]
    vsh("one", "sh", "-c", f"kill -9 {first}")

    def another():
        now = vsh("one", "sh", "-c", "for i in /proc/[0-9]*; do read -r line <$i/cmdline; case $line in "
                  "*10000*) echo ${i#/proc/};; esac; done 2>/dev/null; true").split()
        return now != [] and first not in now

    wait_for(another, 60, "the service")
    run("vmc stop one")


@case
def a_step_that_fails_is_told_with_its_reason_and_the_vm_runs():
    make_root("broken", "step good /bin/true\nstep bad /bin/fails\nstep never /bin/touch /run/never\n")
    fails = work / "broken" / "bin" / "fails"
    fails.write_text("#!/bin/sh\necho the first line\necho 'there is no\tmoon'\nexit 3\n")
    fails.chmod(0o755)
    run(f"vmc image import broken {work}/broken")
    done = run("vmc start --no-shell --memory 256M --image broken --size 1G bad", status=1)
    equal(stages(done)[-2:], ["good", "bad failed"])
    contains(done.stderr, "vmc start: VM bad runs, but its start-up failed: bad: there is no?moon\n"
             "hint: look around: vsh bad; what was written is in /run/crosh/*.log\n")
    vsh("bad", "test", "-e", "/run/never", status=1)
    contains(vsh("bad", "cat", "/run/crosh/bad.log"), "the first line")
    run("vmc stop bad")


@case
def a_disk_with_an_init_of_its_own_boots_and_powers_off():
    root = make_root("system", inittab="::sysinit:/bin/touch /run/by-init\n::respawn:/bin/sleep 20000\n")
    disk, part, qcow = work / "disk.raw", work / "part", work / "disk.qcow2"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, part, "40M"], check=True,
                   stdout=subprocess.DEVNULL)
    with open(disk, "wb") as out:
        out.truncate(64 << 20)
    subprocess.run(["sfdisk", "-q", disk], check=True, text=True,
                   input="label: gpt\nstart=2048, size=2048\nstart=8192\n")
    subprocess.run(["dd", f"if={part}", f"of={disk}", "bs=1M", "seek=4", "conv=notrunc",
                    "status=none"], check=True)
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", disk, qcow], check=True)
    before = digest(qcow)
    run(f"vmc image import system {qcow}")
    equal(digest(qcow), before)
    run("vmc start --no-shell --memory 256M --image system --size 1G sys")
    equal(vsh("sys", "readlink", "/proc/1/exe"), "/bin/busybox")
    wait_for(lambda: home.run("vsh", "sys", "--", "test", "-e", "/run/by-init").returncode == 0, 60,
             "its init")
    # The disks of its fstab are not there, and so not named.
    equal(vsh("sys", "cat", "/etc/fstab"), "")
    vsh("sys", "touch", "/root/kept")
    done = run("vmc stop sys")
    contains(done.stderr, "sys stopped")
    equal(json.loads(run("vmc status --json sys").stdout)["ended"]["reason"], "poweroff")
    run("vmc start --no-shell sys")
    vsh("sys", "test", "-e", "/root/kept")
    # By its own program.
    home.run("vsh", "sys", "--", "poweroff")
    wait_for(lambda: json.loads(run("vmc status --json sys").stdout)["state"] == "stopped", 120,
             "the end")
    equal(json.loads(run("vmc status --json sys").stdout)["ended"]["reason"], "poweroff")


@case
def archives_are_taken_and_what_is_none_is_refused():
    subprocess.run(["tar", "-C", work / "plain", "-czf", work / "plain.tar.gz", "."], check=True)
    run(f"vmc image import archive {work}/plain.tar.gz")
    run("vmc start --no-shell --memory 256M --image archive --size 1G arch")
    equal(vsh("arch", "cat", "/etc/passwd"), "root:x:0:0:root:/root:/bin/sh")
    run("vmc stop arch")
    (work / "junk").write_bytes(b"\xa5" * 300000)
    done = run(f"vmc image import junk {work}/junk", status=1)
    contains(done.stderr, "holds no root on ext4")
    (work / "cut.tar.gz").write_bytes((work / "plain.tar.gz").read_bytes()[:20000])
    run(f"vmc image import cut {work}/cut.tar.gz", status=1)
    equal(json.loads(run("vmc image list --json").stdout)[0]["name"], "archive")
    equal(sorted(path.name for path in (home.data / "crosh" / "images").iterdir()
                 if path.name[0] != "."), ["archive", "broken", "micro", "plain", "system"])
    equal([path for path in (home.data / "crosh" / "images").iterdir() if ".build." in path.name], [])
    done = run(f"vmc image import plain {work}/plain", status=4)
    contains(done.stderr, "there is an image named plain already")
    run(f"vmc image import termina {work}/plain", status=2)


@case
def a_damaged_or_missing_root_is_told():
    image = home.data / "crosh" / "images" / "archive"
    root = image / "root.squashfs"
    whole = root.read_bytes()
    root.write_bytes(b"\0" * len(whole))
    done = run("vmc start --no-shell arch", status=1)
    contains(done.stderr, "VM arch runs, but its start-up failed: root: cannot mount the image's root "
             "/dev/vda as squashfs: Invalid argument")
    run("vmc stop arch")
    root.write_bytes(whole[:5000])
    done = run("vmc start --no-shell arch", status=1)
    contains(done.stderr, "is damaged")
    root.write_bytes(whole)


@case
def a_builder_that_is_killed_leaves_nothing_behind():
    directory = home.data / "crosh" / "images"
    process = subprocess.Popen([str(CROSH), "-c", f"vmc image import late {work}/plain"], env=home.env,
                               stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    wait_for(lambda: list(directory.glob(".late.build.*/new/root.squashfs")), 120, "the builder")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pid in subprocess.run(["pgrep", "-f", "crosh-mkimage import.*late"], stdout=subprocess.PIPE,
                              text=True, check=False).stdout.split():
        os.kill(int(pid), signal.SIGKILL)
    equal((directory / "late").exists(), False)
    wait_for(lambda: home.run("-c", f"vmc image import late {work}/plain", timeout=BOOT).returncode == 0,
             BOOT, "the next builder")
    equal(list(directory.glob(".late.build.*")), [])


@case
def images_are_removed_when_nothing_runs_from_them():
    run("vmc start --no-shell --memory 256M --image late --size 1G last")
    done = run("vmc image remove -y late", status=4)
    contains(done.stderr, "VM last runs from the image late")
    run("vmc stop last")
    done = run("vmc image remove late", status=2)
    contains(done.stderr, "1 VMs have the image late")
    run("vmc image remove -y late")
    equal((home.data / "crosh" / "images" / "late").exists(), False)
    done = run("vmc start --no-shell last", status=3)
    contains(done.stderr, "there is no image named late")


@case
def a_newer_agent_is_put_into_the_image():
    image = home.data / "crosh" / "images" / "plain"
    manifest = image / "manifest.json"
    text = manifest.read_text()
    root = (image / "root.squashfs").stat().st_ino
    # As if it had been made by an older build.
    agent = json.loads(text)["agent"]["sha256"]
    body = "\n".join(text.replace(agent, "0" * 64).splitlines()[:-2]) + "\n"
    manifest.write_text(body + f'  "sum": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n')
    os.utime(manifest, (time.time() - 10 ** 7, time.time() - 10 ** 7))
    run("vmc start --no-shell one")
    run("vmc stop one")
    equal(json.loads(manifest.read_text())["agent"]["sha256"], agent)
    equal((image / "root.squashfs").stat().st_ino, root)


if __name__ == "__main__":
    main(set_up, tear_down)
