#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The micro image by itself, without a launcher: console shell, power button, poweroff."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Skip, case, contains, equal, images, main

BOOT = 90


class Machine:
    """A bare QEMU with the micro image; its serial console on a socket."""

    def __init__(self, *params):
        if shutil.which("qemu-system-x86_64") is None:
            raise Skip("needs qemu-system-x86_64")
        self.path = Path(tempfile.mkdtemp(prefix="crosh-test."))
        micro = images() / "micro"
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256",
             "-nodefaults", "-display", "none", "-no-reboot",
             "-chardev", f"socket,id=serial,path={self.path}/serial,server=on,wait=on",
             "-serial", "chardev:serial",
             "-monitor", f"unix:{self.path}/monitor,server=on,wait=off",
             "-kernel", str(micro / "vmlinuz"), "-initrd", str(micro / "initramfs"),
             "-append", " ".join(("console=ttyS0 quiet panic=-1 cryptomgr.notests no_timer_check", *params))],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.output = b""
        self.serial = self.connect("serial")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.wait()
        self.serial.close()
        shutil.rmtree(self.path)

    def connect(self, name):
        """A connection to one of QEMU's sockets, once it is there."""
        while self.process.poll() is None:
            try:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(str(self.path / name))
                sock.settimeout(1)
                return sock
            except OSError:
                sock.close()
                time.sleep(0.05)
        raise AssertionError(f"QEMU ended with status {self.process.returncode}")

    def read(self):
        """Takes what the console has; false at its end."""
        try:
            data = self.serial.recv(4096)
        except TimeoutError:
            return True
        self.output += data
        return data != b""

    def expect(self, text):
        """Reads until text has appeared behind what was expected before."""
        deadline = time.monotonic() + BOOT
        while text not in self.output:
            assert time.monotonic() < deadline and self.read(), \
                f"{text!r} did not come; the console:\n{self.output.decode(errors='replace')}"
        self.output = self.output.partition(text)[2]

    def type(self, line):
        """Types a line."""
        self.serial.sendall(line.encode() + b"\n")

    def press_power(self):
        """Presses the power button; that of a machine which has just ended well does nothing."""
        try:
            monitor = self.connect("monitor")
        except AssertionError:
            if self.process.returncode == 0:
                return
            raise
        seen = b""
        try:
            monitor.sendall(b"system_powerdown\n")
            while seen.count(b"(qemu)") < 2 and (data := monitor.recv(4096)):
                seen += data
        except ConnectionError:
            pass  # it has ended meanwhile
        monitor.close()

    def end(self):
        """Waits for the machine's end; the rest of the console."""
        deadline = time.monotonic() + BOOT
        while self.read():
            assert time.monotonic() < deadline, "the machine does not end"
        equal(self.process.wait(BOOT), 0)
        return self.output.decode(errors="replace")


@case
def a_shell_on_the_console_when_asked_for_and_the_power_button():
    with Machine("crosh.console_shell=1", "crosh.name=by-itself") as machine:
        machine.expect(b"# ")
        machine.type("echo a=$(hostname) b=$(tty) c=$0 d=$(cat /proc/1/comm).")
        machine.expect(b"a=by-itself b=/dev/ttyS0 c=-sh d=crosh-agent.")
        machine.type("exit")
        machine.expect(b"built-in shell")
        machine.expect(b"# ")
        machine.type("echo back=$((6 * 7))")
        machine.expect(b"back=42")
        machine.press_power()
        contains(machine.end(), "Power down")


@case
def no_shell_on_the_console_unless_asked_for():
    with Machine() as machine:
        # The button works as soon as the agent listens to it, which is after the console's turn.
        deadline = time.monotonic() + BOOT
        while machine.read() and time.monotonic() < deadline:
            machine.press_power()
        output = machine.end()
        contains(output, "Power down")
        equal("# " in output, False, "a prompt on the console")


main()
