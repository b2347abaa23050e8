# SPDX-License-Identifier: MIT
"""What the shell's test scripts share: a home with test modules, and the screen by its rows."""

import os
import shutil
import time
from pathlib import Path

from harness import Home

MODULES = Path(os.environ.get("top_builddir", ".")) / "tests" / "modules" / ".libs"


class Shell(Home):
    """A home whose crosh loads the modules in self.modules and no others.

    Hints would be on the screen beside what most cases look for: they are off by default.
    """

    def __init__(self, *modules, config="set hints off\n"):
        super().__init__()
        self.config = self.path / "config" / "crosh" / "config"
        self.config.parent.mkdir(parents=True)
        self.config.write_text(config)
        self.modules = self.path / "modules"
        self.modules.mkdir(mode=0o755)
        self.modules.chmod(0o755)
        self.history = self.path / "state" / "crosh" / "history"
        for name in modules:
            self.add(name)

    def add(self, name, target=None):
        """Copies a test module; returns its new path."""
        path = self.modules / f"{target or name}.so"
        shutil.copyfile(MODULES / f"{name}.so", path)
        path.chmod(0o755)
        return path

    def crosh(self, *args, **options):
        """Runs crosh without a terminal: (status, stdout, stderr)."""
        done = self.run("--module-dir", str(self.modules), *args, timeout=20, **options)
        return done.returncode, done.stdout, done.stderr

    def screen(self, *args, rows=24, columns=80, env=None):
        """Starts crosh on a terminal and waits for nothing."""
        terminal = self.terminal("--module-dir", str(self.modules), *args, rows=rows,
                                 columns=columns, env=env)
        return Screen(terminal)


class Screen:
    """The terminal as rows of text, read until it has come to rest."""

    def __init__(self, terminal):
        self.terminal = terminal
        terminal.child.delaybeforesend = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.terminal.close()

    def rows(self):
        return [row for row in self.terminal.text().split("\n") if row]

    def cursor(self):
        return self.terminal.screen.cursor.x

    def keys(self, text):
        self.terminal.send(text)

    def until(self, condition, what, seconds=20):
        """Waits until condition(rows) holds at a moment when nothing more comes; the rows."""
        deadline = time.monotonic() + seconds
        while True:
            before = len(self.terminal.output)
            alive = self.terminal._feed(0.1)  # pylint: disable=protected-access
            still = len(self.terminal.output) == before
            if still and condition(self.rows()):
                return self.rows()
            if not alive or time.monotonic() > deadline:
                raise AssertionError(f"waited for {what}; the rows are: {self.rows()}")

    def last(self, *expected):
        """Waits for these to be the last rows."""
        wanted = [row.rstrip() for row in expected]
        return self.until(lambda rows: rows[-len(wanted):] == wanted, f"last rows {wanted}")

    def prompt(self):
        """Waits for the first prompt."""
        return self.last("crosh>")

    def ends(self):
        return self.terminal.end(20)
