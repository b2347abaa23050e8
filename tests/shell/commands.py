# SPDX-License-Identifier: MIT
"""crosh without a terminal: -c, scripts, standard input, statuses, redirections, modules."""

import json
import os
import signal
import subprocess
import time

from harness import CROSH, case, contains, equal, main
from shell import Shell


@case
def version_and_help():
    with Shell() as home:
        equal(home.crosh("--version"), (0, "crosh 0.1.0\n", ""))
        equal(home.crosh("-c", "version"), (0, "crosh 0.1.0\n", ""))
        status, out, err = home.crosh("--help")
        equal((status, err, out.split("\n")[0]),
              (0, "", "usage: crosh [OPTIONS] [FILE | COMMAND...]"))
        equal(home.crosh("--frobnicate"),
              (2, "", 'crosh: unknown option "--frobnicate"\nhint: see "crosh --help"\n'))


@case
def statuses():
    with Shell("hello") as home:
        for text, status, err in (
            ("true", 0, ""),
            ("false", 1, ""),
            ("hello fail --status=77", 77, ""),
            ("hello fail", 3, "hello fail: there is no such thing\nhint: make one\n"),
            ("hello fail --status=400", 2, 'hello fail: --status: "400" is out of range: '
             '0 to 255 is allowed\nhint: see "help hello fail"\n'),
            ("hello fial", 2, 'hello: unknown sub-command "fial" (did you mean "fail"?)\n'
             'hint: see "help hello"\n'),
            ("hello", 2, 'hello: a sub-command is missing\nhint: see "help hello"\n'),
            ("hallo say", 127, 'crosh: unknown command "hallo" (did you mean "hello"?)\n'),
            ("zzz", 127, 'crosh: unknown command "zzz"\nhint: "help" lists the commands\n'),
            ("echo 'x", 2, "crosh: a single quote is never closed\n"),
            ("; true", 2, 'crosh: a command is missing before ";"\n'),
            ("exit 9", 9, ""),
            ("false; exit", 1, ""),
            ("", 0, ""),
        ):
            got, _, got_err = home.crosh("-c", text)
            equal((got, got_err), (status, err), text)


@case
def chains_and_variables():
    with Shell() as home:
        equal(home.crosh("-c", "false; echo $?; true && echo a || echo b; false && echo c || echo d"),
              (0, "1\na\nd\n", ""))
        equal(home.crosh("-c", "echo \"$V\" '$V' ${V}x $NONE end # comment", env={"V": "a  b"}),
              (0, "a  b $V a  bx end\n", ""))
        equal(home.crosh("-c", "echo a\necho b"), (0, "a\nb\n", ""))


@case
def command_as_arguments():
    with Shell("hello") as home:
        equal(home.crosh("echo", "a b", "-x", "$HOME;"), (0, "a b -x $HOME;\n", ""))
        equal(home.crosh("hello", "fail", "--status=5")[0], 5)
        equal(home.crosh("nonsense"),
              (127, "", 'crosh: unknown command "nonsense"\nhint: "help" lists the commands\n'))
        equal(home.crosh("-c", "true", "more")[0], 2)


@case
def script_file():
    with Shell("hello") as home:
        script = home.path / "script"
        script.write_text("#!/usr/bin/env crosh\necho one\n\nhello fail\necho never\n")
        status, out, err = home.crosh(str(script))
        equal((status, out), (3, "one\nbefore the failure\n"))
        equal(err, f"{script}:4: hello fail: there is no such thing\nhint: make one\n")
        script.write_text("echo one\nhello fail --status=9 | cat\necho never\n")
        equal(home.crosh(str(script)),
              (9, "one\nbefore the failure\n", f"{script}:2: hello fail ended with status 9\n"))
        script.write_text("false || echo saved\nfalse && true || true\necho end")
        equal(home.crosh(str(script)), (0, "saved\nend\n", ""))
        # A fault anywhere is found before anything runs.
        script.write_text("echo one\necho 'two\n")
        equal(home.crosh(str(script)), (2, "", f"{script}:2: a single quote is never closed\n"))
        script.write_text("nonsense\n")
        equal(home.crosh(str(script)),
              (127, "", f'{script}:1: unknown command "nonsense"\nhint: "help" lists the commands\n'))
        script.write_text("exit 4\necho never\n")
        equal(home.crosh(str(script)), (4, "", ""))
        script.write_bytes(b"\x7fELF\0\0")
        equal(home.crosh(str(script)), (1, "", f"crosh: {script}: it is no script\n"))
        equal(home.crosh(str(home.path)), (1, "", f"crosh: {home.path}: it is a directory\n"))
        equal(home.crosh("./none"), (3, "", "crosh: ./none: No such file or directory\n"))
        equal(home.crosh(str(script), "argument"), (2, "", "crosh: a script takes no arguments\n"))


