# SPDX-License-Identifier: MIT
"""A session on a terminal: the pager, the history as a command, crosh as a login shell."""

import json
import os
import signal

from harness import CROSH, Terminal, case, contains, equal, main, wait_for
from shell import Screen, Shell

CTRL_D = "\x04"


@case
def pager_when_taller():
    with Shell("hello") as home:
        env = {"PAGER": f"cat > {home.path}/paged; echo pager ran"}
        with home.screen(rows=10, env=env) as screen:
            screen.prompt()
            screen.keys("help_advanced\r")
            screen.last("pager ran", "crosh>")
            text = (home.path / "paged").read_text()
            contains(text, "  help_advanced  ")
            contains(text, '"help COMMAND" tells more')
            screen.keys("help true\r")
            screen.until(lambda rows: rows[-1] == "crosh>" and "crosh> help true" in rows, "help")
            contains("\n".join(screen.rows()), "usage: true")
            (home.path / "paged").unlink()
            # Neither into a pipe nor a file, nor when it is switched off.
            screen.keys("help_advanced | wc -l; help_advanced > out\r")
            screen.until(lambda rows: rows[-1] == "crosh>" and rows[-2].strip().isdigit(), "a number")
            screen.keys("set pager off; help_advanced\r")
            screen.until(lambda rows: rows[-1] == "crosh>" and "tells more" in rows[-2], "help")
            equal((home.path / "paged").exists(), False)


@case
def pager_that_is_left():
    with Shell("hello") as home:
        for number in range(300):
            home.history.parent.mkdir(parents=True, exist_ok=True)
            with open(home.history, "a", encoding="ascii") as file:
                file.write(f"echo {number:03} {'x' * 600}\n")
        with home.screen(rows=10, env={"PAGER": "head -n 1 | cut -c 1-20"}) as screen:
            screen.prompt()
            screen.keys("history\r")
            screen.last("    1  echo 000 xxxx", "crosh>")
            screen.keys("echo status $?\r")
            screen.last("status 0", "crosh>")


@case
def pager_shows_colour():
    with Shell("hello") as home:
        env = {"PAGER": f"cat > {home.path}/paged"}
        with home.screen(rows=6, env=env) as screen:
            screen.prompt()
            screen.keys("help history\r")
            wait_for(lambda: (home.path / "paged").exists(), 20, "the pager")
            screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        contains((home.path / "paged").read_text(), "\x1b[1m")


@case
def pager_by_default():
    with Shell("hello") as home, home.screen(rows=8) as screen:
        screen.prompt()
        screen.keys("help_advanced\r")
        screen.until(lambda rows: rows[-1].startswith(":"), "less")
        screen.keys("q")
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")


@case
def history_command():
    with Shell() as home, home.screen(columns=100) as screen:
        screen.prompt()
        for line in ("echo ä one", "echo two", "echo ä three"):
            screen.keys(line + "\r")
            screen.last(line[5:], "crosh>")
        screen.keys("history --search ä\r")
        screen.last("    1  echo ä one", "    3  echo ä three", "    4  history --search ä", "crosh>")
        screen.keys("history -s ä 2\r")
        screen.last("    4  history --search ä", "    5  history -s ä 2", "crosh>")
        screen.keys(f"history --json -s one > {home.path}/out\r")
        wait_for(lambda: (home.path / "out").exists(), 20, "the file")
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        equal(json.loads((home.path / "out").read_text())[0], {"number": 1, "line": "echo ä one"})
        screen.keys("history -c\r")
        screen.last("crosh> history -c", "crosh>")
        equal(home.history.read_text(), "")
        screen.keys("set history.size 2; true\r")
        screen.last("crosh>")
        for word in ("a", "b", "c"):
            screen.keys(f"echo {word}\r")
            screen.last(word, "crosh>")
        equal(home.history.read_text(), "echo b\necho c\n")
        screen.keys("set history.size 0\r")
        screen.last("crosh> set history.size 0", "crosh>")
        screen.keys("echo d\r")
        screen.last("d", "crosh>")
        equal(home.history.read_text(), "")


def login(home, rows=24, columns=80):
    return Screen(Terminal(["/bin/bash", "-c", f"exec -a -crosh {CROSH} --module-dir {home.modules}"],
                           home.env, rows, columns))


@case
def login_shell():
    with Shell("hello") as home:
        (home.path / "config" / "crosh" / "croshrc").write_text("echo welcome\n")
        with login(home) as screen:
            screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
            contains("\n".join(screen.rows()), "welcome")
            screen.keys("hello say bob\r")
            screen.last("hello bob", "size 1024 colour red", "crosh>")
            screen.keys("exit 3\r")
            equal(screen.ends(), 3)
        with login(home) as screen:
            screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
            screen.keys(CTRL_D)
            equal(screen.ends(), 0)
        # What sshd and su run in a login shell.
        equal(home.crosh("-c", "echo one"), (0, "one\n", ""))


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0] == "Z"


@case
def login_shell_loses_its_terminal():
    with Shell("hello") as home:
        for line in ("", "hello wait", "true | sleep 60 &"):
            with login(home) as screen:
                screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
                if line:
                    screen.keys(line + "\r")
                    screen.until(lambda rows, l=line: rows[-1] != f"crosh> {l}", "the command")
                pid = screen.terminal.child.pid
                # The terminal is closed, as by a window that goes away.
                screen.terminal.child.ptyproc.fileobj.close()
                wait_for(lambda p=pid: is_gone(p), 20, f"the end after {line!r}")
                equal(screen.terminal.child.wait(), 128 + signal.SIGHUP)
                screen.terminal.close = lambda: None


main()
