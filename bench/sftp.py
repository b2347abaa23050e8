#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A guest's files by crosh's mount beside sshfs and rclone: the same server, in one run.

    bench/sftp.py [--build DIR] [--rounds N] [--work NAME,...] [--with NAME,...] [--delay 0|20]

The server is an sshd on the loopback; "crosh-bare" is crosh's mount of a guest, whose agent runs
beside it and starts the SFTP server without SSH. Every round does each work once by each
candidate (by rclone, which is slow, only the first), each on a mount of its own that is half a
second old (but for "again"), so that the machine's load falls on all alike. Figures are medians of
N rounds (5) in seconds, the processor's time is that of the mount's processes here (ssh among
them), and ratios are sshfs's figure by ours, sshfs being the better of its two set-ups: above 1,
crosh is quicker. At 20 ms a relay holds every byte back for 10 ms each way.
"""

import argparse
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
CIPHER = "aes128-gcm@openssh.com"
MIB = 1 << 20
SETTLED_S = 0.5


def arguments():
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", type=Path, default=TOP / "build/main")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=lambda text: text.split(","))
    parser.add_argument("--with", dest="candidates", type=lambda text: text.split(","))
    parser.add_argument("--delay", type=int, choices=(0, 20), help="only this round trip, in ms")
    return parser.parse_args()


OPTIONS = arguments()
os.environ["top_builddir"] = str(OPTIONS.build)
os.environ["CROSH_PREFIX"] = str(OPTIONS.build / "prefix")
for part in ("tests", "tests/sftp", "tests/agent"):
    sys.path.insert(0, str(TOP / part))

# pylint: disable=wrong-import-position
from harness import Home, wait_for  # noqa: E402
from launcher import Launcher  # noqa: E402
from server import Server, free_port  # noqa: E402


def run(*argv, **options):
    """Runs a program; it must succeed."""
    options.setdefault("stdout", subprocess.DEVNULL)
    done = subprocess.run([str(arg) for arg in argv], check=False, stdin=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, timeout=900, **options)
    if done.returncode != 0:
        sys.exit(f"sftp.py: {argv}: status {done.returncode}: {done.stderr[-400:]}")
    return done.stdout


class Relay:
    """The relay program, between a port of its own and the server's."""

    def __init__(self, listener, delay, *targets):
        os.set_inheritable(listener.fileno(), True)
        # pylint: disable=consider-using-with
        self.process = subprocess.Popen([str(OPTIONS.build / "bench/relay"),
                                         str(listener.fileno()), str(delay), *map(str, targets)],
                                        close_fds=False)

    def close(self):
        """Ends it with its streams."""
        self.process.kill()
        self.process.wait()


class Guest(Launcher):
    """A VM whose agent runs here, reached by the relay program."""

    def __init__(self, home, name, delay):
        self.delay, self.relay = delay, None
        super().__init__(home, name)

    def serve(self):
        """In place of the threads of a Launcher."""
        self.relay = Relay(self.listener, self.delay,
                           *(f"{port}={path}" for port, path in self.ports.items()))

    def close(self):
        self.relay.close()
        super().close()


