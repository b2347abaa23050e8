#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The vsh command against the agent on this host: all of vsh's path but the VM itself."""

import os
import signal
import subprocess
import tempfile
import termios
import time

from harness import CROSH, Home, Skip, case, contains, equal, main, wait_for
from launcher import AGENT, Launcher


home = Home()
launcher = None


def set_up():
    """One agent and one home serve all cases."""
    global launcher  # pylint: disable=global-statement
    launcher = Launcher(home, "alpha")


def tear_down():
    """Ends both."""
    if launcher is not None:
        launcher.close()
    home.close()


def vsh(*args, **options):
    """Runs vsh alpha -- args."""
    return home.run("vsh", "alpha", "--", *args, **options)


def start(*args, **options):
    """Starts vsh alpha -- args with pipes."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
               **options}
    return subprocess.Popen([str(CROSH), "vsh", "alpha", "--", *args], env=home.env, **options)


def running(pattern):
    """Whether a process of that command line runs."""
    return subprocess.run(["pgrep", "-f", pattern], stdout=subprocess.DEVNULL,
                          check=False).returncode == 0


@case
def exit_statuses():
    for status in (0, 1, 2, 3, 42, 123, 255):
        equal(vsh("sh", "-c", f"exit {status}").returncode, status)
    equal(vsh("sh", "-c", "kill -TERM $$").returncode, 143)
    equal(vsh("sh", "-c", "kill -KILL $$").returncode, 137)


@case
def arguments_arrive_as_they_are():
    done = vsh("printf", "%s|", "--", "-x", "a b", "", "'", "--help", "é")
    equal((done.stdout, done.returncode), ("--|-x|a b||'|--help|é|", 0))


@case
def streams_are_apart():
    done = vsh("sh", "-c", "echo out; echo err >&2; cat; exit 3", data="typed\n")
    equal((done.stdout, done.stderr, done.returncode), ("out\ntyped\n", "err\n", 3))


@case
def input_from_a_file_and_from_nowhere():
    with open(AGENT, "rb") as f:
        content = f.read()
        f.seek(0)
        done = home.run_bytes("vsh", "alpha", "--", "cat", stdin=f)
    equal(done.stdout == content, True, "copy of a file")
    equal(vsh("wc", "-c").stdout.strip(), "0")


@case
def large_data_both_ways_is_exact():
    data = os.urandom(20_000_000)
    done = home.run_bytes("vsh", "alpha", "--", "cat", data=data)
    equal(len(done.stdout), len(data))
    equal(done.stdout == data, True, "20 MB there and back")
    equal(done.returncode, 0)


@case
def output_reaches_files_whole():
    with tempfile.TemporaryFile() as f:
        done = subprocess.run([str(CROSH), "vsh", "alpha", "--", "seq", "1", "500000"], stdout=f,
                              stdin=subprocess.DEVNULL, env=home.env, check=False, timeout=60)
        f.seek(0)
        equal(f.read() == b"".join(b"%d\n" % i for i in range(1, 500001)), True, "seq")
    equal(done.returncode, 0)


@case
def a_command_that_stops_reading_ends_the_session():
    with open("/dev/zero", "rb") as zeros:
        done = home.run_bytes("vsh", "alpha", "--", "head", "-c", "10", stdin=zeros, timeout=20)
    equal((done.stdout, done.returncode), (b"\0" * 10, 0))


@case
def a_reader_that_goes_ends_the_session():
    process = start("yes", "marker-of-this-case", stdin=subprocess.DEVNULL)
    equal(process.stdout.readline(), b"marker-of-this-case\n")
    process.stdout.close()
    equal(process.wait(20), 141)
    wait_for(lambda: not running("^yes marker-of-this"), 10, "the command to go")
    process.stderr.close()


@case
def output_is_passed_on_while_the_command_runs():
    process = start("sh", "-c", "echo first; read x; echo got $x")
    equal(process.stdout.readline(), b"first\n")
    process.stdin.write(b"answer\n")
    process.stdin.flush()
    equal(process.stdout.readline(), b"got answer\n")
    process.communicate(timeout=10)
    equal(process.returncode, 0)


@case
def options_reach_the_command():
    done = home.run("vsh", "--env", "A=x=y z", "--env", "EMPTY=", "--cwd", "/tmp", "alpha", "--",
                    "sh", "-c", 'echo "$A|${EMPTY-unset}|$PWD|${TERM-none}"')
    equal(done.stdout, "x=y z||/tmp|none\n")
    if os.geteuid() != 0:
        raise Skip("the rest needs root")
    equal(home.run("vsh", "--user", "nobody", "--cwd", "/", "alpha", "--", "id", "-un").stdout,
          "nobody\n")


@case
def failures_have_reasons_and_statuses():
    for args, status, text in (
            (("alpha", "--", "/no/such"), 127, "cannot run '/no/such': No such file or directory"),
            (("alpha", "--", "/etc/passwd"), 126, "cannot run '/etc/passwd': Permission denied"),
            (("--user", "no-such-user", "alpha"), 1, "no such user 'no-such-user'"),
            (("--cwd", "/no/such", "alpha"), 1, "cannot enter '/no/such'"),
            (("alpha", "penguin"), 1, "no such container 'penguin'"),
            (("beta",), 3, "beta"),
            (("../alpha",), 2, ""),
            ((), 2, "VM is missing"),
            (("-t", "-T", "alpha"), 2, "exclude"),
            (("--env", "A", "alpha"), 2, "NAME=VALUE"),
            (("--env", "=x", "alpha"), 2, "NAME=VALUE"),
            (("alpha", "--", *["x" * 100000] * 3), 1, "too long")):
        done = home.run("vsh", *args)
        contains(done.stderr, text)
        if args != ("../alpha",):
            equal(done.returncode, status, f"status of vsh {args}")
        equal(done.returncode != 0, True)
        equal(done.stdout, "")


@case
def output_that_cannot_be_written_is_told():
    for script in ("echo text", "echo text; sleep 1", "head -c 1000000 /dev/zero"):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run([str(CROSH), "vsh", "alpha", "--", "sh", "-c", script],
                                  env=home.env, stdin=subprocess.DEVNULL, stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=20)
        equal((done.returncode, done.stderr),
              (1, "vsh: cannot write the output: No space left on device\n"), script)


@case
def standard_descriptors_that_are_closed():
    def closed(redirection, *command):
        return subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", str(CROSH), *command],
                              env=home.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=20)

    done = closed("<&-", "vsh", "alpha", "--", "cat")
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
    done = closed(">&-", "vsh", "alpha", "--", "echo", "text")
    equal((done.returncode, done.stderr),
          (1, "vsh: cannot write the output: Bad file descriptor\n"))
    done = closed(">&-", "vmc", "list")
    equal((done.returncode, done.stderr),
          (1, "vmc list: cannot write the output: Bad file descriptor\n"))
    done = closed("2>&-", "vsh", "alpha", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    equal((done.returncode, done.stdout), (3, "out\n"))


@case
def reasons_carry_no_control_characters():
    done = vsh("\033[31mred\033]0;title\a")
    equal(done.returncode, 127)
    contains(done.stderr, "cannot run '?[31mred?]0;title?'")


@case
def signals_are_passed_on():
    for number, status in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129),
                           (signal.SIGQUIT, 131)):
        process = start("sh", "-c", "echo ready; exec sleep 77")
        equal(process.stdout.readline(), b"ready\n")
        process.send_signal(number)
        process.communicate(timeout=10)
        equal(process.returncode, status, f"status after {number!r}")
    wait_for(lambda: not running("^sleep 77"), 10, "the commands to go")


@case
def signals_without_a_name_in_the_protocol_are_passed_on():
    trap = "for i in USR1 USR2 ALRM RTMAX; do trap \"echo $i\" $i; done; echo ready; " \
        "while :; do sleep 0.05; done"
    process = start("bash", "-c", trap)
    equal(process.stdout.readline(), b"ready\n")
    for name in ("USR1", "USR2", "ALRM", "RTMAX"):
        process.send_signal(getattr(signal, "SIG" + name))
        equal(process.stdout.readline().decode(), name + "\n")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    equal(process.returncode, 143)


def state(pid):
    """A process's state as ps shows it."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0]


