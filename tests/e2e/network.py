# SPDX-License-Identifier: MIT
"""Networks and shared directories of VMs: a tap, passt, virtiofsd, on whatever runs VMs here.

All of it happens in a network namespace of the script's own, with an interface that
leads nowhere: passt takes its addresses from it, and its gateway's stand for the
namespace's loopback interface.
"""

import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import threading

from harness import LIBEXEC, Home, Skip, case, contains, equal, images, main, wait_for

BOOT = 180
VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
DATA = random.Random(1).randbytes(3_000_000)
SUM = hashlib.sha256(DATA).hexdigest()
home = None
children = []


def set_up():
    global home
    home = Home(images())
    ip("link set lo up")
    ip("tuntap add up0 mode tap")
    ip("addr add 10.99.0.1/24 dev up0")
    ip("link set up0 up")
    ip("route add default via 10.99.0.254 dev up0")


def tear_down():
    for child in children:
        child.kill()
        child.wait()
    if home is not None:
        home.close()


def ip(command):
    subprocess.run(["/usr/sbin/ip", *command.split()], check=True)


def spawn(*argv, **options):
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **options)
    children.append(child)
    return child


def launch(name, *options):
    """Runs the launcher itself, with options that vmc has none for; waits for the agent."""
    equal(home.run("-c", f"vmc create {name}").returncode, 0)
    runtime = home.runtime / "crosh" / name
    runtime.mkdir(parents=True, mode=0o700)
    runtime.parent.chmod(0o700)
    micro = home.data / "crosh" / "images" / "micro"
    with open(runtime / "launcher.log", "wb") as log:
        launcher = spawn(str(LIBEXEC / "crosh-vm"), "--name", name, "--runtime-dir", str(runtime),
                         "--lock", str(home.data / "crosh" / "vms" / name / "lock"),
                         "--kernel", str(micro / "vmlinuz"), "--initrd", str(micro / "initramfs"),
                         "--memory", "256M",
                         "--accel", os.environ.get("CROSH_TEST_ACCEL", "auto"), *options,
                         stdout=log, stderr=log, env=home.env)

    def answers():
        if launcher.poll() is not None:
            raise AssertionError((runtime / "launcher.log").read_text())
        return home.run("vsh", name, "--", "true").returncode == 0

    wait_for(answers, BOOT, "the agent")
    return launcher


