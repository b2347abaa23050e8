#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How long a whole crosh process takes beside programs of its kind, in one run.

    bench/startup.py [--prefix DIR] [--repetitions N]

Each round runs every candidate once, so that the machine's load falls on all alike. Times are the
medians of N rounds (default 40) after one that does not count; instructions are those of user
space, by perf where the machine counts them, else by valgrind's callgrind. "First prompt" is an
interactive shell on a terminal of its own, from its start until its prompt stands there; its
instructions are those of the whole process, which then reads the end of its input. Ratios are to
"bash -c true", or for prompts to the prompt of bash without startup files.
"""

import argparse
import os
import pty
import re
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def finish(pid, master):
    """Types the end of input, reads the rest and waits; bounded."""
    os.write(master, b"\x04")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                if not os.read(master, 4096):
                    break
            except OSError:
                break
    else:
        os.kill(pid, 9)
    os.close(master)
    os.waitpid(pid, 0)


def run_prompt(argv, env, prompt):
    """Seconds until the prompt stands on the terminal."""
    started = time.monotonic()
    pid, master = pty.fork()
    if pid == 0:
        os.execvpe(argv[0], argv, env)
    seen = b""
    while prompt not in seen:
        if not select.select([master], [], [], 60)[0]:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            sys.exit(f"startup.py: no prompt of {argv[0]}: {seen!r}")
        seen += os.read(master, 4096)
    elapsed = time.monotonic() - started
    finish(pid, master)
    return elapsed


def run_once(argv, env):
    """Seconds of a whole process."""
    started = time.monotonic()
    subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=60, check=True)
    return time.monotonic() - started


def has_perf(env):
    """Whether perf counts instructions here; virtual machines often have no counters."""
    if shutil.which("perf") is None:
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], env=env,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return done.returncode == 0 and re.search(r"^\d+,", done.stderr, re.M) is not None


def instructions(argv, env, prompt, use_perf):
    """Instructions of a whole process, or None when nothing here counts them."""
    with tempfile.NamedTemporaryFile() as log:
        if use_perf:
            counted = ["perf", "stat", "-x,", "-e", "instructions:u", "-o", log.name, *argv]
        elif shutil.which("valgrind") is not None:
            counted = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                       f"--log-file={log.name}", *argv]
        else:
            return None
        (run_prompt(counted, env, prompt) if prompt is not None else run_once(counted, env))
        found = re.search(r"^(\d+),|Collected : (\d+)", Path(log.name).read_text(), re.M)
        return int(found[1] or found[2]) if found else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", default="build/main/prefix")
    parser.add_argument("--repetitions", type=int, default=40)
    options = parser.parse_args()
    crosh = str(Path(options.prefix).resolve() / "bin" / "crosh")
    with tempfile.TemporaryDirectory() as home:
        os.mkdir(f"{home}/run", 0o700)
        env = {"HOME": home, "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color",
               "XDG_RUNTIME_DIR": f"{home}/run", "PS1": "ready> "}
        candidates = [
            ("bash -c true", ["bash", "-c", "true"], None),
            ("crosh --version", [crosh, "--version"], None),
            ('crosh -c "vmc list"', [crosh, "-c", "vmc list"], None),
            ("busctl --version", ["busctl", "--version"], None),
            ("virsh --version", ["virsh", "--version"], None),
            ("bash, first prompt", ["bash", "--norc", "--noprofile", "-i"], b"ready> "),
            ("crosh, first prompt", [crosh], b"crosh> "),
        ]
        candidates = [one for one in candidates if shutil.which(one[1][0]) is not None]
        times = {name: [] for name, _, _ in candidates}
        for number in range(options.repetitions + 1):
            for name, argv, prompt in candidates:
                taken = run_prompt(argv, env, prompt) if prompt else run_once(argv, env)
                if number > 0:
                    times[name].append(taken * 1000)
        use_perf = has_perf(env)
        print(f"{'candidate':22} {'ms':>7} {'ratio':>6} {'instructions':>13} {'ratio':>6}")
        peer = None
        for name, argv, prompt in candidates:
            count = instructions(argv, env, prompt, use_perf)
            row = (statistics.median(times[name]), count)
            if peer is None or name.startswith("bash"):
                peer = row
            print(f"{name:22} {row[0]:7.2f} {row[0] / peer[0]:6.2f} {count or '-':>13} "
                  f"{f'{count / peer[1]:.2f}' if count and peer[1] else '-':>6}")


main()
