# SPDX-License-Identifier: MIT
"""A person's first session: start a VM, use it in every way vsh offers, stop it."""

import hashlib
import json
import os
import re
import socket
import subprocess
import threading

from harness import CROSH, Home, case, contains, equal, main, wait_for

BOOT = 180  # seconds: emulation on a loaded machine
home = Home()


def listed(name):
    """The VM's entry of vmc list --json, or None."""
    done = home.run("-c", "vmc list --json")
    equal(done.returncode, 0, done.stderr)
    return next((vm for vm in json.loads(done.stdout) if vm["name"] == name), None)


def vsh(*args, **options):
    """Runs vsh alpha -- args."""
    return home.run("vsh", "alpha", "--", *args, **options)


@case
def start_creates_boots_and_shows_the_stages():
    done = home.run("-c", "vmc start --no-shell --cpus 2 --memory 384M alpha", timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    equal(done.stdout, "")
    for stage in ("launcher", "kernel", "agent"):
        if not re.search(rf"{stage}\s+[0-9.]+ s", done.stderr):
            raise AssertionError(f"no time for the stage {stage}:\n{done.stderr}")
    vm = listed("alpha")
    equal(vm["state"], "running")
    equal(vm["cpus"], 2)
    equal(vm["accel"], os.environ.get("CROSH_TEST_ACCEL", vm["accel"]))
    if vm["accel"] == "tcg":
        equal(done.stderr.count("software emulation"), 1, done.stderr)


@case
def a_paused_vm_keeps_its_sessions():
    session = subprocess.Popen([str(CROSH), "vsh", "alpha", "--", "cat"], env=home.env,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    session.stdin.write(b"before\n")
    session.stdin.flush()
    equal(session.stdout.readline(), b"before\n")
    done = home.run("-c", "vmc pause alpha")
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
    equal(listed("alpha")["state"], "paused")
    session.stdin.write(b"meanwhile\n")
    session.stdin.flush()
    # One that begins now waits, too.
    later = subprocess.Popen([str(CROSH), "vsh", "alpha", "--", "echo", "later"], env=home.env,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    done = home.run("-c", "vmc resume alpha")
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
    equal(listed("alpha")["state"], "running")
    equal(vsh("echo", "at once").stdout, "at once\n")
    equal(later.communicate(timeout=60)[0], b"later\n")
    equal(session.stdout.readline(), b"meanwhile\n")
    session.stdin.close()
    equal(session.wait(60), 0)
    session.stdout.close()


@case
def only_a_running_vm_is_paused():
    done = home.run("-c", "vmc pause nobody")
    equal(done.returncode, 3)
    contains(done.stderr, "there is no VM named nobody")


@case
def a_second_start_is_refused():
    done = home.run("-c", "vmc start --no-shell alpha")
    equal(done.returncode, 4)
    contains(done.stderr, "alpha is already running")


@case
def the_guest_is_what_was_asked_for():
    equal(vsh("nproc").stdout, "2\n")
    equal(vsh("hostname").stdout, "alpha\n")
    memory = int(re.search(r"MemTotal:\s+(\d+) kB", vsh("cat", "/proc/meminfo").stdout).group(1))
    if not 300_000 < memory < 393_216:
        raise AssertionError(f"384M of memory, and the guest has {memory} kB")


@case
def exit_statuses_are_exact():
    for status in (0, 1, 7, 42, 126, 255):
        equal(vsh("sh", "-c", f"exit {status}").returncode, status)
    equal(vsh("sh", "-c", "kill -TERM $$").returncode, 128 + 15)
    equal(vsh("sh", "-c", "kill -KILL $$").returncode, 128 + 9)


@case
def the_three_streams_stay_apart():
    done = vsh("sh", "-c", "echo out; echo err >&2; cat; exit 3", data="from stdin\n")
    equal((done.stdout, done.stderr, done.returncode), ("out\nfrom stdin\n", "err\n", 3))


@case
def a_file_as_stdin_reaches_its_end():
    with open(__file__, "rb") as script:
        done = home.run_bytes("vsh", "alpha", "--", "sha256sum", stdin=script)
    with open(__file__, "rb") as script:
        digest = hashlib.sha256(script.read()).hexdigest()
    equal(done.stdout, f"{digest}  -\n".encode())


@case
def megabytes_arrive_unchanged_both_ways():
    data = os.urandom(1 << 20) * 5
    done = home.run_bytes("vsh", "alpha", "--", "cat", data=data, timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    equal(hashlib.sha256(done.stdout).hexdigest(), hashlib.sha256(data).hexdigest())


@case
def a_reader_that_stops_early_ends_the_session():
    done = home.run_bytes("vsh", "alpha", "--", "head", "-c", "10", data=b"0123456789" * 500_000)
    equal((done.returncode, done.stdout), (0, b"0123456789"))


@case
def environment_directory_and_user():
    done = home.run("vsh", "--env", "A=x=y z", "--env", "EMPTY=", "--cwd", "/tmp", "alpha", "--",
                    "sh", "-c", 'echo "$A|${EMPTY-unset}|$PWD|$(id -u)"')
    equal((done.stdout, done.returncode), ("x=y z||/tmp|0\n", 0), done.stderr)
    done = home.run("vsh", "--user", "nobody", "alpha", "--", "id", "-un")
    equal((done.stdout, done.returncode), ("nobody\n", 0), done.stderr)
    done = home.run("vsh", "--user", "no-such-user", "alpha", "--", "true")
    equal(done.returncode, 1)
    contains(done.stderr, "no-such-user")


@case
def what_cannot_be_run_says_why():
    done = vsh("/no/such/program")
    equal((done.returncode, done.stderr),
          (127, "vsh: cannot run '/no/such/program': No such file or directory\n"))
    done = home.run("vsh", "no-such-vm", "--", "true")
    equal(done.returncode, 3)
    contains(done.stderr, "no-such-vm")


@case
def a_terminal_has_size_colour_and_job_control():
    terminal = home.terminal("-c", "vsh alpha", rows=31, columns=97)
    terminal.expect("#")
    terminal.send("stty size; echo TERM=$TERM\r")
    terminal.expect("31 97")
    terminal.expect("TERM=xterm-256color")
    terminal.resize(40, 120)
    terminal.send("sleep 1; stty size\r")
    terminal.expect("40 120")
    terminal.send("sleep 1000\r")
    wait_for(lambda: "sleep 1000" in vsh("ps").stdout, 60, "the sleep to run")
    terminal.send("\x03")
    terminal.send("echo status=$?\r")
    terminal.expect("status=130")
    terminal.send("exit 9\r")
    equal(terminal.end(), 9)


@case
def many_sessions_at_once():
    results = [None] * 12

    def one(index):
        results[index] = vsh("sh", "-c", f"sleep 1; echo {index}; exit {index}", timeout=BOOT)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal([(done.stdout, done.returncode) for done in results],
          [(f"{index}\n", index) for index in range(len(results))])


@case
def a_client_that_dies_takes_its_session_along():
    command = subprocess.Popen([str(CROSH), "vsh", "alpha", "--", "sleep", "4321"], env=home.env,
                               stdin=subprocess.PIPE)
    wait_for(lambda: "sleep 4321" in vsh("ps").stdout, 60, "the sleep to run")
    command.kill()
    command.wait()
    wait_for(lambda: "sleep 4321" not in vsh("ps").stdout, 60, "the sleep to go")


@case
def garbage_on_the_sockets_harms_nobody():
    directory = home.runtime / "crosh" / "alpha"
    equal(oct(directory.stat().st_mode & 0o777), oct(0o700))
    for name in ("control.sock", "vsock.sock", "console.sock"):
        equal(oct((directory / name).stat().st_mode & 0o777), oct(0o600), name)
    for name in ("control.sock", "vsock.sock"):
        for noise in (b"\xff" * 4096, b"CONNECT 99999999999\n", b"CONNECT -1\n", b"\0\n" * 2000,
                      os.urandom(8192)):
            with socket.socket(socket.AF_UNIX) as stream:
                stream.settimeout(20)
                stream.connect(str(directory / name))
                try:
                    stream.sendall(noise)
                    stream.shutdown(socket.SHUT_WR)
                    while stream.recv(4096):
                        pass
                except (BrokenPipeError, ConnectionResetError):
                    pass
    equal(vsh("echo", "alive").stdout, "alive\n")


@case
def files_are_copied_in_and_out():
    work = home.path / "copies"
    (work / "tree" / "sub").mkdir(parents=True)
    data = os.urandom(3 << 20)
    (work / "tree" / "sub" / "data").write_bytes(data)
    (work / "tree" / "link").symlink_to("sub/data")
    done = home.run("vsh", "cp", str(work / "tree"), "alpha:/tmp", timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    equal(vsh("sha256sum", "/tmp/tree/link").stdout,
          f"{hashlib.sha256(data).hexdigest()}  /tmp/tree/link\n")
    done = home.run("vsh", "cp", "alpha:/tmp/tree", str(work / "back"), timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    equal((work / "back" / "sub" / "data").read_bytes(), data)
    equal(os.readlink(work / "back" / "link"), "sub/data")
    done = home.run("vsh", "cp", "alpha:/no/such", str(work))
    equal(done.returncode, 1)
    contains(done.stderr, "such: No such file or directory")


@case
def streams_reach_the_guest_without_a_network():
    server = subprocess.Popen([str(CROSH), "vsh", "alpha", "--", "nc", "-l", "-p", "7070", "-e",
                               "tr", "a-z", "A-Z"], env=home.env, stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: ":1B9E" in vsh("cat", "/proc/net/tcp", "/proc/net/tcp6").stdout, 60,
                 "the guest's server")
        wait_for(lambda: "127.0.0.1:" in next(
            (line for line in home.run("vsh", "ports", "alpha").stdout.splitlines()
             if line.startswith("7070 ")), ""), 60, "the port on this host")
        done = home.run("vsh", "proxy", "alpha", "7070", data="through a stream")
        equal((done.stdout, done.returncode), ("THROUGH A STREAM", 0), done.stderr)
    finally:
        server.kill()
        server.wait()
    done = home.run("vsh", "proxy", "alpha", "7071", data="")
    equal(done.returncode, 1)
    contains(done.stderr, "cannot connect: Connection refused")


@case
def the_console_log_is_kept():
    vsh("sh", "-c", "echo marker-in-the-log > /dev/console")
    wait_for(lambda: "marker-in-the-log" in home.run("-c", "vmc logs alpha").stdout, 20,
             "the console log")


@case
def stop_powers_the_guest_off():
    done = home.run("-c", "vmc stop alpha", timeout=BOOT)
    equal(done.returncode, 0, done.stderr)
    equal(listed("alpha")["state"], "stopped")
    directory = home.runtime / "crosh" / "alpha"
    ended = json.loads((directory / "ended").read_text())
    equal((ended["reason"], ended["status"]), ("poweroff", 0))
    for leftover in ("control.sock", "vsock.sock", "console.sock", "pid"):
        equal((directory / leftover).exists(), False, leftover)
    done = vsh("true")
    equal(done.returncode, 4)
    contains(done.stderr, "not running")
    done = home.run("-c", "vmc stop alpha")
    equal(done.returncode, 4)
    contains(done.stderr, "not running")


@case
def destroy_asks_and_removes():
    terminal = home.terminal("-c", "vmc destroy alpha")
    terminal.expect("(y/N)")
    terminal.send("n\r")
    terminal.end()
    equal(listed("alpha")["state"], "stopped")
    done = home.run("-c", "vmc destroy -y alpha")
    equal(done.returncode, 0, done.stderr)
    equal(listed("alpha"), None)
    equal((home.data / "crosh" / "vms" / "alpha").exists(), False)


if __name__ == "__main__":
    main(home=home)
