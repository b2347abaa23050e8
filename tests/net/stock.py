# SPDX-License-Identifier: MIT
"""A stock cloud disk as a VM: its own kernel, systemd, cloud-init and DHCP, and crosh's commands in it
with nothing set up inside.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import case, contains, equal, main, wait_for

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from stockdisk import stock_disk  # pylint: disable=wrong-import-position
from world import PAGE, SERVER, SERVER6, Session, World, enter, run  # pylint: disable=wrong-import-position

# Emulated, cloud-init takes a minute of work, and others may work beside it.
BOOT = 900
world = session = work = None
before = {}


def set_up():
    global world, session, work
    world = World()
    session = Session(memory="1G")
    # Images of its own: the shared ones are for others, too.
    images = session.home.data / "crosh" / "images"
    images.unlink()
    images.mkdir()
    work = Path(tempfile.mkdtemp(prefix="crosh-stock."))


def tear_down():
    if session is not None:
        session.close()
    if world is not None:
        world.close()
    if work is not None:
        shutil.rmtree(work)


def crosh(line, status=0):
    """One command line."""
    done = session.crosh("-c", line, timeout=BOOT)
    equal(done.returncode, status, f"{line}: {done.stdout}{done.stderr}")
    return done.stdout


def guest(script, vm="stock"):
    """What a shell script in the guest prints; it must succeed."""
    done = session.crosh("vsh", vm, "--", "sh", "-c", script, timeout=BOOT)
    equal(done.returncode, 0, f"{script}: {done.stdout}{done.stderr}")
    return done.stdout.rstrip("\n")


def wait_until_up():
    """Until systemd has started all there is; with nothing failed."""
    def state():
        return guest("systemctl is-system-running --wait 2>/dev/null || true")
    wait_for(lambda: state() in ("running", "degraded"), BOOT, "the end of the start")
    equal(state(), "running")


def image_files():
    """Every file of the image, with the sum of what is in it."""
    image = session.home.data / "crosh" / "images" / "debian"
    sums = {}
    for path in image.iterdir():
        with open(path, "rb") as file:
            sums[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return sums


def link():
    """The VM's link, as the host knows it."""
    return next(item for item in json.loads(crosh("net list --json")) if item["vm"] == "stock")


@case
def its_own_kernel_and_systemd_come_up():
    disk = stock_disk()
    was = (disk.stat().st_mtime_ns, disk.stat().st_size)
    crosh(f"vmc image import debian {disk}")
    equal((disk.stat().st_mtime_ns, disk.stat().st_size), was)
    before.update(image_files())
    manifest = json.loads(crosh("vmc image info --json debian"))
    equal(manifest["kernel"]["source"], "the image's own")
    session.start("stock", "--image", "debian", "--size", "4G", "--cpus", "2")
    # At once, long before its init is through.
    equal(guest("uname -r"), manifest["kernel"]["release"])
    wait_until_up()
    equal(guest("readlink /proc/1/exe"), "/usr/lib/systemd/systemd")
    equal(guest("systemctl --failed --no-legend; systemctl list-jobs --no-legend"), "")


@case
def cloud_init_does_its_work_without_looking_for_a_cloud():
    status = json.loads(guest("cloud-init status --format json"))
    equal((status["status"], status["datasource"], status["errors"]), ("done", "nocloud", []))
    equal(guest("hostname; cat /etc/hostname"), "stock\nstock")
    equal(guest("ls /var/lib/cloud/instances"), "crosh-stock")
    # The network needs it no other way than by waiting for the lease.
    equal(guest("systemctl show -P Result systemd-networkd-wait-online"), "success")
    contains(guest("ls /etc/ssh"), "ssh_host_ed25519_key.pub")


