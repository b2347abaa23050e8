# SPDX-License-Identifier: MIT
"""The example module, built against the installed headers and library alone."""

import os
import shutil
import subprocess
from pathlib import Path

from harness import PREFIX, Skip, case, equal, main
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
        for words, text in ((["hello"], "Hello, world!\n"),
                            (["hello", "-lde", "Welt"], "Hallo, Welt!\n"),
                            (["hello", "--language=fr"], "Bonjour, world!\n")):
            done = home.run("--module-dir", directory, *words)
            equal((done.returncode, done.stdout, done.stderr), (0, text, ""))
        done = home.run("--module-dir", directory, "hello", "--language=es")
        equal((done.returncode, done.stderr),
              (2, 'hello: --language: "es" is none of: en, de, fr\nhint: see "help hello"\n'))


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