class Bench:
    """The server, what it serves, and how each candidate mounts it."""

    def __init__(self):
        self.home = Home()
        self.home.env["SSH_AUTH_SOCK"] = ""
        self.server = Server(self.home)
        self.there, self.here = self.home.path / "there", self.home.path / "here"
        self.there.mkdir()
        self.here.mkdir()
        self.delay = 0
        self.delayed = socket.create_server(("127.0.0.1", free_port()))
        self.relay = Relay(self.delayed, 10, self.server.port)
        self.guests = {0: Guest(self.home, "near", 0), 20: Guest(self.home, "far", 10)}
        key = " ".join((self.server.directory / "key.pub").read_text().split()[:2])
        with open(self.server.ssh / "known_hosts", "a", encoding="ascii") as known:
            known.write(f"[127.0.0.1]:{self.delayed.getsockname()[1]} {key}\n")
        (self.server.ssh / "config").write_text(f"Ciphers {CIPHER}\nCompression no\n")
        self.processes = []
        self.candidates = {"crosh": self.crosh, "crosh-bare": self.crosh_bare,
                           "sshfs": self.sshfs, "sshfs-best": self.sshfs_best}
        if shutil.which("rclone") is not None:
            self.candidates["rclone"] = self.rclone

    def close(self):
        """Ends all that was started."""
        self.umount()
        self.relay.close()
        for guest in self.guests.values():
            guest.close()
        self.server.stop()
        self.home.close()

    def port(self):
        """Where ssh finds the server at this round trip."""
        return self.delayed.getsockname()[1] if self.delay else self.server.port

    def crosh(self):
        """Ours, over SSH."""
        run(OPTIONS.build / "prefix/bin/crosh", "-c",
            f"sftp mount {self.server.user}@127.0.0.1:{self.port()}:{self.there} {self.here}",
            env=self.home.env)
        self.find("crosh-sftpfs")

    def crosh_bare(self):
        """Ours, as guests are mounted."""
        name = "far" if self.delay else "near"
        run(OPTIONS.build / "prefix/bin/crosh", "-c",
            f"sftp mount {name}:{self.there} {self.here}",
            env=self.home.env)
        self.find("crosh-sftpfs")

    def sshfs(self, *options):
        """As it comes."""
        run("sshfs", "-p", self.port(), *options, "-o", "StrictHostKeyChecking=yes",
            "-o", f"UserKnownHostsFile={self.server.ssh}/known_hosts",
            "-o", f"IdentityFile={self.server.ssh}/id_ed25519", "-F", "/dev/null",
            f"{self.server.user}@127.0.0.1:{self.there}", self.here, env=self.home.env)
        self.find("sshfs")

    def sshfs_best(self):
        """With what makes it quicker."""
        self.sshfs("-o", f"Ciphers={CIPHER}", "-o", "Compression=no", "-o", "kernel_cache",
                   "-o", "max_conns=2", "-o", "dcache_timeout=60", "-o", "entry_timeout=60",
                   "-o", "attr_timeout=60", "-o", "negative_timeout=10",
                   "-o", "dcache_max_size=100000", "-o", "workaround=nobuflimit")

    def rclone(self):
        """With the cache that lets it be written to."""
        cache = self.home.path / "rclone"
        shutil.rmtree(cache, ignore_errors=True)
        run("rclone", "mount", "--daemon", "--vfs-cache-mode", "writes", "--cache-dir", cache,
            "--config", "/dev/null",
            f":sftp,host=127.0.0.1,port={self.port()},user={self.server.user},"
            f"key_file={self.server.ssh}/id_ed25519:{self.there}", self.here, env=self.home.env)
        self.find("rclone")

    def find(self, name):
        """The processes that serve the mount that was just made, ssh's among them."""
        wait_for(lambda: os.path.ismount(self.here), 60, "the mount")
        self.processes = []
        for stat in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = stat.read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            program = Path(words[0]).name
            if (program == name and str(self.here) in words) or \
                    (program == "ssh" and f"-oUserKnownHostsFile={self.server.ssh}/known_hosts"
                     in words):
                self.processes.append(stat.parent)

    def processor(self):
        """Seconds of the processor that the mount has taken."""
        ticks = 0
        for process in self.processes:
            try:
                fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:  # it has only started the one that serves
                continue
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def umount(self):
        """Ends the mount, waiting for its process, which writes back what it holds."""
        if not self.processes:
            return
        run("fusermount3", "-u", self.here)
        deadline = time.monotonic() + 60
        while any(process.exists() for process in self.processes):
            if time.monotonic() > deadline:
                for process in self.processes:
                    os.kill(int(process.name), signal.SIGKILL)
            time.sleep(0.02)
        self.processes = []


