# SPDX-License-Identifier: MIT
"""Background jobs, aliases, croshrc and watch: in scripts, and as a person uses them."""

import json
import os
import signal
import subprocess

from harness import CROSH, case, contains, equal, main, wait_for
from shell import Shell

CTRL_C, CTRL_D, TAB = "\x03", "\x04", "\t"


def is_gone(pid):
    """Whether the process has ended (one that nobody has waited for yet counts)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def number_in(path):
    """The number in a file that somebody is about to write."""
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"), 20, str(path))
    return int(path.read_text())


def rc(home, text):
    """Writes the croshrc; its path."""
    path = home.path / "config" / "crosh" / "croshrc"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@case
def wait_gives_statuses():
    with Shell("hello") as home:
        equal(home.crosh("-c", "hello fail --status=7 & wait 1; echo $?; wait 1"),
              (3, "before the failure\n7\n", 'wait: there is no job "1"\nhint: "jobs" lists them\n'))
        equal(home.crosh("-c", "false & true & wait 1 2; echo $?; wait; echo $?"),
              (0, "0\n0\n", ""))
        equal(home.crosh("-c", "false & true & wait")[0], 1)
        equal(home.crosh("-c", "hello fail & wait %1")[2],
              "hello fail: there is no such thing\nhint: make one\n")
        # The whole chain is the job, and it is a copy of the shell.
        equal(home.crosh("-c", "A=1; A=2 && echo $A && exit 5 & wait; echo $? $A"),
              (0, "2\n5 1\n", ""))
        equal(home.crosh("-c", "echo a | tr a b & wait"), (0, "b\n", ""))
        equal(home.crosh("-c", "wait x")[0], 3)


@case
def jobs_run_beside():
    """Three at once: each waits for what the next one writes."""
    with Shell() as home:
        a, b = home.path / "a", home.path / "b"
        os.mkfifo(a)
        os.mkfifo(b)
        text = (f"true | sh -c 'read x < {a}; echo 1$x' & "
                f"true | sh -c 'read x < {b}; echo 2$x > {a}' & echo 3 > {b}; wait")
        equal(home.crosh("-c", text), (0, "123\n", ""))


@case
def jobs_read_nothing():
    with Shell("hello") as home:
        equal(home.crosh(data="hello copy &\nwait\necho rest\n"), (0, "rest\n", ""))


@case
def list_and_kill():
    with Shell("hello") as home:
        text = ("hello wait > /dev/null & exit 4 & true | sleep 100 &\n"
                "set errexit off; wait 2\njobs\njobs --json\njobs -k %1 --kill=3\nwait 1\necho $?\nwait 3\necho $?\njobs\n")
        status, out, err = home.crosh("-c", text)
        equal((status, err), (0, ""))
        rows = out.split("\n")
        equal([rows[0].split(), rows[1].split()[:2], rows[2].split()[:2]],
              [["ID", "STATE", "PID", "COMMAND"], ["1", "running"], ["3", "running"]])
        contains(rows[1], "hello wait > /dev/null")
        found, _ = json.JSONDecoder().raw_decode("\n".join(rows[3:]))
        equal([(job["id"], job["state"], job["status"], job["command"]) for job in found],
              [(1, "running", None, "hello wait > /dev/null"),
               (3, "running", None, "true | sleep 100")])
        equal(rows[-3:], ["143", "143", ""])
        equal(home.crosh("-c", "jobs --kill=9")[0], 3)
        equal(home.crosh("-c", "jobs --force")[0], 2)
        equal(home.crosh("-c", "jobs; jobs --json"), (0, "[]\n", ""))


@case
def jobs_end_with_the_shell():
    with Shell() as home:
        mark = home.path / "mark"
        done = home.crosh("-c", f"true | sh -c 'echo $$ > {mark}; exec sleep 100' & "
                          f"true | sh -c 'while ! [ -s {mark} ]; do sleep 0.02; done'")
        equal(done, (0, "", f"crosh: job 1 is ended with the shell: true | sh -c 'echo $$ > {mark}; "
                     "exec sleep 100'\n"))
        wait_for(lambda: is_gone(number_in(mark)), 5, "the job's end")


@case
def jobs_end_with_a_killed_shell():
    with Shell("hello") as home:
        mark = home.path / "mark"
        child = subprocess.Popen([str(CROSH), "-c", f"true | sh -c 'echo $$ > {mark}; exec sleep 100' & "
                                  "wait"], env=home.env)
        pid = number_in(mark)
        child.send_signal(signal.SIGKILL)
        child.wait(20)
        wait_for(lambda: is_gone(pid), 5, "the job's end")


@case
def too_many_jobs():
    with Shell("hello") as home:
        status, out, err = home.crosh("-c", "hello wait >/dev/null & " * 65 + "echo $?")
        equal((status, out), (0, "1\n"))
        equal([line.split(":")[1] for line in err.split("\n")[:-1]],
              [" there are 64 jobs already"] +
              [f" job {job} is ended with the shell" for job in range(1, 65)])
        # Those that have ended are none of them.
        done = home.crosh("-c", "true & true | sleep 0.01; " * 70)
        equal((done[0], "already" in done[2]), (0, False))


@case
def interrupt_ends_waiting_only():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        mark = home.path / "mark"
        screen.keys(f"true | sh -c 'echo $$ > {mark}; exec sleep 100' &\r")
        pid = number_in(mark)
        screen.keys("wait\r")
        screen.last("crosh> wait")
        screen.keys(CTRL_C)
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        contains(screen.rows(), "^Cwait: interrupted; the jobs go on")
        equal(is_gone(pid), False)
        screen.keys("echo $?\r")
        screen.last("130", "crosh>")
        screen.keys(CTRL_D)
        equal(screen.ends(), 0)
        contains(screen.terminal.text(), "crosh: job 1 is ended with the shell: true | sh -c")
        wait_for(lambda: is_gone(pid), 5, "the job's end")


@case
def interrupt_cancels_pipelines():
    with Shell("hello") as home, home.screen() as screen:
        screen.prompt()
        mark = home.path / "mark"
        screen.keys(f"A=1 hello wait | sh -c 'echo $$ > {mark}; exec sleep 100'; echo not this\r")
        pid = number_in(mark)
        screen.keys(CTRL_C)
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        equal(is_gone(pid), True)
        screen.keys("echo $? ${A-unset}\r")
        screen.last("crosh> echo $? ${A-unset}", "130 unset", "crosh>")


@case
def job_is_told_when_it_starts():
    with Shell("hello") as home, home.screen() as screen:
        screen.prompt()
        screen.keys("hello wait >/dev/null &\r")
        screen.last("[1] hello wait >/dev/null", "crosh>")
        screen.keys("jobs --kill=1; wait 1; echo $?\r")
        screen.last("143", "crosh>")


@case
def end_is_told_above_the_line():
    with Shell("hello") as home, home.screen() as screen:
        go = home.path / "go"
        os.mkfifo(go)
        screen.prompt()
        screen.keys(f"A={go}; set prompt '> '\r")
        screen.last(">")
        screen.keys("true | sh -c 'read x <$A; exit 3' &\r")
        screen.last("[1] true | sh -c 'read x <$A; exit 3'", ">")
        screen.keys("echo half")
        screen.last("> echo half")
        go.write_text("x\n")
        screen.last("[1] failed with status 3: true | sh -c 'read x <$A; exit 3'", "> echo half")
        screen.keys(" line\r")
        screen.last("half line", ">")
        # One that ends while a command runs is told before the next prompt, and once.
        screen.keys("true & true | sleep 0.3\r")
        screen.last("[1] done: true", ">")
        screen.keys("jobs\r")
        screen.last("> jobs", ">")
        screen.keys("set notices off; true & true | sleep 0.3\r")
        screen.last("[1] true", ">")


@case
def terminal_hang_up_ends_jobs():
    with Shell() as home:
        screen = home.screen()
        screen.prompt()
        mark = home.path / "mark"
        screen.keys(f"true | sh -c 'echo $$ > {mark}; exec sleep 100' &\r")
        pid = number_in(mark)
        screen.terminal.close()
        wait_for(lambda: is_gone(pid), 10, "the job's end")
        contains(home.history.read_text(), "sleep 100")


@case
def croshrc():
    with Shell("hello") as home:
        path = rc(home, "# comment\necho from rc\nalias hi='hello say'\nnonsense\nset prompt 'x\n' ; ;\n"
                  "false\nA=5\nhello fail\nset errexit of\necho 'last\n")
        with home.screen() as screen:
            screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
            text = screen.terminal.text().replace("\n", "").replace(str(path), "RC")
            for part in ("from rc", 'RC:4: unknown command "nonsense"',
                         'RC:6: a command is missing before ";"',
                         "RC:9: hello fail: there is no such thing",
                         'RC:10: set: errexit: "of" is none of: on, off (did you mean "off"?)',
                         "RC:11: a single quote is never closed"):
                contains(text, part)
            screen.keys("hi $A; echo $?\r")
            screen.last("hello 5", "size 1024 colour red", "0", "crosh>")
        # Not for scripts.
        equal(home.crosh("-c", "hi")[0], 127)
        equal(home.crosh(data="true\n"), (0, "", ""))
        path.write_text("exit 4\n")
        with home.screen() as screen:
            equal(screen.ends(), 4)
        path.write_text("hello wait\n")
        with home.screen() as screen:
            screen.last("waiting")
            screen.keys(CTRL_C)
            screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")


@case
def completion_after_aliases():
    with Shell("hello") as home:
        rc(home, "alias hi='hello say' piped='hello say | sort' hello2='hello'\n")
        with home.screen() as screen:
            screen.prompt()
            screen.keys("hi --col" + TAB)
            screen.last("crosh> hi --colour=")
            screen.keys("gr" + TAB)
            screen.last("crosh> hi --colour=green")
            screen.keys("\x15hello2 sa" + TAB)
            screen.last("crosh> hello2 say")
            screen.keys("\x15pip" + TAB)
            screen.last("crosh> piped")
            screen.keys("\x15A=1 hello sa" + TAB)
            screen.last("crosh> A=1 hello say")
            screen.keys("\x15set errexit of" + TAB)
            screen.last("crosh> set errexit off")
            screen.keys("\x15set errex" + TAB)
            screen.last("crosh> set errexit")
            screen.keys("\x15watch -n 3 hello sa" + TAB)
            screen.last("crosh> watch -n 3 hello say")
            screen.keys("\x15unalias pip" + TAB)
            screen.last("crosh> unalias piped")
            screen.keys("\x15true 2>&1 | sort /et" + TAB)
            screen.last("crosh> true 2>&1 | sort /etc/")


@case
def watch_redraws_in_place():
    with Shell() as home, home.screen(rows=6, columns=40) as screen:
        count = home.path / "count"
        screen.prompt()
        screen.keys(f"A={home.path}\r")
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        count.write_text("1")
        screen.keys("watch -n 1 'true | sh -c \"cat $A/count; seq -f row%g 10; echo gone\"'\r")
        screen.until(lambda rows: rows[1:] == ["1row1", "row2", "row3", "row4"], "the first run")
        equal(len(screen.rows()[0]), 40)
        contains(screen.rows()[0], "  every 1s: true")
        count.write_text("2")
        screen.until(lambda rows: rows[1:] == ["2row1", "row2", "row3", "row4"], "the second run")
        screen.keys(CTRL_C)
        screen.until(lambda rows: rows[-1] == "crosh>", "the prompt")
        screen.keys("echo status $?\r")
        screen.last("status 130", "crosh>")


@case
def continuation_lines():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("echo a \\\r")
        screen.last("crosh> echo a \\", "...>")
        screen.keys("b |\r")
        screen.last("...>")
        screen.keys("tr a-z A-Z &&\r")
        screen.last("...>")
        screen.keys("echo 'x\r")
        screen.last("...>")
        screen.keys("y'\r")
        screen.last("A B", "x", "y", "crosh>")


main()