@case
def client_and_command_stop_and_go_on_together():
    process = start("sh", "-c", "echo $$; exec cat")
    command = int(process.stdout.readline())
    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: state(process.pid) == "T" and state(command) == "T", 10, "both to stop")
    process.send_signal(signal.SIGCONT)
    wait_for(lambda: state(command) == "S", 10, "the command to go on")
    equal(process.communicate(b"still there", timeout=10)[0], b"still there")
    equal(process.returncode, 0)


@case
def a_signal_can_be_handled_by_the_command():
    process = start("sh", "-c", "trap 'echo caught; exit 5' TERM; echo ready; "
                    "while :; do sleep 0.05; done")
    equal(process.stdout.readline(), b"ready\n")
    process.send_signal(signal.SIGTERM)
    equal(process.communicate(timeout=10)[0], b"caught\n")


@case
def a_signal_passes_input_that_is_not_read():
    with open("/dev/zero", "rb") as zeros:
        process = start("sh", "-c", "trap 'echo caught; exit 5' TERM; echo ready; "
                        "while :; do sleep 0.05; done", stdin=zeros)
        equal(process.stdout.readline(), b"ready\n")
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        equal(process.communicate(timeout=10)[0], b"caught\n")


@case
def a_lost_connection_is_123():
    process = start("sh", "-c", "echo ready; exec sleep 79")
    equal(process.stdout.readline(), b"ready\n")
    launcher.cut()
    error = process.communicate(timeout=10)[1]
    equal(process.returncode, 123)
    contains(error.decode(), "alpha: the connection was lost")
    wait_for(lambda: not running("^sleep 79"), 10, "the command to go")


