# SPDX-License-Identifier: MIT
"""A host and an internet for tests of VMs' networks, in namespaces that the test script makes.

enter() starts the script again in network and mount namespaces of its own: they are the host.
World is that host's set-up, with a second namespace behind a veth pair as the internet: it has
a name server and a web server.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import CROSH, Home, images, wait_for

USER = 1500  # some unprivileged user's number
SERVER, SERVER6, RESOLVER = "10.78.0.1", "fd78::1", "10.78.0.53"
PAGE = "hello from the internet\n"

HOST = f"""
ip link set lo up
ip link add up0 type veth peer name in0 netns INTERNET
ip addr add 10.77.0.2/24 dev up0
ip addr add fd77::2/64 dev up0 nodad
ip link set up0 up
"""
INTERNET = f"""
ip link set lo up
ip addr add 10.77.0.1/24 dev in0
ip addr add fd77::1/64 dev in0 nodad
ip link set in0 up
ip addr add {SERVER}/32 dev lo
ip addr add {RESOLVER}/32 dev lo
ip addr add {SERVER6}/128 dev lo nodad
"""
ROUTES = """
ip route add default via 10.77.0.1
ip -6 route add default via fd77::1
"""


def enter():
    """Starts the script again as the owner of a network of its own."""
    if "CROSH_TEST_WORLD" in os.environ:
        return
    how = ["unshare", "-n", "-m"] if os.geteuid() == 0 else ["unshare", "-r", "-n", "-m"]
    works = subprocess.run([*how, "ip", "tuntap", "add", "try0", "mode", "tap"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if works.returncode != 0 or shutil.which("nft") is None:
        print("skipped: no network namespace, no tap interfaces, or no nft for this user")
        print("0 passed, 0 failed, 1 skipped")
        sys.exit(77)
    images()  # made while there is a way to the distribution's mirror
    os.environ["CROSH_TEST_WORLD"] = str(os.geteuid())
    os.execvp(how[0], [*how, sys.executable, *sys.argv])


def is_root():
    """Whether the script was started by root, who can be other users, too."""
    return os.environ["CROSH_TEST_WORLD"] == "0"


def run(*argv, check=True):
    return subprocess.run(argv, check=check, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True)


def processes(text):
    """The processes with that text in their command lines, by number."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_text("utf-8", "replace").replace("\0", " "):
                found.append(int(path.parent.name))
        except OSError:
            pass  # it has just ended
    return sorted(pid for pid in found if pid != os.getpid())


def fetch(port, host="127.0.0.1"):
    """The page at a port of the host's; empty: nobody answers."""
    try:
        with socket.create_connection((host, port), 60) as stream:
            stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with stream.makefile("rb") as answer:
                return answer.read().decode().split("\r\n\r\n")[-1]
    except OSError:
        return ""


def exchange_datagram(port, text, host="127.0.0.1"):
    """What comes back for a datagram; asked again, as datagrams are."""
    answers = []

    def once():
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                           socket.SOCK_DGRAM) as s:
            s.settimeout(2)
            s.sendto(text, (host, port))
            try:
                answers.append(s.recv(100))
            except OSError:
                return False
            return True

    wait_for(once, 60, "an answer")
    return answers[-1]


# busybox has no server of datagrams.
ECHO = """
#include <arpa/inet.h>
#include <unistd.h>
int main(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(5353)}, peer;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char data[100];

    if (bind(fd, (struct sockaddr *)&own, sizeof(own)) < 0 || daemon(0, 0) < 0)
        return 1;
    for (;;) {
        socklen_t size = sizeof(peer);
        ssize_t n = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&peer, &size);

        if (n >= 0)
            sendto(fd, data, n, 0, (struct sockaddr *)&peer, size);
    }
}
"""


def make_echo(path):
    """Makes the program that sends datagrams to its port 5353 back, in the background."""
    subprocess.run(["cc", "-static", "-x", "c", "-o", str(path), "-"], input=ECHO, text=True,
                   check=True)


