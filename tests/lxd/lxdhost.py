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
from launcher import AGENT

TERMINA = Path(__file__).resolve().parents[2] / "guest" / "image" / "termina"

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
    crosh-agent: {path: /opt/crosh/agent, source: /run/crosh/agent, readonly: "true", type: disk}
"""

# Within the new namespaces: LXD's directories are ours, /sys and cgroups fit the namespaces.
START = """
set -e
mount --make-rprivate /
for part in lib log cache; do
    mkdir -p "$1/$part" "/var/$part/lxd"
    mount --bind "$1/$part" "/var/$part/lxd"
done
printf 'root:1000000:1000000000\\nroot:1000:999000\\n' >"$1/subid"
mount --bind "$1/subid" /etc/subuid
mount --bind "$1/subid" /etc/subgid
mount -t tmpfs tmpfs /run
mkdir /run/crosh /run/overlay
mount -t tmpfs tmpfs /run/overlay
mkdir /run/overlay/work /run/overlay/upper
cp -r "$1/parts/crosh" /run/overlay/upper/
mount -t overlay -o lowerdir=/usr/lib,upperdir=/run/overlay/upper,workdir=/run/overlay/work overlay /usr/lib
cp "$1/agent" /run/crosh/agent
mount -t tmpfs tmpfs /dev/shm
umount -R /sys/fs/cgroup
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /mnt
mkdir /mnt/shared
mount --make-rshared /
ip link set lo up
echo $$ >"$1/started"
while [ ! -e "$1/linked" ]; do sleep 0.05; done
exec lxd --group root --logfile "$1/lxd.log" </dev/null >"$1/out.log" 2>&1
"""

# A distribution of one file: musl-like in that it has neither bash, useradd, sudo nor systemd.
BUSYBOX = "/bin/busybox"
INITTAB = """::sysinit:/bin/mount -t proc proc /proc
::sysinit:/bin/echo the console speaks
::respawn:/bin/udhcpc -f -i eth0 -x hostname:$(hostname) -s /etc/lease
::respawn:/bin/sleep 100000
"""
LEASE = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr flush dev eth0
ip addr add "$ip/24" dev eth0
ip link set lo up
ip route add default via "$router"
for server in $dns; do echo "nameserver $server"; done >/etc/resolv.conf
"""


