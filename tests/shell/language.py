# SPDX-License-Identifier: MIT
"""The command language as scripts use it: redirections, variables, aliases, settings, croshrc."""

import json
import os
import signal
import subprocess
from pathlib import Path

from harness import CROSH, case, contains, equal, main, wait_for
from shell import Shell


def script(home, text, **options):
    """Runs text as a script file called "script"."""
    path = home.path / "script"
    path.write_text(text)
    status, out, err = home.crosh(str(path), **options)
    return status, out, err.replace(str(path), "script")


@case
def redirect_errors():
    with Shell("hello") as home:
        log = home.path / "log"
        # The command's own words, and what the shell says of its failure.
        equal(home.crosh("-c", f"hello fail 2> {log}"), (3, "before the failure\n", ""))
        equal(log.read_text(), "hello fail: there is no such thing\nhint: make one\n")
        equal(home.crosh("-c", f"nonsense 2>> {log}"), (127, "", ""))
        contains(log.read_text(), 'hint: make one\ncrosh: unknown command "nonsense"\n')
        equal(home.crosh("-c", f"hello fail > {log} 2>&1"), (3, "", ""))
        equal(log.read_text(),
              "before the failure\nhello fail: there is no such thing\nhint: make one\n")
        equal(home.crosh("-c", f"hello fail 2>&1 > {log}"),
              (3, "hello fail: there is no such thing\nhint: make one\n", ""))
        equal(log.read_text(), "before the failure\n")
        equal(home.crosh("-c", "echo oops >&2"), (0, "", "oops\n"))
        equal(home.crosh("-c", "nonsense 2>&1 | tr a-z A-Z")[1:],
              ('CROSH: UNKNOWN COMMAND "NONSENSE"\nHINT: "HELP" LISTS THE COMMANDS\n', ""))


@case
def redirect_programs():
    with Shell("hello") as home:
        log = home.path / "log"
        equal(home.crosh("-c", f"echo x | sh -c 'cat; echo e >&2' 2> {log}"), (0, "x\n", ""))
        equal(log.read_text(), "e\n")
        equal(home.crosh("-c", "echo x | sh -c 'cat; echo e >&2' 2>&1 | sort"), (0, "e\nx\n", ""))
        equal(home.crosh("-c", f"echo x | cat > {log} - < {log}; echo y | cat < {log}")[:2], (0, ""))
        equal(home.crosh("-c", f"echo z >{log}>{log}2 | cat"), (0, "", ""))
        equal(((home.path / "log2").read_text(), log.read_text()), ("z\n", ""))
        equal(home.crosh("-c", f"hello copy 0< {log}2"), (0, "z\n", ""))


@case
def pipefail():
    with Shell("hello") as home:
        equal(home.crosh("-c", "hello fail --status=6 | cat")[0], 6)
        equal(home.crosh("-c", "set pipefail off; hello fail --status=6 | cat")[0], 0)
        equal(home.crosh("-c", "set pipefail off; echo | sh -c 'exit 4' | sh -c 'exit 5'")[0], 5)
        equal(home.crosh("-c", "set pipefail off; nonsense | cat")[0], 127)


@case
def quoting_as_in_sh():
    """The same words as sh makes of them, one a line."""
    texts = (r"""a'b'"c"\d '' "" x\ y""", r"""'a\b"c$HOME' "a\b\"\$HOME\\" """, r"""'it'\''s' "it's" """,
             r""""$V" "${V}x" '${V}' \$V""", r"""${N:-d} ${N:-"d e"} "${N:-d e}" ${V:+x} ${N-u} """,
             "a\\\nb \"c\\\nd\" 'e\\\nf'", "\"a\nb\" c", r"""\\ \" \' \; \& \| \> \# a#b""",
             r""""${N:-a"b c"d}" "${N:-'q'}" ${N:-'q'} ${N:-\}} "${N:-\}}" """, r"~/x '~' a~ ~",
             r"""$? "$?" ${?} $ a$ "$" 100$""")
    with Shell() as home:
        for text in texts:
            env = {"V": "va lue"}
            # crosh never splits a value into words: sh does not either with an empty IFS.
            expected = subprocess.run(["sh", "-c", f"true; set -f; IFS=; printf '[%s]' {text}"],
                                      env={**home.env, **env}, stdout=subprocess.PIPE, check=True)
            equal(home.crosh("-c", f"true | printf '[%s]' {text}", env=env),
                  (0, expected.stdout.decode(), ""), text)


