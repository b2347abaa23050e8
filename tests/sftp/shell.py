# SPDX-License-Identifier: MIT
"""sftp shell with a real sshd on the loopback: scripts, and typed on a terminal."""

import os
import signal
import stat

from harness import CROSH, Skip, Terminal, case, contains, equal, main
from server import end, errors_of, two_ends

home = server = None
there = here = None
TAB, CTRL_D, UP, CTRL_C = "\t", "\x04", "\x1b[A", "\x03"


def set_up():
    global home, server, there, here
    home, server, there, here = two_ends()


def tear_down():
    end(home, server)


def script(*lines, target=None):
    """Runs them; returns status, output and errors without those of progress."""
    done = home.run("-c", f"sftp shell {target or server.target + ':' + str(there)}",
                    data="".join(line + "\n" for line in lines))
    return done.returncode, done.stdout.splitlines(), errors_of(done)


@case
def a_script_works_on_files():
    (here / "one.txt").write_text("one")
    (here / "two.txt").write_text("two")
    status, out, errors = script(
        f"lcd {here}", "lpwd", "pwd", "", "# nothing",
        "mkdir sub 'two words'", "put *.txt sub", "cd sub", "pwd", "ls",
        "rename one.txt uno", "mv uno '../two words'", "ln -s two.txt link", "ln two.txt hard",
        "chmod 600 two.txt", "ls -a ../'two words'", "get two.txt copy", "rm l* hard", "cd ..",
        "ls", "get -r sub", "rm sub/*", "rmdir sub", "df", "!echo from the host")
    equal((status, errors), (0, []))
    contains(out.pop(-2), " MiB free for you")
    equal(out, [str(here), str(there), f"{there}/sub", "one.txt", "two.txt", "uno", "sub/",
                "two words/", "from the host"])
    equal(sorted(os.listdir(there)), ["two words"])
    equal((there / "two words" / "uno").read_text(), "one")
    equal((here / "copy").read_text(), "two")
    equal(stat.S_IMODE((here / "copy").stat().st_mode), 0o600)
    equal(os.listdir(here / "sub"), ["two.txt"])
    (there / "file").write_text("x" * 1234)
    (there / "file").chmod(0o640)
    os.utime(there / "file", (1_600_000_000, 1_600_000_000))
    status, out, errors = script("stat file", "ls -l")
    equal((status, errors), (0, []))
    equal(out[0], f"{there}/file")
    contains(out[1], "size 1234, mode 0640 (-rw-r-----)")
    contains(out[3], "-rw-r-----")


@case
def a_script_ends_at_what_fails():
    equal(script("-rm none", "pwd", "rm none", "mkdir not-made"),
          (3, [str(there)], [f"sftp: rm: {there}/none: No such file or directory"] * 2))
    equal((there / "not-made").exists(), False)
    equal(script("rm 'open"), (2, [], ["sftp: a quote is not closed"]))
    equal(script("pwd | cat"), (2, [], ["sftp: one command a line, and nothing else"]))
    status, out, errors = script("frobnicate")
    equal((status, out), (2, []))
    contains(errors[0], "frobnicate")
    equal(script("chmod 999 file"), (2, [], ["sftp: chmod: a mode is an octal number, as 644"]))
    equal(script("quit", "rm file")[0], 0)
    equal((there / "file").exists(), True)
    equal(script("!exit 7"), (7, [], []))
    equal(script("rm two*"), (1, [], [f"sftp: rm: {there}/two words: Is a directory"]))
    equal(script("get nothing*"), (3, [], ["sftp: get: nothing*: nothing is called so"]))
    done = home.run("-c", f"sftp shell {server.target}:{there}/file", data="pwd\n")
    equal((done.returncode, done.stderr),
          (1, f"sftp shell: {server.user}@127.0.0.1: {there}/file: Not a directory\n"))


