# SPDX-License-Identifier: MIT
"""VMs of the image termina: a real LXD in them, its containers, and what outlives a VM's end."""

import hashlib
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

from harness import Home, case, contains, equal, main, termina_images, wait_for

# LXD's first start is much work under emulation, also where others work beside it.
BOOT = 600
APPLETS = ("sh", "cat", "ls", "echo", "sleep", "mount", "touch", "test", "true", "ps", "id",
           "poweroff", "init", "reboot", "ip", "sync")
home = None
work = None


def set_up():
    """A running VM of termina."""
    global home, work  # pylint: disable=global-statement
    home = Home()
    images = home.data / "crosh" / "images"
    images.mkdir(parents=True)
    (images / "termina").symlink_to(termina_images() / "termina")
    work = Path(tempfile.mkdtemp(prefix="crosh-termina."))
    done = start("--size 4G alpha")
    equal(stages(done), ["launcher", "kernel", "agent", "prepare", "data", "lxd"])


def tear_down():
    """Ends all."""
    if home is not None:
        home.close()
    if work is not None:
        shutil.rmtree(work)


def run(command, status=0, timeout=BOOT):
    """One command line."""
    done = home.run("-c", command, timeout=timeout)
    equal(done.returncode, status, f"{command}: {done.stdout}{done.stderr}")
    return done


def start(arguments, status=0):
    """Starts a VM, with the patience that a loaded machine needs."""
    return run(f"vmc start --no-shell --timeout {BOOT} {arguments}", status)


def stages(done):
    """The stages that a start showed, but for that of an image that gets a newer agent."""
    rows = [line.split()[0] for line in done.stderr.splitlines() if line.startswith("  ")]
    return [row for row in rows if row not in ("note:", "image", "|")]


def vsh(*argv, vm="alpha", status=0):
    """What a program of the VM says."""
    done = home.run("vsh", vm, "--", *argv, timeout=BOOT)
    equal(done.returncode, status, f"{argv}: {done.stderr}")
    return done.stdout.strip()


def lxd(path):
    """What LXD answers, asked inside the VM."""
    return json.loads(vsh("lxc", "query", path))


def state_of(container):
    """A container's state."""
    return lxd(f"/1.0/instances/{container}/state")["status"]


