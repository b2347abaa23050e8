# SPDX-License-Identifier: MIT
"""Disks of others as images: every kind that is taken, and what is wrong with those that are not."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from pathlib import Path

from harness import LIBEXEC, Home, case, contains, equal, images, main

MEBIBYTE = 1 << 20
home = None
work = None
kernel = None


def set_up():
    """A home, and a small root with a disk around it."""
    global home, work, kernel  # pylint: disable=global-statement
    kernel = images() / "micro" / "vmlinuz"
    home = Home()
    work = Path(tempfile.mkdtemp(prefix="crosh-disks."))
    root = work / "root"
    for path in ("etc", "sbin", "bin", "boot"):
        (root / path).mkdir(parents=True)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "name").write_text("the root\n")
    (root / "sbin" / "init").symlink_to("../bin/init")
    (root / "bin" / "init").write_text("#!/bin/sh\n")
    make_ext4(root, work / "part", 12)
    make_disk(work / "disk.raw", {2: ("part", 8192)})
    qemu_img("convert", "-O", "qcow2", work / "disk.raw", work / "disk.qcow2")


def tear_down():
    """Ends all."""
    if home is not None:
        home.close()
    if work is not None:
        shutil.rmtree(work)


def qemu_img(*argv):
    """Runs qemu-img."""
    subprocess.run(["qemu-img", *map(str, argv)], check=True, stdout=subprocess.DEVNULL)


def make_ext4(directory, file, size):
    """A file system of so many MiB with what is in a directory."""
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", directory, file, f"{size}M"],
                   check=True, stdout=subprocess.DEVNULL)


def make_disk(disk, partitions, size=32):
    """A disk with a partition for BIOS' boot loader, and these: number: (file, first sector)."""
    lines = ["label: gpt", "14 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649"]
    with open(disk, "wb") as out:
        out.truncate(size * MEBIBYTE)
        for number, (file, start) in partitions.items():
            data = (work / file).read_bytes()
            lines.append(f"{number} : start={start}, size={len(data) // 512}")
            out.seek(start * 512)
            out.write(data)
    subprocess.run(["sfdisk", "-q", disk], check=True, text=True, input="\n".join(lines) + "\n")


def change_gpt(disk, change):
    """Changes the entries of a partition table, both copies, and makes its sums right again."""
    data = bytearray(disk.read_bytes())
    last = len(data) // 512 - 1
    for header in (512, last * 512):
        at = struct.unpack_from("<Q", data, header + 72)[0] * 512
        entries = data[at:at + 128 * 128]
        change(entries)
        data[at:at + len(entries)] = entries
        struct.pack_into("<I", data, header + 88, zlib.crc32(entries))
        struct.pack_into("<I", data, header + 16, 0)
        struct.pack_into("<I", data, header + 16, zlib.crc32(data[header:header + 92]))
    disk.write_bytes(data)


def there():
    """What lies where images are, but for locks."""
    return sorted(item.name for item in (home.data / "crosh" / "images").glob("*")
                  if not item.name.endswith(".lock"))


def import_disk(path, status=0, options=f"--kernel {{kernel}}"):
    """Imports a disk and shows that nothing is left of it unless it became an image; what was said."""
    before = there()
    options = options.replace("{kernel}", str(kernel))
    done = home.run("-c", f"vmc image import {options} new {path}", timeout=240)
    equal(done.returncode, status, done.stderr)
    equal(there(), before if status else sorted(before + ["new"]))
    return done.stderr


def refused(path, reason):
    """A disk that is not taken, and why."""
    contains(import_disk(path, status=1), f"vmc image import: cannot build the image: {reason}")


