# SPDX-License-Identifier: MIT
"""The interactive shell as a person uses it; the same for both line editors."""

import os
import signal
from pathlib import Path

from harness import case, contains, equal, main
from shell import Shell

UP, LEFT, HOME_KEY = "\x1b[A", "\x1b[D", "\x01"
CTRL_C, CTRL_D, CTRL_U, TAB = "\x03", "\x04", "\x15", "\t"


@case
def prompt_and_command():
    with Shell("hello") as home, home.screen() as screen:
        equal(screen.prompt(), ['crosh 0.1.0: "help" lists the commands, Ctrl-D leaves.', "crosh>"])
        equal(screen.cursor(), 7)
        screen.keys("hello say bob\r")
        screen.last("crosh> hello say bob", "hello bob", "size 1024 colour red", "crosh>")


@case
def editing_utf8():
    # Without a locale, too.
    with Shell() as home, home.screen(env={"LANG": ""}) as screen:
        screen.prompt()
        screen.keys("echo hällo 東京")
        screen.last("crosh> echo hällo 東京")
        equal(screen.cursor(), 22)
        screen.keys(LEFT * 2 + "ü" + LEFT * 4 + "\x08")
        screen.last("crosh> echo hälo ü東京")
        screen.keys("\r")
        screen.last("hälo ü東京", "crosh>")


@case
def long_line_wraps():
    with Shell() as home, home.screen(columns=40) as screen:
        screen.prompt()
        screen.keys("echo " + "x" * 60)
        screen.last("crosh> echo " + "x" * 28, "x" * 32)
        screen.keys(HOME_KEY + "true;")
        screen.last("crosh> true;echo " + "x" * 23, "x" * 37)
        screen.keys("\r")
        screen.last("x" * 40, "x" * 20, "crosh>")


@case
def interrupt_clears_half_typed_line():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("echo half")
        screen.last("crosh> echo half")
        screen.keys(CTRL_C)
        screen.last("crosh> echo half^C", "crosh>")
        screen.keys("echo status $?\r")
        screen.last("crosh> echo status $?", "status 130", "crosh>")
        screen.keys(CTRL_C)
        screen.last("crosh> ^C", "crosh>")


@case
def interrupt_forgets_continuation():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("echo 'one\r")
        screen.last("crosh> echo 'one", "...>")
        screen.keys("two")
        screen.last("...> two")
        screen.keys(CTRL_C)
        screen.last("...> two^C", "crosh>")
        screen.keys("echo three\r")
        screen.last("three", "crosh>")


@case
def continuation():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("echo 'one\r")
        screen.last("...>")
        screen.keys("two'\r")
        screen.last("...> two'", "one", "two", "crosh>")
        screen.keys("true &&\r")
        screen.last("...>")
        screen.keys("echo three\r")
        screen.last("three", "crosh>")


@case
def interrupt_cancels_command_only():
    with Shell("hello") as home, home.screen() as screen:
        screen.prompt()
        screen.keys("hello wait; echo not this\r")
        screen.last("waiting")
        screen.keys(CTRL_C)
        screen.until(lambda rows: rows[-1] == "crosh>" and "interrupted" in rows[-2], "the prompt")
        screen.keys("echo status $?\r")
        screen.last("status 130", "crosh>")
        equal([row for row in screen.rows() if row == "not this"], [])


@case
def end_of_file_leaves():
    with Shell("hello") as home, home.screen(env={"CROSH_TEST_FINI": "1"}) as screen:
        screen.prompt()
        screen.keys(CTRL_D)
        equal(screen.ends(), 0)
        # The module's fini has run.
        contains("\n".join(screen.rows()), "hello ends")
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("nonsense\r")
        screen.last('crosh: unknown command "nonsense"', 'hint: "help" lists the commands', "crosh>")
        screen.keys(CTRL_D)
        equal(screen.ends(), 127)


@case
def exit_and_quit():
    for line, status in (("exit", 0), ("quit 7", 7), ("false; exit", 1), ("exit 3; echo no", 3)):
        with Shell() as home, home.screen() as screen:
            screen.prompt()
            screen.keys(line + "\r")
            equal(screen.ends(), status, line)
            equal([row for row in screen.rows() if row == "no"], [])