@case
def standard_input():
    with Shell("hello") as home:
        equal(home.crosh(data="echo one\necho 'two\nthree'\n"), (0, "one\ntwo\nthree\n", ""))
        equal(home.crosh(data="echo one\nfalse\necho no\n"),
              (1, "one\n", "stdin:2: false ended with status 1\n"))
        equal(home.crosh(data="echo 'one\n\nnever\n"),
              (2, "", "stdin:1: a single quote is never closed\n"))
        equal(home.crosh(data="true\n\nzzz\n"), (127, "", 'stdin:3: unknown command "zzz"\n'
                                                 'hint: "help" lists the commands\n'))
        equal(home.crosh(data=""), (0, "", ""))
        equal(home.crosh(data="echo no newline"), (0, "no newline\n", ""))
        # A command reads on where the shell stopped.
        equal(home.crosh(data="hello copy\nnot a command\n")[:2], (0, "not a command\n"))


@case
def redirections():
    with Shell("hello") as home:
        one = home.path / "one"
        equal(home.crosh("-c", f"echo a > {one}; echo b >> {one}; hello copy < {one}")[:2],
              (0, "a\nb\n"))
        equal(one.read_text(), "a\nb\n")
        equal(home.crosh("-c", "echo a > /nonexistent/x || echo failed"),
              (0, "failed\n", 'crosh: cannot open "/nonexistent/x": No such file or directory\n'))
        equal(home.crosh("-c", "echo a > /dev/full"),
              (1, "", "echo: cannot write the output: No space left on device\n"))


@case
def pipes():
    with Shell("hello") as home:
        equal(home.crosh("-c", "echo b a | tr ' ' '\\n' | sort"), (0, "a\nb\n", ""))
        equal(home.crosh("-c", "hello fail --status=6 | cat")[:2], (6, "before the failure\n"))
        equal(home.crosh("-c", "echo x | sh -c 'cat; exit 9' | cat"), (9, "x\n", ""))
        equal(home.crosh("-c", "echo x | sh -c 'kill -TERM $$'"), (143, "", ""))
        equal(home.crosh("-c", "echo x | nonsense-program"),
              (127, "", 'crosh: program "nonsense-program" not found\n'))
        equal(home.crosh("-c", "nonsense | cat"),
              (127, "", 'crosh: unknown command "nonsense"\nhint: "help" lists the commands\n'))
        # The reader leaves early: no error, and no signal.
        equal(home.crosh("-c", "help | true"), (0, "", ""))
        equal(home.crosh("-c", "echo x | cat > /dev/full")[0], 1)


@case
def closed_output():
    with Shell() as home:
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([str(CROSH), "--no-modules", "-c", "help"], env=home.env, stdout=writer,
                              stderr=subprocess.PIPE, timeout=20, check=False)
        os.close(writer)
        equal((done.returncode, done.stderr), (0, b""))
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(CROSH), "--no-modules", "-c", "help"], env=home.env,
                                  stdout=full, stderr=subprocess.PIPE, timeout=20, check=False)
        equal((done.returncode, done.stderr),
              (1, b"help: cannot write the output: No space left on device\n"))


@case
def interrupt_ends_run():
    with Shell("hello") as home:
        child = subprocess.Popen([str(CROSH), "--module-dir", str(home.modules), "-c",
                                  "hello wait; echo not this"], env=home.env,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal(child.stdout.readline(), b"waiting\n")
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=20)
        equal((child.returncode, out, err), (130, b"interrupted\n", b""))


@case
def no_questions_without_terminal():
    with Shell("hello") as home:
        equal(home.crosh("-c", "hello ask", data="y\n")[:2], (0, "no\n"))


@case
def nested_command():
    with Shell("hello") as home:
        equal(home.crosh("-c", "hello nested hello say bob")[:2],
              (0, "hello bob\nsize 1024 colour red\n"))
        equal(home.crosh("-c", "hello nested hello fail --status=8")[0], 8)
        equal(home.crosh("-c", "hello nested hello fail")[0], 3)
        equal(home.crosh("-c", "hello nested zzz")[0], 127)


@case
def help_texts():
    with Shell("hello") as home:
        equal(home.crosh("-c", "help hello say")[:2], (0, """usage: hello say [OPTIONS] [NAME]

Say hello

First paragraph.

Second paragraph.

Arguments
  NAME                    Whom to greet

Options
  -l, --loud              Say it once more (may be given several times)
  -s, --size=SIZE         How large [1K]
  --colour=COLOUR         Which colour: red, green [red]

Examples
  hello say -l
      says it twice
"""))
        equal(home.crosh("-c", "hello say --help")[1], home.crosh("-c", "help hello say")[1])
        status, out, _ = home.crosh("-c", "help")
        equal(status, 0)
        equal([line.split()[0] for line in out.split("\n\n")[0].split("\n")],
              ["exit", "hello", "help", "help_advanced", "history", "version"])
        contains(home.crosh("-c", "help_advanced")[1], "\n  module ")
        contains(home.crosh("-c", "help hello")[1], "\n  wait                    Wait for Ctrl-C\n")
        equal(home.crosh("-c", "help nonsense"),
              (3, "", 'help: there is no command "nonsense"\n'
               'hint: "help_advanced" lists all commands\n'))
        equal(home.crosh("-c", "help hello nonsense")[2],
              'help: hello has no sub-command "nonsense"\n')


