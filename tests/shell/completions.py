# SPDX-License-Identifier: MIT
"""Completion of "crosh ..." in bash, zsh and fish, as typed in these shells on a terminal."""

import shutil

from harness import CROSH, PREFIX, Home, Skip, Terminal, case, contains, equal, main

TAB = "\t"
BASH_SCRIPT = PREFIX / "share" / "bash-completion" / "completions" / "crosh"
ZSH_DIRECTORY = PREFIX / "share" / "zsh" / "site-functions"
FISH_SCRIPT = PREFIX / "share" / "fish" / "vendor_completions.d" / "crosh.fish"


class Other:
    """Another shell on a terminal, with crosh in its PATH and two VMs to complete."""

    def __init__(self, name, *arguments, start=""):
        program = shutil.which(name)
        if program is None:
            raise Skip(f"{name} is not installed")
        self.home = Home()
        for vm in ("termina", "work"):
            done = self.home.run("vmc", "create", vm)
            equal(done.returncode, 0, done.stderr)
        (self.home.path / "two words").mkdir()
        (self.home.path / "two words" / "vmlinuz").touch()
        env = {**self.home.env, "PATH": f"{CROSH.parent}:{self.home.env['PATH']}", "PS1": "$ ",
               "INPUTRC": "/dev/null"}
        self.terminal = Terminal([program, *arguments], env, rows=30, columns=100)
        # No Ctrl-C before this is done: it would stop it.
        self.terminal.send(f"cd {self.home.path}; {start}\r")
        self.ready()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.terminal.close()
        self.home.close()

    def line(self):
        """The line with the cursor, up to the cursor."""
        screen = self.terminal.screen
        return screen.display[screen.cursor.y][:screen.cursor.x]

    def completes(self, typed, completed):
        """Types, and waits until the line up to the cursor is the completed text."""
        self.terminal.send(typed)
        self.terminal.wait(lambda _: self.line().rstrip(" ").endswith(typed.strip(" ")), 15,
                           f"{typed!r} to be typed")
        self.terminal.send(TAB)
        self.terminal.wait(lambda _: self.line() == "$ " + completed, 15, repr(completed))
        self.clear()

    def lists(self, typed, *texts):
        """Types, and waits until TAB TAB has listed the texts."""
        self.terminal.send(typed + TAB + TAB)
        for text in texts:
            self.terminal.expect(text, 15)
        self.clear()

    def clear(self):
        """A new line and an empty screen."""
        self.terminal.send("\x03")
        self.ready()

    def ready(self):
        """Waits until what was typed before is done."""
        self.terminal.send("clear; echo rea''dy\r")
        self.terminal.wait(lambda t: "ready" in t.text().split("\n"), 15, "an empty screen")


def bash():
    return Other("bash", "--noprofile", "--norc", "-i", start=f"source {BASH_SCRIPT}")


def zsh():
    return Other("zsh", "-f", "-i", start=f"PROMPT='$ '; fpath=({ZSH_DIRECTORY} $fpath); "
                                          "autoload -U compinit; compinit -u -D")


def fish():
    return Other("fish", "--no-config", "--interactive", "--private",
                 start=f"source {FISH_SCRIPT}; function fish_prompt; echo '$ '; end; "
                       "set -g fish_autosuggestion_enabled 0")


def lines(done):
    """The candidates and descriptions of a run."""
    equal((done.returncode, done.stderr), (0, ""))
    return dict(line.split("\t", 1) for line in done.stdout.splitlines())


@case
def candidates_with_descriptions():
    with Home() as home:
        equal(home.run("vmc", "create", "termina").returncode, 0)
        equal(lines(home.run("--complete", "vmc start ter")), {"termina": "stopped"})
        equal(lines(home.run("--complete", "vmc sto")), {"stop": "Stop running VMs"})
        equal(lines(home.run("--complete", "vmc start --acc")).keys(), {"--accel="})
        equal(lines(home.run("--complete", "vmc start --accel=k")), {"--accel=kvm": ""})
        equal(lines(home.run("--complete", "'vm")).keys(), {"vmc"})
        equal(lines(home.run("--complete", "nonsense ")), {})
        equal(lines(home.run("--complete", "vmc start $HO")), {})


