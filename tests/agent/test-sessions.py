#!/usr/bin/python3
# SPDX-License-Identifier: MIT
# Tests of the agent's sessions over a unix socket, by a client that shares no code with it.
"""Usage: test-sessions.py [NAME...]; CROSH_AGENT names the agent if it is not the build tree's."""

import os
import pwd
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import without_startup_files  # noqa: E402
import wire  # noqa: E402
from wire import FAILED, READY, Session  # noqa: E402


class Skip(Exception):
    pass


class TooLong(Exception):
    pass


def on_alarm(*_):
    raise TooLong("took too long")


class Agent:
    """A running agent with its socket in a directory of its own."""

    def __init__(self, path, *options):
        self.dir = tempfile.mkdtemp(prefix="crosh-agent-")
        self.address = self.dir + "/sock"
        # A descriptor that the agent inherits by somebody's carelessness stays with it.
        with open("/dev/null", "rb") as stray:
            self.process = subprocess.Popen(
                [path, "--listen", "unix:" + self.address, *options], stderr=subprocess.PIPE,
                pass_fds=[stray.fileno()])
        for _ in range(200):
            if os.path.exists(self.address):
                break
            time.sleep(0.02)

    def session(self, **kwargs):
        return Session(self.address, **kwargs)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=10)
        log = self.process.stderr.read().decode()
        self.process.stderr.close()
        for name in os.listdir(self.dir):
            os.unlink(self.dir + "/" + name)
        os.rmdir(self.dir)
        return log


def run(agent, *argv, stdin=None, **kwargs):
    """Runs one command to its end: (code, stdout, stderr)."""
    with agent.session() as s:
        s.start(argv, **kwargs)
        if stdin is not None:
            for i in range(0, len(stdin), 4000):
                s.data(stdin[i : i + 4000])
        s.eof()
        s.finish()
        return s.code, s.out, s.err


def sh(agent, script, **kwargs):
    return run(agent, "sh", "-c", script, **kwargs)


def failure(agent, *argv, **kwargs):
    with agent.session() as s:
        status, description, _ = s.setup(argv, **kwargs)
        assert status == FAILED, status
        assert s.sock.recv(1) == b"", "the stream goes on after FAILED"
        return description


def failure_status(agent, *argv, **kwargs):
    with agent.session() as s:
        expect(s.setup(argv, **kwargs)[0], FAILED)
        return s.exit_status


def expect(value, wanted):
    assert value == wanted, "%r is not %r" % (value, wanted)


def children(pid):
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return f.read().split()


def wait_until(condition, what, timeout=5):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def is_alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Commands over pipes


def test_exit_statuses(agent):
    for code in (0, 1, 7, 126, 127, 255):
        expect(sh(agent, "exit %d" % code)[0], code)


def test_death_by_signal_is_128_plus_it(agent):
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGABRT):
        expect(sh(agent, "kill -%d $$" % number)[0], 128 + number)


def test_error_output_is_apart(agent):
    expect(sh(agent, "echo out; echo err >&2; exit 3"), (3, b"out\n", b"err\n"))


def test_input_and_its_end(agent):
    data = bytes(range(256)) * 1000
    expect(run(agent, "cat", stdin=data), (0, data, b""))


def test_empty_input(agent):
    expect(run(agent, "wc", "-c", stdin=b"")[1].strip(), b"0")


def test_large_output_is_exact_and_comes_before_the_status(agent):
    code, out, _ = sh(agent, "seq 1 300000; exit 9")
    expect(code, 9)
    expect(out, b"".join(b"%d\n" % i for i in range(1, 300001)))


def test_output_left_in_the_pipe_by_a_command_that_has_ended(agent):
    # Somewhere among these sizes the peer's and our buffers are full and the rest is in the pipe.
    for size in range(150000, 420000, 15000):
        with agent.session() as s:
            pid = s.start(["head", "-c", str(size), "/dev/zero"])
            end = time.monotonic() + 0.3
            while is_alive(pid) and time.monotonic() < end:
                time.sleep(0.01)
            time.sleep(0.02)
            expect(s.finish(), 0)
            expect(len(s.out), size)