class Works:
    """What is done on a mount. Each is a method; what "makes" it is done once, at the server."""

    def __init__(self, bench):
        self.bench = bench
        self.there, self.here = bench.there, bench.here
        self.size = 256 * MIB
        self.tar = bench.home.path / "tree.tar"

    def make(self, files):
        """What is read, and what is unpacked."""
        with open(self.there / "big", "wb") as big:
            for _ in range(self.size // MIB):
                big.write(os.urandom(MIB))
        for name, directories, each in (("tree", 400, files // 400), ("small", 100, 100)):
            for i in range(directories):
                directory = self.there / name / f"group{i % 20}" / f"directory{i}"
                directory.mkdir(parents=True)
                for j in range(each):
                    (directory / f"file{j}").write_bytes(b"x" * (j * 37 % 4000))
        run("git", "init", "-q", self.there / "repository")
        for i in range(60):
            directory = self.there / "repository" / f"part{i}"
            directory.mkdir()
            for j in range(50):
                (directory / f"file{j}.c").write_text(f"int f{i}_{j}(void);\n" * 40)
        identity = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        run("git", "-C", self.there / "repository", "add", ".")
        run("git", "-C", self.there / "repository", *identity, "commit", "-qm", "first")
        for name, count in (("5000", 5000), ("300", 300)):
            source = self.bench.home.path / f"source{name}"
            for i in range(count):
                directory = source / f"d{i // 50}"
                directory.mkdir(parents=True, exist_ok=True)
                (directory / f"f{i}").write_bytes(b"y" * (i * 53 % 8000))
            run("tar", "-cf", f"{self.tar}{name}", "-C", source, ".")
            shutil.rmtree(source)

    def read(self):
        """A large file from beginning to end."""
        count = self.size // MIB // (2 if self.bench.delay else 1)
        run("dd", f"if={self.here}/big", "of=/dev/null", "bs=1M", f"count={count}")

    def write(self):
        """A large file, until the server has it."""
        count = self.size // MIB // (2 if self.bench.delay else 1)
        run("dd", f"if={self.there}/big", f"of={self.here}/written", "bs=1M", f"count={count}",
            "conv=fsync")

    def random(self):
        """4 KiB at random offsets, one after the other."""
        generator = random.Random(1)
        fd = os.open(self.here / "big", os.O_RDONLY)
        for _ in range(200 if self.bench.delay else 3000):
            os.pread(fd, 4096, generator.randrange(self.size // 4096) * 4096)
        os.close(fd)

    def find(self):
        """The names and kinds of a tree."""
        run("find", self.here / "tree", "-type", "f", "-size", "+100")

    def small(self):
        """10,000 small files, read."""
        run("sh", "-c", 'find "$1" -type f -exec cat {} + >/dev/null', "sh", self.here / "small")

    def untar(self):
        """A tree of small files, made."""
        run("tar", "-xf", f"{self.tar}{300 if self.bench.delay else 5000}", "-C",
            self.fresh("unpacked"))

    def git(self):
        """git status of 3,000 files."""
        run("git", "-C", self.here / "repository", "status", "--short")

    def fresh(self, name):
        """An empty directory, made at the server."""
        shutil.rmtree(self.there / name, ignore_errors=True)
        (self.there / name).mkdir()
        return self.here / name


# name: (work, whether it is done once before on the same mount, bar by SSH, bar of the bare way)
NEAR = {"read": ("read", False, 1.3, 2.2), "write": ("write", False, 1.2, None),
        "random 4 KiB": ("random", False, 1.3, None), "find": ("find", False, 2.5, None),
        "find again": ("find", True, 1.0, None), "small files": ("small", False, 1.4, None),
        "untar": ("untar", False, 1.5, None), "git status": ("git", False, 1.4, None),
        "git status again": ("git", True, 1.5, None)}
FAR = {"read": ("read", False, 10, None), "write": ("write", False, 1.5, 3),
       "find": ("find", False, 4, None), "untar": ("untar", False, 3, None)}


def measure(bench, works, name, again):
    """One work by one candidate: seconds, and the processor's."""
    bench.candidates[name]()
    if again:
        works()
    # What was written before goes to the disk, and who logs in twice has done it.
    os.sync()
    time.sleep(SETTLED_S)
    before = bench.processor()
    started = time.monotonic()
    works()
    elapsed = time.monotonic() - started
    used = bench.processor() - before
    bench.umount()
    return elapsed, used


def shown(label, times, bars):
    """One line of the table."""
    medians = {name: statistics.median(value for value, _ in values)
               for name, values in times.items()}
    used = {name: statistics.median(value for _, value in values)
            for name, values in times.items()}
    line = f"{label:18}" + "".join(f"{medians[name]:8.2f} ({used[name]:5.2f})" for name in times)
    peers = [medians[name] for name in ("sshfs", "sshfs-best") if name in medians]
    for name, bar in zip(("crosh", "crosh-bare"), bars):
        if peers and name in medians:
            line += f"   {min(peers) / medians[name]:5.2f}" + (f" of {bar}" if bar else "")
    print(line, flush=True)


def main():
    """All rounds, at both round trips."""
    bench = Bench()
    try:
        names = [name for name in bench.candidates
                 if OPTIONS.candidates is None or name in OPTIONS.candidates]
        for delay, table in ((0, NEAR), (20, FAR)):
            if OPTIONS.delay not in (None, delay):
                continue
            bench.delay = delay
            works = Works(bench)
            shutil.rmtree(bench.there)
            bench.there.mkdir()
            works.make(2000 if delay else 20000)
            print(f"round trip {delay} ms\n{'seconds (cpu)':18}" +
                  "".join(f"{name:>16}" for name in names) + "   sshfs by crosh, by crosh-bare")
            for label, (work, again, *bars) in table.items():
                if OPTIONS.work is not None and work not in OPTIONS.work:
                    continue
                times = {name: [] for name in names}
                for i in range(OPTIONS.rounds):
                    for name in names:
                        if name == "rclone" and i > 0:
                            continue  # takes minutes
                        times[name].append(measure(bench, getattr(works, work), name, again))
                shown(label, times, bars)
    finally:
        bench.close()


if __name__ == "__main__":
    main()
