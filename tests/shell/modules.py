# SPDX-License-Identifier: MIT
"""The "module" command, programs called crosh-NAME, and the user's own module directory."""

import json
import os
import signal
import subprocess

from harness import CROSH, case, contains, equal, main
from shell import Shell

REPORT = """#!/bin/sh
printf '%s:' "$#" "$@"
echo
exit 9
"""


def program(home, name, text=REPORT, mode=0o755):
    path = home.modules / name
    path.write_text(text)
    path.chmod(mode)
    return path


@case
def program_is_command():
    with Shell("hello") as home:
        path = program(home, "crosh-report")
        equal(home.crosh("-c", "report a 'b c' -- --help -x"), (9, "5:a:b c:--:--help:-x:\n", ""))
        equal(home.crosh("report", "--", "--json"), (9, "2:--:--json:\n", ""))
        equal(home.crosh("-c", "report > /dev/null || echo $?")[1], "9\n")
        equal(home.crosh("-c", "hello nested report x")[:2], (9, "1:x:\n"))
        equal(home.crosh("-c", "report | tr : /")[1], "0/\n")
        contains(home.crosh("-c", "help_advanced")[1], "  report ")
        equal("report" in home.crosh("-c", "help")[1], False)
        contains(home.crosh("-c", "help report")[1], "usage: report [ARGUMENT...]\n")
        status, out, err = home.crosh("-c", "module info crosh-report --json")
        equal((status, err, json.loads(out)),
              (0, "", {"name": "crosh-report", "state": "program", "path": str(path),
                       "version": None, "summary": f"The program {path}", "reason": None,
                       "commands": ["report"]}))


@case
def program_reads_and_is_interrupted():
    with Shell() as home:
        program(home, "crosh-take", "#!/bin/sh\nread -r a\necho \"<$a>\"\n")
        equal(home.crosh(data="take\nfor the program\necho next\n"),
              (0, "<for the program>\nnext\n", ""))
        program(home, "crosh-stay", "#!/bin/sh\necho ready\nexec sleep 60\n")
        child = subprocess.Popen([str(CROSH), "--module-dir", str(home.modules), "-c", "stay"],
                                 env=home.env, stdout=subprocess.PIPE)
        equal(child.stdout.readline(), b"ready\n")
        child.send_signal(signal.SIGINT)
        child.stdout.close()
        equal(child.wait(20), 130)


@case
def program_has_the_terminal():
    with Shell() as home:
        program(home, "crosh-tty", "#!/bin/sh\ntest -t 0 && test -t 1 && stty size\n"
                "stty -a | grep -c -e -icanon\nstty -echo -icanon\n")
        with home.screen(rows=24, columns=80) as screen:
            screen.prompt()
            screen.keys("tty\r")
            screen.last("24 80", "0", "crosh>")
            # It left the terminal raw; the shell has mended that.
            screen.keys("tty\r")
            screen.last("crosh> tty", "24 80", "0", "crosh>")
            screen.keys("exit\r")
            equal(screen.ends(), 0)


@case
def programs_are_judged():
    with Shell("hello") as home:
        paths = {name: program(home, f"crosh-{name}", mode=mode)
                 for name, mode in (("help", 0o755), ("hello", 0o755), ("open", 0o777),
                                    ("plain", 0o644))}
        (home.modules / "crosh-link").symlink_to("/bin/true")
        (home.modules / "crosh-dir").mkdir()
        reasons = {
            "dir": "it is no regular file",
            "hello": f'its command "hello" is already provided by {home.modules}/hello.so',
            "help": 'its command "help" is already provided by crosh itself',
            "link": "it is a symbolic link",
            "open": "the file is writable to everybody (chmod go-w 'the file')",
            "plain": "it is not executable",
        }
        status, out, err = home.crosh("-c", "module list --json")
        equal((status, len(paths)), (0, 4))
        equal(err, "".join(f"crosh: warning: program {home.modules}/crosh-{name} is not loaded: "
                           f"{reason}\n" for name, reason in reasons.items()))
        equal({module["name"]: module["state"] for module in json.loads(out)},
              {"hello": "loaded", **{f"crosh-{name}": "refused" for name in reasons}})
        equal(home.crosh("-c", "plain")[0], 127)


