# SPDX-License-Identifier: MIT
"""The shell with its modules in it, under valgrind: no invalid access and no leak."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import Skip, case, equal, main
from shell import Shell

BUILD = Path(os.environ.get("top_builddir", "."))
SUPPRESSIONS = Path(__file__).with_name("valgrind.supp")
PROGRAM = BUILD / "crosh" / "crosh-preloaded"


def checked(home, *arguments, data=None):
    """Runs the program under memcheck: (status, output); 99 stands for a finding."""
    if shutil.which("valgrind") is None:
        raise Skip("no valgrind")
    done = subprocess.run(
        [str(BUILD / "libtool"), "--mode=execute", "valgrind", "-q", "--error-exitcode=99",
         f"--suppressions={SUPPRESSIONS}", "--leak-check=full", "--show-leak-kinds=definite,indirect",
         "--errors-for-leak-kinds=definite,indirect", "--trace-children=no", str(PROGRAM),
         "--module-dir", str(home.modules), *arguments],
        env=home.env, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        timeout=120, check=False)
    if done.returncode == 99:
        raise AssertionError(done.stderr)
    return done.returncode, done.stdout, done.stderr


@case
def help_text():
    with Shell() as home:
        status, out, err = checked(home, "-c", "help")
        equal((status, err, "\n  vmc " in out, "\n  vsh " in out), (0, "", True, True))


@case
def module_command():
    with Shell() as home:
        status, _, err = checked(home, "-c", "vmc list")
        equal((status, err), (0, "There are no VMs yet. Make and start one: vmc start NAME\n"))
        equal(checked(home, "-c", "vmc list --json")[:2], (0, "[]\n"))
        equal(checked(home, "-c", "module info vmc")[1].split("\n")[2], "file      preloaded/vmc")


@case
def script():
    with Shell() as home:
        path = home.path / "script"
        path.write_text("set errexit off\nalias e='echo one'\ne ${NONE:-two} | cat\n"
                        "vmc start 'no such/name'\nfalse || echo $? > out; nonsense\n"
                        "vsh none true\nmodule list --json | cat > /dev/null\nexit 7\n")
        home.env["PWD"] = str(home.path)
        os.chdir(home.path)
        equal(checked(home, str(path))[:2], (7, "one two\n"))


main()
