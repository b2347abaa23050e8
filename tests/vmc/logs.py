# SPDX-License-Identifier: MIT
"""vmc logs: raw for programs, harmless on a terminal, and never over a file of the user's."""

import time

from harness import Home, case, contains, equal, main

home = None
HOSTILE = b"boot\r\n\033[31mred\033]0;title\007 \x9b2J\xc3\xbc\x00\xff\nend\n"


def set_up():
    global home
    home = Home()
    equal(home.run("-c", "vmc create box").returncode, 0)


def tear_down():
    if home is not None:
        home.close()


def log(name="console.log"):
    directory = home.runtime / "crosh" / "box"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.parent.chmod(0o700)
    return directory / name


@case
def there_is_none_yet():
    done = home.run("-c", "vmc logs box")
    equal(done.returncode, 3)
    contains(done.stderr, "VM box has no log")


@case
def a_pipe_gets_every_byte():
    log().write_bytes(HOSTILE)
    done = home.run_bytes("-c", "vmc logs box")
    equal((done.returncode, done.stdout), (0, HOSTILE))


@case
def a_terminal_gets_text_only():
    terminal = home.terminal("-c", "vmc logs box")
    equal(terminal.end(), 0)
    contains(terminal.output, b"boot\r\nred 2J\xc3\xbc\r\nend\r\n")


@case
def the_launchers_own_log():
    log("launcher.log").write_text("crosh-vm: a word\n")
    equal(home.run("-c", "vmc logs --launcher box").stdout, "crosh-vm: a word\n")


@case
def a_new_file_is_private():
    copy = home.path / "copy"
    equal(home.run("-c", f"vmc logs box {copy}").returncode, 0)
    equal(copy.read_bytes(), HOSTILE)
    equal(copy.stat().st_mode & 0o7777, 0o600)


@case
def a_file_that_is_there_stays():
    kept = home.path / "kept"
    kept.write_text("mine")
    done = home.run("-c", f"vmc logs box {kept}")
    equal(done.returncode, 4, done.stderr)
    contains(done.stderr, str(kept))
    equal(kept.read_text(), "mine")
    link = home.path / "link"
    link.symlink_to(home.path / "elsewhere")
    equal(home.run("-c", f"vmc logs box {link}").returncode, 4)
    equal((home.path / "elsewhere").exists(), False)


@case
def following_a_stopped_vm_ends():
    started = time.monotonic()
    done = home.run_bytes("-c", "vmc logs -f box", timeout=20)
    equal((done.returncode, done.stdout), (0, HOSTILE))
    equal(time.monotonic() - started < 10, True)


if __name__ == "__main__":
    main(set_up, tear_down)
