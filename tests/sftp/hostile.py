# SPDX-License-Identifier: MIT
"""A server that wants to write elsewhere than where its files were asked to."""

import concurrent.futures
import errno
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
from pathlib import Path

from harness import CROSH, Home, Skip, Terminal, case, contains, equal, main, wait_for
from server import Server, end

SCRIPT = Path(os.environ["top_srcdir"]).resolve() / "tests" / "sftp" / "hostile-server.py"

home = server = None
victim = here = None


def set_up():
    global home, server, victim, here
    home = Home()
    victim, here = home.path / "victim", home.path / "here"
    victim.mkdir()
    here.mkdir()
    server = Server(home, f"/usr/bin/env VICTIM={victim} /usr/bin/python3 {SCRIPT}")


def tear_down():
    end(home, server)


@case
def nothing_is_written_elsewhere():
    before = sorted(os.listdir(home.path))
    target = here / "evil"
    done = home.run("-c", f"sftp get {server.target}:/evil {here}")
    equal(done.returncode, 1)
    equal(sorted(os.listdir(home.path)), before)
    equal(os.listdir(victim), [])
    equal(os.listdir(here), ["evil"])
    names = set(os.listdir(target))
    equal(names - {"out"}, {"good", "red\x1b[31m", "suid"})
    equal((target / "good").read_bytes(), b"harm!\n")
    equal(stat.S_IMODE((target / "suid").stat().st_mode), 0o644)
    # The name was a link and a directory: whichever it became, the file is not where the link goes.
    if "out" in names and not (target / "out").is_symlink():
        equal(os.listdir(target / "out"), ["inner"])
    for line in ("warning: /evil: has names that cannot be names here",
                 "warning: /evil/short: became shorter while it was read",
                 "warning: /evil/long: Bad message", "warning: /evil/bad-link: Bad message"):
        contains(done.stderr.splitlines(), line)
    equal("\x1b" in done.stderr, False)


@case
def links_that_are_there_are_not_followed():
    place = home.path / "place"
    (place / "evil").mkdir(parents=True)
    (place / "evil" / "out").symlink_to(victim)
    (place / "evil" / ".good.crosh-part").symlink_to(victim / "through")
    done = home.run("-c", f"sftp get {server.target}:/evil {place}")
    equal(done.returncode, 1)
    contains(done.stderr, "'out' is there already and is not a directory")
    equal(os.listdir(victim), [])
    equal((place / "evil" / "good").read_bytes(), b"harm!\n")


@case
def a_sync_removes_nothing_elsewhere():
    (victim / "precious").write_text("kept")
    target = home.path / "synced"
    target.mkdir()
    (target / "good").symlink_to(victim)
    (target / "extra").symlink_to(victim)
    (target / "inner").mkdir()
    (target / "inner" / "through").symlink_to(victim)
    done = home.run("-c", f"sftp sync --delete {server.target}:/evil {target}")
    equal(done.returncode, 1)
    equal((victim / "precious").read_text(), "kept")
    equal(os.listdir(victim), ["precious"])
    equal((target / "good").is_symlink(), False)
    equal("extra" in os.listdir(target) or "inner" in os.listdir(target), False)


@case
def a_listing_shows_none_of_it():
    done = home.run("-c", f"sftp ls {server.target}:/evil")
    equal(done.returncode, 0)
    equal(sorted(set(done.stdout.splitlines())),
          ["bad-link", "good", "long", "out", "out/", "red?[31m", "short", "suid"])


def serve(**env):
    """Has the server be another one: the next session is its."""
    words = " ".join(f"{name}={value}" for name, value in {"VICTIM": victim, **env}.items())
    server.set_subsystem(f"/usr/bin/env {words} /usr/bin/python3 {SCRIPT}")


def state(path):
    """What must stay as it is of a directory and all that is in it."""
    return [(entry.name, stat.filemode(status.st_mode), status.st_mtime_ns, status.st_nlink)
            for entry in (path, *sorted(path.rglob("*"))) for status in (entry.lstat(),)]


@case
def a_link_that_becomes_a_directory_is_no_way_out():
    place = home.path / "between"
    place.mkdir()
    before = state(victim)
    serve(SWAP="link")
    done = home.run("-c", f"sftp get {server.target}:/swap {place}")
    equal((done.returncode, os.readlink(place / "swap" / "d")), (0, str(victim)))
    serve(SWAP="directory")
    done = home.run("-c", f"sftp get -r {server.target}:/swap {place}")
    contains(done.stderr, "warning: /swap/d: 'd' is there already and is not a directory\n")
    equal((done.returncode, state(victim)), (1, before))
    equal(home.run("-c", f"sftp sync --delete {server.target}:/swap {place}/swap").returncode, 0)
    serve()
    equal((state(victim), sorted(os.listdir(place / "swap" / "d"))), (before, ["inner", "sub"]))