@case
def a_client_that_is_killed_takes_its_command_along():
    process = start("sleep", "80")
    wait_for(lambda: running("^sleep 80"), 10, "the command")
    process.kill()
    process.communicate(timeout=10)
    wait_for(lambda: not running("^sleep 80"), 10, "the command to go")


def shell_terminal(*options, **kwargs):
    """A terminal with a plain shell in the guest."""
    terminal = home.terminal("vsh", *options, "alpha", "--", "env", "PS1=guest> ", "sh", "-i",
                             **kwargs)
    terminal.expect("guest>")
    return terminal


def modes(terminal):
    """The terminal's settings, as vsh must leave them."""
    return termios.tcgetattr(terminal.child.fileno())[:4]


@case
def a_terminal_has_size_and_type():
    terminal = shell_terminal(rows=31, columns=97)
    terminal.send("stty size; echo TERM=$TERM; test -t 2 && echo err-too\r")
    terminal.expect("31 97")
    terminal.expect("TERM=xterm-256color")
    terminal.expect("err-too")
    terminal.resize(40, 120)
    terminal.send("sleep 0.5; stty size\r")
    terminal.expect("40 120")
    terminal.send("sleep 81\r")
    wait_for(lambda: running("^sleep 81"), 10, "the sleep")
    terminal.send("\x03")
    terminal.send("echo status=$?\r")
    terminal.expect("status=130")
    terminal.send("exit 9\r")
    equal(terminal.end(), 9)


@case
def a_lost_connection_is_told_on_a_line_of_its_own():
    terminal = shell_terminal()
    terminal.send("half a line")
    terminal.expect("guest> half a line")
    launcher.cut()
    equal(terminal.end(), 123)
    equal(terminal.text().split("\n")[-2:],
          ["guest> half a line", "vsh: alpha: the connection was lost"])


@case
def a_login_shell_opens_without_a_command():
    terminal = home.terminal("vsh", "alpha")
    terminal.send("echo name'='$0; exit 4\r")
    terminal.expect("name=-")
    equal(terminal.end(), 4)


@case
def sessions_from_the_prompt_return_to_it():
    terminal = home.terminal()
    terminal.expect("crosh>")
    terminal.send("vsh alpha -- env 'PS1=guest> ' sh -i\r")
    terminal.wait(lambda t: t.text().endswith("guest>"), 10, "the guest's prompt")
    terminal.send("echo in-$((40 + 2)); exit 5\r")
    terminal.expect("in-42")
    terminal.wait(lambda t: t.text().endswith("crosh>"), 10, "the prompt")
    terminal.send("vsh alpha -- sleep 82 | cat\r")
    wait_for(lambda: running("^sleep 82"), 10, "the command")
    terminal.send("\x03")
    terminal.wait(lambda t: t.text().endswith("crosh>"), 10, "the prompt after Ctrl-C")
    wait_for(lambda: not running("^sleep 82"), 10, "the command to go")
    terminal.send("vsh alpha -- echo again-$((1+1))\r")
    terminal.expect("again-")
    terminal.send("\x04")
    terminal.end(10)