@case
def assignments():
    with Shell("hello") as home:
        show = "| sh -c 'cat >/dev/null; echo \"[$A]\"'"
        equal(home.crosh("-c", "A=1; echo $A; A=2 B=$A; echo $A$B"), (0, "1\n22\n", ""))
        equal(home.crosh("-c", f"A=5; true {show}"), (0, "[5]\n", ""))
        # For one command: neither the shell nor the programs beside it see it.
        equal(home.crosh("-c", f"A=1; A=2 true {show}; echo $A"), (0, "[1]\n1\n", ""))
        equal(home.crosh("-c", "true | A=7 sh -c 'echo \"[$A]\"'; echo \"<$A>\""),
              (0, "[7]\n<>\n", ""))
        equal(home.crosh("-c", "A=1 A=2 true; echo \"<$A>\""), (0, "<>\n", ""))
        equal(home.crosh("-c", "A=1; unset A; echo \"<${A-none}>\""), (0, "<none>\n", ""))
        equal(home.crosh("-c", "unset A=B"),
              (2, "", 'unset: "A=B" cannot be a variable\'s name\n'))
        # A module in this process sees it too.
        equal(home.crosh("-c", "VMC_NONINTERACTIVE=1 hello say")[0], 0)


@case
def continuation():
    with Shell() as home:
        text = "echo one \\\n two\necho 'a\nb' |\n\n tr a-z A-Z &&\n# comment\n echo end\n"
        expected = (0, "one two\nA\nB\nend\n", "")
        equal(script(home, text), expected)
        equal(home.crosh(data=text), expected)
        equal(home.crosh("-c", "echo a &&"), (2, "", 'crosh: a command must follow "&&"\n'))


@case
def error_places():
    with Shell("hello") as home:
        for text, status, err in (
            ("echo\n\nhello fail\n", 3,
             "script:3: hello fail: there is no such thing\nhint: make one\n"),
            ("true\ntrue |\n nonsense-program\n", 127,
             'script:2: program "nonsense-program" not found\n'),
            ("true\nfalse ||\n hello say > /nonexistent/x\n", 3,
             'script:3: cannot open "/nonexistent/x": No such file or directory\n'),
            ("true\n\n echo ) x\n", 2, 'script:3: ")" is not supported: quote it\n'),
            ("echo 'a\nb'\nfalse\n", 1, "script:3: false ended with status 1\n"),
            ("set errexit of\n", 2, 'script:1: set: errexit: "of" is none of: on, off (did you mean "off"?)\n'),
        ):
            got, _, got_err = script(home, text)
            equal((got, got_err), (status, err), text)


@case
def errexit():
    with Shell("hello") as home:
        text = "set errexit off\nfalse\necho $?\nhello fail\necho on\nset errexit on\nfalse\necho no\n"
        expected = "1\nbefore the failure\non\n"
        status, out, err = script(home, text)
        equal((status, out), (1, expected))
        equal(err, "script:4: hello fail: there is no such thing\nhint: make one\n"
                   "script:7: false ended with status 1\n")
        status, out, _ = home.crosh(data=text)
        equal((status, out), (1, expected))
        equal(home.crosh(data="set errexit off\n'\n' ; ;\necho on\n"),
              (0, "on\n", 'stdin:3: a command is missing before ";"\n'))