@case
def a_directory_that_becomes_a_link_meanwhile_is_no_way_out():
    before = state(victim)
    place = home.path / "meanwhile"
    serve(SWAP="both", SWAPPED=place / "d")
    done = home.run("-c", f"sftp sync --delete {server.target}:/swap {place}")
    serve()
    equal((os.readlink(place / "d"), state(victim)), (str(victim), before))
    for path in ("inner", "sub"):
        contains(done.stderr, f"warning: /swap/d/{path}: ")
    equal((done.returncode, os.listdir(place)), (1, ["d"]))
    # The same where nothing is replaced: the link is what there is no room for.
    place = home.path / "meanwhile2"
    place.mkdir()
    serve(SWAP="both")
    done = home.run("-c", f"sftp get -r {server.target}:/swap {place}")
    serve()
    contains(done.stderr, "warning: /swap/d: cannot make the link 'd': Is a directory\n")
    equal((done.returncode, state(victim)), (1, before))
    equal((place / "swap" / "d" / "sub" / "deep").read_bytes(), b"harm!\n")


@case
def sizes_that_lie_come_to_nothing():
    target = home.path / "sizes"
    done = home.run("-c", f"sftp get {server.target}:/sizes {target}")
    equal(done.returncode, 1)
    for name in ("all", "half", "below", "most"):
        contains(done.stderr.splitlines(), f"warning: /sizes/{name}: became shorter while it was read")
    equal((target / "honest").read_bytes(), b"harm!\n")
    equal({path.stat().st_size for path in target.iterdir()}, {6})
    done = home.run("-c", f"sftp ls --json {server.target}:/sizes")
    equal([entry["size"] for entry in json.loads(done.stdout)],
          [(1 << 63) - 1, (1 << 63) - 1, (1 << 63) - 1, 6, 1 << 60])


@case
def listings_without_end_end():
    for path in ("nothing", "dots", "refused"):
        done = home.run("-c", f"sftp ls {server.target}:/{path}")
        equal((done.stdout, done.stderr, done.returncode),
              ("", f"sftp ls: {server.target.split(':')[0]}: /{path}: Value too large for defined "
               "data type\n", 1))
        done = home.run("-c", f"sftp get {server.target}:/{path} {here}")
        contains(done.stderr, f"/{path}: Value too large for defined data type")
        equal(done.returncode, 1)


@case
def a_mount_of_them_ends_as_well():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    place = home.path / "mounted"
    place.mkdir()
    serve(START="/dots")
    done = home.run("-c", f"sftp mount {server.target}:/dots {place}")
    equal((done.stderr, done.returncode), ("", 0))
    try:
        os.listdir(place)
        raise AssertionError("it has an end")
    except OSError as problem:
        equal(problem.errno, errno.EOVERFLOW)
    finally:
        home.run("-c", f"sftp umount {place}")
        serve()


@case
def a_flood_of_names_is_bounded():
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (1200 << 20, 1200 << 20))

    # With more room than 512 MiB of names take, and less than 4 million of the longest would.
    done = subprocess.run([CROSH, "-c", f"sftp ls {server.target}:/flood"], env=home.env, text=True,
                          capture_output=True, preexec_fn=limit, timeout=600, check=False)
    equal(done.stdout, "")
    contains(done.stderr, "/flood: Value too large for defined data type")
    equal(done.returncode, 1)


