# SPDX-License-Identifier: MIT
"""A real LXD in namespaces of its own, standing where a VM's would: same paths, same socket, with
containers that run. The agent beside it gives the host its streams, as in a VM.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import Skip, wait_for

PRESEED = """
networks:
- name: lxdbr0
  type: bridge
  config: {ipv4.address: 100.115.93.1/24, ipv4.nat: "false", ipv6.address: none}
storage_pools:
- name: default
  driver: dir
profiles:
- name: default
  devices:
    root: {path: /, pool: default, type: disk}
    eth0: {name: eth0, network: lxdbr0, type: nic}
"""

# Within the new namespaces: LXD's directories are ours, /sys and cgroups fit the namespaces.
START = """
set -e
mount --make-rprivate /
for part in lib log cache; do
    mkdir -p "$1/$part" "/var/$part/lxd"
    mount --bind "$1/$part" "/var/$part/lxd"
done
printf 'root:1000000:1000000000\\n' >"$1/subid"
mount --bind "$1/subid" /etc/subuid
mount --bind "$1/subid" /etc/subgid
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /dev/shm
umount -R /sys/fs/cgroup
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
echo $$ >"$1/started"
exec lxd --group root --logfile "$1/lxd.log" </dev/null >"$1/out.log" 2>&1
"""

# A distribution of one file: musl-like in that it has neither bash, useradd, sudo nor systemd.
BUSYBOX = "/bin/busybox"
INITTAB = """::sysinit:/bin/mount -t proc proc /proc
::sysinit:/bin/echo the console speaks
::respawn:/bin/udhcpc -f -i eth0 -s /etc/lease
::respawn:/bin/sleep 100000
"""
LEASE = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr flush dev eth0
ip addr add "$ip/24" dev eth0
ip link set lo up
ip route add default via "$router"
"""


def cgroup2_root():
    """Where the control groups' second version is mounted."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        if line.split()[2] == "cgroup2":
            return line.split()[1]
    raise Skip("needs control groups, version 2")


class Lxd:
    """Started by its constructor, ended with all its containers by close()."""

    def __init__(self):
        if os.geteuid() != 0:
            raise Skip("needs root for LXD")
        for program in ("lxd", "lxc", "unshare", "nsenter", "mksquashfs", "dnsmasq", "nft"):
            if shutil.which(program) is None and not os.path.exists("/usr/sbin/" + program):
                raise Skip(f"needs {program}")
        self.path = Path(tempfile.mkdtemp(prefix="crosh-lxd-"))
        self.cgroup = Path(cgroup2_root()) / self.path.name
        self.cgroup.mkdir()
        self.around = ()
        self.process = None
        self.start()
        self.run("lxd", "init", "--preseed", data=PRESEED)

    def start(self):
        """Starts it, also again after kill()."""
        started = self.path / "started"
        started.unlink(missing_ok=True)
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo 0 >"$0/cgroup.procs"; exec unshare "$@"', str(self.cgroup),
             "-mnipuC", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", START, "lxd", str(self.path)])
        try:
            wait_for(lambda: started.exists() or self.process.poll() is not None, 60, "unshare")
            if self.process.poll() is not None:
                raise Skip("this machine has no namespaces for LXD")
            children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
            self.around = ("nsenter", "-t", children.read_text().split()[0], "-m", "-n", "-i",
                           "-p", "-u", "-C")
            self.run("lxd", "waitready", "--timeout", "120")
        except BaseException:
            self.close()
            raise

    def run(self, *argv, data=None, check=True, timeout=300):
        """A program beside LXD, as in the VM. What it printed."""
        stdin = {"input": data} if data is not None else {"stdin": subprocess.DEVNULL}
        done = subprocess.run([*self.around, *argv], stdout=subprocess.PIPE, text=True,
                              stderr=subprocess.STDOUT, check=False, timeout=timeout,
                              env={**os.environ, "LXD_DIR": "/var/lib/lxd", "HOME": "/root"},
                              **stdin)
        if check and done.returncode != 0:
            raise AssertionError(f"{argv}: status {done.returncode}: {done.stdout}")
        return done.stdout

    def kill(self):
        """As a VM ends that is killed: everything at once, without a word."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        """Ends everything and leaves nothing."""
        self.kill()
        wait_for(self.remove_cgroups, 60, "the containers' control groups to be empty")
        shutil.rmtree(self.path, ignore_errors=True)

    def remove_cgroups(self):
        """Whether they are gone."""
        for directory, _, _ in os.walk(self.cgroup, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                return False
        return True


def tiny_image(directory, release="tiny", mark=""):
    """Builds an image of busybox alone: rootfs.squashfs and metadata.tar.xz in directory."""
    directory = Path(directory)
    rootfs = directory / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root", "sbin", "var", "run", "home"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, rootfs / "bin" / "busybox")
    for applet in subprocess.run([BUSYBOX, "--list"], stdout=subprocess.PIPE, text=True,
                                 check=True).stdout.split():
        if applet != "busybox":
            (rootfs / "bin" / applet).symlink_to("busybox")
    (rootfs / "sbin" / "init").symlink_to("../bin/busybox")
    (rootfs / "etc" / "inittab").write_text(INITTAB)
    (rootfs / "etc" / "lease").write_text(LEASE)
    (rootfs / "etc" / "lease").chmod(0o755)
    (rootfs / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (rootfs / "etc" / "group").write_text("root:x:0:\naudio:x:29:\n")
    (rootfs / "etc" / "os-release").write_text(f"ID=tiny\nVERSION_ID={release}{mark}\n")
    (directory / "metadata.yaml").write_text(
        "architecture: x86_64\ncreation_date: 1700000000\n"
        f"properties: {{os: Tiny, release: {release}, description: Tiny {release}}}\n")
    subprocess.run(["tar", "-C", directory, "-cJf", directory / "metadata.tar.xz",
                    "metadata.yaml"], check=True)
    subprocess.run(["mksquashfs", rootfs, directory / "rootfs.squashfs", "-comp", "zstd",
                    "-noappend", "-quiet", "-no-progress"], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(rootfs)
    return directory / "rootfs.squashfs", directory / "metadata.tar.xz"
