#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Programs that own the whole screen, through vsh and the agent, seen as a person sees them.

Each runs in a pseudo terminal behind agent and client; pyte draws what arrives there, and the
keys are those that a terminal sends.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

from harness import Home, Skip, case, contains, equal, main
from launcher import Launcher

home = Home()
launcher = None
top = Path(tempfile.mkdtemp(prefix="crosh-screen."))


def set_up():
    """One agent serves all cases."""
    global launcher  # pylint: disable=global-statement
    launcher = Launcher(home, "alpha")


def tear_down():
    """Ends it."""
    launcher.close()
    home.close()
    shutil.rmtree(top)


def program(*argv, rows=24, columns=80, env=()):
    """A program in the guest on a terminal of that size."""
    if shutil.which(argv[0]) is None:
        raise Skip(f"needs {argv[0]}")
    options = [option for pair in env for option in ("--env", pair)]
    return home.terminal("vsh", "--cwd", str(top), "--env", "LANG=C.UTF-8", "--env",
                         f"HOME={top}", *options, "alpha", "--", *argv, rows=rows, columns=columns)


def line(terminal, row):
    """One line of the screen, counted from 0."""
    return terminal.screen.display[row].rstrip()


@case
def vim_edits_and_follows_the_window():
    terminal = program("vim", "-u", "NONE", "-N", "-i", "NONE", "-c", "set ruler encoding=utf-8",
                       "file.txt", rows=24, columns=80)
    terminal.wait(lambda t: line(t, 1) == "~" and line(t, 22) == "~", what="vim's empty lines")
    terminal.send("ifirst line\rsecond: grüße € 😀\x1b")
    terminal.wait(lambda t: line(t, 0) == "first line" and "grüße €" in line(t, 1))
    terminal.wait(lambda t: "2," in line(t, 23), what="the ruler at the bottom")
    terminal.resize(40, 120)
    terminal.wait(lambda t: line(t, 38) == "~" and "2," in line(t, 39), what="the new bottom line")
    terminal.send("gg0x:w\r")
    terminal.wait(lambda t: line(t, 0) == "irst line" and "written" in line(t, 39))
    terminal.wait(lambda t: (t.screen.cursor.y, t.screen.cursor.x) == (0, 0), what="the cursor")
    terminal.send("\x1a")  # a key here, not a stop: vim would suspend itself, and there is no shell
    terminal.send(":q\r")
    equal(terminal.end(), 0)
    equal((top / "file.txt").read_text(encoding="utf-8"), "irst line\nsecond: grüße € 😀\n")


@case
def vim_knows_a_paste_from_typing():
    terminal = program("vim", "-u", "NONE", "-N", "-i", "NONE", "-c", "set autoindent", "paste.txt")
    terminal.wait(lambda t: line(t, 1) == "~")
    contains(terminal.output.decode(errors="replace"), "\x1b[?2004h", "bracketed paste is asked for")
    terminal.send("i")
    terminal.send("\x1b[200~  one\r  two\r  three\x1b[201~")
    terminal.wait(lambda t: line(t, 2) == "  three", what="the paste without stairs")
    terminal.send("\x1b:wq\r")
    equal(terminal.end(), 0)
    equal((top / "paste.txt").read_text(encoding="ascii"), "  one\n  two\n  three\n")


@case
def htop_draws_and_obeys_function_keys():
    terminal = program("htop", "--delay=10", rows=30, columns=110)
    terminal.wait(lambda t: re.search(r"PID.*USER.*Command", t.text()) is not None, what="the header")
    terminal.wait(lambda t: "F10Quit" in line(t, 29).replace(" ", ""), what="the bottom line")
    # The header has a background over the whole width; the column to sort by has another.
    row = next(i for i in range(30) if re.search(r"PID.*USER.*Command", line(terminal, i)))
    equal({terminal.screen.buffer[row][column].bg for column in range(0, 110, 10)} - {"cyan"},
          {"green"})
    terminal.send("\x1bOP")  # F1
    terminal.wait(lambda t: "htop " in t.text() and "process state" in t.text().lower())
    terminal.send(" ")
    terminal.wait(lambda t: "F10Quit" in line(t, 29).replace(" ", ""))
    terminal.resize(20, 90)
    terminal.wait(lambda t: "F10Quit" in line(t, 19).replace(" ", ""), what="the new bottom line")
    terminal.send("q")
    equal(terminal.end(), 0)