@case
def aliases():
    with Shell("hello") as home:
        say = "alias say='hello say'; "
        equal(home.crosh("-c", say + "say bob")[:2], (0, "hello bob\nsize 1024 colour red\n"))
        equal(home.crosh("-c", say + "say bob | head -n 1 > /dev/stderr"), (0, "", "hello bob\n"))
        # As if the text had been typed: what follows goes to its last command.
        equal(home.crosh("-c", "alias a='echo 1; echo 2 | tr 2'; a 3; echo; a 4 | tr 1 5 && echo end"),
              (0, "1\n3\n\n1\n4\nend\n", ""))
        equal(home.crosh("-c", "alias echo='echo =' b='echo b'; echo x; b; \\echo y; 'echo' z"),
              (0, "= x\n= b\ny\nz\n", ""))
        equal(home.crosh("-c", "alias a=b b=a; a"),
              (127, "", 'crosh: unknown command "a"\nhint: "help" lists the commands\n'))
        equal(home.crosh("-c", "alias e=\"A='1 2' echo\"; B=3 e x"), (0, "x\n", ""))
        equal(home.crosh("-c", "alias a=\"echo 'it'\" b=help; alias; alias b; unalias b; alias b"),
              (3, "alias a='echo '\\''it'\\'''\nalias b='help'\nalias b='help'\n",
               'alias: there is no alias "b"\n'))
        equal(json.loads(home.crosh("-c", "alias a='echo x'; alias --json")[1]),
              [{"name": "a", "text": "echo x"}])
        equal(home.crosh("-c", "alias a=b; unalias -a; alias"), (0, "", ""))
        equal(home.crosh("-c", "alias sayyes='hello say'; sayyse")[2],
              'crosh: unknown command "sayyse" (did you mean "sayyes"?)\n')
        for text, err in (
            ("alias a=\"'\"", "alias: a: a single quote is never closed\n"),
            ("alias a='b |'", 'alias: a: a command must follow "|"\n'),
            ("alias a=''", "alias: a: it must stand for a command\n"),
            ("alias a='b &'", 'alias: a: "&" cannot be in an alias\n'),
            ("alias 'a b'=c", 'alias: "a b" cannot be an alias\'s name\nhint: a name is up to 64 '
             "letters, digits and . _ - + : @ % , !\n"),
        ):
            equal(home.crosh("-c", text), (2, "", err), text)


@case
def aliases_are_bounded():
    with Shell() as home:
        lines = [f"alias a{i}='" + "; ".join([f"a{i + 1}"] * 20) + "'" for i in range(20)]
        status, out, err = script(home, "\n".join(lines) + "\necho ready\na0\n")
        equal((status, out), (2, "ready\n"))
        equal(err, "script:22: the alias stands for more than 1000 commands\n")


@case
def settings():
    with Shell() as home:
        equal(home.crosh("-c", "set pager; set pager off; set pager; set -d pager; set pager"),
              (0, "auto\noff\nauto\n", ""))
        equal(home.crosh("-c", "set errexti off"),
              (2, "", 'set: there is no setting "errexti" (did you mean "errexit"?)\n'))
        equal(home.crosh("-c", "set pager maybe"),
              (2, "", 'set: pager: "maybe" is none of: auto, off\n'))
        equal(home.crosh("-c", "set history.size 99999"),
              (2, "", 'set: history.size: "99999" is out of range: 0 to 4096 is allowed\n'))
        equal(home.crosh("-c", "set shell on"),
              (5, "", "set: shell can only be set in the configuration file\nhint: write \"set shell "
               "on\" into $XDG_CONFIG_HOME/crosh/config\n"))
        equal(home.crosh("-c", "set -d"), (2, "", "set: --default needs the name of a setting\n"))
        found = {entry["name"]: entry for entry in json.loads(home.crosh("-c", "set --json")[1])}
        equal(found["prompt"], {"name": "prompt", "value": "crosh> ", "default": "crosh> ",
                                "type": "text", "config_only": False,
                                "summary": "The text in front of the line typed"})
        rows = home.crosh("-c", "set")[1].split("\n")
        equal(rows[0].split(), ["NAME", "VALUE", "MEANING"])
        equal([row.split()[0] for row in rows[1:-1]], sorted(found))
        contains(rows, 'prompt          "crosh> "  The text in front of the line typed')


@case
def documented():
    """What the shell has is in its manual and its help."""
    with Shell() as home:
        manual = (Path(__file__).parents[2] / "doc" / "man" / "crosh.1").read_text()
        for setting in json.loads(home.crosh("-c", "set --json")[1]):
            default = setting["default"]
            shown = f'\\(dq{default}\\(dq' if " " in default else default
            contains(manual, f'.BR {setting["name"]}\\~ "({shown})"\n')
        status, text, err = home.crosh("-c", "help language")
        equal((status, err), (0, ""))
        for part in ("2>&1", "${NAME:-W}", "A || B", "A &  ", "set errexit off"):
            contains(text, part)
        equal([line for line in text.split("\n") if len(line) > 78], [])
        equal(home.crosh("-c", "help language more")[0], 3)


