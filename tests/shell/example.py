# SPDX-License-Identifier: MIT
"""The example module, built against the installed headers and library alone."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from harness import CROSH, PREFIX, Skip, case, equal, main
from shell import Shell

SOURCE = Path(os.environ.get("top_srcdir", ".")) / "examples" / "hello-module"


def make(home, *arguments):
    """Runs make in a copy of the example; the directory."""
    directory = home.path / "hello-module"
    if not directory.exists():
        shutil.copytree(SOURCE, directory)
        directory.chmod(0o755)
    if shutil.which("pkg-config") is None or shutil.which("cc") is None:
        raise Skip("no compiler or no pkg-config")
    done = subprocess.run(["make", "-s", *arguments], cwd=directory, timeout=60, check=False,
                          env={**home.env, "PKG_CONFIG_PATH": str(PREFIX / "lib" / "pkgconfig"),
                               "CFLAGS": "-O2 -Wall -Wextra -Werror"},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    equal((done.returncode, done.stdout), (0, ""))
    return directory


@case
def builds_and_runs():
    with Shell() as home:
        directory = str(make(home))
        os.chmod(Path(directory) / "hello.so", 0o755)
        for words, text in ((["hello", "say"], "Hello, world!\n"),
                            (["hello", "say", "-lde", "Welt"], "Hallo, Welt!\n"),
                            (["hello", "list"], "LANGUAGE  WORD\nen        Hello\n"
                             "de        Hallo\nfr        Bonjour\n")):
            done = home.run("--module-dir", directory, *words)
            equal((done.returncode, done.stdout, done.stderr), (0, text, ""))
        equal(json.loads(home.run("--module-dir", directory, "hello", "list", "--json").stdout)[1],
              {"language": "de", "word": "Hallo"})
        done = home.run("--module-dir", directory, "hello", "say", "--language=es")
        equal((done.returncode, done.stderr), (2, 'hello say: --language: "es" is none of: en, de, fr\n'
                                               'hint: see "help hello say"\n'))


@case
def shows_progress_to_a_person():
    with Shell() as home:
        directory = make(home)
        os.chmod(directory / "hello.so", 0o755)
        shutil.copyfile(directory / "hello.so", home.modules / "hello.so")
        (home.modules / "hello.so").chmod(0o755)
        with home.screen("hello", "count", "5") as screen:
            screen.terminal.expect("counting: 5 numbers in ")
            equal(screen.ends(), 0)
        with home.screen("hello", "count", "900") as screen:
            screen.terminal.expect(" of 900 numbers")
            screen.keys("\x03")
            equal(screen.ends(), 130)


@case
def passes_its_own_test():
    with Shell() as home:
        home.env["CROSH"] = str(CROSH)
        directory = make(home)
        os.chmod(directory / "hello.so", 0o755)
        done = subprocess.run(["./test.sh"], cwd=directory, env=home.env, timeout=60, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        equal((done.returncode, "FAILED" in done.stdout, done.stdout.count("ok ") > 5),
              (0, False, True), done.stdout)
        # It is able to fail.
        os.unlink(directory / "hello.so")
        done = subprocess.run(["./test.sh"], cwd=directory, env=home.env, timeout=60, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        equal((done.returncode, "FAILED" in done.stdout), (1, True))


@case
def package_file():
    if shutil.which("pkg-config") is None:
        raise Skip("no pkg-config")

    def ask(*arguments):
        return subprocess.run(["pkg-config", *arguments, "crosh"], timeout=20, check=True, text=True,
                              env={**os.environ, "PKG_CONFIG_PATH": f"{PREFIX}/lib/pkgconfig"},
                              stdout=subprocess.PIPE).stdout.split()

    equal(ask("--validate"), [])
    equal(ask("--variable=moduledir"), [f"{PREFIX}/lib/crosh/modules"])
    equal(ask("--cflags"), [f"-I{PREFIX}/include"])
    equal(ask("--libs"), [f"-L{PREFIX}/lib", "-lcrosh"])
    equal(subprocess.run([str(CROSH), "--version"], stdout=subprocess.PIPE, text=True, timeout=20,
                         check=True).stdout.split(), ["crosh", *ask("--modversion")])


@case
def installs_where_crosh_looks():
    with Shell() as home:
        stage = home.path / "stage"
        make(home, "install", f"DESTDIR={stage}")
        found = [path.relative_to(stage) for path in stage.rglob("*.so")]
        equal([str(path) for path in found],
              [str(PREFIX / "lib" / "crosh" / "modules" / "hello.so").lstrip("/")])


@case
def headers_stand_alone():
    """Each public header compiles alone, as C99 and as C++."""
    with Shell() as home:
        for header in sorted((PREFIX / "include" / "crosh").glob("*.h")):
            for compiler, standard, suffix in (("cc", "c99", "c"), ("c++", "c++11", "cc")):
                if shutil.which(compiler) is None:
                    raise Skip(f"no {compiler}")
                source = home.path / f"one.{suffix}"
                source.write_text(f"#include <crosh/{header.name}>\n")
                done = subprocess.run(
                    [compiler, f"-std={standard}", "-pedantic-errors", "-Wall", "-Wextra", "-Werror",
                     f"-I{PREFIX}/include", "-fsyntax-only", str(source)],
                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                    check=False)
                equal((done.returncode, done.stdout), (0, ""), f"{header.name} as {standard}")


main()