@case
def info_and_list():
    with Shell("hello", "failinit") as home:
        (home.modules / "note.txt").write_text("")
        equal(home.crosh("-c", "module info hello"),
              (0, f"name      hello\nstate     loaded\nfile      {home.modules}/hello.so\n"
               "version   1.2\nsummary   Test commands\ncommands  hello: Greet\n", ""))
        status, out, _ = home.crosh("-c", "module info failinit --json")
        found = json.loads(out)
        equal((status, found["state"], found["reason"], found["commands"]),
              (0, "refused", "its initialization failed: the frobnicator is missing", []))
        contains(home.crosh("-c", "module info note.txt")[1],
                 "\nreason    its name does not end in .so\n")
        status, out, err = home.crosh("-c", "module info nothing")
        equal((status, out), (3, ""))
        contains(err, 'module info: there is no file of the name "nothing" in a module directory\n'
                      'hint: "module list" shows all\n')


@case
def load():
    with Shell("older") as home:
        elsewhere = home.path / "elsewhere"
        elsewhere.mkdir(mode=0o755)
        hello = home.add("hello").rename(elsewhere / "hello.so")
        broken = home.add("failinit").rename(elsewhere / "failinit.so")
        equal(home.crosh("-c", f"module load {hello}; hello say you")[:2],
              (0, "hello you\nsize 1024 colour red\n"))
        status, out, _ = home.crosh("-c", f"module load --json {hello}")
        equal((status, json.loads(out)["commands"]), (0, ["hello"]))
        equal(home.crosh("-c", f"module load {hello} && module load {hello}")[2],
              f"module load: {hello}: hello is loaded already, from {hello}\n")
        equal(home.crosh("-c", f"module load {broken}; module list --json")[2],
              f"module load: {broken}: its initialization failed: the frobnicator is missing\n")
        equal(home.crosh("-c", "module load /etc/passwd")[2],
              "module load: /etc/passwd: a module's file is called NAME.so, a program's crosh-NAME\n")
        elsewhere.chmod(0o777)
        status, _, err = home.crosh("-c", f"module load {hello}")
        contains(err, f"module load: {hello}: {elsewhere} is writable to everybody\n")
        elsewhere.chmod(0o755)
        equal(home.run("--no-modules", "-c", f"module load {hello}").stderr,
              f"module load: {hello}: this crosh loads no modules\n")


@case
def user_directory():
    with Shell("hello") as home:
        own = home.data / "crosh" / "modules"
        own.mkdir(parents=True)
        for directory in (home.data, home.data / "crosh", own):
            directory.chmod(0o755)
        os.rename(home.modules / "hello.so", own / "hello.so")
        equal(home.run("-c", "hello say x").returncode, 127)
        equal(home.run("-c", "set modules.user on").returncode != 0, True)
        config = home.path / "config" / "crosh"
        config.mkdir(parents=True, exist_ok=True)
        (config / "config").write_text("set modules.user on\n")
        done = home.run("-c", "hello say x")
        equal((done.returncode, done.stdout, done.stderr), (0, "hello x\nsize 1024 colour red\n", ""))
        # An explicit directory is the only one.
        equal(home.crosh("-c", "hello say x")[0], 127)


@case
def one_command_opens_one_module():
    with Shell() as home:
        for words, wanted in ((["-c", "vmc list"], ["vmc.so"]), (["vmc", "list"], ["vmc.so"]),
                              (["-c", "vmc list; vsh --help"], ["vmc.so", "vsh.so"]),
                              (["--version"], []), (["-c", "true"], [])):
            done = home.run(*words, env={"LD_DEBUG": "files"})
            equal(done.returncode, 0, done.stderr)
            contains(done.stderr, "libcrosh.so")
            opened = {line.split("/crosh/modules/")[1].split()[0]
                      for line in done.stderr.splitlines() if "/crosh/modules/" in line}
            equal(sorted(opened), wanted, str(words))


@case
def completion():
    with Shell("hello") as home:
        program(home, "crosh-report")
        with home.screen() as screen:
            screen.prompt()
            screen.keys("module info crosh-r\t")
            screen.last("crosh> module info crosh-report")
            screen.keys("\x15rep\t")
            screen.last("crosh> report")
            screen.keys("\x15exit\r")
            equal(screen.ends(), 0)


main()