def name_in_image():
    """The name that the root of the new image has, which is removed."""
    image = home.data / "crosh" / "images" / "new"
    done = subprocess.run(["debugfs", "-R", "cat /etc/name", image / "root.ext4"], check=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    equal(json.loads((image / "manifest.json").read_text())["root"]["init"], True)
    equal(home.run("-c", "vmc image remove -y new").returncode, 0)
    return done.stdout


@case
def every_kind_of_disk_becomes_the_same_image():
    for options in (["-c"], ["-c", "-o", "compression_type=zstd"], ["-o", "compat=0.10"], []):
        qemu_img("convert", *options, "-O", "qcow2", work / "disk.raw", work / "kind.qcow2")
        import_disk(work / "kind.qcow2")
        equal(name_in_image(), "the root\n", str(options))
    subprocess.run(["xz", "-kf0", work / "disk.raw"], check=True)
    (work / "cloud").mkdir()
    os.link(work / "disk.raw", work / "cloud" / "disk.raw")
    subprocess.run(["tar", "-C", work / "cloud", "-cJf", work / "cloud.tar.xz", "disk.raw"], check=True)
    shutil.copy(work / "disk.qcow2", work / "a name, with:all=it's got.img")
    for file in ("disk.raw", "disk.raw.xz", "cloud.tar.xz", "part",
                 '"a name, with:all=it\'s got.img"'):
        import_disk(f"{work}/{file}" if file[0] != '"' else f'"{work}/{file[1:]}')
        equal(name_in_image(), "the root\n", file)


@case
def snapshots_are_left_out():
    shutil.copy(work / "disk.qcow2", work / "snapshot.qcow2")
    qemu_img("snapshot", "-c", "before", work / "snapshot.qcow2")
    contains(import_disk(work / "snapshot.qcow2"), "the snapshots in snapshot.qcow2 are left out")
    equal(name_in_image(), "the root\n")


@case
def a_file_of_the_hosts_does_not_come_in_by_name():
    for file in ("/etc/shadow", work / "disk.qcow2"):
        kind = "raw" if file == "/etc/shadow" else "qcow2"
        qemu_img("create", "-f", "qcow2", "-u", "-b", file, "-F", kind, work / "above.qcow2", "32M")
        refused(work / "above.qcow2", f"{work}/above.qcow2 holds only what differs from another disk, "
                "its backing file\nhint: Make it whole where it comes from: qemu-img convert")
    shutil.copy(work / "disk.raw", work / "outside.raw")
    qemu_img("create", "-f", "qcow2", "-o", f"data_file={work}/outside.raw,data_file_raw=on",
             work / "elsewhere.qcow2", "32M")
    refused(work / "elsewhere.qcow2", f"{work}/elsewhere.qcow2 keeps its data in another file")


@case
def a_disk_that_nobody_can_read_is_refused():
    qemu_img("create", "-f", "qcow2", "--object", "secret,id=key,data=abc", "-o",
             "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10", work / "secret.qcow2",
             "16M")
    refused(work / "secret.qcow2", f"{work}/secret.qcow2 is encrypted")
    for kind in ("vmdk", "vdi", "vhdx", "vpc"):
        qemu_img("convert", "-O", kind, work / "disk.raw", work / f"disk.{kind}")
        name = {"vpc": "VHD"}.get(kind, kind.upper())
        refused(work / f"disk.{kind}", f"{work}/disk.{kind} is a disk of the kind {name}\nhint: Make it "
                "one that is taken: qemu-img convert -O qcow2 ")


@case
def a_cut_off_disk_is_told():
    for kind, options in (("whole", []), ("packed", ["-c"])):
        qemu_img("convert", *options, "-O", "qcow2", work / "disk.raw", work / f"{kind}.qcow2")
        data = (work / f"{kind}.qcow2").read_bytes()
        for length in (50, 104, len(data) // 2, len(data) - 70000):
            (work / "cut.qcow2").write_bytes(data[:length])
            contains(import_disk(work / "cut.qcow2", status=1),
                     f"cannot build the image: {work}/cut.qcow2 ", f"{kind} {length}")
    data = (work / "disk.raw").read_bytes()
    (work / "cut.raw").write_bytes(data[:10 * MEBIBYTE])
    refused(work / "cut.raw", f"the partition table of {work}/cut.raw is damaged, or its end is cut off")
    # The older kind of table says nothing of the disk's size.
    subprocess.run(["sfdisk", "-q", "--wipe", "always", work / "cut.raw"], check=True, text=True,
                   input="label: dos\nstart=8192, size=8192\n", stdout=subprocess.DEVNULL)
    with open(work / "cut.raw", "r+b") as disk:
        disk.truncate(6 * MEBIBYTE)
    refused(work / "cut.raw", f"{work}/cut.raw is cut off or damaged: partition 1 reaches beyond its end")
    data = (work / "part").read_bytes()
    (work / "cut.ext4").write_bytes(data[:3 * MEBIBYTE])
    refused(work / "cut.ext4", f"the file system of {work}/cut.ext4 is damaged")
    subprocess.run(["xz", "-kf0", work / "disk.raw"], check=True)
    data = (work / "disk.raw.xz").read_bytes()
    (work / "cut.raw.xz").write_bytes(data[:len(data) // 2])
    refused(work / "cut.raw.xz", f"{work}/cut.raw.xz cannot be unpacked: ")


@case
def tables_of_partitions_that_lie_are_refused():
    def overlap(entries):
        struct.pack_into("<QQ", entries, 128 * 13 + 32, 8190, 9000)

    def beyond(entries):
        struct.pack_into("<Q", entries, 128 + 40, 1 << 40)

    def backwards(entries):
        struct.pack_into("<QQ", entries, 128 + 32, 9000, 8192)

    reasons = {overlap: "partitions 14 and 2 overlap", beyond: None, backwards: None}
    for change, reason in reasons.items():
        shutil.copy(work / "disk.raw", work / "lies.raw")
        change_gpt(work / "lies.raw", change)
        if reason:
            refused(work / "lies.raw", f"{work}/lies.raw is cut off or damaged: {reason}")
        else:
            contains(import_disk(work / "lies.raw", status=1), f"{work}/lies.raw ")
    data = bytearray((work / "disk.raw").read_bytes())
    data[520:530] = data[-512 + 8:-512 + 18] = b"x" * 10
    (work / "lies.raw").write_bytes(data)
    refused(work / "lies.raw", f"the partition table of {work}/lies.raw is damaged, or its end is cut off")


@case
def a_disk_without_a_root_on_ext4_says_what_it_has():
    with open(work / "swap", "wb") as out:
        out.truncate(MEBIBYTE)
    subprocess.run(["mkswap", work / "swap"], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)
    with open(work / "btrfs", "wb") as out:
        out.truncate(120 * MEBIBYTE)
    subprocess.run(["mkfs.btrfs", "-q", work / "btrfs"], check=True)
    make_disk(work / "other.raw", {1: ("swap", 8192), 3: ("btrfs", 16384)}, size=136)
    refused(work / "other.raw", f"{work}/other.raw holds no root on ext4 (partition 1 holds swap, "
            "partition 3 holds btrfs)\nhint: A disk image needs a partition")
    refused(work / "btrfs", f"{work}/btrfs holds no root on ext4 (it holds btrfs)\n")
    (work / "home").mkdir()
    make_ext4(work / "home", work / "empty", 4)
    refused(work / "empty", f"{work}/empty holds no root on ext4 (it holds ext4)\n")


@case
def a_partition_for_boot_has_the_kernel():
    release = subprocess.run([LIBEXEC / "crosh-vmlinux", "--release", kernel], check=True,
                             stdout=subprocess.PIPE, text=True).stdout.strip()
    boot = work / "boot"
    boot.mkdir()
    # A name without the release, as some distributions have it.
    shutil.copy(kernel, boot / "vmlinuz-linux")
    make_ext4(boot, work / "bootpart", 16)
    modules = work / "root" / "usr" / "lib" / "modules" / release
    unpack_modules(release, modules)
    (work / "root" / "lib").symlink_to("usr/lib")
    make_ext4(work / "root", work / "rootpart", 160)
    make_disk(work / "split.raw", {1: ("rootpart", 8192), 16: ("bootpart", 335872)}, size=192)
    import_disk(work / "split.raw", options="")
    manifest = json.loads((home.data / "crosh" / "images" / "new" / "manifest.json").read_text())
    equal(manifest["kernel"], {"release": release, "source": "the image's own"})
    contains(" ".join(manifest["modules"]), "/overlay.ko")
    equal(name_in_image(), "the root\n")
    # Asked for, it is the one that termina has.
    import_disk(work / "split.raw", options="--kernel distribution")
    manifest = json.loads((home.data / "crosh" / "images" / "new" / "manifest.json").read_text())
    contains(manifest["kernel"]["source"], "linux-image-")
    equal(name_in_image(), "the root\n")


def unpack_modules(release, to):
    """The modules of the distribution's kernel, without whole kinds that no guest's start needs."""
    done = subprocess.run([LIBEXEC / "crosh-mkimage", "kernel", "--quiet", "--output", work / "kernel"],
                          check=False, stderr=subprocess.PIPE, text=True)
    equal(done.returncode, 0, done.stderr)
    to.parent.mkdir(parents=True)
    (work / "kernel" / "lib" / "modules" / release).rename(to)
    for kind, kept in {"fs": ("squashfs", "overlayfs", "fuse"), "net": ("core", "vmw_vsock"),
                       "drivers/net": ()}.items():
        for directory in (to / "kernel" / kind).iterdir():
            if directory.is_dir() and directory.name not in kept:
                shutil.rmtree(directory)


if __name__ == "__main__":
    main(set_up, tear_down)