def test_frames_stay_within_the_old_limit(agent):
    with agent.session() as s:
        s.start(["head", "-c", "100000", "/dev/zero"])
        s.finish()
        expect(len(s.out), 100000)
        assert max(s.frames) <= 4096, max(s.frames)


def test_larger_frames_are_accepted(agent):
    data = os.urandom(200000)
    with agent.session() as s:
        s.start(["cat"], env={"LARGE": "x" * 50000})
        s.data(data)
        s.eof()
        s.finish()
        expect(s.out, data)


def test_command_that_closes_its_input_early(agent):
    with agent.session() as s:
        s.start(["head", "-c", "1"])
        try:
            for _ in range(200):
                s.data(b"y" * 4000)
        except OSError:
            pass
        expect(s.finish(), 0)
        expect(s.out, b"y")


def test_background_process_does_not_hold_the_session(agent):
    start = time.monotonic()
    code, out, _ = sh(agent, "echo now; sleep 5 & exit 4")
    expect((code, out), (4, b"now\n"))
    assert time.monotonic() - start < 4


def test_background_writer_does_not_hold_the_session(agent):
    code, out, _ = sh(agent, "yes & echo $!; sleep 0.2; exit 6")
    expect(code, 6)
    os.kill(int(out.split(b"\n")[0]), signal.SIGKILL)


def test_signals_reach_the_whole_group(agent):
    for number, code in ((wire.TERM, 143), (wire.INT, 130), (wire.HUP, 129), (wire.QUIT, 131)):
        with agent.session() as s:
            s.start(["sh", "-c", "(exec sleep 60) & echo ready $!; wait; :"])
            line = s.until(b"\n").split()
            child = int(line[1])
            s.signal(number)
            expect(s.finish(), code)
            if number in (wire.TERM, wire.HUP):
                wait_until(lambda: not is_alive(child), "the child survived signal %d" % number)
            elif is_alive(child):
                os.kill(child, signal.SIGKILL)  # a shell's background job ignores INT and QUIT


def test_signals_without_a_name_in_the_protocol(agent):
    for number in (signal.SIGUSR1, signal.SIGKILL, signal.SIGRTMAX):
        with agent.session() as s:
            s.start(["sleep", "60"])
            assert s.takes_all_signals
            s.signal(number)
            expect(s.finish(), 128 + number)


def test_unknown_signal_is_ignored(agent):
    with agent.session() as s:
        s.start(["cat"])
        s.signal(0)
        s.signal(65)
        s.signal(1 << 31)
        s.signal((1 << 64) - 9)
        s.data(b"still here")
        s.eof()
        expect(s.finish(), 0)
        expect(s.out, b"still here")


def test_resize_without_terminal_is_ignored(agent):
    with agent.session() as s:
        s.start(["cat"])
        s.resize(10, 10)
        s.eof()
        expect(s.finish(), 0)


# What a command finds


def test_environment(agent):
    env = {"EMPTY": "", "EQUALS": "a=b=c", "SPACES": " a  b ", "NEWLINE": "a\nb", "UTF8": "é"}
    code, out, _ = run(agent, "env", "-0", env=env)
    expect(code, 0)
    seen = dict(item.split("=", 1) for item in out.decode().split("\0") if item)
    for key, value in env.items():
        expect(seen[key], value)
    me = pwd.getpwuid(os.geteuid())
    for key, value in (("HOME", me.pw_dir), ("SHELL", me.pw_shell), ("USER", me.pw_name),
                       ("LOGNAME", me.pw_name)):
        expect(seen[key], value)
    assert "/bin" in seen["PATH"]
    assert "TERM" not in seen


