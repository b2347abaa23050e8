#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Automatic forwarding, vsh ports and vsh -A, against an agent in a network namespace of its own."""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from pathlib import Path

from harness import CROSH, Home, Skip, case, contains, equal, main, wait_for
from launcher import Launcher

home = Home()
top = Path(tempfile.mkdtemp(prefix="crosh-ports."))
launcher = None

SERVER = """
import socket, sys, threading
sockets = []
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, int(port)))
    sock.listen()
    sockets.append(sock)
def serve(sock):
    while True:
        stream, _ = sock.accept()
        stream.sendall(b"port %d" % sock.getsockname()[1])
        stream.close()
for sock in sockets:
    threading.Thread(target=serve, args=(sock,), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


def set_up():
    """An agent whose network is not this host's."""
    global launcher  # pylint: disable=global-statement
    if os.geteuid() != 0 or subprocess.run(["unshare", "--net", "true"], check=False).returncode != 0:
        print("skipped: needs root and network namespaces")
        print("0 passed, 0 failed, 1 skipped")
        raise SystemExit(77)
    launcher = Launcher(home, "alpha", around=("unshare", "--net", "sh", "-c",
                                               'ip link set lo up; exec "$@"', "sh"))


def tear_down():
    """Ends it."""
    if launcher is not None:
        launcher.close()
    home.close()
    shutil.rmtree(top)


