# SPDX-License-Identifier: MIT
"""One command table, many uses: JSON, help, manual pages and completion must tell the same."""

import json
import re

from harness import PREFIX, Home, case, contains, equal, main

home = None
commands = []


def set_up():
    global home, commands
    home = Home()
    done = home.run("--dump-commands")
    equal(done.returncode, 0, done.stderr)
    commands = json.loads(done.stdout)["commands"]


def tear_down():
    home.close()


def leaves(command, path=()):
    """Every command that can be run, with the words that name it."""
    path = path + (command["name"],)
    if "subcommands" not in command:
        yield path, command
    for sub in command.get("subcommands", ()):
        yield from leaves(sub, path)


def all_leaves():
    for command in commands:
        yield from leaves(command)


def options(command):
    """The options that a person is shown."""
    return [param for param in command.get("params", ())
            if param["kind"] == "option" and not param.get("hidden")]


def squeezed(text):
    """Text without what wrapping and hyphenation change."""
    return re.sub(r"\s+", " ", text)


@case
def the_table_is_not_empty():
    names = [command["name"] for command in commands]
    for name in ("vmc", "vsh", "help", "exit", "history", "module"):
        contains(names, name)
    equal(len(names), len(set(names)))
    if sum(len(options(command)) for _, command in all_leaves()) < 15:
        raise AssertionError("hardly any options: the dump is not whole")


@case
def help_lists_every_command():
    text = home.run("-c", "help_advanced").stdout
    for command in commands:
        if not re.search(rf"^ *{re.escape(command['name'])} +{re.escape(command['summary'])}",
                         squeezed_lines(text), re.M):
            raise AssertionError(f"help_advanced lacks {command['name']}:\n{text}")


def squeezed_lines(text):
    """Joins the continuation lines of a list to their entries."""
    return re.sub(r"\n {10,}", " ", text)


@case
def help_shows_the_options_of_each_command_and_no_others():
    for path, command in all_leaves():
        text = home.run("-c", "help " + " ".join(path)).stdout
        section = text.split("\nOptions\n")[1].split("\n\n")[0] if "\nOptions\n" in text else ""
        shown = re.findall(r"^  (?:-\w, )?--([a-z][a-z0-9-]*)", section, re.M)
        equal(shown, [param["name"] for param in options(command)], " ".join(path))
        for param in options(command):
            contains(squeezed(section), squeezed(param["summary"]), " ".join(path))
        contains(squeezed(text), squeezed(command["summary"]), " ".join(path))


@case
def the_manual_shows_the_same():
    for command in commands:
        page = home.run("--dump-man", command["name"])
        equal(page.returncode, 0, page.stderr)
        text = page.stdout.replace("\\-", "-").replace("\\&", "").replace("\\e", "\\")
        for path, leaf in leaves(command):
            contains(text, "\\fB" + " ".join(path) + "\\fP")
            contains(squeezed(text), squeezed(leaf["summary"]), " ".join(path))
            section = text
            if len(path) > 1:
                section = text.split(f"\n.SS {' '.join(path)}\n")[1]
                section = re.split(r"\n\.S[SH] ", section)[0]
            shown = re.findall(r"^\\fB(?:-\w, )?--([a-z][a-z0-9-]*)", section, re.M)
            equal(shown, [param["name"] for param in options(leaf)], " ".join(path))


@case
def installed_pages_are_those_of_the_table():
    modules = {command["name"] for command in commands if command.get("module")}
    for name in modules & {"vmc", "vsh"}:
        page = (PREFIX / "share" / "man" / "man1" / f"crosh-{name}.1").read_text(encoding="utf-8")
        equal(page, home.run("--dump-man", name).stdout, name)


@case
def completion_offers_the_same():
    for path, command in all_leaves():
        if command.get("params") and any(param.get("verbatim") for param in command["params"]) \
                and not options(command):
            continue  # everything behind it is the command's own affair
        offered = [line.split("\t")[0].rstrip("=")
                   for line in home.run("--complete", " ".join(path) + " --").stdout.splitlines()]
        equal(sorted(offered), sorted(["--help"] + ["--" + p["name"] for p in options(command)]),
              " ".join(path))
    for command in commands:
        if "subcommands" not in command:
            continue
        offered = [line.split("\t")[0]
                   for line in home.run("--complete", command["name"] + " ").stdout.splitlines()]
        equal(sorted(offered), sorted(sub["name"] for sub in command["subcommands"]))


@case
def one_page_names_every_built_in():
    page = (PREFIX / "share" / "man" / "man1" / "crosh-builtins.1").read_text(encoding="utf-8")
    shown = [name.replace("\\-", "-") for name in re.findall(r"^\.SS (.*)$", page, re.M)]
    wanted = [" ".join(path) for command in commands if not command.get("module")
              for path, _ in leaves(command)]
    equal(sorted(shown), sorted(wanted))


@case
def what_is_refused_is_what_is_not_in_the_table():
    for path, command in all_leaves():
        if any(param.get("verbatim") for param in command.get("params", ())):
            continue
        done = home.run(*path, "--no-such-option-at-all")
        equal(done.returncode, 2, " ".join(path))
        contains(done.stderr, "--no-such-option-at-all", " ".join(path))


if __name__ == "__main__":
    main(set_up, tear_down)
