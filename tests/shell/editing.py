# SPDX-License-Identifier: MIT
"""The line editor beyond single keys: hints, searches, pastes, notices, the prompt, lists, windows."""

import json
import os
import subprocess
import sys
import time

from harness import case, contains, equal, main
from shell import Shell

UP, DOWN, RIGHT, LEFT, END = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[F"
CTRL_C, CTRL_D, CTRL_E, CTRL_L, CTRL_U, TAB = "\x03", "\x04", "\x05", "\x0c", "\x15", "\t"
BACKSPACE = "\x7f"


def paste(text):
    return "\x1b[200~" + text + "\x1b[201~"


def colours(screen, row):
    """The colours of the last row that is not blank, one name a character."""
    y = len(screen.terminal.text().split("\n")) - 1 if row is None else row
    line = screen.terminal.screen.buffer[y]
    return [line[x].fg for x in range(screen.terminal.screen.columns)]


def enter(screen, line, *expected):
    screen.keys(line + "\r")
    screen.last(*expected, "crosh>")


@case
def hint_from_history():
    for key in (RIGHT, END, CTRL_E):
        with Shell(config="") as home, home.screen() as screen:
            screen.prompt()
            enter(screen, "echo one", "one")
            screen.keys("ec")
            screen.last("crosh> echo one")
            equal(screen.cursor(), 9)
            grey = colours(screen, None)
            equal(grey[7:9], ["default"] * 2)
            # pyte has two names for it.
            equal(set(grey[9:15]) <= {"black", "brightblack"}, True)
            screen.keys(key)
            screen.until(lambda rows, s=screen: s.cursor() == 15, "the cursor at the end")
            equal(set(colours(screen, None)[7:15]), {"default"})
            enter(screen, " two", "one two")


@case
def hint_goes_away():
    with Shell(config="") as home, home.screen() as screen:
        screen.prompt()
        enter(screen, "echo one", "one")
        screen.keys("echo")
        screen.last("crosh> echo one")
        screen.keys("x")
        screen.last("crosh> echox")
        screen.keys(BACKSPACE)
        screen.last("crosh> echo one")
        # Not in the middle of the line.
        screen.keys(LEFT)
        screen.last("crosh> echo")
        screen.keys(RIGHT)
        screen.last("crosh> echo one")
        equal(screen.cursor(), 11)
        # What was not taken is not run, and not left on the screen.
        screen.keys(" two\r")
        screen.last("one", "crosh> echo two", "two", "crosh>")
        screen.keys("echo o")
        screen.last("crosh> echo one")
        screen.keys(CTRL_C)
        screen.last("crosh> echo o^C", "crosh>")
        screen.keys("echo")
        screen.last("crosh> echo two")
        screen.keys("\x12ne")
        screen.until(lambda rows: "ne" in rows[-1] and "echo one" in "".join(rows[-2:]) and
                     "two" not in "".join(rows[-2:]), "the search")


@case
def hint_from_table():
    with Shell("hello", config="") as home, home.screen() as screen:
        screen.prompt()
        screen.keys("hello ")
        screen.last("crosh> hello COMMAND")
        screen.keys(RIGHT + END + CTRL_E)
        screen.last("crosh> hello COMMAND")
        equal(screen.cursor(), 13)
        screen.keys("say ")
        screen.last("crosh> hello say [NAME]")
        screen.keys("bob ")
        screen.last("crosh> hello say bob")


@case
def hint_not_wanted():
    for config, env in (("set hints off\n", {}), ("set colour never\n", {}),
                        ("", {"NO_COLOR": "1"}), ("", {"TERM": "dumb"})):
        with Shell("hello", config=config) as home, home.screen(env=env) as screen:
            screen.prompt()
            enter(screen, "echo one", "one")
            screen.keys("echo")
            screen.last("crosh> echo")
            screen.keys(CTRL_U + "hello ")
            screen.last("crosh> hello")


@case
def hint_beside_wide_and_wrapped_text():
    with Shell(config="") as home, home.screen(columns=30) as screen:
        screen.prompt()
        enter(screen, "echo 東京 äöü", "東京 äöü")
        screen.keys("echo 東")
        screen.last("crosh> echo 東京 äöü")
        equal(screen.cursor(), 14)
        screen.keys(RIGHT)
        screen.until(lambda rows: screen.cursor() == 20, "the cursor at the end")
        enter(screen, "", "東京 äöü")
        # A long one is cut at the edge, and taken whole.
        screen.keys("echo " + "y" * 40 + "\r")
        screen.last("y" * 30, "y" * 10, "crosh>")
        screen.keys("echo y")
        screen.last("crosh> echo " + "y" * 17)
        equal(screen.cursor(), 13)
        # In the second row.
        screen.keys("y" * 20)
        screen.last("crosh> echo " + "y" * 18, "y" * 22)
        equal(screen.cursor(), 3)
        screen.keys(RIGHT)
        screen.until(lambda rows: screen.cursor() == 22, "the cursor at the end")
        screen.keys("z")
        screen.last("crosh> echo " + "y" * 18, "y" * 22 + "z")


@case
def history_by_prefix():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        for word in ("first", "second"):
            enter(screen, f"echo {word}", word)
        screen.keys("true\r")
        screen.last("crosh> true", "crosh>")
        screen.keys("ec" + UP)
        screen.last("crosh> echo second")
        equal(screen.cursor(), 18)
        screen.keys(UP)
        screen.last("crosh> echo first")
        # There is no older one.
        screen.keys(UP)
        screen.last("crosh> echo first")
        screen.keys(DOWN)
        screen.last("crosh> echo second")
        screen.keys(DOWN)
        screen.last("crosh> ec")
        screen.keys("ho typed" + UP + UP)
        screen.last("crosh> echo typed")
        screen.keys(CTRL_U + UP)
        screen.last("crosh> true")
        screen.keys(UP + UP)
        screen.last("crosh> echo first")
        screen.keys(DOWN + DOWN + DOWN)
        screen.last("crosh>")
        enter(screen, "echo third", "third")


@case
def history_keeps_continued_lines_as_one():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("echo one \\\r")
        screen.last("crosh> echo one \\", "...>")
        screen.keys("two\r")
        screen.last("...> two", "one two", "crosh>")
        screen.keys("echo 'a\r")
        screen.last("...>")
        screen.keys("b'\r")
        screen.last("a", "b", "crosh>")
        equal(home.history.read_text(), "echo one \\\\\\ntwo\necho 'a\\nb'\n")
        screen.keys(UP)
        screen.last("crosh> echo 'a", "b'")
        screen.keys("; echo c\r")
        screen.last("b'; echo c", "a", "b", "c", "crosh>")
        screen.keys(UP + UP + UP)
        screen.last("crosh> echo one \\", "two")
        screen.keys(DOWN)
        screen.last("crosh> echo 'a", "b'")
        enter(screen, "", "a", "b")


@case
def paste_of_many_lines_is_not_run():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys(paste("echo one\recho 東京\r"))
        screen.last("crosh> echo one", "echo 東京")
        screen.keys("!")
        screen.last("crosh> echo one", "echo 東京!")
        equal(home.history.exists(), False)
        enter(screen, "", "one", "東京!")
        equal(home.history.read_text(), "echo one\\necho 東京!\n")
        # Into the middle of a line; with control characters that must not act.
        screen.keys("echo <>" + LEFT)
        screen.keys(paste("'a\x01\x1b[Db\tc'"))
        screen.until(lambda rows: rows[-1].startswith("crosh> echo <'a[Db"), "the line")
        screen.keys(CTRL_C)
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        # Taking the second line away does not run the first.
        screen.keys(paste("echo x\ry"))
        screen.last("crosh> echo x", "y")
        screen.keys(BACKSPACE)
        screen.last("crosh> echo x")
        screen.keys(CTRL_C)
        screen.last("crosh>")
        enter(screen, "echo z", "z")
        equal(home.history.read_text().split("\n")[1:], ["echo z", ""])


class Hold:
    """A program called hold, which ends when it is told to."""

    def __init__(self, home):
        self.fifo = home.path / "fifo"
        os.mkfifo(self.fifo)
        program = home.path / "bin" / "hold"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\nread line <{self.fifo}\n")
        program.chmod(0o755)
        self.env = {"PATH": f"{program.parent}:{os.environ['PATH']}"}

    def end(self):
        """Returns once it reads."""
        self.fifo.write_text("\n")


@case
def job_ends_while_typing():
    with Shell() as home, home.screen(env=(hold := Hold(home)).env) as screen:
        screen.prompt()
        screen.keys("true | hold &\r")
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        screen.keys("echo hälf typed" + LEFT * 5)
        screen.last("crosh> echo hälf typed")
        hold.end()
        screen.last("[1] done: true | hold", "crosh> echo hälf typed")
        equal(screen.cursor(), 17)
        screen.keys("un\r")
        screen.last("crosh> echo hälf untyped", "hälf untyped", "crosh>")


@case
def job_ends_while_a_long_line_is_typed():
    with Shell() as home, home.screen(columns=30, env=(hold := Hold(home)).env) as screen:
        screen.prompt()
        screen.keys("true | hold &\r")
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        screen.keys("echo " + "x" * 50)
        screen.last("crosh> echo " + "x" * 18, "x" * 30, "xx")
        hold.end()
        screen.last("[1] done: true | hold", "crosh> echo " + "x" * 18, "x" * 30, "xx")
        equal(screen.cursor(), 2)
        screen.keys("y\r")
        screen.last("x" * 30, "x" * 20 + "y", "crosh>")
        equal(len([row for row in screen.rows() if row.startswith("crosh> echo")]), 1)


@case
def notices_may_be_off():
    with Shell(config="set notices off\nset hints off\n") as home, home.screen() as screen:
        screen.prompt()
        screen.keys("true | true &\r")
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        time.sleep(0.5)
        enter(screen, "echo quiet", "quiet")
        equal([row for row in screen.rows() if "done" in row], [])


class Launcher:
    """A process that holds a VM's lock as its launcher does."""

    def __init__(self, home, name):
        self.dir = home.runtime / "crosh" / name
        (home.runtime / "crosh").mkdir(mode=0o700, exist_ok=True)
        self.dir.mkdir(mode=0o700, exist_ok=True)
        (self.dir / "ended").unlink(missing_ok=True)
        data = home.data / "crosh/vms" / name
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.process = subprocess.Popen([sys.executable, "-c", (
            "import fcntl, os, sys\n"
            "lock = open(sys.argv[1], 'w'); os.chmod(lock.name, 0o600)\n"
            "fcntl.flock(lock, fcntl.LOCK_EX)\n"
            "lock.write(os.getcwd() + '\\n'); lock.flush()\n"
            "open('pid', 'w').write(str(os.getpid()))\n"
            "print(flush=True); sys.stdin.readline()\n"), str(data / "lock")], cwd=self.dir,
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def end(self, reason, detail, status):
        (self.dir / "ended").write_text(json.dumps(
            {"reason": reason, "detail": detail, "status": status, "time": int(time.time())}) + "\n")
        (self.dir / "pid").unlink()
        self.process.communicate("\n", timeout=20)

    def kill(self):
        self.process.kill()
        self.process.communicate()


@case
def vm_ends_while_typing():
    with Shell() as home, home.screen() as screen:
        old = Launcher(home, "older")
        screen.prompt()
        new = Launcher(home, "newer")
        screen.keys("echo half")
        screen.last("crosh> echo half")
        new.end("crash", "triple fault", 11)
        screen.last("VM newer has ended (crash): triple fault", "crosh> echo half")
        old.end("poweroff", "", 0)
        screen.last("VM older has powered off", "crosh> echo half")
        equal(screen.cursor(), 16)
        # A killed launcher says nothing itself.
        again = Launcher(home, "newer")
        time.sleep(0.3)
        again.kill()
        screen.last("VM newer has ended (killed): the launcher was killed", "crosh> echo half")
        enter(screen, "", "half")


@case
def prompt_shows_vms():
    config = "set prompt.vms on\nset hints off\nset notices off\n"
    with Shell(config=config) as home, home.screen() as screen:
        screen.prompt()
        launcher = Launcher(home, "termina")
        screen.keys("\r")
        screen.last("[termina] crosh>")
        screen.keys("set prompt '\\V: \\v \\? $ '\r")
        screen.last("1: termina 0 $")
        screen.keys("false\r")
        screen.last("1: termina 1 $")
        launcher.end("poweroff", "", 0)
        screen.keys("true\r")
        screen.last("0:  0 $")


@case
def prompt_with_colour():
    config = "set prompt '\\{status}ärger>\\{} '\nset hints off\n"
    with Shell(config=config) as home, home.screen() as screen:
        screen.last("ärger>")
        equal(set(colours(screen, None)[0:6]), {"default"})
        screen.keys("false\r")
        screen.until(lambda rows: len(rows) > 2, "the next prompt")
        equal(set(colours(screen, None)[0:6]), {"red"})
        screen.keys("echo " + "x" * 80)
        screen.last("ärger> echo " + "x" * 68, "x" * 12)
        equal(screen.cursor(), 12)
        equal(colours(screen, None)[0], "default")
        screen.keys("\x01true;")
        screen.last("ärger> true;echo " + "x" * 63, "x" * 17)
    with Shell(config=config) as home, home.screen(env={"NO_COLOR": "1"}) as screen:
        screen.last("ärger>")
        screen.keys("false\r")
        screen.until(lambda rows: len(rows) > 2, "the next prompt")
        equal(set(colours(screen, None)[0:6]), {"default"})


@case
def candidates_fit_the_screen():
    with Shell() as home:
        directory = home.path / "many"
        directory.mkdir()
        for number in range(100):
            (directory / f"file-{number:03}").touch()
        with home.screen(rows=12, columns=40) as screen:
            screen.prompt()
            screen.keys(f"echo x > {directory}/" + TAB)
            screen.until(lambda rows: rows[-1].endswith("file-0"), "the common part")
            screen.keys(TAB)
            screen.until(lambda rows: any("more" in row for row in rows), "the list")
            rows = screen.rows()
            equal(rows.index("... and 72 more") -
                  rows.index("file-000  file-007  file-014  file-021"), 7)
            contains(rows[-1], "file-0")


@case
def clear_screen():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        enter(screen, "echo one", "one")
        screen.keys("echo two" + CTRL_L)
        screen.until(lambda rows: rows == ["crosh> echo two"], "the line alone")
        equal(screen.cursor(), 15)
        enter(screen, "", "two")


@case
def resize_while_editing():
    with Shell() as home, home.screen(columns=60) as screen:
        screen.prompt()
        screen.keys("echo " + "w" * 30)
        screen.last("crosh> echo " + "w" * 30)
        screen.terminal.resize(24, 50)
        time.sleep(0.3)
        screen.keys("w" * 20)
        screen.last("crosh> echo " + "w" * 38, "w" * 12)
        equal(screen.cursor(), 12)
        screen.keys("\x01true;")
        screen.last("crosh> true;echo " + "w" * 33, "w" * 17)
        equal(screen.cursor(), 12)
        enter(screen, "", "w" * 50)


@case
def two_shells_share_a_history():
    with Shell() as home, home.screen() as first, home.screen() as second:
        first.prompt()
        second.prompt()
        for number in range(3):
            enter(first, f"echo first {number}", f"first {number}")
            enter(second, f"echo second {number}", f"second {number}")
        equal(home.history.read_text().split("\n"),
              [f"echo {who} {n}" for n in range(3) for who in ("first", "second")] + [""])
        # Each sees the other's once it has run something itself.
        first.keys(UP + UP)
        first.last("crosh> echo second 1")


main()
