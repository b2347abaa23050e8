# SPDX-License-Identifier: MIT
"""A guest without a VM, for tests of its network: the keeper is asked for a VM's link, and in place
of a launcher a child of this script leads its frames to the card of a namespace of the guest's own.
"""

import array
import fcntl
import os
import select
import shutil
import socket
import struct
import sys

from harness import LIBEXEC, contains, equal, wait_for

from world import USER, Session, run

WAIT = 90
TUNSETIFF, TUNGETVNETHDRSZ = 0x400454CA, 0x800454D7


def relay(descriptor):
    """In the guest's namespace: makes its card and leads frames between that and the link."""
    card = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(card, TUNSETIFF, struct.pack("16sH22x", b"eth0", 0x1002))
    head = struct.unpack("i", fcntl.ioctl(descriptor, TUNGETVNETHDRSZ, bytes(4)))[0]
    while True:
        for ready in select.select([card, descriptor], [], [])[0]:
            try:
                if ready == card:
                    os.write(descriptor, bytes(head) + os.read(card, 70000))
                else:
                    os.write(card, os.read(descriptor, 70000)[head:])
            except OSError:
                pass  # either is off just now


def field(number, data):
    """A field of a protobuf message."""
    if isinstance(data, int):
        return bytes([number << 3, data])
    return bytes([number << 3 | 2, len(data)]) + data


class Guest:
    """A guest, with a keeper of its own; (user) an unprivileged user's, whose $PATH is path. Or
    (beside) with that of another guest; (pid) in the namespaces of that process; (isolated) which
    other guests shall not reach, nor it them.
    """

    def __init__(self, world, name, user=False, path=None, beside=None, pid=None, isolated=False):
        self.session = beside.session if beside else Session()
        self.keeper = None
        self.name = name
        self.link = {}
        if beside:
            equal(self.session.crosh("vmc", "create", name).returncode, 0)
        else:
            self.start_keeper(world, user, path)
        self.descriptor = self.attach(isolated)
        self.process = None
        if pid is None:
            self.process = world.spawn("unshare", "-n", "-m", "sleep", "infinity")
            pid = self.process.pid
            wait_for(lambda: os.readlink(f"/proc/{pid}/ns/net") !=
                     os.readlink("/proc/self/ns/net"), 60, "the guest")
        self.pid = pid
        if self.process is not None:
            self.run("mount", "--make-rprivate", "/")
        self.relay = world.spawn("nsenter", "-t", str(pid), "-n", sys.executable, __file__,
                                 str(self.descriptor), pass_fds=[self.descriptor])
        os.close(self.descriptor)
        wait_for(lambda: self.run("ip", "link", "show", "eth0", check=False).returncode == 0, WAIT,
                 "the card")
        self.run("ip", "link", "set", "lo", "up")
        self.run("ip", "link", "set", "eth0", "address", self.link["mac"])

    def start_keeper(self, world, user, path):
        directory = self.session.directory
        directory.mkdir(parents=True)
        directory.parent.chmod(0o700)
        directory.chmod(0o700)
        equal(self.session.crosh("vmc", "create", self.name).returncode, 0)
        before = []
        if user:
            before = [shutil.which("setpriv"), "--reuid", str(USER), "--regid", str(USER),
                      "--clear-groups", "--inh-caps=-all"]
            for place in [self.session.home.path, *self.session.home.path.rglob("*")]:
                os.chown(place, USER, USER, follow_symlinks=False)
        env = {**self.session.home.env, **({"PATH": path} if path else {})}
        with open(directory / "keeper.log", "wb") as log:
            self.keeper = world.spawn(*before, str(LIBEXEC / "crosh-net"),
                                      "--directory", str(directory), stdout=log, stderr=log,
                                      env=env)

    def attach(self, isolated):
        """Asks the keeper for the VM's link: its descriptor; its facts are in link."""
        path = self.session.directory / "net.sock"
        wait_for(path.exists, WAIT, "the keeper")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            wait_for(lambda: s.connect_ex(str(path)) == 0, WAIT, "the keeper to listen")
            s.send(field(1, 1) + field(2, field(1, self.name.encode()) + field(2, 1) +
                                      field(3, int(isolated))))
            data, control, _, _ = s.recvmsg(65536, socket.CMSG_SPACE(64))
        contains(str(data), "mac=")
        descriptors = array.array("i")
        descriptors.frombytes(control[0][2])
        # What the agent would be told; the last of it is of no use here, and has no end to know by.
        text = data[data.index(b"mac="):data.rindex(b",ct6=")].decode()
        self.link = dict(item.split("=") for item in text.split(","))
        return descriptors[0]

    def run(self, *argv, check=True):
        """Runs a program in the guest."""
        return run("nsenter", "-t", str(self.pid), "-n", "-m", *argv, check=check)

    def fresh(self):
        """As it begins: its card without addresses, off."""
        self.run("ip", "link", "set", "eth0", "down")
        self.run("ip", "addr", "flush", "dev", "eth0")

    def set_card(self):
        """As the agent does."""
        self.fresh()
        self.run("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/eth0/accept_ra")
        self.run("ip", "link", "set", "eth0", "mtu", self.link["mtu"])
        self.run("ip", "addr", "add", self.link["ip"], "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "-6", "addr", "add", self.link["ip6"], "dev", "eth0", "nodad")
        self.run("ip", "route", "add", "default", "via", self.link["gw"])
        self.run("ip", "-6", "route", "add", "default", "via", self.link["gw6"])

    def page(self, address):
        """The page at an address; empty: there is no way to it."""
        return self.run(sys.executable, "-c", "import urllib.request as u; print(u.urlopen("
                        f"'http://{address}/', timeout=20).read().decode(), end='')",
                        check=False).stdout

    def ask(self, server, name, kind):
        """What the name server at the gateway says of a name: an address, or none."""
        return self.run(sys.executable, "-c", ASK, server, name, str(kind)).stdout.strip()

    def close(self):
        """Ends it, its link and its keeper."""
        for child in (self.relay, self.process, self.keeper):
            if child is not None:
                child.terminate()
                child.wait(60)
        if self.keeper is not None:
            self.session.close()


ASK = """
import socket, struct, sys
def ask(server, name, kind):
    query = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    for label in name.split("."):
        query += bytes([len(label)]) + label.encode()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        for _ in range(12):
            try:
                s.sendto(query + struct.pack(">BHH", 0, kind, 1), (server, 53))
                return s.recv(600)
            except OSError:
                pass
    return bytes(12)
answer = ask(sys.argv[1], sys.argv[2], int(sys.argv[3]))
count = answer[7]
size = 4 if sys.argv[3] == "1" else 16
print(socket.inet_ntop(socket.AF_INET if size == 4 else socket.AF_INET6, answer[-size:])
      if count else "none")
"""

if __name__ == "__main__":
    relay(int(sys.argv[1]))
