#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The part of ready.sh that starts VMs: prints "LABEL READY-SECONDS CPU-SECONDS STOP-SECONDS" of each start.

Arguments: where crosh is installed, the images (a directory, or a tar archive of it), repetitions.
"""

import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1200
POLL = 0.05
# Request{version 1, target "vm_shell", connect{to{name: "lxd"}}} of doc/protocols.md.
REQUEST = b"\x08\x01\x22\x07\x0a\x05\x1a\x03lxd"


def is_ready(vm_socket):
    """Whether LXD says so, asked through the VM's stream service."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        try:
            sock.connect(vm_socket)
            sock.sendall(b"CONNECT 9002\n")
            stream = sock.makefile("rb")
            if not stream.readline().startswith(b"OK "):
                return False
            sock.sendall(struct.pack("<I", len(REQUEST)) + REQUEST)
            size = stream.read(4)
            # An answer that says nothing is one without an error.
            if len(size) < 4 or struct.unpack("<I", size)[0] != 0:
                return False
            sock.sendall(b"GET /internal/ready HTTP/1.0\r\nHost: lxd\r\n\r\n")
            return b" 200 " in stream.readline()
        except OSError:
            return False


def cpu_of(pid):
    """Seconds that a process and its descendants used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_of(child) for child in children)


def copy_sparse(source, target):
    """A copy with the holes of its source, over what is there."""
    with open(source, "rb") as old, open(target, "wb") as new:
        end = 0
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        while end < size:
            try:
                begin = os.lseek(old.fileno(), end, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    break  # only a hole follows
                raise
            end = os.lseek(old.fileno(), begin, os.SEEK_HOLE)
            old.seek(begin)
            new.seek(begin)
            while (left := end - old.tell()) > 0:
                new.write(old.read(min(left, 1 << 20)))


class Bench:
    """A home with the images, and its VMs."""

    def __init__(self, prefix, images):
        self.crosh = f"{prefix}/bin/crosh"
        self.home = Path(tempfile.mkdtemp(prefix="crosh-bench."))
        self.runtime = self.home / "run"
        self.runtime.mkdir(mode=0o700)
        self.env = {**os.environ, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(self.runtime),
                    "XDG_DATA_HOME": str(self.home / "data"), "CROSH_NETWORK": "none"}
        place = self.home / "data" / "crosh"
        place.mkdir(parents=True)
        if os.path.isdir(images):
            (place / "images").symlink_to(os.path.abspath(images))
        else:
            subprocess.run(["tar", "-C", place, "-xf", images], check=True)
            os.unlink(images)
        for manifest in place.glob("images/*/manifest.json"):
            os.utime(manifest)
        # Once read, they come from memory; else each first start would wait for the disk.
        for path in [*place.glob("images/*/*"), *Path(prefix).rglob("*")]:
            if path.is_file():
                path.read_bytes()

    def run(self, *words):
        """One command of crosh, whose words on its way are not for this output."""
        return subprocess.run([self.crosh, *words], env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=LIMIT,
                              check=False, text=True)

    def start(self, label, vm, image):
        """Starts a VM, measures, stops it."""
        began = time.monotonic()
        with subprocess.Popen([self.crosh, "vmc", "start", "--no-shell", "--timeout", str(LIMIT),
                               "--image", image, "--size", "2G", vm], env=self.env,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as starting:
            vm_socket = str(self.runtime / "crosh" / vm / "vsock.sock")
            while not is_ready(vm_socket):
                if time.monotonic() > began + LIMIT or starting.poll() not in (None, 0):
                    sys.exit(f"{label} is not ready: {starting.communicate(timeout=LIMIT)[1]}")
                time.sleep(POLL)
            taken = time.monotonic() - began
            cpu = cpu_of(int((self.runtime / "crosh" / vm / "pid").read_text()))
            starting.communicate(timeout=LIMIT)
        began = time.monotonic()
        done = self.run("vmc", "stop", vm)
        if done.returncode != 0:
            sys.exit(f"{label} does not stop: {done.stderr}")
        print(f"{label} {taken:.3f} {cpu:.2f} {time.monotonic() - began:.3f}", flush=True)

    def close(self):
        """Ends what may still run."""
        for vm in ("termina", "systemd"):
            self.run("vmc", "stop", "--force", vm)
        shutil.rmtree(self.home)


def main():
    """Both by turns, so that the machine's load falls on both alike."""
    prefix, images, repetitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    bench = Bench(prefix, images)
    try:
        bench.start("new", "termina", "termina")
        # The peer's disk is one that termina has set up.
        made = bench.run("vmc", "create", "--image", "peer", "--size", "2G", "systemd")
        if made.returncode != 0:
            sys.exit(made.stderr)
        vms = bench.home / "data" / "crosh" / "vms"
        copy_sparse(vms / "termina" / "data.img", vms / "systemd" / "data.img")
        for _ in range(repetitions):
            bench.start("systemd", "systemd", "peer")
            bench.start("termina", "termina", "termina")
    finally:
        bench.close()


main()