def cgroup2_root():
    """Where the control groups' second version is mounted."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        if line.split()[2] == "cgroup2":
            return line.split()[1]
    raise Skip("needs control groups, version 2")


class Router:
    """A namespace that stands for a host's network: each Lxd has a link to it, as a VM has, with
    addresses by the same plan.
    """

    LINK = {True: "10.99.0.1", False: "10.99.0.2"}  # from one host to another

    def __init__(self):
        self.is_first = True
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        wait_for(lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") !=
                 os.readlink("/proc/self/ns/net"), 60, "the router's namespace")
        self.run("sh", "-c", "ip link set lo up; echo 1 >/proc/sys/net/ipv4/ip_forward")

    def run(self, *argv):
        """A command beside all of them."""
        return subprocess.run(["nsenter", "-t", str(self.process.pid), "-n", *argv], check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def connect(self, lxd, number):
        """The link; the address that LXD has there."""
        gateway, address = f"100.115.92.{4 * number + 1}", f"100.115.92.{4 * number + 2}"
        containers = f"100.115.{97 + number // 4}.{number % 4 * 64 + 1}"
        init = lxd.around[2]
        self.run("ip", "link", "add", f"vm{number}", "type", "veth", "peer", "name", "eth0", "netns",
                 init)
        self.run("ip", "addr", "add", gateway + "/30", "dev", f"vm{number}")
        self.run("ip", "link", "set", f"vm{number}", "up")
        lxd.run("sh", "-c", f"ip addr add {address}/30 dev eth0; ip link set eth0 up;"
                f"ip route add default via {gateway}; echo 1 >/proc/sys/net/ipv4/ip_forward;"
                f"echo CROSH_NET_BRIDGE_ADDRESS={containers}/26 >/run/crosh/network")
        self.run("ip", "route", "add", containers[:-1].rsplit(".", 1)[0] +
                 f".{number % 4 * 64}/26", "via", address, "dev", f"vm{number}", "onlink")
        return address

    def link(self, other):
        """A cable to another host, the second. No routes to its VMs yet."""
        other.is_first = False
        self.run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up0", "netns",
                 str(other.process.pid))
        for host in (self, other):
            host.run("ip", "addr", "add", self.LINK[host.is_first] + "/30", "dev", "up0")
            host.run("ip", "link", "set", "up0", "up")

    def route(self, verb, *numbers):
        """Adds or deletes the routes to the VMs of these numbers, which are the other host's."""
        for number in numbers:
            for network in (f"100.115.92.{4 * number}/30",
                            f"100.115.{97 + number // 4}.{number % 4 * 64}/26"):
                self.run("ip", "route", verb, network, "via", self.LINK[not self.is_first])

    def close(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()


class Lxd:
    """Started by its constructor, ended with all its containers by close()."""

    def __init__(self, link=None, below=None):
        """link: (Router, number) gives it an address and its containers a network of their own;
        below: a btrfs that has all its files, and its storage.
        """
        if os.geteuid() != 0:
            raise Skip("needs root for LXD")
        for program in ("lxd", "lxc", "unshare", "nsenter", "mksquashfs", "dnsmasq", "nft"):
            if shutil.which(program) is None and not os.path.exists("/usr/sbin/" + program):
                raise Skip(f"needs {program}")
        self.path = Path(tempfile.mkdtemp(prefix="crosh-lxd-", dir=below))
        self.driver = "dir"
        if below is not None:
            self.driver = f"btrfs\n  config: {{source: {self.path}/data/pool}}"
        self.cgroup = Path(cgroup2_root()) / self.path.name
        self.cgroup.mkdir()
        self.around = ()
        self.process = None
        self.link = link
        self.address = None
        self.put_parts()
        self.start()
        self.run("/usr/lib/crosh/lxd-ready")

    def put_parts(self):
        """What the image termina has of ours, for places where it changes nothing of this host."""
        (self.path / "data").mkdir()
        parts = self.path / "parts" / "crosh"
        parts.mkdir(parents=True)
        (self.path / "preseed.yaml").write_text(PRESEED.replace("driver: dir",
                                                                "driver: " + self.driver))
        for name in ("lxd-ready", "cluster"):
            text = (TERMINA / name).read_text(encoding="utf-8")
            text = text.replace("/data", str(self.path / "data"))
            text = text.replace("/etc/crosh/preseed.yaml", str(self.path / "preseed.yaml"))
            (parts / name).write_text(text)
            (parts / name).chmod(0o755)
        shutil.copy(AGENT, self.path / "agent")

    def start(self):
        """Starts it, also again after kill(), and waits until it is ready."""
        try:
            self.begin()
            self.run("/run/crosh/agent", "--wait-for-lxd", "120")
        except BaseException:
            self.close()
            raise

    def begin(self):
        """Starts it."""
        started = self.path / "started"
        started.unlink(missing_ok=True)
        (self.path / "linked").unlink(missing_ok=True)
        self.around = ()
        self.process = subprocess.Popen(
            ["sh", "-c", 'echo 0 >"$0/cgroup.procs"; exec unshare "$@"', str(self.cgroup),
             "-mnipuC", "--fork", "--kill-child", "--mount-proc",
             "sh", "-c", START, "lxd", str(self.path)])
        wait_for(lambda: started.exists() or self.process.poll() is not None, 60, "unshare")
        if self.process.poll() is not None:
            raise Skip("this machine has no namespaces for LXD")
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.around = ("nsenter", "-t", children.read_text().split()[0], "-m", "-n", "-i", "-p", "-u",
                       "-C")
        # Before LXD looks for its address and starts containers, as in a VM.
        if self.link is not None:
            self.address = self.link[0].connect(self, self.link[1])
            self.run("sh", "-c", "[ ! -e /var/lib/lxd/cluster.crt ] || /usr/lib/crosh/cluster up")
        (self.path / "linked").touch()

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
        # The first of its processes takes all others along. LXD may be another one than it was at
        # first, as it starts itself again when it leaves a cluster.
        if self.around and self.process.poll() is None:
            os.kill(int(self.around[2]), signal.SIGKILL)
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


def tiny_image(directory, release="tiny", mark="", files=()):
    """Builds an image of busybox alone: rootfs.squashfs and metadata.tar.xz in directory. files:
    what else is in it, as (path there, path here).
    """
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
    for place, source in files:
        (rootfs / place).parent.mkdir(exist_ok=True)
        shutil.copy(source, rootfs / place)
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