class Servers:
    """Servers in the guest, through a session of vsh."""

    def __init__(self, *addresses):
        self.process = subprocess.Popen(
            [str(CROSH), "vsh", "alpha", "--", "/usr/bin/python3", "-c", SERVER, *addresses],
            env=home.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        equal(self.process.stdout.readline(), b"ready\n")

    def close(self):
        """Ends them."""
        self.process.communicate(timeout=20)


def listed():
    """What vsh ports says: {port: here}."""
    done = home.run("vsh", "ports", "alpha")
    equal(done.returncode, 0, done.stderr)
    rows = [line.split() for line in done.stdout.splitlines()]
    equal(rows[0], ["PORT", "ADDRESS", "HERE"])
    return {int(row[0]): row[2] for row in rows[1:]}


def said(port):
    """What a server answers at a port of this host; None when nobody does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            return sock.recv(100).decode()
    except ConnectionRefusedError:
        return None


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def is_forwarded():
    """Whether a process forwards the VM's ports: it holds a lock."""
    with open(home.runtime / "crosh" / "alpha" / "ports.lock", "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@case
def ports_come_and_go():
    first, second, six = free_port(), free_port(), free_port()
    servers = Servers(f"0.0.0.0:{first}", f"127.0.0.1:{second}", f"::1:{six}")
    equal(listed(), {port: "-" for port in (first, second, six)})
    equal({entry["port"]: entry["here"]
           for entry in json.loads(home.run("vsh", "ports", "--json", "alpha").stdout)},
          {port: None for port in (first, second, six)})
    done = home.run("vsh", "forward", "--auto", "--background", "alpha")
    equal((done.returncode, done.stderr), (0, ""))
    wait_for(lambda: set(listed().values()) ==
             {f"127.0.0.1:{port}" for port in (first, second, six)}, 20, "the forwardings")
    for port in (first, second, six):
        equal(said(port), f"port {port}")
    done = home.run("vsh", "ports", "--json", "alpha")
    equal((done.returncode, done.stderr), (0, ""))
    equal(sorted(json.loads(done.stdout), key=lambda entry: entry["port"]),
          sorted([{"port": port, "address": address, "here": f"127.0.0.1:{port}"}
                  for port, address in ((first, "0.0.0.0"), (second, "127.0.0.1"), (six, "::1"))],
                 key=lambda entry: entry["port"]))
    # Only one at a time does it.
    done = home.run("vsh", "forward", "--auto", "alpha")
    equal((done.returncode, done.stderr),
          (4, "vsh forward: the ports of alpha are forwarded already\n"))
    # A port that the host has taken is led to the next one.
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        more = Servers(f"0.0.0.0:{port}")
        wait_for(lambda: listed().get(port, "-") != "-", 20, "another port")
        here = int(listed()[port].rpartition(":")[2])
        assert port < here <= port + 100, here
        equal(said(here), f"port {port}")
        more.close()
        wait_for(lambda: port not in listed(), 20, "the port to go")
        wait_for(lambda: said(here) is None, 20, "the forwarding to go")
    servers.close()
    wait_for(lambda: listed() == {}, 20, "the ports to go")
    wait_for(lambda: said(first) is None, 20, "the forwardings to go")
    # It ends with the VM.
    equal(is_forwarded(), True)
    launcher.cut()
    wait_for(lambda: not is_forwarded(), 60, "the end of it")
    equal((home.runtime / "crosh" / "alpha" / "ports").exists(), False)


@case
def in_the_foreground_it_tells():
    port = free_port()
    servers = Servers(f"127.0.0.1:{port}")
    process = subprocess.Popen([str(CROSH), "vsh", "forward", "--auto", "alpha"], env=home.env,
                               stderr=subprocess.PIPE, text=True)
    equal(process.stderr.readline(), f"port {port} of alpha is at 127.0.0.1:{port}\n")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    equal(process.returncode, 130)
    servers.close()


@case
def the_ssh_agent_of_this_host():
    if shutil.which("ssh-agent") is None:
        raise Skip("needs ssh-agent")
    path = str(top / "agent.sock")
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL)
    try:
        wait_for(lambda: os.path.exists(path), 10, "the ssh agent")
        env = {"SSH_AUTH_SOCK": path}
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "a-key-of-the-host",
                        "-f", top / "key"], check=True)
        subprocess.run(["ssh-add", "-q", top / "key"], env={**os.environ, **env}, check=True)
        done = home.run("vsh", "-A", "alpha", "--", "sh", "-c",
                        "ssh-add -l; echo $SSH_AUTH_SOCK; stat -c %a $SSH_AUTH_SOCK", env=env)
        equal(done.returncode, 0, done.stderr)
        contains(done.stdout, "a-key-of-the-host")
        lines = done.stdout.splitlines()
        contains(lines[1], "/run/crosh/streams/ssh-agent.")
        equal(lines[2], "600")
        # The socket goes with the session, and is the session's user's.
        wait_for(lambda: not os.path.exists(lines[1]), 10, "the socket to go")
        done = home.run("vsh", "-A", "--user", "nobody", "--cwd", "/", "alpha", "--", "sh", "-c",
                        "ssh-add -l; stat -c %U $SSH_AUTH_SOCK; exit 9", env=env)
        equal(done.returncode, 9, done.stderr)
        contains(done.stdout, "a-key-of-the-host")
        equal(done.stdout.splitlines()[1], "nobody")
        # Without -A there is none.
        done = home.run("vsh", "alpha", "--", "sh", "-c", "echo ${SSH_AUTH_SOCK-none}", env=env)
        equal(done.stdout, "none\n")
        done = home.run("vsh", "-A", "alpha", "--", "true")
        equal((done.returncode, done.stderr),
              (3, "vsh: there is no ssh agent here (SSH_AUTH_SOCK is not set)\n"))
    finally:
        agent.terminate()
        agent.wait()


@case
def many_sessions_with_an_ssh_agent():
    path = str(top / "fake.sock")
    fake = socket.socket(socket.AF_UNIX)
    fake.bind(path)
    fake.listen()
    results = []

    def one(i):
        done = home.run("vsh", "-A", "alpha", "--", "sh", "-c", f"exit {i}",
                        env={"SSH_AUTH_SOCK": path})
        results.append((i, done.returncode))

    threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(sorted(results), [(i, i) for i in range(8)])
    fake.close()


main(set_up, tear_down)