@case
def hang_up_and_terminate():
    for number in (signal.SIGHUP, signal.SIGTERM):
        with Shell("hello") as home, home.screen(env={"CROSH_TEST_FINI": "1"}) as screen:
            screen.prompt()
            screen.keys("echo remembered\r")
            screen.last("remembered", "crosh>")
            os.kill(screen.terminal.child.pid, number)
            equal(screen.ends(), 128 + number)
            equal(home.history.read_text(), "echo remembered\n")
            contains("\n".join(screen.rows()), "hello ends")


@case
def stop_key_does_nothing():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        # The kernel stops no orphaned process group, such as this one: ask what crosh ignores.
        status = Path(f"/proc/{screen.terminal.child.pid}/status").read_text()
        ignored = int(next(row for row in status.split("\n") if row.startswith("SigIgn")).split()[1], 16)
        for number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE):
            equal(ignored >> (number - 1) & 1, 1, signal.Signals(number).name)
        screen.keys("\x1a")
        screen.keys("echo alive\r")
        screen.until(lambda rows: rows[-2:] == ["alive", "crosh>"], "the answer")


@case
def history_across_runs():
    with Shell() as home:
        with home.screen() as screen:
            screen.prompt()
            for line in ("echo one", "echo two", " echo hidden", "echo one"):
                screen.keys(line + "\r")
                screen.last(line.split()[-1], "crosh>")
            screen.keys("exit\r")
            equal(screen.ends(), 0)
        equal(home.history.read_text(), "echo two\necho one\nexit\n")
        equal(home.history.stat().st_mode & 0o7777, 0o600)
        equal(home.history.parent.stat().st_mode & 0o7777, 0o700)
        with home.screen() as screen:
            screen.prompt()
            screen.keys(UP + UP)
            screen.last("crosh> echo one")
            screen.keys("!\r")
            screen.last("one!", "crosh>")
            screen.keys("history 2\r")
            screen.last("    4  echo one!", "    5  history 2", "crosh>")
            screen.keys("history --clear\r")
            screen.last("crosh> history --clear", "crosh>")
        equal(home.history.read_text(), "")


@case
def history_search():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        for word in ("first", "second"):
            screen.keys(f"echo {word}\r")
            screen.last(word, "crosh>")
        screen.keys("\x12fir")
        screen.until(lambda rows: "fir" in rows[-1] and any("echo first" in row for row in rows[-2:]),
                     "the line found")
        screen.keys("\r")
        screen.last("first", "crosh>")
        # Ctrl-C leaves a search, too.
        screen.keys("\x12sec")
        screen.until(lambda rows: "sec" in rows[-1], "the search")
        screen.keys(CTRL_C)
        screen.last("crosh>")
        screen.keys("echo fine\r")
        screen.last("crosh> echo fine", "fine", "crosh>")


@case
def unreadable_history():
    with Shell() as home:
        home.history.mkdir(parents=True)
        with home.screen(columns=200) as screen:
            rows = screen.prompt()
            contains(" ".join(rows), "this is no history file")
            screen.keys("echo fine\r")
            screen.until(lambda rows: rows[-2:] == ["fine", "crosh>"], "the answer")


@case
def complete_commands():
    with Shell("hello") as home, home.screen() as screen:
        screen.prompt()
        screen.keys("hel" + TAB)
        screen.until(lambda rows: rows[-1] == "crosh> hel", "the list")
        equal(screen.rows()[-4:], [
            "  hello          Greet",
            "  help           Show the commands, or the help of one",
            "  help_advanced  Show all commands, the rarely needed ones too",
            "crosh> hel",
        ])
        screen.keys("lo" + TAB + "r" + TAB)
        screen.last("crosh> hello rows")
        equal(screen.cursor(), 18)
        screen.keys("\r")
        screen.last("NAME  CITY     NOTE", "Jörg  Zürich   first", "山田  東京",
                    "eve   a?[31mb  third", "crosh>")