def test_environment_overrides_defaults_and_path_finds_the_command(agent):
    with tempfile.TemporaryDirectory() as d:
        with open(d + "/only-here", "w") as f:
            f.write("#!/bin/sh\necho found $HOME\n")
        os.chmod(d + "/only-here", 0o755)
        expect(run(agent, "only-here", env={"PATH": d, "HOME": "/nowhere"}),
               (0, b"found /nowhere\n", b""))


def test_bad_environment_names(agent):
    assert "environment" in failure(agent, "true", env={"": "x"})
    assert "environment" in failure(agent, "true", env={"A=B": "x"})


def test_working_directory(agent):
    expect(run(agent, "pwd", cwd="/usr/bin")[1], b"/usr/bin\n")
    expect(run(agent, "pwd")[1].decode().strip(),
           os.path.realpath(pwd.getpwuid(os.geteuid()).pw_dir))
    expect(run(agent, "pwd", cwd_pid=os.getpid())[1].decode().strip(), os.getcwd())


def test_missing_working_directory(agent):
    expect(failure(agent, "true", cwd="/no/such"),
           "cannot enter '/no/such': No such file or directory")


def test_unknown_user(agent):
    expect(failure(agent, "true", user="nobody-of-this-name"),
           "no such user 'nobody-of-this-name'")


def test_user(agent):
    if os.geteuid() != 0:
        raise Skip("needs root")
    code, out, _ = sh(agent, "id -un; id -u; id -G; echo $HOME; touch /root/x 2>/dev/null && echo no",
                      user="nobody", cwd="/")
    nobody = pwd.getpwnam("nobody")
    groups = sorted(os.getgrouplist("nobody", nobody.pw_gid))
    lines = out.decode().split("\n")
    expect(lines[0:2], ["nobody", str(nobody.pw_uid)])
    expect(sorted(map(int, lines[2].split())), groups)
    expect(lines[3], nobody.pw_dir)
    assert "no" not in lines[4:], "still root"


def test_missing_command(agent):
    expect(failure(agent, "no-such-command"),
           "cannot run 'no-such-command': No such file or directory")
    expect(failure(agent, "/etc/passwd"), "cannot run '/etc/passwd': Permission denied")
    expect(failure_status(agent, "no-such-command"), 127)
    expect(failure_status(agent, "/etc/passwd"), 126)
    expect(failure_status(agent, "/etc"), 126)
    # What failed before it was not the command's fault.
    expect(failure_status(agent, "true", cwd="/no/such"), 0)
    expect(failure_status(agent, "true", user="no-such-user"), 0)


def test_unknown_target(agent):
    expect(failure(agent, "true", target="penguin"), "no such container 'penguin'")
    expect(run(agent, "true", target="")[0], 0)


def test_old_form_of_commands(agent):
    expect(run(agent, command="echo $((6 * 7))")[1], b"42\n")


def test_descriptors_do_not_leak_into_commands(agent):
    out = run(agent, "ls", "/proc/self/fd")[1]
    expect(out.split(), [b"0", b"1", b"2", b"3"])


