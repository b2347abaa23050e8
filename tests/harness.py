# SPDX-License-Identifier: MIT
"""What the end-to-end test scripts share: cases, private homes, running crosh, terminals.

A script marks its cases with @case and ends with main(). Each case is run in
order, in one process; a failed assertion or exception fails the case and the
rest goes on. The last line printed is "N passed, N failed, N skipped".
"""

import fcntl
import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

PREFIX = Path(os.environ.get("CROSH_PREFIX", "/usr/local"))
CROSH = PREFIX / "bin" / "crosh"
LIBEXEC = PREFIX / "libexec" / "crosh"

_cases = []


class Skip(Exception):
    """Raised by a case that this machine cannot run; the text says why."""


def case(function):
    """Marks a function as a test case."""
    _cases.append(function)
    return function


def equal(actual, expected, what=""):
    """Asserts equality and shows both sides when it fails."""
    if actual != expected:
        raise AssertionError(f"{what or 'value'}\n     is: {actual!r}\n  wants: {expected!r}")


def contains(text, part, what=""):
    """Asserts that text has part in it."""
    if part not in text:
        raise AssertionError(f"{what or 'text'}\n     is: {text!r}\n  lacks: {part!r}")


def wait_for(condition, seconds, what):
    """Polls until condition() is true; bounded."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def without_startup_files():
    """Begins the script again where the login shell of who runs it reads no files of theirs.

    What stands in those may print, wait or fail: it is not what is tested. Only root can.
    """
    if os.geteuid() != 0 or "CROSH_TEST_SHELLS" in os.environ:
        return
    names = (".profile", ".bashrc", ".bash_profile", ".bash_login", ".zshenv", ".zprofile", ".zshrc")
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    files = [str(home / name) for name in names if (home / name).is_file()]
    script = ('n=$1; shift; while [ "$n" -gt 0 ]; do mount --bind /dev/null "$1"; shift; n=$((n - 1)); '
              'done; exec "$@"')
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
               str(len(files)), *files]
    if files and subprocess.run([*command, "true"], stderr=subprocess.DEVNULL,
                                check=False).returncode == 0:
        os.execvpe(command[0], [*command, sys.executable, *sys.argv],
                   {**os.environ, "CROSH_TEST_SHELLS": "bare"})


def images():
    """The directory with the micro image that the tests share; built when it is not there yet."""
    if "CROSH_TEST_IMAGES" in os.environ:
        return Path(os.environ["CROSH_TEST_IMAGES"])
    directory = Path(os.environ.get("top_builddir", tempfile.gettempdir())) / "test-images"
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([str(LIBEXEC / "crosh-mkimage"), "micro", "--quiet", "--if-needed",
                               "--output", str(directory / "micro")], timeout=300, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"the image could not be built: {done.stdout}")
    return directory


def termina_images():
    """A directory with the image termina, built when it is not there yet: not that of images(),
    as VMs take termina by default where it is.
    """
    if "CROSH_TEST_TERMINA" in os.environ:
        return Path(os.environ["CROSH_TEST_TERMINA"])
    directory = Path(os.environ.get("top_builddir", tempfile.gettempdir())) / "test-termina"
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([str(LIBEXEC / "crosh-mkimage"), "termina", "--if-needed", "--output",
                               str(directory / "termina")], timeout=1200, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"the image could not be built: {done.stdout}")
    return directory


class Home:
    """A private home with XDG directories of its own; everything in it ends with it."""

    def __init__(self, images=None):
        self.path = Path(tempfile.mkdtemp(prefix="crosh-test."))
        self.data = self.path / "data"
        self.runtime = self.path / "run"
        self.runtime.mkdir(mode=0o700)
        self.env = {
            "HOME": str(self.path),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "XDG_DATA_HOME": str(self.data),
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_STATE_HOME": str(self.path / "state"),
            "XDG_CONFIG_HOME": str(self.path / "config"),
            "XDG_CACHE_HOME": str(self.path / "cache"),
            # No test touches this machine's network; those about networks are in namespaces.
            "CROSH_NETWORK": "none",
        }
        if images is not None:
            self.add_images(images)

    def add_images(self, images):
        """Has its VMs boot from the images of this directory."""
        (self.data / "crosh").mkdir(parents=True)
        (self.data / "crosh" / "images").symlink_to(images)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        """Ends every launcher of this home and removes it."""
        for pid_file in self.runtime.glob("crosh/*/pid"):
            try:
                os.kill(int(pid_file.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                pass
        for mounted in reversed(self.mounts()):
            subprocess.run(["fusermount3", "-uz", mounted], stderr=subprocess.DEVNULL, check=False)
        # What a mount that is left shows is not ours: it may be the home of who runs the tests.
        subprocess.run(["rm", "-rf", "--one-file-system", self.path], stderr=subprocess.DEVNULL,
                       check=False)

    def mounts(self):
        """The mounts below it."""
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
        places = (line.split()[4].encode().decode("unicode_escape") for line in lines)
        return [place for place in places if place.startswith(f"{self.path}/")]

    def run(self, *args, stdin=subprocess.DEVNULL, data=None, timeout=120, env=None):
        """Runs crosh with these arguments; returns a CompletedProcess with text output."""
        return self.run_bytes(*args, stdin=stdin, timeout=timeout, env=env,
                              data=None if data is None else data.encode(), text=True)

    def run_bytes(self, *args, stdin=subprocess.DEVNULL, data=None, timeout=120, env=None,
                  text=False):
        """As run(), with bytes in and out."""
        options = {"stdin": stdin} if data is None else {"input": data}
        done = subprocess.run([str(CROSH), *args], env={**self.env, **(env or {})}, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                              **options)
        if text:
            done.stdout = done.stdout.decode(errors="replace")
            done.stderr = done.stderr.decode(errors="replace")
        return done

    def terminal(self, *args, rows=24, columns=80, env=None):
        """Starts crosh with these arguments on a terminal of its own."""
        return Terminal([str(CROSH), *args], {**self.env, **(env or {})}, rows, columns)


class Terminal:
    """A program on a pseudo terminal, and the screen that a person would see."""

    def __init__(self, argv, env, rows=24, columns=80):
        import pexpect
        import pyte

        self.eof = pexpect.EOF
        class Screen(pyte.Screen):
            """One that ignores xterm's private attribute reports, for which vim asks."""

            def select_graphic_rendition(self, *attrs, private=False):
                if not private:
                    super().select_graphic_rendition(*attrs)

        self.screen = Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(argv[0], argv[1:], env=env, dimensions=(rows, columns),
                                   timeout=30, echo=True)
        self.output = b""

    def _feed(self, timeout):
        import pexpect

        try:
            data = self.child.read_nonblocking(4096, timeout)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.output += data
        self.stream.feed(data)
        return True

    def text(self):
        """The screen's lines, without the blank ends."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def wait(self, condition, seconds=30, what="the screen"):
        """Reads output until condition(self) holds; the screen is shown when it never does."""
        deadline = time.monotonic() + seconds
        while not condition(self):
            alive = self._feed(0.05)
            if condition(self):
                return
            if not alive or time.monotonic() > deadline:
                raise AssertionError(f"waited for {what}; the screen is:\n{self.text()}")

    def expect(self, text, seconds=30):
        """Waits until the text stands on the screen."""
        self.wait(lambda terminal: text in terminal.text(), seconds, repr(text))

    def send(self, text):
        """Types."""
        self.child.send(text)

    def resize(self, rows, columns):
        """Changes the window's size as a terminal emulator does."""
        self.screen.resize(rows, columns)
        self.child.setwinsize(rows, columns)

    def end(self, seconds=30):
        """Waits for the program's end; returns its exit status (128+N for a signal)."""
        deadline = time.monotonic() + seconds
        while self._feed(0.05):
            if time.monotonic() > deadline:
                raise AssertionError(f"did not end; the screen is:\n{self.text()}")
        self.child.close()
        if self.child.signalstatus is not None:
            return 128 + self.child.signalstatus
        return self.child.exitstatus

    def close(self):
        """Ends the program by force, if it still runs."""
        self.child.close(force=True)