class World:
    def __init__(self):
        self.children = []
        self.directory = Path(tempfile.mkdtemp(prefix="crosh-world."))
        self.directory.chmod(0o755)
        run("mount", "--make-rprivate", "/")
        self._bind("resolv.conf", f"nameserver {RESOLVER}\n", "/etc/resolv.conf")
        self._bind("nsswitch.conf", "passwd: files\ngroup: files\nhosts: files crosh dns\n",
                   "/etc/nsswitch.conf")
        if is_root():
            # As distributions have it: whoever may make namespaces may make interfaces in them.
            tun = self.directory / "tun"
            run("mknod", "-m", "666", str(tun), "c", "10", "200")
            run("mount", "--bind", str(tun), "/dev/net/tun")
        self.internet = self.spawn("unshare", "-n", "sleep", "infinity")
        wait_for(lambda: os.readlink(f"/proc/{self.internet.pid}/ns/net") !=
                 os.readlink("/proc/self/ns/net"), 60, "the internet")
        for line in HOST.strip().split("\n"):
            run(*line.replace("INTERNET", str(self.internet.pid)).split())
        for line in INTERNET.strip().split("\n"):
            run(*self.inside(), *line.split())
        for line in ROUTES.strip().split("\n"):
            run(*line.split())
        with open("/proc/sys/net/ipv4/ping_group_range", "w", encoding="ascii") as groups:
            groups.write(f"0 {USER}")
        www = self.directory / "www"
        www.mkdir()
        (www / "index.html").write_text(PAGE)
        self.spawn(*self.inside(), sys.executable, "-m", "http.server", "-d", str(www), "--bind",
                   "::", "80", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.spawn(*self.inside(), "dnsmasq", "-k", "--no-resolv", "--no-hosts", "--user=root",
                   "--conf-file=/dev/null", "--pid-file=", f"--listen-address={RESOLVER}",
                   "--bind-interfaces", f"--address=/www.example/{SERVER}",
                   f"--address=/www.example/{SERVER6}", "--txt-record=big.example," +
                   ",".join("x" * 250 for _ in range(6)))

    def _bind(self, name, text, place):
        path = self.directory / name
        path.write_text(text)
        path.chmod(0o644)
        run("mount", "--bind", str(path), place)

    def inside(self):
        """The words before a command that shall run in the internet."""
        return ["nsenter", "-t", str(self.internet.pid), "-n"]

    def spawn(self, *argv, **options):
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **options)
        self.children.append(child)
        return child

    def close(self):
        for child in self.children:
            child.kill()
            child.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class Session:
    """One user of the host with a private home: root, or (user) an unprivileged one."""

    def __init__(self, user=False, memory="256M"):
        self.is_user = user
        self.memory = memory
        self.home = Home(images())
        # Network by default, as for people.
        self.home.env["CROSH_NETWORK"] = "auto"
        self.before = []
        if user:
            self.before = ["setpriv", "--reuid", str(USER), "--regid", str(USER),
                           "--clear-groups", "--inh-caps=-all"]
            for path in [self.home.path, *self.home.path.rglob("*")]:
                if not path.is_symlink():
                    os.chown(path, USER, USER)
        self.directory = self.home.runtime / "crosh" / ".net"

    def crosh(self, *argv, timeout=180, env=None):
        """Runs crosh as that user."""
        return subprocess.run([*self.before, str(CROSH), *argv], timeout=timeout, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True,
                              env={**self.home.env, **(env or {})})

    def start(self, name, *options):
        """Starts a VM; it must succeed. What crosh said."""
        accel = os.environ.get("CROSH_TEST_ACCEL", "auto")
        done = self.crosh("vmc", "start", "--no-shell", "--accel", accel, "--memory", self.memory,
                          *options, name)
        if done.returncode != 0:
            raise AssertionError(done.stderr + self.log())
        return done.stderr

    def guest(self, name, script):
        """What a shell script in the guest prints; its status is in the last line."""
        done = self.crosh("vsh", name, "--", "sh", "-c", script)
        return done.stdout if done.returncode == 0 else f"{done.stdout}status {done.returncode}\n"

    def stop(self, *names):
        done = self.crosh("vmc", "stop", *names)
        if done.returncode != 0:
            raise AssertionError(done.stderr)

    def log(self):
        try:
            return (self.directory / "keeper.log").read_text()
        except OSError:
            return ""

    def keepers(self):
        """The keeper's processes, the keeper itself first."""
        return processes(f"crosh-net --directory {self.directory}")

    def inside(self):
        """The words before a command (root's) that shall run in the network that the VMs are in."""
        return ["nsenter", "-t", str(self.keepers()[0]), "-n"]

    def close(self):
        for pid in self.keepers():
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.home.close()
