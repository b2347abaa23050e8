# SPDX-License-Identifier: MIT
# Drives crosh on a terminal as a person does, and reports the results of a test program.
"""The environment says what to test: CROSH, the program; MODULES, a directory of modules."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback

import pexpect
import pyte

CROSH = os.environ.get("CROSH", "crosh")
TIMEOUT = 20


class Sandbox:
    """A home of its own for each test, gone at its end."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="crosh-test-")
        self.modules = os.path.join(self.dir, "modules")
        os.mkdir(self.modules, 0o755)
        self.env = dict(os.environ)
        for name in ("NO_COLOR", "VMC_NONINTERACTIVE", "INPUTRC", "EDITRC"):
            self.env.pop(name, None)
        self.env.update(
            HOME=self.dir,
            XDG_STATE_HOME=os.path.join(self.dir, "state"),
            XDG_DATA_HOME=os.path.join(self.dir, "data"),
            XDG_RUNTIME_DIR=self.dir,
            TERM="xterm",
            LC_ALL="C.UTF-8",
        )
        self.history = os.path.join(self.dir, "state", "crosh", "history")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        shutil.rmtree(self.dir, ignore_errors=True)

    def add_module(self, name):
        """Copies a test module into the sandbox; returns its new path."""
        path = os.path.join(self.modules, name + ".so")
        shutil.copyfile(os.path.join(os.environ["MODULES"], name + ".so"), path)
        os.chmod(path, 0o755)
        return path

    def run(self, *args, stdin="", env=None, timeout=TIMEOUT):
        """Runs crosh without a terminal; returns (status, stdout, stderr)."""
        done = subprocess.run(
            [CROSH, "--module-dir", self.modules, *args],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            env={**self.env, **(env or {})},
            cwd=self.dir,
            timeout=timeout,
            check=False,
        )
        return (
            done.returncode,
            done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"),
        )

    def terminal(self, *args, rows=24, columns=80, env=None):
        return Terminal(self, args, rows, columns, env or {})


class Terminal:
    """crosh on a pseudo-terminal, with the screen that a person would see."""

    def __init__(self, sandbox, args, rows, columns, env):
        self.screen = pyte.HistoryScreen(columns, rows, history=1000)
        self.stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            CROSH,
            ["--module-dir", sandbox.modules, *args],
            env={**sandbox.env, **env},
            cwd=sandbox.dir,
            dimensions=(rows, columns),
            timeout=TIMEOUT,
        )
        self.child.delaybeforesend = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.child.close(force=True)

    def send(self, keys):
        self.child.send(keys.encode() if isinstance(keys, str) else keys)

    def line(self, text):
        self.send(text + "\r")

    def _read(self, wait):
        try:
            self.stream.feed(self.child.read_nonblocking(65536, wait))
            return True
        except pexpect.TIMEOUT:
            return False

    def rows(self):
        """The rows of the screen that are not empty, without spaces at their ends."""
        return [row.rstrip() for row in self.screen.display if row.strip()]

    def wait_for(self, condition, what, timeout=TIMEOUT):
        """Waits until condition(rows) holds and the screen has been still for a moment."""
        deadline = time.monotonic() + timeout
        try:
            while time.monotonic() < deadline:
                moved = self._read(0.1)
                if not moved and condition(self.rows()):
                    return self.rows()
        except pexpect.EOF:
            if condition(self.rows()):
                return self.rows()
            raise AssertionError(f"crosh ended while waiting for {what}: {self.rows()}") from None
        raise AssertionError(f"no {what} within {timeout} s; the screen: {self.rows()}")

    def wait_last(self, text):
        """Waits for the last row to be text."""
        return self.wait_for(
            lambda rows: rows and rows[-1] == text.rstrip(), f"last row {text!r}"
        )

    def wait_text(self, text):
        return self.wait_for(
            lambda rows: any(text in row for row in rows), f"text {text!r}"
        )

    def prompt(self):
        return self.wait_last("crosh>")

    def cursor(self):
        return self.screen.cursor.x

    def ends(self):
        """Waits for crosh to end; returns its exit status, negative for a signal."""
        deadline = time.monotonic() + TIMEOUT
        try:
            while time.monotonic() < deadline:
                self._read(0.1)
        except pexpect.EOF:
            self.child.wait()
            if self.child.signalstatus is not None:
                return -self.child.signalstatus
            return self.child.exitstatus
        raise AssertionError(f"crosh does not end; the screen: {self.rows()}")


class Skip(Exception):
    """Raised by a test that cannot run here."""


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"\n  expected {expected!r}\n  but got  {actual!r}")


def contains(text, part):
    if part not in text:
        raise AssertionError(f"\n  expected {part!r}\n  in {text!r}")


def main(namespace):
    """Runs every test_* function; arguments select by name. Exits as automake wants it."""
    wanted = sys.argv[1:]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, test in list(namespace.items()):
        if not name.startswith("test_") or (wanted and name not in wanted):
            continue
        try:
            with Sandbox() as sandbox:
                test(sandbox)
            result = "passed"
        except Skip as reason:
            result = "skipped"
            print(f"{name}: {reason}")
        except Exception:  # pylint: disable=broad-except
            result = "failed"
            traceback.print_exc(file=sys.stdout)
        counts[result] += 1
        print(f"{result}: {name}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in counts.items()))
    sys.exit(1 if counts["failed"] or not counts["passed"] else 0)