def test_signals_are_as_usual_in_commands(agent):
    out = run(agent, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status")[1]
    masks = dict(line.split(":\t") for line in out.decode().splitlines())
    # The C library keeps 32 and 33 to itself: a command may inherit them from the test's parent.
    expect({name: int(mask, 16) & ~(3 << 31) for name, mask in masks.items()},
           {"SigBlk": 0, "SigIgn": 0})


# Terminals


def test_terminal(agent):
    with agent.session() as s:
        s.start(["sh", "-c", "tty; stty size; echo $TERM; test -t 2 && echo err-too; exit 5"],
                pty=True, size=(33, 111), env={"TERM": "xterm-test"})
        expect(s.finish(), 5)
        lines = s.out.decode().split("\r\n")
        assert lines[0].startswith("/dev/pts/"), lines
        expect(lines[1:], ["33 111", "xterm-test", "err-too", ""])
        expect(s.err, b"")


def test_login_shell(agent):
    with agent.session() as s:
        s.start([], pty=True, size=(24, 80), env={"PS1": "$ "})
        s.data(b"echo 'name':$0: 'leader':$(ps -o sid= -p $$ | tr -d ' '):$$:\r")
        s.until(b"name:")
        name = s.until(b":").decode()
        assert name.startswith("-"), name
        s.until(b"leader:")
        sid, pid = s.until(b":\r\n").split(b":")
        expect(sid, pid)
        s.data(b"exit 42\r")
        expect(s.finish(), 42)


def test_resize(agent):
    with agent.session() as s:
        s.start(["sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.1; done"],
                pty=True, size=(24, 80))
        s.until(b"ready")
        s.resize(50, 132)
        s.until(b"50 132")
        s.resize(-5, 1000000)
        s.until(b"0 65535")


def test_interrupt_character_reaches_the_foreground_only(agent):
    with agent.session() as s:
        s.start(["bash", "--norc", "--noprofile", "-i"], pty=True, size=(24, 80), env={"PS1": "@ "})
        s.until(b"@ ")
        s.data(b"sleep 60\r")
        time.sleep(0.3)
        s.data(b"\x03")
        s.until(b"@ ")
        s.data(b"echo st:$?:\r")
        s.until(b"st:1")
        s.data(b"exit\r")
        s.finish()


def test_signal_reaches_the_foreground_group_of_a_terminal(agent):
    with agent.session() as s:
        shell = s.start(["bash", "--norc", "--noprofile", "-i"], pty=True, size=(24, 80),
                        env={"PS1": "@ "})
        s.until(b"@ ")
        s.data(b"sleep 61 | sleep 62\r")
        wait_until(lambda: len(children(shell)) == 2, "no pipeline")
        time.sleep(0.2)
        s.signal(wire.TERM)
        wait_until(lambda: children(shell) == [], "the pipeline survived")
        assert is_alive(shell)
        s.data(b"echo st:${PIPESTATUS[*]}:\r")
        s.until(b"st:143 143:")
        s.data(b"exit 3\r")
        expect(s.finish(), 3)


def test_end_of_file_on_a_terminal(agent):
    with agent.session() as s:
        s.start(["cat"], pty=True, size=(24, 80))
        s.data(b"no newline")
        s.eof()
        expect(s.finish(), 0)
        expect(s.out, b"no newlineno newline")


def test_last_output_of_a_terminal_is_not_lost(agent):
    for _ in range(20):
        with agent.session() as s:
            s.start(["sh", "-c", "seq 1 2000; exit 3"], pty=True, size=(24, 80))
            expect(s.finish(), 3)
            expect(s.out, b"".join(b"%d\r\n" % i for i in range(1, 2001)))


def test_terminal_belongs_to_its_user(agent):
    if os.geteuid() != 0:
        raise Skip("needs root")
    with agent.session() as s:
        s.start(["sh", "-c", "stat -c '%U %a' $(tty); echo >$(tty) && echo writable"], pty=True,
                user="nobody", cwd="/", size=(24, 80))
        expect(s.finish(), 0)
        expect(s.out.split(), [b"nobody", b"620", b"writable"])


# Peers that misbehave


def test_vanished_client_hangs_up_pipes(agent):
    s = agent.session()
    pid = s.start(["sleep", "60"])
    assert is_alive(pid)
    s.sock.close()
    wait_until(lambda: not is_alive(pid), "the command lives on")


def test_vanished_client_hangs_up_a_terminal(agent):
    s = agent.session()
    pid = s.start(["sh", "-c", "sleep 60; :"], pty=True, size=(24, 80))
    wait_until(lambda: children(pid) != [], "no child")
    child = int(children(pid)[0])
    s.sock.close()
    wait_until(lambda: not is_alive(pid) and not is_alive(child), "the session lives on")


def test_vanished_client_while_output_is_blocked(agent):
    s = agent.session()
    pid = s.start(["yes"])
    time.sleep(0.3)
    s.sock.close()
    wait_until(lambda: not is_alive(pid), "the command lives on")


def test_slow_reader_is_waited_for_without_buffering(agent):
    with agent.session() as s, agent.session() as other:
        pid = s.start(["sh", "-c", "head -c 20000000 /dev/zero; echo done >&2"])
        time.sleep(0.7)
        with open("/proc/%d/stat" % pid) as f:
            server = int(f.read().rpartition(")")[2].split()[1])
        with open("/proc/%d/status" % server) as f:
            rss = [int(line.split()[1]) for line in f if line.startswith("VmRSS")][0]
        assert rss < 10000, "the session holds %d KiB" % rss
        assert is_alive(pid)
        other.start(["echo", "quick"])
        expect(other.finish(), 0)
        s.finish()
        expect(len(s.out), 20000000)
        expect(s.err, b"done\n")


def test_slow_command_stops_its_peer(agent):
    with agent.session(timeout=1) as s:
        pid = s.start(["sleep", "60"])
        sent = 0
        try:
            while sent < 50_000_000:
                s.data(b"z" * 4000)
                sent += 4000
        except socket.timeout:
            pass
        assert sent < 5_000_000, "took %d bytes that nobody reads" % sent
    wait_until(lambda: not is_alive(pid), "the command lives on")


def test_signal_passes_input_that_is_not_read(agent):
    with agent.session(timeout=5) as s:
        s.start(["sleep", "60"], credit=True)
        assert s.window >= 65536, s.window
        for _ in range(s.window // 4000):
            s.data(b"z" * 4000)
        s.signal(wire.TERM)
        expect(s.finish(), 143)


def test_credit_is_given_for_input_that_was_taken(agent):
    with agent.session() as s:
        s.start(["wc", "-c"], credit=True)
        on_way = 0
        for _ in range(500):
            while on_way + 4000 - s.credit > s.window:
                s.step()
            s.data(b"z" * 4000)
            on_way += 4000
        s.eof()
        expect(s.finish(), 0)
        expect(s.out.strip(), b"2000000")
        assert s.credit <= on_way


def test_credit_is_given_for_input_that_nobody_wants(agent):
    with agent.session() as s:
        s.start(["sh", "-c", "exec <&-; echo closed; sleep 0.5; exit 3"], credit=True)
        s.until(b"closed")
        for _ in range(s.window // 4000):
            s.data(b"z" * 4000)
        while s.credit == 0:
            assert s.step(), "ended without credit"
        expect(s.finish(), 3)


def test_no_credit_for_clients_that_do_not_know_it(agent):
    with agent.session() as s:
        s.start(["cat"])
        expect(s.window, 0)
        for _ in range(100):
            s.data(b"z" * 4000)
        s.eof()
        expect(s.finish(), 0)
        expect((len(s.out), s.credit), (400000, 0))


def test_garbage(agent):
    cases = (
        b"\xff" * 4,
        b"\x01\x00\x04\x00" + b"x" * 100,
        b"GET / HTTP/1.0\r\n\r\n",
        struct.pack("<I", 3) + b"\x0a\xff\x01",
        struct.pack("<I", 5) + b"\x0f" * 5,
    )
    for case in cases:
        with agent.session() as s:
            s.sock.sendall(case)
            s.sock.shutdown(socket.SHUT_WR)
            fields = dict(s.receive())
            expect(fields[1], FAILED)
            assert b"malformed request" in fields[2], fields
    expect(run(agent, "true")[0], 0)


def test_garbage_in_a_session(agent):
    for case in (b"\xff" * 8, struct.pack("<I", 3) + b"\x0a\xff\x01"):
        with agent.session() as s:
            pid = s.start(["sleep", "60"])
            s.sock.sendall(case)
            try:
                s.finish()
                raise AssertionError("the session survived")
            except (EOFError, ConnectionError):
                pass
            wait_until(lambda: not is_alive(pid), "the command lives on")


def test_unknown_fields_are_skipped(agent):
    with agent.session() as s:
        s.send(wire.setup_request(["cat"]) + wire.number(99, 5) + wire.blob(100, b"new"))
        expect(dict(s.receive())[1], READY)
        s.send(wire.blob(77, b"from the future"))
        s.send(wire.blob(1, wire.number(1, 9) + wire.blob(2, b"no such stream")))
        s.data(b"x")
        s.eof()
        expect(s.finish(), 0)
        expect(s.out, b"x")


def test_split_frames(agent):
    with agent.session() as s:
        message = wire.setup_request(["echo", "ok"])
        for byte in struct.pack("<I", len(message)) + message:
            s.sock.sendall(bytes([byte]))
            time.sleep(0.001)
        expect(dict(s.receive())[1], READY)
        expect(s.finish(), 0)
        expect(s.out, b"ok\n")


def test_fifty_sessions_at_once(agent):
    sessions = [agent.session() for _ in range(50)]
    for i, s in enumerate(sessions):
        s.start(["cat"], pty=i % 2 == 1, size=(24, 80))
    for i, s in enumerate(sessions):
        s.data(b"%d\n" % i)
    for i, s in enumerate(sessions):
        s.eof()
        expect(s.finish(), 0)
        assert s.out.startswith(b"%d" % i)
        s.sock.close()


def test_session_limit(agent_path):
    agent = Agent(agent_path, "--max-sessions", "3")
    held = [agent.session() for _ in range(3)]
    try:
        for s in held:
            s.start(["cat"])
        expect(failure(agent, "true"), "too many sessions (3 are open)")
        held[0].eof()
        held[0].finish()
        held[0].sock.close()

        def is_free():
            with agent.session() as s:
                return s.setup(["true"])[0] == READY

        wait_until(is_free, "no room after one has ended")
    finally:
        for s in held:
            s.sock.close()
        agent.stop()


def test_nothing_is_left_behind(agent):
    pid = agent.process.pid
    wait_until(lambda: children(pid) == [], "session processes are left: %s" % children(pid))
    fds = os.listdir("/proc/%d/fd" % pid)
    assert len(fds) <= 6, fds


def test_command_line(agent_path):
    def status(*args):
        return subprocess.run([agent_path, *args], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=10).returncode

    expect(status("--version"), 0)
    expect(status("--help"), 0)
    for args in (["--listen", "tcp:1"], ["--listen", "vsock:"], ["--listen", "vsock:1:2:3"],
                 ["--listen", "vsock:99999999999"], ["--listen", "unix:"],
                 ["--listen", "unix:" + "x" * 200], ["--max-sessions", "0"], ["--nonsense"],
                 ["--wait-for-lxd", "0"], ["--clear-lxd", "-1"], ["--shut-lxd-down", "soon"],
                 ["word"]):
        expect(status(*args), 2)


def main():
    agent_path = os.environ.get("CROSH_AGENT") or os.path.join(
        os.environ.get("top_builddir", "."), "guest/agent/crosh-agent")
    wanted = sys.argv[1:]
    signal.signal(signal.SIGALRM, on_alarm)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    agent = Agent(agent_path)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, test in list(globals().items()):
        if not name.startswith("test_") or (wanted and name[5:] not in wanted):
            continue
        takes_path = "agent_path" in test.__code__.co_varnames[: test.__code__.co_argcount]
        signal.alarm(40)
        try:
            test(agent_path if takes_path else agent)
            counts["passed"] += 1
        except Skip as reason:
            counts["skipped"] += 1
            print("SKIP %s: %s" % (name, reason))
        except Exception as error:  # pylint: disable=broad-except
            counts["failed"] += 1
            print("FAIL %s: %s: %s" % (name, type(error).__name__, error), flush=True)
        signal.alarm(0)
    log = agent.stop()
    if counts["failed"]:
        sys.stdout.write(log)
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    without_startup_files()
    sys.exit(main())
