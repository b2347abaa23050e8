#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""tests/lxd/notes.py in a VM of the image termina, on a network of its own.

Emulation is slow: without CROSH_TEST_NOTES=all in the environment, only small containers are made.
"""

import os
import sys
from pathlib import Path

from harness import case, contains, equal, termina_images

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "net"))

import notes  # pylint: disable=wrong-import-position
from places import Booted  # pylint: disable=wrong-import-position
from world import SERVER, World, enter  # pylint: disable=wrong-import-position

ALL = os.environ.get("CROSH_TEST_NOTES") == "all"


@case
def vms_are_listed():
    """vmc list; vmc start of one that runs, and vsh into it."""
    contains(notes.crosh("vmc", "list"), "termina  running")
    equal(notes.crosh("vsh", "termina", "--", "hostname"), "termina\n")
    terminal = notes.home.terminal("vsh", "termina")
    try:
        terminal.expect("#", 120)
        terminal.send("lxc list\r")
        terminal.expect("| NAME | STATE |", 120)
        terminal.send("exit 5\r")
        equal(terminal.end(60), 5)
    finally:
        terminal.close()


if __name__ == "__main__":
    if "CROSH_TEST_WORLD" not in os.environ:
        # While there is a way to the distribution's mirror.
        termina_images()
        if ALL:
            notes.debian_images()
    enter()
    notes.run(lambda: Booted(World(), SERVER), ALL)
