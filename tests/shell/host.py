# SPDX-License-Identifier: MIT
"""The built-in commands that run the host's own tools."""

import json
import os
import subprocess

from harness import CROSH, Skip, case, contains, equal, main
from shell import Shell


def tool(*argv):
    """What the host's tool itself prints."""
    return subprocess.run(argv, stdout=subprocess.PIPE, check=True, text=True, timeout=20).stdout


@case
def options_become_the_tools_own():
    with Shell() as home:
        equal(home.crosh("uname"), (0, tool("uname"), ""))
        equal(home.crosh("uname", "-r", "--machine"), (0, tool("uname", "-rm"), ""))
        equal(home.crosh("uptime", "--since"), (0, tool("uptime", "-s"), ""))
        status, out, err = home.crosh("free", "--bytes", "--total")
        equal((status, err), (0, ""))
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        equal(int(out.split("\n")[1].split()[1]), total)
        contains(out, "\nTotal:")


@case
def durations_reach_the_tool_as_seconds():
    with Shell() as home:
        status, out, _ = home.crosh("free", "--count=2", "--interval=1s")
        equal((status, out.count("Mem:")), (0, 2))


@case
def top_without_a_terminal_is_plain():
    with Shell() as home:
        status, out, err = home.crosh("top", "-n", "1", "--pid", str(os.getpid()))
        equal((status, err, "\x1b" in out), (0, "", False))
        contains(out, str(os.getpid()))


@case
def top_on_a_terminal_is_secure_and_leaves_it_usable():
    with Shell() as home, home.screen() as screen:
        screen.prompt()
        screen.keys("top\r")
        screen.terminal.expect("%CPU")
        screen.keys("k")
        screen.terminal.expect("secure mode")
        screen.keys("q")
        screen.terminal.wait(lambda t: t.text().split("\n")[-1] == "crosh>", 10, "the prompt")
        screen.keys("echo status $?\r")
        screen.terminal.expect("\nstatus 0")


@case
def nothing_but_the_table_reaches_a_tool():
    with Shell() as home:
        for words in (("dmesg", "--clear"), ("dmesg", "-C"), ("free", "--tilt"), ("uname", "extra"),
                      ("top", "-c"), ("dmesg", "--level=errr")):
            status, out, err = home.crosh(*words)
            equal((status, out), (2, ""), words)
            contains(err, f"{words[0]}: ")
        # A value stays a value, whatever it looks like.
        status, out, err = home.crosh("top", "-n", "1", "--user=-h")
        equal((status == 0, "Usage" in out), (False, False))
        contains(err, "Invalid user")


@case
def path_is_not_believed():
    with Shell() as home:
        fake = home.path / "uname"
        fake.write_text("#!/bin/sh\necho fake\n")
        fake.chmod(0o755)
        equal(home.crosh("uname", env={"PATH": f"{home.path}:/usr/bin"}), (0, tool("uname"), ""))


@case
def statuses_are_the_tools():
    with Shell() as home:
        status, _, err = home.crosh("dmesg", "--since=nonsense")
        equal(status, 1)
        contains(err, "invalid time")


@case
def missing_tool_names_its_package():
    # In a mount namespace of its own, where the tool cannot be run.
    script = "mount --bind /dev/null /usr/bin/free && exec \"$@\""
    base = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if subprocess.run([*base, "mount --bind /dev/null /usr/bin/free"], check=False,
                      stderr=subprocess.DEVNULL, timeout=20).returncode != 0:
        raise Skip("no mount namespaces here")
    with Shell() as home:
        done = subprocess.run([*base, script, "sh", str(CROSH), "--no-modules", "free"],
                              env=home.env, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=20)
        equal((done.returncode, done.stdout), (127, ""))
        equal(done.stderr.splitlines(),
              ['free: the program "free" is not installed',
               'hint: install it with your distribution\'s package "procps"'])


@case
def kernel_messages_as_json():
    with Shell() as home:
        status, out, err = home.crosh("dmesg", "--json")
        if status != 0:
            raise Skip(err.strip())
        equal(list(json.loads(out)), ["dmesg"])


@case
def shell_only_where_configured():
    with Shell() as home:
        status, out, err = home.crosh("shell", "echo", "in")
        equal((status, out), (5, ""))
        contains(err, 'write "set shell on" into')
        # Not from within.
        equal(home.crosh("-c", "set shell on; shell echo in")[1], "")
    with Shell(config="set shell on\n") as home:
        equal(home.crosh("shell", "echo", "in", "-n"), (0, "in -n\n", ""))
        equal(home.crosh("shell", "sh", "-c", "exit 7")[0], 7)
        equal(home.crosh("shell", "/nonexistent")[0], 127)
        equal(home.crosh("shell", data="echo from $0; exit 3\n")[0], 3)


@case
def completed_and_explained():
    with Shell() as home:
        equal(home.crosh("--complete", "dmesg --level=n"), (0, "--level=notice\t\n", ""))
        contains(home.crosh("--complete", "top --user roo")[1], "root\t")
        contains(home.crosh("help", "top")[1], "secure mode")
        equal("top" in home.crosh("help_advanced")[1], True)


if __name__ == "__main__":
    main()