@case
def the_network_is_configured_by_dhcp():
    facts = link()
    lease = guest("cat /run/systemd/netif/leases/*").splitlines()
    address, gateway = facts["address"].split("/")[0], facts["gateway"].split("/")[0]
    for line in (f"ADDRESS={address}", f"ROUTER={gateway}", f"SERVER_ADDRESS={gateway}",
                 f"DNS={gateway}", "DOMAINNAME=linux.test", "HOSTNAME=stock"):
        equal(line in lease, True, f"{line} in {lease}")
    card = guest("ip -o -4 route show default | grep -o 'dev [^ ]*' | cut -c 5-")
    contains(guest("ip -4 route show default"), f"default via {gateway} dev {card} proto dhcp ")
    contains(guest(f"ip -o -4 addr show dev {card}"), f" {address}/30 ")
    contains(guest(f"ip -o -6 addr show dev {card} scope global"), facts["ipv6"].split("/")[0] + "/128")
    contains(guest("resolvectl dns"), gateway)
    equal(guest("getent ahostsv4 www.example | head -n 1 | cut -d' ' -f1"), SERVER)
    equal(guest("getent ahostsv6 www.example | head -n 1 | cut -d' ' -f1"), SERVER6)
    equal(guest("getent ahostsv4 stock.linux.test | head -n 1 | cut -d' ' -f1"), address)
    fetch = ("import urllib.request as u; print(u.urlopen('http://www.example/', timeout=60).read()"
             ".decode(), end='')")
    equal(guest(f'python3 -c "{fetch}"'), PAGE.rstrip("\n"))


@case
def commands_work_in_it_without_a_set_up():
    contains(crosh("ping -c 1 -W 60 stock"), "1 packets transmitted, 1 received, 0% packet loss")
    equal(crosh("vsh --user debian stock -- sudo -n id -un"), "root\n")
    (work / "file").write_text("of the host\n")
    crosh(f"vsh cp {work}/file stock:/root/copied")
    crosh(f"sftp put {work}/file stock:/root/")
    contains(crosh("sftp ls stock:/root/"), "\ncopied\nfile\n")
    equal(guest("cat /root/file /root/copied"), "of the host\nof the host")
    # The server that it has, started for this alone; the account of root is locked here.
    contains(crosh("sftp ls --ssh stock:/root/"), "\ncopied\nfile\n")
    crosh(f"sftp put --ssh --verify {work}/file stock:/root/by-ssh")
    equal(guest("cat /root/by-ssh; stat -c %a /root/by-ssh"), "of the host\n644")
    wait_for(lambda: guest("find /dev/shm /run /tmp -name 'crosh-sshd*'") == "", BOOT, "the keys to be gone")
    # Its own server of SSH, by the name that the host has for it.
    with socket.create_connection((link()["address"].split("/")[0], 22), 60) as connection:
        equal(connection.recv(8), b"SSH-2.0-")


@case
def it_ends_in_order_and_keeps_what_it_has():
    key = guest("cat /etc/ssh/ssh_host_ed25519_key.pub")
    guest("echo mine >/etc/mine; rm /usr/bin/less")
    crosh("vmc stop stock")
    equal(json.loads(crosh("vmc status --json stock"))["ended"]["reason"], "poweroff")
    layer = session.home.data / "crosh" / "vms" / "stock" / "data.img"
    told = subprocess.run(["dumpe2fs", "-h", layer], check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True).stdout
    contains(told, "Filesystem state:         clean")
    equal(image_files(), before)
    session.start("stock")
    equal(guest("cat /etc/mine"), "mine")
    guest("! test -e /usr/bin/less")
    wait_until_up()
    contains(guest("journalctl -b -1 --no-pager -o cat"), "Reached target poweroff.target")
    equal(guest("cat /etc/ssh/ssh_host_ed25519_key.pub"), key)
    crosh("vmc stop stock")
    # Another VM has nothing of it.
    session.start("other", "--image", "debian", "--size", "1G")
    equal(guest("ls -A /etc/mine /usr/bin/less 2>/dev/null || true", vm="other"), "/usr/bin/less")
    crosh("vmc stop --force other")


@case
def a_newer_agent_leaves_the_root_as_it_is():
    image = session.home.data / "crosh" / "images" / "debian"
    manifest = image / "manifest.json"
    text = manifest.read_text()
    agent = json.loads(text)["agent"]["sha256"]
    body = "\n".join(text.replace(agent, "0" * 64).splitlines()[:-2]) + "\n"
    manifest.write_text(body + f'  "sum": "{hashlib.sha256(body.encode()).hexdigest()}"\n}}\n')
    os.utime(manifest, (1, 1))
    session.start("other")
    equal(guest("cat /etc/debian_version", vm="other")[:3], "12.")
    crosh("vmc stop --force other")
    equal(image_files(), before)


if __name__ == "__main__":
    stock_disk()
    enter()
    main(set_up, tear_down)