@case
def escapes():
    terminal = shell_terminal()
    terminal.send("echo a~.b\r")
    terminal.expect("a~.b")
    terminal.send("~?")
    terminal.expect("end this session")
    terminal.send("~~tilde\r")
    terminal.wait(lambda t: "~tilde" in t.text() and "~~tilde" not in t.text(), 10, "one tilde")
    terminal.send("~.")
    # How the command would have ended is not known.
    equal(terminal.end(10), 123)


@case
def a_vm_may_be_called_like_a_sub_command():
    other = Launcher(home, "cp")
    try:
        for argv in (["--", "cp", "--", "echo", "--", "ls"], ["-T", "cp", "--", "echo", "--", "ls"]):
            done = home.run("vsh", *argv)
            equal((done.returncode, done.stdout), (0, "-- ls\n"), done.stderr)
        done = home.run("vsh", "cp")
        equal((done.returncode, done.stderr),
              (2, "vsh cp: [VM:]PATH is missing\nhint: see \"help vsh cp\"\n"))
    finally:
        other.close()
    equal(home.run("vsh", "--", "ls").stderr.split("\n")[0], "vsh: there is no VM named ls")
    equal(home.run("vsh", "--").stderr.split("\n")[0], "vsh: VM is missing")


@case
def escapes_of_another_character_or_none():
    terminal = shell_terminal("-e", "%")
    terminal.send("~?\r%?")
    terminal.expect("%.  end this session")
    equal("~.  end" in terminal.text(), False, "the tilde")
    terminal.send("%.")
    terminal.end(10)
    terminal = shell_terminal("-e", "^B")
    terminal.send("\x02?")
    terminal.expect("^B.  end this session")
    terminal.send("\x02.")
    terminal.end(10)
    terminal = shell_terminal("-e", "none")
    terminal.send("~.\recho in-$((40 + 2))\r")
    terminal.expect("in-42")
    terminal.send("exit 3\r")
    equal(terminal.end(), 3)
    for wrong in ("ab", "", "^1", "é"):
        done = home.run("vsh", "-e", wrong, "alpha")
        equal(done.returncode, 2, wrong)
        contains(done.stderr, "not one character")


@case
def the_terminal_is_restored_while_stopped():
    terminal = home.terminal("vsh", "alpha", "--", "env", "PS1=guest> ", "sh", "-i")
    before = modes(terminal)
    terminal.expect("guest>")
    raw = modes(terminal)
    assert raw != before, "not in raw mode"
    os.kill(terminal.child.pid, signal.SIGTSTP)
    wait_for(lambda: state(terminal.child.pid) == "T", 10, "vsh to stop")
    equal(modes(terminal), before)
    os.kill(terminal.child.pid, signal.SIGCONT)
    wait_for(lambda: modes(terminal) == raw, 10, "raw mode")
    terminal.send("exit 7\r")
    equal(terminal.end(), 7)


@case
def the_terminal_is_restored():
    def expect_restored(terminal, before, what):
        wait_for(lambda: modes(terminal) == before, 10, f"the terminal's modes after {what}")

    for what, end in (
            ("exit", lambda t: t.send("exit\r")),
            ("the escape", lambda t: t.send("\r~.")),
            ("a lost connection", lambda t: launcher.cut()),
            ("SIGTERM", lambda t: os.kill(t.child.pid, signal.SIGTERM))):
        terminal = home.terminal("-c", "vsh alpha -- env 'PS1=guest> ' sh -i; cat")
        before = modes(terminal)
        terminal.expect("guest>")
        assert modes(terminal) != before, "not in raw mode"
        end(terminal)
        expect_restored(terminal, before, what)
        terminal.close()


@case
def pipes_although_there_is_a_terminal():
    terminal = home.terminal("vsh", "-T", "alpha", "--", "sh", "-c", "test -t 0 || echo no-tty")
    terminal.expect("no-tty")
    equal(terminal.end(), 0)


@case
def a_terminal_although_there_is_none():
    done = home.run("vsh", "-t", "alpha", "--", "sh", "-c", "test -t 0 && tty; cat; exit 6",
                    data="typed\n")
    contains(done.stdout, "/dev/pts/")
    equal(done.stdout.count("typed\r\n"), 2, "the terminal's echo and the command's output")
    equal(done.returncode, 6)


@case
def many_at_once():
    processes = [start("sh", "-c", f"sleep 0.5; echo {i}; exit {i}") for i in range(30)]
    for i, process in enumerate(processes):
        equal(process.communicate(timeout=30)[0], b"%d\n" % i)
        equal(process.returncode, i)


main(set_up, tear_down)