@case
def configuration_file():
    with Shell() as home:
        config = home.config
        config.write_text("# mine\n\nset shell on\nset prompt 'a b> '\n  set   pager off # yes\n")
        equal(home.crosh("-c", "set shell; set prompt; set pager"), (0, "on\na b> \noff\n", ""))
        config.write_text("set pager maybe\nset pager off\necho hello\nset nope 1\nset 'x\n"
                          "set errexit off | cat\nset errexit off > x\nset errexit off; true\n")
        status, out, err = home.crosh("-c", "set pager; set errexit")
        equal((status, out), (0, "off\non\n"))
        equal([line.replace(str(config), "F") for line in err.split("\n")[:-1]], [
            'crosh: warning: F:1: pager: "maybe" is none of: auto, off',
            'crosh: warning: F:3: only lines "set NAME VALUE" can stand here',
            'crosh: warning: F:4: there is no setting "nope" ("set" lists them)',
            "crosh: warning: F:5: a single quote is never closed",
            'crosh: warning: F:6: only lines "set NAME VALUE" can stand here',
            'crosh: warning: F:7: only lines "set NAME VALUE" can stand here',
            'crosh: warning: F:8: only lines "set NAME VALUE" can stand here',
        ])
        config.unlink()
        config.mkdir()
        equal(home.crosh("-c", "true"),
              (0, "", f"crosh: warning: {config}: it is not a regular file\n"))
        # Without XDG_CONFIG_HOME: ~/.config
        dot = home.path / ".config" / "crosh" / "config"
        dot.parent.mkdir(parents=True)
        dot.write_text("set pager off\n")
        equal(home.crosh("-c", "set pager", env={"XDG_CONFIG_HOME": ""}), (0, "off\n", ""))


@case
def watch_in_blocks():
    with Shell("hello") as home:
        status, out, err = home.crosh("-c", "watch -c 2 -n 1 hello say 'b  ob'")
        equal((status, err), (0, ""))
        blocks = out.split("\n\n")
        equal(len(blocks), 3)
        for block in blocks[:2]:
            head, *rest = block.split("\n")
            equal((head[:4], head[23:]), ("--- ", r"  hello say b\ \ ob"))
            equal(rest, ["hello b  ob", "size 1024 colour red"])
        equal(blocks[2], "")
        # One word is a command line of its own; its errors belong into the block.
        status, out, err = home.crosh("-c", "watch -c 1 'echo a | tr a b; hello fail' | cat")
        equal((status, err), (3, ""))
        equal(out.split("\n")[1:], ["b", "before the failure", "hello fail: there is no such thing",
                                    "hint: make one", "", ""])
        equal(home.crosh("-c", "alias s='echo hi'; watch -c 1 s x")[1].split("\n")[1], "hi x")
        equal(home.crosh("-c", "watch -n 1 echo | head -n 1")[0], 0)


@case
def watch_ends_at_interrupt():
    with Shell() as home:
        child = subprocess.Popen([str(CROSH), "-c", "watch -n 100 echo tick; echo not this"],
                                 env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out = b""
        while not out.endswith(b"tick\n\n"):
            out += os.read(child.stdout.fileno(), 100)
        child.send_signal(signal.SIGINT)
        equal((child.communicate(timeout=20), child.returncode), ((b"", b""), 130))


@case
def interrupt_reaches_programs():
    """A signal sent to the shell alone: its programs get it too."""
    with Shell() as home:
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
            mark = home.path / f"mark{number}"
            text = (f"echo | sh -c 'trap \"echo caught; exit 3\" INT TERM HUP; echo $$ > {mark}; "
                    "while :; do sleep 0.05; done'; echo not this")
            child = subprocess.Popen([str(CROSH), "-c", text], env=home.env, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE)
            wait_for(lambda: mark.exists() and mark.read_text(), 20, "the program")
            child.send_signal(number)
            out, err = child.communicate(timeout=20)
            equal((child.returncode if number != signal.SIGINT else 130, out, err),
                  (status, b"caught\n", b""), str(number))


@case
def programs_that_will_not_end():
    with Shell() as home:
        mark = home.path / "mark"
        text = (f"echo | sh -c 'trap \"\" TERM; trap \"echo int\" INT; echo $$ > {mark}; "
                "while :; do sleep 0.05; done'")
        child = subprocess.Popen([str(CROSH), "-c", text], env=home.env, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        wait_for(lambda: mark.exists() and mark.read_text(), 20, "the program")
        child.send_signal(signal.SIGTERM)
        # Killed in the end, and asked by no other signal before.
        equal((child.communicate(timeout=20), child.returncode), ((b"", b""), 143))
        wait_for(lambda: not os.path.exists(f"/proc/{int(mark.read_text())}"), 5, "its end")


main()