@case
def tmux_splits_detaches_and_comes_back():
    socket_name = f"TMUX_TMPDIR={top}"
    terminal = program("tmux", "-f", "/dev/null", "new-session", "-s", "work",
                       "env 'PS1=left> ' sh -i", rows=24, columns=80, env=(socket_name,))
    terminal.expect("left>")
    terminal.wait(lambda t: line(t, 23).startswith("[work]"), what="the status line")
    equal(terminal.screen.buffer[23][0].bg, "green")
    terminal.send("\x02%")
    terminal.wait(lambda t: "│" in line(t, 5), what="the border between two panes")
    terminal.send("\x02o")
    terminal.send("echo in-$((40 + 2))\r")
    terminal.expect("in-42")
    terminal.resize(30, 100)
    terminal.wait(lambda t: line(t, 29).startswith("[work]"), what="the new bottom line")
    terminal.send("\x02d")
    equal(terminal.end(), 0)
    contains(terminal.output.decode(errors="replace"), "[detached (from session work)]")
    again = program("tmux", "attach", rows=30, columns=100, env=(socket_name,))
    again.expect("in-42")
    again.send("\x02:")
    again.wait(lambda t: line(t, 29) == ":", what="tmux's prompt")
    again.send("kill-server\r")
    again.end()


@case
def colours_and_characters_arrive_as_they_are():
    script = r"printf '\033[38;5;208mA\033[48;5;17mB\033[38;2;1;2;3mC\033[0m ═║╔ 漢字 é e\xcc\x81\n'; read x"
    terminal = program("bash", "-c", script)
    terminal.wait(lambda t: "漢" in t.text())
    cells = terminal.screen.buffer[0]
    equal([cells[i].fg for i in range(3)], ["ff8700", "ff8700", "010203"])
    equal([cells[i].bg for i in range(3)], ["default", "00005f", "00005f"])
    contains(terminal.text(), "ABC ═║╔ 漢")
    equal(re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.output).startswith(
        "ABC ═║╔ 漢字 é e\u0301\r\n".encode()), True, "the bytes")
    terminal.send("\r")
    equal(terminal.end(), 0)


@case
def a_pager_scrolls_and_searches():
    (top / "numbers").write_text("".join(f"line {i}\n" for i in range(1, 1001)), encoding="ascii")
    terminal = program("less", "numbers", env=("LESS=",))
    terminal.wait(lambda t: line(t, 22) == "line 23")
    terminal.send(" ")
    terminal.wait(lambda t: line(t, 0) == "line 24" and line(t, 22) == "line 46")
    terminal.send("/line 777\r")
    terminal.wait(lambda t: line(t, 0) == "line 777")
    terminal.send("G")
    terminal.wait(lambda t: line(t, 22) == "line 1000")
    terminal.send("q")
    equal(terminal.end(), 0)


@case
def jobs_of_a_shell_stop_and_go_on():
    terminal = program("bash", "--norc", "--noprofile", "-i", env=("PS1=guest> ",))
    terminal.expect("guest>")
    terminal.send("cat\r")
    terminal.send("echoed\r")
    terminal.wait(lambda t: t.text().count("echoed") == 2, what="cat's echo")
    terminal.send("\x1a")
    terminal.expect("Stopped")
    terminal.send("clear; jobs; sleep 100 &\r")
    terminal.wait(lambda t: "cat" in t.text() and "[2]" in t.text())
    terminal.send("fg 1\r")
    terminal.send("again\r")
    terminal.wait(lambda t: t.text().count("again") == 2, what="cat's echo")
    terminal.send("\x04")
    terminal.send("kill %2; wait; echo status=$?\r")
    terminal.expect("status=0")
    terminal.send("exit 5\r")
    equal(terminal.end(), 5)


main(set_up, tear_down)
