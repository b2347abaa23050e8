#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Sweeps 1,000 addresses with crosh's ping and with fping, in turn, in one run.

    bench/ping.py [--prefix DIR] [--rounds N]

In a network namespace of its own whose loopback answers for all of 127.0.0.0/8. Prints each
program's median of wall time and the ratio; fping is given the shortest interval that it takes.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ADDRESSES = [f"127.1.{i // 250}.{i % 250 + 1}" for i in range(1000)]


def timed(argv):
    """How long a program takes to sweep; it must have heard from all."""
    started = time.monotonic()
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False, timeout=120)
    elapsed = time.monotonic() - started
    if done.returncode != 0 or done.stdout.count("is alive") != len(ADDRESSES):
        sys.exit(f"{argv[0]}: status {done.returncode}: {done.stderr[-300:]}")
    return elapsed


def main():
    parser = argparse.ArgumentParser()
    built = Path(__file__).resolve().parent.parent / "build/main/prefix"
    parser.add_argument("--prefix", type=Path, default=built)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if "CROSH_BENCH_INSIDE" not in os.environ:
        os.environ["CROSH_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-rn", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    programs = {"crosh ping": [str(options.prefix / "bin/crosh"), "ping", *ADDRESSES],
                "fping -i 0": ["fping", "-i", "0", *ADDRESSES]}
    times = {name: [] for name in programs}
    for _ in range(options.rounds + 1):
        for name, argv in programs.items():
            times[name].append(timed(argv))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    for name, median in medians.items():
        print(f"{name:12} {median * 1000:8.1f} ms")
    print(f"ratio        {medians['crosh ping'] / medians['fping -i 0']:8.2f}")


if __name__ == "__main__":
    main()