@case
def own_options_and_scripts():
    with Home() as home:
        (home.path / "set-up.crosh").touch()
        equal(lines(home.run("--complete", "--no")),
              {"--no-modules": "Load no modules: built-in commands only"})
        equal(lines(home.run("--complete", "--no-modules vm")).keys(), {"vmc"})
        contains(lines(home.run("--complete", "")), "help")
        equal(lines(home.run("--complete", f"{home.path}/set")),
              {f"{home.path}/set-up.crosh": ""})
        # The option is for shells, not for people.
        equal("--complete" in home.run("--help").stdout, False)
        equal(lines(home.run("--complete", "--compl")), {})


@case
def name_that_breaks_lines_is_left_out():
    with Home() as home:
        (home.path / "a\nb").touch()
        (home.path / "ac").touch()
        equal(lines(home.run("--complete", f"{home.path}/a")), {f"{home.path}/ac": ""})


@case
def home_stays_a_tilde():
    with Home() as home:
        (home.path / "some file").touch()
        equal(lines(home.run("--complete", "vmc start --kernel ~/so")), {"~/some file": ""})
        equal(lines(home.run("--complete", "vmc start --kernel '~/so")), {})


@case
def in_bash():
    with bash() as shell:
        shell.completes("crosh vmc start ter", "crosh vmc start termina ")
        shell.completes("crosh vmc start --acc", "crosh vmc start --accel=")
        shell.completes("crosh vmc start --accel=k", "crosh vmc start --accel=kvm ")
        shell.completes("crosh vmc start --kernel=two", "crosh vmc start --kernel=two\\ words/")
        shell.completes("crosh vmc start --kernel=two\\ words/v",
                        "crosh vmc start --kernel=two\\ words/vmlinuz ")
        shell.completes("crosh vmc start --kernel 'two words/v",
                        "crosh vmc start --kernel 'two words/vmlinuz' ")
        shell.completes("echo; crosh vmc sto", "echo; crosh vmc stop ")
        shell.completes("crosh --no", "crosh --no-modules ")
        shell.lists("crosh vmc start ", "termina", "work")


@case
def in_bash_by_its_loader():
    """bash-completion finds the script by the place where it is installed."""
    loader = "/usr/share/bash-completion/bash_completion"
    with Other("bash", "--noprofile", "--norc", "-i",
               start=f"export XDG_DATA_DIRS={PREFIX}/share; source {loader}") as shell:
        shell.completes("crosh vmc start ter", "crosh vmc start termina ")
        shell.completes("crosh vmc start --accel=k", "crosh vmc start --accel=kvm ")


@case
def in_zsh():
    with zsh() as shell:
        shell.completes("crosh vmc start ter", "crosh vmc start termina ")
        shell.completes("crosh vmc start --acc", "crosh vmc start --accel=")
        shell.completes("crosh vmc start --accel=k", "crosh vmc start --accel=kvm ")
        shell.completes("crosh vmc start --kernel=two", "crosh vmc start --kernel=two\\ words/")
        shell.completes("crosh vmc start --kernel=two\\ words/v",
                        "crosh vmc start --kernel=two\\ words/vmlinuz ")
        shell.completes("echo; crosh vmc sto", "echo; crosh vmc stop ")
        shell.completes("crosh --no", "crosh --no-modules ")
        shell.lists("crosh vmc start ", "termina  -- stopped", "work  -- stopped")


@case
def in_fish():
    with fish() as shell:
        shell.completes("crosh vmc start ter", "crosh vmc start termina ")
        shell.completes("crosh vmc start --acc", "crosh vmc start --accel=")
        shell.completes("crosh vmc start --accel=k", "crosh vmc start --accel=kvm ")
        shell.completes("crosh vmc start --kernel=two", "crosh vmc start --kernel=two\\ words/")
        shell.completes("crosh vmc start --kernel=two\\ words/v",
                        "crosh vmc start --kernel=two\\ words/vmlinuz ")
        shell.completes("echo; crosh vmc sto", "echo; crosh vmc stop ")
        shell.completes("crosh --no", "crosh --no-modules ")
        shell.lists("crosh vmc start ", "termina", "stopped", "work")


if __name__ == "__main__":
    main()
