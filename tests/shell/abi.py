# SPDX-License-Identifier: MIT
"""What an older module relies on, and every way in which a file can fail to be a module.

tests/abi/v1 holds the headers and the list of symbols of API version 1 as they were first
published. They are never edited: a module that was built from them must load for ever.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from harness import PREFIX, Skip, case, contains, equal, main
from shell import Shell

ABI = Path(os.environ.get("top_srcdir", ".")) / "tests" / "abi"

MODULE = """
#include <unistd.h>
#include <crosh/module.h>
%(before)s
static int run(struct crosh_context *ctx, const struct crosh_args *args, struct crosh_error *err)
{
    (void)args;
    (void)err;
    (void)fprintf(crosh_stdout(ctx), "%(name)s ran\\n");
    return 0;
}
static const struct crosh_command command = {
    CROSH_COMMAND_HEADER, .name = "%(command)s", .summary = "A test", .run = run};
static const struct crosh_command *const commands[] = {&command, NULL};
CROSH_MODULE(%(name)s) = {
    .struct_size = %(size)s, .api_version = CROSH_API_VERSION, .name = "%(name)s",
    .version = "1", .summary = "A test", .commands = commands,
};
"""

# Prints what settings are, and what one is that is none.
ASK = """"%%s %%s %%s\\n", crosh_setting(ctx, "pager"),
                  crosh_setting(ctx, "sftp.automount"),
                  crosh_setting(ctx, "no.such") == NULL ? "none" : "?\""""

# Says that code of the module has run, and then takes the process down.
CRASHES = """__attribute__((constructor)) static void crash(void)
{
    static const char text[] = "constructor ran\\n";
    if (write(2, text, sizeof(text) - 1) > 0)
        __builtin_trap();
}"""


def compiled(source, output, *flags, include=PREFIX / "include"):
    """Builds C source text or a file without a warning."""
    if shutil.which("cc") is None:
        raise Skip("no compiler")
    text = {"input": source} if isinstance(source, str) else {"stdin": subprocess.DEVNULL}
    name = "-" if isinstance(source, str) else str(source)
    done = subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", f"-I{include}", "-x",
                           "c", name, *flags, "-o", str(output)], **text, text=True, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    equal((done.returncode, done.stdout), (0, ""))
    os.chmod(output, 0o755)
    return output


def module(home, name, source=None, include=PREFIX / "include", **parts):
    """Builds NAME.so into the home's module directory from the template or a source file."""
    values = {"name": name, "command": name, "before": "",
              "size": "sizeof(struct crosh_module)", **parts}
    return compiled(source if source is not None else MODULE % values, home.modules / f"{name}.so",
                    "-shared", "-fPIC", "-fvisibility=hidden", f"-L{PREFIX}/lib", "-lcrosh",
                    f"-Wl,-rpath,{PREFIX}/lib", include=include)


def patched(path, offset, data):
    """Overwrites bytes of a file."""
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


@case
def module_of_the_first_headers():
    with Shell() as home:
        module(home, "old", source=ABI / "old.c", include=ABI / "v1")
        equal(home.crosh("-c", "old sub a b"),
              (4, "KEY     VALUE\nchoice  red\n5 2048 180 2\n", "old: 1 init, fini\n"))
        equal(home.crosh("-c", "old sub --flag --path=/x"),
              (3, "", "old sub: /x is not there\nold: 1 init, fini\n"))
        contains(home.crosh("-c", "old sub --int=10")[2], '--int: "10" is out of range')
        contains(home.crosh("-c", "help old sub")[1], "usage: old sub [OPTIONS] [WORD...]\n")


@case
def layout_only_grows():
    with Shell() as home:
        printed = []
        for include in (ABI / "v1", PREFIX / "include"):
            program = compiled(ABI / "layout.c", home.path / "layout", include=include)
            printed.append(subprocess.run([str(program)], stdout=subprocess.PIPE, text=True,
                                          timeout=20, check=True).stdout)
        equal(printed[1], printed[0])
        contains(printed[0], "crosh_module.struct_size 0 4\n")


@case
def symbols_stay():
    if shutil.which("nm") is None:
        raise Skip("no nm")
    found = subprocess.run(["nm", "-D", "--defined-only", str(PREFIX / "lib" / "libcrosh.so")],
                           stdout=subprocess.PIPE, text=True, timeout=20, check=True).stdout
    exported = {line.split()[2] for line in found.splitlines()}
    wanted = {f"{name}@@CROSH_0" for name in (ABI / "v1" / "symbols").read_text().split()}
    equal(sorted(wanted - exported), [])
    equal(len(wanted) > 30, True)