@case
def a_deep_tree_of_wide_directories_needs_little_memory():
    (here / "empty").mkdir()
    command = f"sftp sync --delete --dry-run --json {here}/empty {server.target}:/wide"
    with subprocess.Popen([CROSH, "-c", command], env=home.env, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        report, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    # So deep as the server's handles tell one directory from another.
    equal((process.returncode, errors, json.loads(report)["deleted"]), (0, "", 127 * 4001))
    # The names of the files of all of them are more than that.
    equal(usage.ru_maxrss < 80 << 10, True, f"{usage.ru_maxrss} KiB")


@case
def what_trickles_is_not_waited_for():
    """Each byte of an answer comes in time, but the answer does not."""
    done = home.run("-c", f"sftp ls --timeout 1 {server.target}:/trickle")
    equal((done.stdout, done.stderr, done.returncode),
          ("", f"sftp ls: {server.target.split(':')[0]}: /trickle: Connection timed out\n", 124))


def mounted(target, count, work):
    """The listings that a mount keeps, and the most memory that it had, after some work."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    place = home.path / "piles"
    place.mkdir(exist_ok=True)
    serve(PILE=count)
    done = home.run("-c", f"sftp mount --cache 600 {server.target}:{target} {place}")
    equal((done.stderr, done.returncode), ("", 0))
    try:
        result = work(place)
        entry, = json.loads(home.run("-c", "sftp list --json").stdout)
        status, = (path.parent.joinpath("status").read_text()
                   for path in Path("/proc").glob("[0-9]*/cmdline") if is_mount(path, place))
        peak = int(status.partition("VmHWM:")[2].split()[0]) << 10
        return result, entry["cached_listings"], peak
    finally:
        home.run("-c", f"sftp umount {place}")
        serve()


def is_mount(cmdline, place):
    """Whether it is the command line of the process of that mount."""
    try:
        words = cmdline.read_bytes().split(b"\0")
    except OSError:
        return False
    return words[0].endswith(b"/crosh-sftpfs") and str(place).encode() in words


@case
def listings_that_are_kept_are_bounded():
    """In bytes: each takes 50 MB."""
    count = 160_000
    result, kept, _ = mounted("/", count, lambda place: [
        subprocess.run(["ls", "-U1", place / f"pile{i}"], check=True, stdout=subprocess.PIPE)
        .stdout.count(b"\n") for i in range(5)])
    equal((result, kept), ([count] * 5, 2))


@case
def listings_that_are_read_at_once_are_bounded():
    """Each of them has no end, and all together get less than 512 MiB."""
    def work(place):
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            return [code for code in pool.map(
                lambda i: subprocess.run(["ls", "-U", place / f"pile{i}"], check=False,
                                         capture_output=True).returncode, range(4))]

    result, _, peak = mounted("/", 1 << 30, work)
    equal(result, [2] * 4)
    equal(peak < 1 << 30, True, f"{peak >> 20} MiB")


@case
def what_drips_can_be_interrupted():
    for command in ("sftp ls {}:/drip", "sftp get {}:/drip " + str(here)):
        with subprocess.Popen([CROSH, "-c", command.format(server.target)], env=home.env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            marker = home.path / "dripping"
            wait_for(marker.exists, 60, "the first drops")
            marker.unlink()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
            contains(errors, "interrupted")
            equal(process.returncode, 130)
        marker.unlink(missing_ok=True)


@case
def names_are_no_words_of_the_shells():
    serve(START="/typed")
    os.chdir(here)
    script = "-rm *\n-stat *\n-get *\n-chmod 600 *\nls\npwd\n"
    done = home.run("-c", f"sftp shell {server.target}:/typed", data=script)
    serve()
    for text in (done.stdout, done.stderr):
        equal([c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160], [])
    contains(done.stdout, "esc?]0;title?\n")
    contains(done.stdout, "new?line\n")
    contains(done.stderr, "sftp: rm: /typed/")
    equal((here / "pwned").exists(), False)
    equal((here / "$(touch pwned)").read_bytes(), b"harm!\n")
    equal((here / "-rf").exists(), True)


def removed_by(command):
    """What a command of the shell has the server remove, and what it says."""
    notes = home.path / "removed"
    notes.write_text("")
    serve(REMOVES=1, START="/typed")
    done = home.run("-c", f"sftp shell {server.target}:/typed", data=f"{command}\n")
    serve()
    return notes.read_text().splitlines(), done.stderr, done.returncode


@case
def trees_are_removed_by_checked_names():
    equal(removed_by("rm -r /evil"),
          ([], "sftp: rm: /evil: has names that cannot be names here\n", 1))
    # What a listing calls a link or a file is removed and not listed.
    equal(removed_by("rm -r /trees"),
          (["/trees/plain", "/trees/link", "/trees/inner/was-link", "/trees/inner/other",
            "/trees/inner", "/trees"], "", 0))
    # Depth and width have an end.
    paths, errors, status = removed_by("rm -r /p")
    equal((paths, status), ([], 1))
    equal(errors, "sftp: rm: /p" + "/d" * 128 + ": Too many levels of symbolic links\n")
    equal(removed_by("rm -r /dots"),
          ([], "sftp: rm: /dots: Value too large for defined data type\n", 1))


@case
def completion_offers_nothing_that_harms():
    serve(START="/typed")
    terminal = Terminal([str(CROSH), "sftp", "shell", server.target], home.env)
    try:
        terminal.expect("/typed>")
        terminal.send("stat \t\t")
        terminal.expect("-rf")
        equal("title" in terminal.text() or "line" in terminal.text(), False, terminal.text())
        equal(b"\x1b]0;title" in terminal.output, False)
    finally:
        terminal.close()
        serve()


@case
def one_handle_for_all_writes_nothing_elsewhere():
    serve(ONE_HANDLE=1)
    target = home.path / "one"
    done = home.run("-c", f"sftp get {server.target}:/evil {target}")
    serve()
    equal(done.returncode, 1)
    equal(os.listdir(victim), ["precious"])


@case
def a_start_that_is_no_name_is_none():
    for start in ("/evil/..", "/..", "//", "/evil/."):
        serve(START=start)
        place = home.path / "start"
        place.mkdir()
        before = sorted(os.listdir(home.path))
        home.run("-c", f"sftp get {server.target}: {place}")
        equal(sorted(os.listdir(home.path)), before, start)
        shutil.rmtree(place)
    serve(START="relative")
    done = home.run("-c", f"sftp get {server.target}: {here}")
    contains(done.stderr, "Bad message")
    equal(done.returncode, 1)
    serve()


main(set_up, tear_down)