def guest(name, script):
    """What a shell script in the guest prints; it must succeed."""
    done = home.run("vsh", name, "--", "sh", "-c", script, timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    return done.stdout


def stop(name, launcher):
    equal(home.run("-c", f"vmc stop {name}").returncode, 0)
    equal(launcher.wait(BOOT), 0)


class Peer:
    """Serves one connection to each of two ports: one that swallows, one that pours."""

    def __init__(self, address):
        self.received = hashlib.sha256()
        self.listeners = [socket.create_server((address, port)) for port in (7001, 7002)]
        self.threads = [threading.Thread(target=f, daemon=True) for f in (self.swallow, self.pour)]
        for thread in self.threads:
            thread.start()

    def swallow(self):
        stream, _ = self.listeners[0].accept()
        while part := stream.recv(65536):
            self.received.update(part)
        stream.close()

    def pour(self):
        stream, _ = self.listeners[1].accept()
        stream.sendall(DATA)
        stream.close()

    def close(self):
        for thread in self.threads:
            thread.join(60)
        for listener in self.listeners:
            listener.close()


def exchange(name, listen, connect):
    """Bulk data both ways between a guest and a peer of the host's."""
    peer = Peer(listen)
    # An input that does not end keeps nc from leaving before all has come.
    equal(guest(name, f"mkfifo /tmp/open; nc {connect} 7002 <>/tmp/open >/tmp/data; "
                      "sha256sum </tmp/data").split()[0], SUM)
    guest(name, f"nc {connect} 7001 </tmp/data")
    peer.close()
    equal(peer.received.hexdigest(), SUM)


@case
def a_card_on_a_tap():
    ip("tuntap add tap5 mode tap vnet_hdr")
    ip("addr add 10.98.0.1/24 dev tap5")
    ip("link set tap5 up")
    launcher = launch("tapped", "--net", "tap=tap5,mac=02:00:00:00:98:02,mtu=1400")
    equal(guest("tapped", "cd /sys/class/net/eth0 && cat address mtu"),
          "02:00:00:00:98:02\n1400\n")
    guest("tapped", "ip addr add 10.98.0.2/24 dev eth0 && ip link set eth0 up")
    guest("tapped", "ping -q -c 2 10.98.0.1")
    exchange("tapped", "10.98.0.1", "10.98.0.1")
    # The interface and its descriptors outlive a reboot inside.
    boot_id = guest("tapped", "cat /proc/sys/kernel/random/boot_id")
    home.run("vsh", "tapped", "--", "reboot")

    def rebooted():
        done = home.run("vsh", "tapped", "--", "cat", "/proc/sys/kernel/random/boot_id")
        return done.returncode == 0 and done.stdout != boot_id

    wait_for(rebooted, BOOT, "the guest to come back")
    guest("tapped", "ip addr add 10.98.0.2/24 dev eth0 && ip link set eth0 up")
    guest("tapped", "ping -q -c 2 10.98.0.1")
    stop("tapped", launcher)


@case
def a_card_on_passt():
    if shutil.which("passt") is None:
        raise Skip("there is no passt (Debian: passt)")
    path = home.path / "passt.sock"
    passt = spawn("passt", "--foreground", "--quiet", "--socket", str(path),
                  *(["--runas", "0"] if os.geteuid() == 0 else []), stderr=subprocess.DEVNULL)
    wait_for(path.exists, 30, "passt's socket")
    launcher = launch("passed", "--net", f"passt={path}")
    guest("passed", "ip addr add 10.99.0.1/24 dev eth0 && ip link set eth0 up && "
                    "ip route add default via 10.99.0.254")
    exchange("passed", "127.0.0.1", "10.99.0.254")
    equal(guest("passed", "cat /sys/class/net/eth0/carrier"), "1\n")
    # The peer dies: the VM lives on, and where it is ours to tell, the guest is told.
    passt.kill()
    passt.wait()
    if os.environ.get("CROSH_TEST_ACCEL") == "kvm":
        wait_for(lambda: guest("passed", "cat /sys/class/net/eth0/carrier") == "0\n", 30,
                 "the link to go down")
    home.run("vsh", "passed", "--", "ping", "-c", "1", "-W", "1", "10.99.0.254")
    equal(guest("passed", "echo alive"), "alive\n")
    stop("passed", launcher)


@case
def a_shared_directory():
    if not os.path.exists(VIRTIOFSD) or os.geteuid() != 0:
        raise Skip("there is no virtiofsd, or no right to run it (Debian: qemu-system-common)")
    shared = home.path / "shared"
    path = home.path / "fs.sock"
    shared.mkdir()
    (shared / "from-host").write_bytes(DATA)
    spawn(VIRTIOFSD, f"--socket-path={path}", "-o", f"source={shared}", "-o", "sandbox=chroot",
          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(path.exists, 30, "virtiofsd's socket")
    launcher = launch("sharing", "--fs", f"tag=home,socket={path}")
    guest("sharing", "mount -t virtiofs home /mnt")
    equal(guest("sharing", "sha256sum </mnt/from-host").split()[0], SUM)
    guest("sharing", "mkdir /mnt/new && cp /mnt/from-host /mnt/new/copy && sync")
    equal(hashlib.sha256((shared / "new" / "copy").read_bytes()).hexdigest(), SUM)
    stop("sharing", launcher)


@case
def refusals_name_the_remedy():
    for option, part in (("tap=no-such-tap", "ip tuntap add no-such-tap"),
                         ("passt=/no/such/socket", "passt --socket /no/such/socket")):
        runtime = home.path / "refused"
        runtime.mkdir(mode=0o700, exist_ok=True)
        done = subprocess.run(
            [str(LIBEXEC / "crosh-vm"), "--name", "refused", "--runtime-dir", str(runtime),
             "--kernel", str(home.data / "crosh/images/micro/vmlinuz"), "--net", option,
             "--accel", os.environ.get("CROSH_TEST_ACCEL", "tcg")],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=home.env, timeout=60, check=False)
        equal(done.returncode, 1, done.stderr)
        contains(done.stderr, part)


def enter_namespace():
    """Starts again as the owner of an empty network; skipped where that cannot be."""
    how = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-r", "-n"]
    works = subprocess.run([*how, "/usr/sbin/ip", "tuntap", "add", "try0", "mode", "tap"],
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if works.returncode != 0:
        print("skipped: no network namespace or no tap interfaces for this user")
        sys.exit(77)
    os.environ["CROSH_TEST_NAMESPACE"] = "1"
    os.execvp(how[0], [*how, sys.executable, *sys.argv])


if __name__ == "__main__":
    if "CROSH_TEST_NAMESPACE" not in os.environ:
        enter_namespace()
    main(set_up, tear_down)