@case
def every_function_is_documented():
    text = (ABI.parent.parent / "doc" / "module-api.md").read_text()
    symbols = (ABI.parent.parent / "lib" / "libcrosh.map").read_text().split("CROSH_PRIVATE")[0]
    names = re.findall(r"^    (crosh_\w+);$", symbols, re.M)
    equal([name for name in names if f"`{name}" not in text], [])
    equal(len(names) > 30, True)
    declared = "".join(path.read_text() for path in (PREFIX / "include" / "crosh").glob("*.h"))
    equal([name for name in names if not re.search(rf"\b{name}\b", declared)], [])


@case
def settings_are_read():
    with Shell() as home:
        module(home, "ask", source=MODULE.replace('"%(name)s ran\\n"', ASK) % {
            "name": "ask", "command": "ask", "before": "", "size": "sizeof(struct crosh_module)"})
        equal(home.crosh("-c", "ask; set pager off; ask; ask | cat"),
              (0, "auto off none\noff off none\noff off none\n", ""))


@case
def larger_and_smaller_descriptors():
    with Shell() as home:
        for name, size in (("large", "4096"), ("huge", "4097"), ("none", "0"),
                           ("small", "offsetof(struct crosh_module, init)"),
                           ("cut", "offsetof(struct crosh_module, commands)")):
            module(home, name, size=size)
        for name in ("large", "small"):
            equal(home.crosh("-c", name)[:2], (0, f"{name} ran\n"))
        for name, size in (("huge", 4097), ("none", 0), ("cut", 32)):
            equal(home.crosh("-c", name)[2].split("\n")[0],
                  f"crosh: warning: module {home.modules}/{name}.so is not loaded: "
                  f"its descriptor has an impossible size of {size}")


@case
def constructors_do_not_run_before_the_checks():
    with Shell() as home:
        path = module(home, "trap", before=CRASHES)
        # This is what would happen, were it let in.
        status, _, err = home.crosh("-c", "trap")
        equal((status, err), (-4, "constructor ran\n"))
        note = path.read_bytes().index(b"crosh\0\0\0\x01\0\0\0")
        patched(path, note + 8, b"\x02")
        status, out, err = home.crosh("-c", "trap")
        equal((status, out, err.split("\n")[0]),
              (127, "", f"crosh: warning: module {path} is not loaded: "
               "it is built for API version 2; this crosh has version 1"))
        patched(path, note, b"X")
        contains(home.crosh("-c", "trap")[2], "it has no crosh note: it is no crosh module")
        # To its group alone would do where that is of the user and nobody else.
        path.chmod(0o757)
        contains(home.crosh("-c", "trap")[2], "the file is writable to everybody")
        if os.geteuid() == 0:
            path.chmod(0o775)
            contains(home.crosh("-c", "trap")[2], "the file is writable to its group")


@case
def same_command_twice():
    with Shell() as home:
        module(home, "one", command="both")
        module(home, "two", command="both")
        status, out, err = home.crosh("-c", "both")
        equal((status, out, err),
              (0, "one ran\n", f"crosh: warning: module {home.modules}/two.so is not loaded: its command "
               f'"both" is already provided by {home.modules}/one.so\n'))


@case
def files_that_are_no_modules():
    with Shell("hello") as home:
        good = (home.modules / "hello.so").read_bytes()
        for name, offset, data in (("arm", 18, b"\xb7\0"), ("class", 4, b"\x01"),
                                   ("program", 16, b"\x02\0"), ("headers", 54, b"\x08\0")):
            path = home.modules / f"{name}.so"
            path.write_bytes(good)
            path.chmod(0o755)
            patched(path, offset, data)
        (home.modules / "dir.so").mkdir()
        (home.modules / "empty.so").write_bytes(b"")
        os.mkfifo(home.modules / "fifo.so", 0o600)
        (home.modules / "link.so").symlink_to(home.modules / "hello.so")
        with open(home.modules / "sparse.so", "wb") as sparse:
            sparse.truncate(1 << 30)
        (home.modules / "text.so").write_text("#!/bin/sh\n")
        with open(home.modules / "zeroes.so", "wb") as zeroes:
            zeroes.write(good[:64])
            zeroes.truncate(1 << 30)
        reasons = {
            "arm": "it is built for another machine",
            "class": "it is built for another machine",
            "dir": "it is no regular file",
            "empty": "it is not an ELF file",
            "fifo": "it is no regular file",
            "headers": "its program headers are malformed",
            "link": "it is a symbolic link",
            "program": "it is an ELF file, but no shared object",
            "sparse": "it is not an ELF file",
            "text": "it is not an ELF file",
            "zeroes": "it has no crosh note: it is no crosh module",
        }
        status, out, err = home.crosh("-c", "help; hello say")
        equal((status, out.endswith("hello world\nsize 1024 colour red\n")), (0, True), out)
        equal(err, "".join(f"crosh: warning: module {home.modules}/{name}.so is not loaded: {reason}\n"
                           for name, reason in reasons.items()))


main()
