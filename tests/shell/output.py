# SPDX-License-Identifier: MIT
"""Tables on terminals of any width and in pipes; the setting for colour; slips in values."""

from harness import case, contains, equal, main
from shell import Shell

LONG = "a-machine-with-a-name-that-is-much-too-long-for-it"


@case
def tables_fit_the_terminal_and_are_whole_in_a_pipe():
    with Shell() as home:
        equal(home.run("vmc", "create", LONG).returncode, 0)
        contains(home.run("vmc", "list").stdout, LONG)
        terminal = home.terminal("vmc", "list", columns=52)
        try:
            equal(terminal.end(), 0)
            rows = terminal.text().split("\n")
            equal(len(rows), 2, terminal.text())
            contains(rows[1], "...")
        finally:
            terminal.close()


@case
def colour_as_set():
    for value, piped in (("auto", False), ("always", True), ("never", False)):
        with Shell(config=f"set colour {value}\n") as home:
            equal("\x1b[" in home.run("module", "list").stdout, piped, value)
    with Shell(config="set colour always\n") as home:
        equal("\x1b[" in home.run("module", "list", env={"NO_COLOR": "1"}).stdout, True)


@case
def slips_in_values_are_named():
    with Shell() as home:
        status, _, err = home.crosh("dmesg", "--level=notise")
        equal(status, 2)
        contains(err, '(did you mean "notice"?)')


if __name__ == "__main__":
    main()