def make_container(name):
    """A container of a distribution of one program, by vmc."""
    root = work / "root"
    if not root.exists():
        for path in ("bin", "sbin", "etc", "root", "tmp", "dev", "proc", "sys", "run"):
            (root / path).mkdir(parents=True)
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        for applet in APPLETS:
            (root / "bin" / applet).symlink_to("busybox")
        (root / "sbin" / "init").symlink_to("../bin/busybox")
        (root / "etc" / "inittab").write_text(
            "::respawn:/bin/sleep 100000\n::shutdown:/bin/touch /root/ended-well\n")
        (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc" / "group").write_text("root:x:0:\n")
        (work / "metadata.yaml").write_text("architecture: x86_64\ncreation_date: 1700000000\n")
        subprocess.run(["mksquashfs", root, work / "rootfs.squashfs", "-quiet", "-no-progress",
                        "-all-root"], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["tar", "-C", work, "-cJf", work / "meta.tar.xz", "metadata.yaml"], check=True)
    # It asks nobody for an address.
    run(f"vmc container --timeout {BOOT} --network-timeout 0 alpha {name} {work}/rootfs.squashfs "
        f"{work}/meta.tar.xz")


def put_newer_image():
    """In the place of the image a newer one, with the file /newer in its root, as a build does."""
    place = home.data / "crosh" / "images" / "termina"
    newer = work / "newer"
    shutil.copytree(place.resolve(), newer)
    (work / "added").mkdir()
    (work / "added" / "newer").touch()
    subprocess.run(["mksquashfs", work / "added", newer / "root.squashfs", "-quiet",
                    "-no-progress", "-all-root"], check=True, stdout=subprocess.DEVNULL)
    root = (newer / "root.squashfs").read_bytes()
    lines = (newer / "manifest.json").read_text().splitlines(keepends=True)[:-2]
    entry = '    "root.squashfs": {"size": %d, "sha256": "%s"}' % (
        len(root), hashlib.sha256(root).hexdigest())
    lines = [entry + line[line.index("}") + 1:] if "root.squashfs" in line and "size" in line
             else line for line in lines]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    (newer / "manifest.json").write_text("".join([*lines, f'  "sum": "{digest}"\n}}\n']))
    place.rename(work / "older")
    newer.rename(place)


def blob(field, data):
    """A protobuf field of bytes."""
    return bytes([field << 3 | 2, len(data)]) + data


@case
def lxd_answers_on_the_stream_that_the_image_offers_by_name():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(BOOT)
        sock.connect(str(home.runtime / "crosh" / "alpha" / "vsock.sock"))
        sock.sendall(b"CONNECT 9002\n")
        stream = sock.makefile("rb")
        equal(stream.readline()[:3], b"OK ")
        request = b"\x08\x01" + blob(4, blob(1, blob(3, b"lxd")))
        sock.sendall(struct.pack("<I", len(request)) + request)
        (size,) = struct.unpack("<I", stream.read(4))
        equal(stream.read(size), b"", "the answer, of which all is at its default")
        sock.sendall(b"GET /1.0 HTTP/1.0\r\n\r\n")
        answer = stream.read()
    equal(answer.split(b"\r\n")[0], b"HTTP/1.0 200 OK")
    equal(json.loads(answer.split(b"\r\n\r\n", 1)[1])["metadata"]["auth"], "trusted")


@case
def lxd_is_set_up_once():
    equal(lxd("/1.0/storage-pools/default")["driver"], "btrfs")
    equal(lxd("/1.0/networks/lxdbr0")["type"], "bridge")
    equal(sorted(lxd("/1.0/profiles/default")["devices"]), ["crosh-agent", "eth0", "root"])
    # What listens on the bridge is for containers, not for the host.
    equal(run("vsh ports alpha").stdout.split(), ["PORT", "ADDRESS", "HERE"])


@case
def containers_are_unprivileged_confined_and_have_the_agent():
    make_container("c1")
    equal(state_of("c1"), "Running")
    init = str(lxd("/1.0/instances/c1/state")["pid"])
    # All but its user, to whom what the host shares belongs.
    user = os.getuid() if os.getuid() >= 1000 else 1000
    equal([int(word) for word in vsh("cat", f"/proc/{init}/uid_map").split()],
          [0, 1000000, user, user, user, 1, user + 1, 1000001 + user, 999999999 - user])
    contains(vsh("cat", f"/proc/{init}/attr/apparmor/current"), "lxd-c1_")
    inside = ("vsh", "alpha", "c1", "--")
    equal(home.run(*inside, "id", "-u", timeout=BOOT).stdout, "0\n")
    contains(home.run(*inside, "/opt/crosh/agent", "--version", timeout=BOOT).stdout, "crosh-agent ")
    equal(home.run(*inside, "touch", "/opt/crosh/agent", timeout=BOOT).returncode, 1)


@case
def files_of_the_vm_and_of_a_container_are_there_without_a_server_in_them():
    """sftp, by the agent's own server; and what --ssh says where neither is an sshd nor may one come."""
    data = os.urandom(2_000_000)
    (work / "up").write_bytes(data)
    for target in ("alpha", "alpha/c1"):
        run(f"sftp put --verify {work}/up {target}:/tmp/up")
        run(f"sftp get --verify {target}:/tmp/up {work}/down")
        equal((work / "down").read_bytes() == data, True)
        (work / "down").unlink()
        equal(run(f"sftp ls {target}:/tmp/up").stdout, "up\n")
        for command in ("ls", "mount"):
            equal(run(f"sftp {command} --ssh {target}:/tmp", 5).stderr,
                  f"sftp {command}: {target}: it has no sshd\nhint: without SSH none is needed\n")
        mount_and_look(target, data)


def server_label():
    """The confinement of the one server of SFTP that runs."""
    return vsh("sh", "-c", "for at in /proc/[0-9]*; do case $(tr '\\0' ' ' <$at/cmdline) in "
               "'crosh-agent --sftp-server '*) cat $at/attr/apparmor/current;; esac; done 2>/dev/null; true")


def mount_and_look(target, data):
    """Files of the target through a mount; in a container, as confined as all that is there."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        return
    place = home.path / "mounted"
    place.mkdir()
    run(f"sftp mount {target}:/ {place}")
    try:
        equal((place / "tmp" / "up").read_bytes() == data, True)
        (place / "tmp" / "made").write_text("by the mount\n")
        where = target.split("/")
        equal(home.run("vsh", *where, "--", "cat", "/tmp/made", timeout=BOOT).stdout, "by the mount\n")
        label = server_label()
        equal(label[:7] if len(where) > 1 else label, "lxd-c1_" if len(where) > 1 else "unconfined")
    finally:
        run(f"sftp umount {place}")
    place.rmdir()


@case
def limits_hold_and_use_is_counted():
    """Disk (a quota of btrfs'), memory and processes, in a container that runs; and top."""
    run("vmc container limits --disk 64M --memory 96M --processes 40 alpha c1")
    inside = ("vsh", "alpha", "c1", "--", "/bin/busybox")
    done = home.run(*inside, "dd", "if=/dev/zero", "of=/root/big", "bs=1M", "count=100",
                    "conv=fsync", timeout=BOOT)
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, "Disk quota exceeded")
    (row,) = json.loads(run("vmc container top --json alpha").stdout)
    equal((row["vm"], row["name"]), ("alpha", "c1"))
    equal(32 << 20 < row["disk_bytes"] <= 64 << 20, True, row["disk_bytes"])
    home.run(*inside, "rm", "/root/big", timeout=BOOT)
    # More memory than it may have: the kernel ends what takes it.
    done = home.run(*inside, "dd", "if=/dev/zero", "of=/dev/null", "bs=150M", "count=1",
                    timeout=BOOT)
    equal(done.returncode, 137, done.stderr)
    done = home.run(*inside, "sh", "-c", "for i in $(seq 60); do sleep 1000 & done; wait",
                    timeout=BOOT)
    contains(done.stderr, "can't fork")
    rows = json.loads(run("vmc container top --json alpha").stdout)
    equal(rows[0]["cpu_us"] > row["cpu_us"], True, rows)
    equal(0 < rows[0]["memory_bytes"] <= 96 << 20, True, rows)
    run("vmc container limits --disk none --memory none --processes none alpha c1")
    home.run(*inside, "killall", "sleep", timeout=BOOT)
    equal(home.run(*inside, "dd", "if=/dev/zero", "of=/root/big", "bs=1M", "count=100", "conv=fsync",
                   timeout=BOOT).returncode, 0)
    home.run(*inside, "rm", "/root/big", timeout=BOOT)


@case
def containers_end_well_with_the_vm_and_come_back_as_they_were():
    make_container("c2")
    vsh("lxc", "stop", "--force", "c2")
    home.run("vsh", "alpha", "c1", "--", "sh", "-c", "echo mine >/root/mine", timeout=BOOT)
    # The VM that runs has its image until its end, then the one that is there.
    put_newer_image()
    vsh("test", "-e", "/newer", status=1)
    vsh("lxc", "--version")
    run("vmc stop alpha")
    equal(json.loads(run("vmc status --json alpha").stdout)["ended"]["reason"], "poweroff")
    start("alpha")
    vsh("test", "-e", "/newer")
    wait_for(lambda: state_of("c1") == "Running", BOOT, "the container that ran")
    equal(state_of("c2"), "Stopped")
    equal(home.run("vsh", "alpha", "c1", "--", "sh", "-c", "cat /root/mine; ls /root/ended-well",
                   timeout=BOOT).stdout, "mine\n/root/ended-well\n")


@case
def a_full_disk_is_an_error_and_mended_by_making_room():
    done = home.run("vsh", "alpha", "c1", "--", "sh", "-c", "cat /dev/zero >/root/filler",
                    timeout=BOOT)
    equal(done.returncode, 1)
    contains(done.stderr, "No space left on device")
    # The VM ends and starts as ever, and what a container has too much of can go, though LXD may
    # have had no room to start it in.
    run("vmc stop alpha")
    equal(json.loads(run("vmc status --json alpha").stdout)["ended"]["reason"], "poweroff")
    done = start("--size 2G alpha", status=2)
    contains(done.stderr, "the data disk of VM alpha has 4096 MiB, and cannot become smaller")
    start("alpha")
    vsh("sh", "-c", "rm /data/pool/containers/c1/rootfs/root/filler && sync")
    wait_for(lambda: state_of("c1") == "Running" or
             home.run("vmc", "container", "start", "alpha", "c1", timeout=BOOT).returncode == 0,
             BOOT, "the container that ran")
    equal(home.run("vsh", "alpha", "c1", "--", "sh", "-c",
                   "cat /root/mine; echo new >/root/new; cat /root/new", timeout=BOOT).stdout,
          "mine\nnew\n")


@case
def a_start_without_lxd_has_the_data_and_nothing_else():
    run("vmc stop alpha")
    # The disk may be larger at each start.
    done = start("--size 6G --no-start-lxd alpha")
    equal(int(vsh("sh", "-c", "df -B1 --output=size /data | tail -n 1")), 6 << 30)
    equal(stages(done), ["launcher", "kernel", "agent", "prepare", "data"])
    vsh("test", "-d", "/data/lxd")
    equal(vsh("sh", "-c", "ps ax | grep -c '[/]usr/bin/lxd' || true"), "0")
    run("vmc stop alpha")


@case
def a_disk_that_is_not_blank_is_never_formatted():
    run("vmc create --size 1G other")
    disk = home.data / "crosh" / "vms" / "other" / "data.img"
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", str(disk), "1G"], check=True,
                   stdout=subprocess.DEVNULL)
    before = disk.read_bytes()[:1 << 20]
    done = start("other", status=1)
    contains(done.stderr, "VM other runs, but its start-up failed: data: ")
    run("vmc stop other")
    equal(disk.read_bytes()[:1 << 20] == before, True, "the disk's beginning")
    # Nor one whose first superblock is damaged.
    home.run("-c", "vmc stop alpha", timeout=BOOT)
    data = home.data / "crosh" / "vms" / "alpha" / "data.img"
    with open(data, "r+b") as file:
        file.write(b"\0" * (1 << 20))
        file.seek((64 << 20) + 0x40)
        equal(file.read(8), b"_BHRfS_M", "the second superblock")
    done = start("alpha", status=1)
    contains(done.stderr, "its start-up failed: data: ")
    vsh("btrfs", "rescue", "super-recover", "-y", "/dev/vdb", status=2)
    run("vmc stop alpha")
    start("alpha")
    equal(lxd("/1.0")["auth"], "trusted")
    run("vmc stop alpha")


if __name__ == "__main__":
    main(set_up, tear_down)