def main(set_up=None, tear_down=None, home=None):
    """Runs the cases (those whose names contain argv[1], or one of several between commas, if given) and exits.

    A home that all of them share gets the micro image before, and ends with them.
    """
    passed = failed = skipped = 0
    # A shell starts what runs beside it with the signal ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not CROSH.exists():
        print(f"skipped: {CROSH} is not there; run make install first")
        print("0 passed, 0 failed, 1 skipped")
        if home is not None:
            home.close()
        sys.exit(77)
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    try:
        if home is not None:
            home.add_images(images())
        if set_up is not None:
            set_up()
        for function in _cases:
            if not any(part in function.__name__ for part in wanted.split(",")):
                continue
            started = time.monotonic()
            try:
                function()
                passed += 1
                print(f"ok      {function.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
            except Skip as reason:
                skipped += 1
                print(f"skipped: {function.__name__}: {reason}", flush=True)
            except Exception:  # pylint: disable=broad-except # a case may fail in any way
                failed += 1
                print(f"FAILED  {function.__name__}\n{traceback.format_exc()}", flush=True)
    except Skip as reason:
        skipped += 1
        print(f"skipped: {reason}", flush=True)
    except Exception:  # pylint: disable=broad-except
        failed += 1
        print(f"FAILED  set-up\n{traceback.format_exc()}", flush=True)
    finally:
        if tear_down is not None:
            tear_down()
        if home is not None:
            home.close()
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 0)