@case
def trees_are_removed():
    tree = there / "tree"
    (tree / "sub" / "deep").mkdir(parents=True)
    (tree / "sub" / "deep" / "file").write_text("x")
    (tree / "*").write_text("a name like any other")
    (there / "kept").mkdir()
    (there / "kept" / "file").write_text("kept")
    for place in (tree, tree / "sub"):
        (place / "link").symlink_to(there / "kept")
        (place / "dangling").symlink_to("nowhere")
    (there / "to-kept").symlink_to("kept")
    equal(script("rm tree"), (1, [], [f"sftp: rm: {tree}: Is a directory"]))
    equal(script("rm -r tree none"),
          (3, [], [f"sftp: rm: {there}/none: No such file or directory"]))
    equal(tree.exists(), False)
    # A link is removed, also when its name says that it is a directory.
    equal(script("rm -r to-kept/"), (0, [], []))
    equal((os.path.lexists(there / "to-kept"), (there / "kept" / "file").read_text()),
          (False, "kept"))
    # Not from under the session, whatever the way there is called.
    (there / "kept" / "sub").mkdir()
    (there / "way").symlink_to(there.parent)
    busy = "the directory where you are is in it"
    for word, path in ((".", f"{there}/kept"), ("../kept", f"{there}/kept/../kept"),
                       (str(there), str(there)), ("../way/there", f"{there}/kept/../way/there")):
        equal(script("cd kept", f"rm -r '{word}'"), (4, [], [f"sftp: rm: {path}: {busy}"]))
    for word, path in (("/", "/"), ("//", "/"), ("sub/..", f"{there}/kept/sub/.."),
                       ("sub/.", f"{there}/kept/sub/.")):
        equal(script("cd kept", f"rm -r {word}"),
              (2, [], [f"sftp: rm: {path}: has no name to remove it by"]))
    equal((there / "kept" / "file").read_text(), "kept")
    equal(script("rm -r kept way 'two words'"), (0, [], []))
    equal(sorted(os.listdir(there)), ["file"])
    (there / "two words").mkdir()
    (there / "two words" / "uno").write_text("two")


@case
def owners_are_changed_one_at_a_time():
    if os.geteuid() != 0:
        raise Skip("root's alone")
    equal(script("chown 12 file", "chgrp 34 file"), (0, [], []))
    status = (there / "file").stat()
    equal((status.st_uid, status.st_gid), (12, 34))
    equal(script("chgrp 0 fi*", "chown 0 f*", "bye", "rm file"), (0, [], []))
    status = (there / "file").stat()
    equal((status.st_uid, status.st_gid), (0, 0))
    equal(script("chown 1 none"), (3, [], [f"sftp: chown: {there}/none: No such file or directory"]))


@case
def help_comes_from_the_table():
    status, out, errors = script("help", "help get", "ls --help")
    equal((status, errors), (0, []))
    text = "\n".join(out)
    for part in ("chmod", "Copy from the server, trees too", "usage: sftp get", "usage: sftp ls"):
        contains(text, part)


def terminal(*argv):
    return Terminal([str(CROSH), *argv], {**home.env, "INPUTRC": "/dev/null"}, rows=30, columns=100)


def last(screen, text):
    """Waits until the last line is this."""
    screen.wait(lambda t: t.text().split("\n")[-1] == text, 60, repr(text))


@case
def lines_are_completed_and_remembered():
    (there / "alpha beta").mkdir()
    (there / "alpha beta" / "inner-file").write_text("inner")
    (there / ".hidden").write_text("")
    (there / "zebra").write_text("")
    prompt = f"{server.user}@127.0.0.1:{there}>"
    screen = terminal("-c", f"sftp shell {server.target}:{there}")
    try:
        last(screen, prompt)
        screen.send("chm" + TAB)
        last(screen, f"{prompt} chmod")
        screen.send("600 alp" + TAB)
        last(screen, f"{prompt} chmod 600 alpha\\ beta/")
        screen.send("in" + TAB)
        last(screen, f"{prompt} chmod 600 alpha\\ beta/inner-file")
        screen.send("\r")
        last(screen, prompt)
        equal(stat.S_IMODE((there / "alpha beta" / "inner-file").stat().st_mode), 0o600)
        screen.send("ls '" + TAB + TAB)
        screen.expect("alpha beta/")
        screen.send(CTRL_C)
        last(screen, prompt)
        screen.send("ls " + TAB + TAB)
        last(screen, f"{prompt} ls")
        equal(".hidden" in screen.text(), False)
        screen.send(CTRL_C)
        last(screen, prompt)
        screen.send("c" + UP)
        last(screen, f"{prompt} chmod 600 alpha\\ beta/inner-file")
        screen.send(CTRL_C)
        last(screen, prompt)
        # Commands go on after an error, and a lost connection is made again.
        screen.send("rm none\r")
        screen.expect("No such file")
        server.signal_sessions(9)
        screen.send("cd 'alpha beta'\r")
        screen.wait(lambda t: t.text().split("\n")[-1] in (prompt, f"{server.user}@127.0.0.1:"
                                                           f"{there}/alpha beta>"), 60, "a prompt")
        screen.send("cd '" + str(there / "alpha beta") + "'\r")
        last(screen, f"{server.user}@127.0.0.1:{there}/alpha beta>")
        screen.send("quit\r")
        equal(screen.end(60), 0)
    finally:
        screen.close()
    history = (home.path / "state" / "crosh" / "history-sftp").read_text()
    contains(history, "chmod 600 alpha")


