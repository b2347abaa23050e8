# SPDX-License-Identifier: MIT
"""The lab itself: what it passes back, that it always ends, and that its KVM is real."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness import PREFIX, Skip, Terminal, case, contains, equal, images, main, wait_for

LAB = Path(__file__).resolve().parent / "lab"
OPTIONS = None
top = None


def set_up():
    global OPTIONS, top
    if "top_builddir" in os.environ:
        os.environ.setdefault("CROSH_LAB_CACHE", os.environ["top_builddir"] + "/lab-cache")
    top = Path(tempfile.mkdtemp(prefix="crosh-test."))
    if shutil.which("qemu-system-x86_64") is not None:
        OPTIONS = ["--prefix", str(PREFIX), "--image", str(images() / "micro")]


def tear_down():
    shutil.rmtree(top, ignore_errors=True)


def script(name, text):
    """Writes a script for the lab to run."""
    path = top / name
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def command(verb, *arguments):
    """The lab's command line."""
    if OPTIONS is None:
        raise Skip("there is no qemu-system-x86_64 to emulate a host with")
    return [str(LAB), verb, *OPTIONS, *map(str, arguments)]


def lab(*arguments):
    """Runs something in a lab host."""
    return subprocess.run(command("run", *arguments), stdin=subprocess.DEVNULL, timeout=180,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)


def hosts():
    """The lab hosts that run, as pids of QEMU, of those started from this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(top).encode() in (entry / "environ").read_bytes() \
                    and b"qemu-system" in (entry / "cmdline").read_bytes().split(b"\0")[0]:
                found.append(int(entry.name))
        except OSError:
            pass
    return found


@case
def status_output_arguments_and_files_come_through():
    (top / "data").write_bytes(bytes(range(256)) * 100)
    path = script("job.sh", 'echo "first: $1"; echo "second: $2"; wc -c <data; echo bad >&2; exit 42')
    done = lab("-f", top / "data", path, "one  two", "it's")
    equal(done.returncode, 42, done.stderr)
    equal(done.stdout, "first: one  two\nsecond: it's\n25600\nbad\n")


@case
def much_output_comes_through_whole():
    done = lab(script("much.sh", "seq 1 300000"))
    equal(done.returncode, 0, done.stderr)
    equal(done.stdout == "".join(f"{i}\n" for i in range(1, 300001)), True, "all lines")


@case
def kvm_is_real_and_boots_the_distributions_kernel():
    path = script("peer.sh", """
grep -q -w svm /proc/cpuinfo || exit 3
timeout 60 qemu-system-x86_64 -M microvm,rtc=on -accel kvm -cpu host -m 256 -nodefaults \
    -display none -no-reboot -serial stdio -kernel /images/micro/vmlinuz \
    -append 'console=ttyS0 reboot=t panic=-1' </dev/null
""")
    done = lab(path)
    contains(done.stdout, "Hypervisor detected: KVM")
    contains(done.stdout, "Unable to mount root fs")


@case
def the_time_limit_ends_it():
    started = time.monotonic()
    done = lab("--timeout", "12", script("slow.sh", "echo begun; sleep 1000"))
    equal(done.returncode, 124, done.stderr)
    equal(done.stdout, "begun\n")
    contains(done.stderr, "time limit")
    equal(time.monotonic() - started < 60, True, "in time")


@case
def a_host_that_dies_is_no_success():
    done = lab(script("panic.sh", "echo c >/proc/sysrq-trigger; sleep 100"))
    equal(done.returncode, 125, done.stderr)
    contains(done.stderr, "Kernel panic")


@case
def a_killed_lab_takes_its_host_along():
    path = script("long.sh", "sleep 1000")
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen(command("run", "--timeout", "60", path), cwd=top,
                                   env={**os.environ, "LAB_TEST_MARK": str(top)})
        wait_for(hosts, 60, "the host")
        process.send_signal(number)
        process.wait(20)
        wait_for(lambda: not hosts(), 20, "the host's end")


@case
def the_shell_is_a_terminal_in_the_host():
    terminal = Terminal(command("shell"), dict(os.environ, TERM="xterm"), 30, 100)
    terminal.expect("/dev/kvm is real here", 60)
    terminal.send("stty size; echo $((6 * 7)) from $(hostname)\r")
    terminal.expect("30 100")
    terminal.expect("42 from lab")
    terminal.send("cat\r")
    terminal.send("\x03")
    terminal.send("echo interrupted\r")
    terminal.expect("interrupted")
    terminal.send("exit 5\r")
    equal(terminal.end(60), 5)


if __name__ == "__main__":
    main(set_up, tear_down)