@case
def complete_options_and_values():
    with Shell("hello") as home, home.screen() as screen:
        screen.prompt()
        screen.keys("hello say --" + TAB)
        screen.last("  --colour=  Which colour",
                    "  --help     Show the help of this command",
                    "  --loud     Say it once more",
                    "  --size=    How large",
                    "crosh> hello say --")
        screen.keys("c" + TAB)
        screen.last("crosh> hello say --colour=")
        equal(screen.cursor(), 26)
        screen.keys("g" + TAB)
        screen.last("crosh> hello say --colour=green")
        equal(screen.cursor(), 32)
        screen.keys("al" + TAB)
        screen.last("  alice  a first name", "  alois  another", "crosh> hello say --colour=green al")
        screen.keys(CTRL_U + "hello say b" + TAB)
        screen.last("crosh> hello say bob\\ smith")
        screen.keys("\r")
        screen.last("hello bob smith", "size 1024 colour red", "crosh>")
        screen.keys('hello say "b' + TAB)
        screen.last('crosh> hello say "bob smith"')
        screen.keys(CTRL_U + "true; help hel" + TAB + "lo" + TAB + "c" + TAB)
        screen.last("crosh> true; help hello copy")


@case
def complete_in_long_line():
    with Shell("hello") as home, home.screen(columns=40) as screen:
        screen.prompt()
        screen.keys("echo " + "x" * 40 + "; hello " + TAB)
        screen.until(lambda rows: rows[-1] == "x" * 12 + "; hello", "the line drawn anew")
        equal(screen.rows()[-3:], ["  wait    Wait for Ctrl-C", "crosh> echo " + "x" * 28,
                                   "x" * 12 + "; hello"])
        screen.keys("w" + TAB)
        screen.last("x" * 12 + "; hello wait")
        equal(screen.cursor(), 25)


@case
def complete_paths():
    with Shell() as home:
        (home.path / "some dir").mkdir()
        (home.path / "some dir" / "file").touch()
        with home.screen() as screen:
            screen.prompt()
            screen.keys(f"echo x > {home.path}/so" + TAB + "f" + TAB + "\r")
            screen.until(lambda rows: rows[-1] == "crosh>" and len(rows) > 2, "the prompt")
        equal((home.path / "some dir" / "file").read_text(), "x\n")


@case
def broken_module_is_one_warning():
    with Shell("hello", "undefined") as home, home.screen(columns=200) as screen:
        rows = screen.prompt()
        equal(rows[0], f"crosh: warning: module {home.modules}/undefined.so is not loaded: "
                       "undefined symbol: crosh_test_missing_function")
        equal(len(rows), 3)
        screen.keys("hello say\r")
        screen.last("hello world", "size 1024 colour red", "crosh>")


@case
def question():
    with Shell("hello") as home, home.screen() as screen:
        screen.prompt()
        for answer, result in (("y", "yes"), ("n", "no"), ("", "no"), ("yes", "yes")):
            screen.keys("hello ask\r")
            screen.last("Continue? (y/N)")
            screen.keys(answer + "\r")
            screen.last(result, "crosh>")
        screen.keys("hello ask\r")
        screen.last("Continue? (y/N)")
        screen.keys(CTRL_C)
        screen.until(lambda rows: rows[-1] == "crosh>" and "no" in rows[-3:], "the prompt")


@case
def pipes_and_redirections():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("echo b a | tr ' ' '\\n' | sort > out; echo done\r")
        screen.until(lambda rows: rows[-2:] == ["done", "crosh>"], "the prompt")
        screen.keys("help | cat | head -n 1\r")
        screen.until(lambda rows: rows[-2].startswith("  exit  "), "the first line of help")


@case
def window_resize():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.terminal.resize(24, 40)
        screen.keys("echo " + "y" * 40)
        screen.last("crosh> echo " + "y" * 28, "y" * 12)
        screen.keys(HOME_KEY + "true;")
        screen.last("crosh> true;echo " + "y" * 23, "y" * 17)
        equal(screen.cursor(), 12)
        screen.keys("\r")
        screen.last("y" * 40, "crosh>")


main()