@case
def ctrl_c_ends_what_waits_for_a_server():
    (here / "local").write_text("local")
    before = sorted(os.listdir(there))
    prompt = f"{server.user}@127.0.0.1:{there}>"
    # Without Ctrl-C each would wait for an hour.
    screen = terminal("-c", f"sftp shell --timeout 3600 {server.target}:{there}")
    try:
        last(screen, prompt)
        for command in ("stat file", "stat f*", "cd ..", "df", "rename file other", "mv f* other",
                        "ln file other", "ln -s file other", "ls", "mkdir other", "rm file",
                        "rm -r file", "rmdir file", "chmod 600 file", "chown 0 file", "chgrp 0 file",
                        f"get file {here}/got", f"get f* file {here}", f"put {here}/l* other"):
            # A connection that was lost is made again.
            screen.send("pwd\r")
            screen.wait(lambda t: t.text().split("\n")[-2:] == [str(there), prompt], 60, "pwd")
            screen.send("\f")
            screen.wait(lambda t: t.text().strip() == prompt, 60, "an empty screen")
            server.signal_sessions(signal.SIGSTOP)
            screen.send(f"{command}\r")
            screen.wait(lambda _: server.has_unread(), 60, f"a question of {command}")
            screen.send(CTRL_C)
            screen.wait(lambda t: t.text().endswith(f"sftp: {command.split()[0]}: interrupted\n"
                                                    f"{prompt}"), 60, command)
            server.signal_sessions(signal.SIGKILL)
        screen.send("quit\r")
        equal(screen.end(60), 0)
    finally:
        screen.close()
        server.signal_sessions(signal.SIGKILL)
    equal(sorted(os.listdir(there)), before)


@case
def paths_are_completed_at_the_prompt():
    (there / "gamma delta").mkdir()
    (there / "gamma delta" / "inner-file").write_text("inner")
    (here / "mine").write_text("")
    screen = terminal()
    place = f"{server.target}:{there}"

    def typed(words, completed):
        screen.send(f"{words}{TAB}")
        # Behind a whole word a hint may follow.
        screen.wait(lambda t: t.text().split("\n")[-1].startswith(f"crosh> {completed}"), 60,
                    repr(completed))
        screen.send(CTRL_C)
        last(screen, "crosh>")

    try:
        screen.expect("crosh>")
        for command in ("get", "ls", "mount", "shell"):
            typed(f"sftp {command} {place}/gam", f"sftp {command} {place}/gamma\\ delta/")
        typed(f"sftp get {place}/gamma\\ delta/in", f"sftp get {place}/gamma\\ delta/inner-file")
        typed(f"sftp put {here}/mi", f"sftp put {here}/mine")
        typed(f"sftp put x {place}/gam", f"sftp put x {place}/gamma\\ delta/")
        typed(f"sftp sync {place}/gam", f"sftp sync {place}/gamma\\ delta/")
        # A server that says nothing is not waited for.
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            screen.send(f"sftp get {place}/gam{TAB}x")
            last(screen, f"crosh> sftp get {place}/gamx")
            screen.send(CTRL_C)
            last(screen, "crosh>")
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        screen.send("exit 0\r")
        screen.end(60)
    finally:
        screen.close()


@case
def modes_and_times_are_kept_with_p_and_without():
    for number, words in enumerate(("-p", "")):
        (here / f"dated{number}").write_text("dated")
        (here / f"dated{number}").chmod(0o604)
        os.utime(here / f"dated{number}", (1_400_000_000, 1_400_000_000))
        equal(script(f"lcd {here}", f"put {words} dated{number}", f"get {words} dated{number} back"),
              (0, [], []))
        for path in (there / f"dated{number}", here / "back"):
            equal((stat.S_IMODE(path.stat().st_mode), int(path.stat().st_mtime)),
                  (0o604, 1_400_000_000), f"{words} {path}")


@case
def the_shell_around_it_gets_its_editor_back():
    screen = terminal()
    try:
        screen.expect("crosh>")
        screen.send(f"sftp shell {server.target}:{there}\r")
        last(screen, f"{server.user}@127.0.0.1:{there}>")
        screen.send("pwd\r")
        last(screen, f"{server.user}@127.0.0.1:{there}>")
        screen.send(CTRL_D)
        last(screen, "crosh>")
        screen.send("sftp sh" + UP)
        screen.wait(lambda t: t.text().split("\n")[-1].startswith("crosh> sftp shell "), 60,
                    "the line of before")
        screen.send(CTRL_C)
        last(screen, "crosh>")
        screen.send("sftp umo" + TAB)
        screen.wait(lambda t: t.text().split("\n")[-1].startswith("crosh> sftp umount"), 60,
                    "the completed word")
        screen.send(CTRL_C)
        last(screen, "crosh>")
        screen.send("exit 0\r")
        screen.end(60)
    finally:
        screen.close()


main(set_up, tear_down)
