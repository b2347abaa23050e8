# SPDX-License-Identifier: MIT
"""The entry in the desktop's menu, and crosh as it is started from there or by login."""

import configparser
import shutil
import subprocess
import xml.etree.ElementTree

from harness import CROSH, PREFIX, Skip, Terminal, case, contains, equal, main
from shell import Shell

ENTRY = PREFIX / "share" / "applications" / "crosh.desktop"
ICON = PREFIX / "share" / "icons" / "hicolor" / "scalable" / "apps" / "crosh.svg"


@case
def entry_is_valid():
    if shutil.which("desktop-file-validate") is None:
        raise Skip("desktop-file-validate is not installed")
    done = subprocess.run(["desktop-file-validate", "--warn-kde", str(ENTRY)], check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20)
    equal((done.returncode, done.stdout), (0, ""))


@case
def entry_names_what_is_installed():
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read(ENTRY, encoding="utf-8")
    entry = parser["Desktop Entry"]
    equal((entry["Terminal"], entry["Type"]), ("true", "Application"))
    equal((CROSH.parent / entry["Exec"]).exists(), True, "Exec")
    equal(ICON.stem, entry["Icon"])
    equal(xml.etree.ElementTree.parse(ICON).getroot().tag, "{http://www.w3.org/2000/svg}svg")


@case
def login_shell():
    """login(1) and sshd run a shell as "-crosh"; terminals run it with a terminal alone."""
    with Shell() as home:
        terminal = Terminal(["/bin/bash", "-c", f"exec -a -crosh {CROSH} --no-modules"], home.env)
        try:
            terminal.expect("crosh>")
            terminal.send("echo $HOME\r")
            terminal.expect(str(home.path))
            terminal.send("exit 4\r")
            equal(terminal.end(), 4)
        finally:
            terminal.close()
        done = subprocess.run(["/bin/bash", "-c", f'exec -a -crosh {CROSH} -c "echo over ssh"'],
                              env=home.env, check=False, stdout=subprocess.PIPE, text=True,
                              timeout=20)
        equal((done.returncode, done.stdout), (0, "over ssh\n"))
        done = subprocess.run(["/bin/bash", "-c", f'exec -a -crosh {CROSH} --bogus'], check=False,
                              env=home.env, stderr=subprocess.PIPE, text=True, timeout=20)
        equal(done.returncode, 2)
        contains(done.stderr, "crosh: unknown option")


if __name__ == "__main__":
    main()