@case
def modules_are_loaded_when_needed():
    with Shell("hello", "undefined") as home:
        # hello.so and no other file: not a word about the broken one
        equal(home.crosh("-c", "hello say")[2], "")
        equal(home.crosh("-c", "hello say", env={"CROSH_TEST_FINI": "1"})[2], "hello ends\n")
        equal(home.crosh("-c", "true")[2], "")
        status, _, err = home.crosh("-c", "help")
        equal((status, err), (0, f"crosh: warning: module {home.modules}/undefined.so is not loaded: "
                              "undefined symbol: crosh_test_missing_function\n"))
        equal(home.crosh("--no-modules", "-c", "hello say")[0], 127)


@case
def broken_modules():
    reasons = {
        "duplicate": 'its command "help" is already provided by crosh itself',
        "failinit": "its initialization failed: the frobnicator is missing",
        "future": "it is built for API version 2; this crosh has version 1",
        "mismatch": "it is built for API version 7; this crosh has version 1",
        "misnamed": 'it calls itself "other", which is not its file\'s name',
        "nodesc": "it has no descriptor: no symbol NAME_LTX_crosh_module for the NAME of its file",
        "nonote": "it has no crosh note: it is no crosh module",
        "text": "it is not an ELF file",
        "tiny": "its descriptor has an impossible size of 32",
        "undefined": "undefined symbol: crosh_test_missing_function",
    }
    with Shell("hello", "older", "newer") as home:
        for name in reasons:
            if name == "text":
                (home.modules / "text.so").write_text("no module\n")
            else:
                home.add(name)
        (home.modules / "old.la").write_text("dlname='evil.so'\n")
        status, out, err = home.crosh("-c", "module list --json")
        equal(status, 0)
        equal(err, "".join(f"crosh: warning: module {home.modules}/{name}.so is not loaded: {reason}\n"
                           for name, reason in reasons.items()))
        found = {module["name"]: module for module in json.loads(out)}
        equal(sorted(found), sorted([*reasons, "hello", "older", "newer", "old.la"]))
        for name, reason in reasons.items():
            equal((found[name]["state"], found[name]["reason"]), ("refused", reason), name)
        equal(found["hello"], {"name": "hello", "state": "loaded", "version": "1.2",
                               "path": f"{home.modules}/hello.so", "summary": "Test commands",
                               "reason": None})
        equal((found["old.la"]["state"], found["old.la"]["reason"]),
              ("ignored", "libtool archives are never loaded"))
        equal(home.crosh("-c", "older --first=a b; newer")[1], "older a b\nnewer 1 2\n")


@case
def insecure_modules():
    with Shell("hello") as home:
        (home.modules / "hello.so").chmod(0o757)
        status, out, err = home.crosh("-c", "hello say")
        equal((status, out), (127, ""))
        contains(err, f"module {home.modules}/hello.so is not loaded: the file is writable to everybody")
        (home.modules / "hello.so").chmod(0o755)
        home.modules.chmod(0o777)
        status, out, err = home.crosh("-c", "hello say")
        equal((status, out), (127, ""))
        contains(err, f"no modules are loaded from {home.modules}: "
                      f"{home.modules} is writable to everybody (chmod go-w '{home.modules}')")
        home.modules.chmod(0o755)
        home.path.chmod(0o777)
        equal(home.crosh("-c", "hello say")[0], 127)
        home.path.chmod(0o700)
        (home.modules / "hello.so").rename(home.path / "real.so")
        (home.modules / "hello.so").symlink_to(home.path / "real.so")
        contains(home.crosh("-c", "hello say")[2], "it is a symbolic link")


@case
def library_path_is_ignored():
    with Shell("hello") as home:
        evil = home.path / "evil"
        evil.mkdir()
        # Its constructor tells when it is opened at all.
        home.add("nonote", "zzzz").rename(evil / "zzzz.so")
        status, _, err = home.crosh("-c", "zzzz", env={"LTDL_LIBRARY_PATH": str(evil),
                                                       "LD_LIBRARY_PATH": str(evil)})
        equal((status, err),
              (127, 'crosh: unknown command "zzzz"\nhint: "help" lists the commands\n'))


@case
def starts_quickly():
    with Shell() as home:
        best = 9.0
        for _ in range(20):
            started = time.monotonic()
            equal(home.crosh("-c", "true")[0], 0)
            best = min(best, time.monotonic() - started)
        if best > 0.05:
            raise AssertionError(f"crosh -c true takes {best * 1000:.1f} ms")


main()
