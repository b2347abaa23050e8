# SPDX-License-Identifier: MIT
"""Ways to an SSH server: its settings in ssh_config, a jump host, a password, a key that changed."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

from harness import CROSH, Skip, Terminal, case, contains, equal, main, wait_for
from server import SSHD, end, need_mounts, two_ends

home = server = None
there = None
TAB = "\t"


def set_up():
    global home, server, there
    home, server, there, _ = two_ends()
    (there / "file").write_text("hello")


def tear_down():
    end(home, server)


def ls(target, **env):
    return home.run("-c", f"sftp ls {target}", env=env)


@case
def a_name_of_ssh_config_is_used():
    config = server.ssh / "config"
    config.write_text(f"Host work\n  HostName 127.0.0.1\n  Port {server.port}\n"
                      f"  User {server.user}\n")
    done = ls(f"sftp://work{there}")
    equal((done.stdout, done.stderr, done.returncode), ("file\n", "", 0))
    config.unlink()


@case
def a_jump_host_is_gone_through():
    # The jump is ssh's own work, which asks the table of users for the home directory.
    tools = home.path / "bin"
    tools.mkdir()
    log = home.path / "jumps"
    (tools / "ssh").write_text(
        f"#!/bin/sh\necho \"$@\" >>{log}\ngrep ^Sig /proc/self/status >{home.path}/signals\n"
        f"exec /usr/bin/ssh -F none -i {server.ssh}/id_ed25519 "
        f"-o UserKnownHostsFile={server.ssh}/known_hosts \"$@\"\n")
    (tools / "ssh").chmod(0o755)
    config = server.ssh / "config"
    # Two names of one server: the second is reached from the first.
    config.write_text(f"Host inner\n  HostName 127.0.0.1\n  Port {server.port}\n"
                      f"  User {server.user}\n"
                      f"  ProxyJump {server.user}@127.0.0.1:{server.port}\n")
    path = f"{tools}:{home.env['PATH']}"
    done = ls(f"sftp://inner{there}", PATH=path)
    equal((done.stdout, done.stderr, done.returncode), ("file\n", "", 0))
    contains(log.read_text(), f"-W [127.0.0.1]:{server.port}")
    # What is typed at the terminal later, and its end, are nothing to it.
    signals = dict(line.split(":\t") for line in (home.path / "signals").read_text().splitlines())
    ignored = sum(1 << (number - 1) for number in
                  (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP))
    equal(int(signals["SigIgn"], 16) & (ignored | 1 << (signal.SIGPIPE - 1)), ignored)
    equal(int(signals["SigBlk"], 16), 0)
    # A mount goes through it again when it breaks.
    need_mounts()
    place = home.path / "inner"
    place.mkdir()
    equal(home.run("-c", f"sftp mount sftp://inner{there} {place}", env={"PATH": path}).stderr, "")
    jumps = log.read_text().count("\n")
    server.signal_sessions(signal.SIGKILL)
    equal((place / "file").read_text(), "hello")
    equal(log.read_text().count("\n") > jumps, True)
    equal(home.run("sftp", "umount", str(place)).returncode, 0)
    config.unlink()


@case
def a_mount_whose_agent_has_gone_waits_for_a_key():
    need_mounts()
    sock, key, hidden = home.path / "agent", server.ssh / "id_ed25519", home.path / "hidden"
    place = home.path / "by-agent"
    place.mkdir()
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL) as agent:
        try:
            wait_for(sock.exists, 60, "the agent")
            subprocess.run(["ssh-add", "-q", str(key)], check=True,
                           env={**os.environ, "SSH_AUTH_SOCK": str(sock)})
            key.rename(hidden)
            done = home.run("-c", f"sftp mount --timeout 2 {server.target}:{there} {place}",
                            env={"SSH_AUTH_SOCK": str(sock)})
            equal((done.stderr, done.returncode), ("", 0))
        finally:
            agent.kill()
    try:
        server.signal_sessions(signal.SIGKILL)

        def reason():
            return json.loads(home.run("sftp", "list", "--json").stdout)[0]["reason"]

        wait_for(lambda: "lets nobody in with what was offered" in reason(), 60, "the reason")
        hidden.rename(key)
        wait_for(lambda: reason() == "", 60, "another connection")
        equal((place / "file").read_text(), "hello")
    finally:
        if hidden.exists():
            hidden.rename(key)
        equal(home.run("sftp", "umount", str(place)).returncode, 0)


@case
def a_changed_key_is_refused_with_the_facts():
    server.stop()
    server.new_host_key()
    server.start()
    target = home.path / "got"
    done = home.run("-c", f"sftp get {server.target}:{there}/file {target}")
    equal((done.stdout, done.returncode), ("", 5))
    contains(done.stderr, "the key of 127.0.0.1 is not the one in known_hosts: it shows "
             f"{server.fingerprint()}")
    contains(done.stderr, f"ssh-keygen -R '[127.0.0.1]:{server.port}'\n")
    equal(target.exists(), False)
    server.know()
    equal(home.run("-c", f"sftp get {server.target}:{there}/file {target}").returncode, 0)
    equal(target.read_text(), "hello")


@case
def a_revoked_key_is_refused():
    known = server.ssh / "known_hosts"
    before = known.read_text()
    for revoked in (f"@revoked * {before.split(' ', 1)[1]}{before}",
                    f"{before}@revoked elsewhere {before.split(' ', 1)[1]}"):
        known.write_text(revoked)
        done = ls(f"{server.target}:{there}")
        equal((done.stdout, done.returncode), ("", 5))
        contains(done.stderr, "the key of 127.0.0.1 is revoked by known_hosts: it shows "
                 f"{server.fingerprint()}\n")
    known.write_text(before.replace("[127.0.0.1]", "# @revoked\n\n@revoked\n@revoked x ssh-rsa @\n"
                                    "[127.0.0.1]"))
    equal(ls(f"{server.target}:{there}").returncode, 0)
    known.write_text(before)


@case
def a_users_name_may_have_what_is_in_names():
    done = ls(f"jane@corp@127.0.0.1:{server.port}:{there}")
    equal(done.returncode, 5)
    contains(done.stderr, "sftp ls: jane@corp@127.0.0.1: 127.0.0.1 lets nobody in")
    # Nothing that a shell or ssh would obey.
    for name in ("-oProxyCommand=x", "$(true)", "a`true`", "a;true", "a|true", "a'b", "a\tb", ""):
        done = home.run("sftp", "ls", "--", f"{name}@127.0.0.1:/")
        equal((done.stderr, done.returncode),
              (f"sftp ls: '{name.replace(TAB, '?')}@127.0.0.1:/' names no place: that is no host\n"
               "hint: VM[:PATH], VM/CONTAINER[:PATH] or USER@HOST[:PORT][:PATH]\n", 2))
    # Nor a directory elsewhere than in ~/crosh.
    for name in ("[a/../../up]", "[$(true)]", "[a b]", "..", "[-x]"):
        done = home.run("sftp", "mount", "--", f"me@{name}:/")
        equal((done.stderr, done.returncode),
              (f"sftp mount: 'me@{name}:/' names no place: that is no host\n"
               "hint: VM[:PATH], VM/CONTAINER[:PATH] or USER@HOST[:PORT][:PATH]\n", 2))
    equal((home.path / "crosh").exists(), False)


def settings(*changes):
    """Writes sshd's settings, changed; returns those of before."""
    config = server.directory / "config"
    before = text = config.read_text()
    for old, new in changes:
        text = text.replace(old, new)
    config.write_text(text)
    return before


def start_with_password(pam=None):
    """Starts sshd with tables of its own, in a mount namespace: the password is "sesame"."""
    if os.geteuid() != 0:
        raise Skip("only root may give sshd users of its own")
    hashed = subprocess.run(["openssl", "passwd", "-6", "sesame"], check=True, capture_output=True,
                            text=True).stdout.strip()
    shadow = home.path / "shadow"
    shadow.write_text("".join(
        f"{server.user}:{hashed}:19000:0:99999:7:::\n" if line.split(":")[0] == server.user
        else line for line in Path("/etc/shadow").read_text().splitlines(keepends=True)))
    shadow.chmod(0o600)
    binds = f"mount --bind {shadow} /etc/shadow"
    if pam is not None:
        (home.path / "pam").write_text(pam)
        binds += f" && mount --bind {home.path}/pam /etc/pam.d/sshd"
    server.stop()
    server.start(["unshare", "-m", "sh", "-c", f"{binds} && exec {SSHD} \"$@\"", "sshd"])


def answer(command, *answers, out="/dev/tty", before=""):
    """Runs it on a terminal: (the end of the screen, what is typed then)... Status and screen, which
    has "-echo" at its end where the terminal was left so.
    """
    screen = Terminal(["sh", "-c", f"{before}{CROSH} -c '{command}' >{out}; r=$?; stty | grep -w -e -echo; exit $r"],
                      home.env, rows=24, columns=100)
    try:
        for question, typed in answers:
            screen.wait(lambda t, q=question: t.text().endswith(q), 60, question)
            screen.send(typed)
        return screen.end(60), screen.text()
    finally:
        screen.close()


@case
def several_factors_are_given():
    if os.geteuid() != 0:
        raise Skip("only root may give sshd users of its own")
    before = settings(("PasswordAuthentication no", "PasswordAuthentication yes\n"
                       "AuthenticationMethods publickey,password"))
    try:
        start_with_password()
        done = ls(f"{server.target}:{there}")
        equal(done.returncode, 5)
        contains(done.stderr, "hint: it takes: password; try: ")
        equal(answer(f"sftp ls {server.target}:{there}", ("Password for 127.0.0.1:", "sesame\r")),
              (0, "Password for 127.0.0.1:\nfile"))
    finally:
        (server.directory / "config").write_text(before)
        server.stop()
        server.start()


@case
def the_servers_questions_are_asked_in_its_words():
    if not Path("/lib/x86_64-linux-gnu/security/pam_echo.so").exists() or os.geteuid() != 0:
        raise Skip("PAM has no text to tell here, or no settings of ours")
    words = home.path / "words"
    words.write_text("The code was sent to\n+1 555 \x1b[31m\n")
    before = settings(("UsePAM no", "UsePAM yes\nAuthenticationMethods publickey,keyboard-interactive"),
                      ("KbdInteractiveAuthentication no", "KbdInteractiveAuthentication yes"))
    try:
        start_with_password(f"auth required pam_echo.so file={words}\nauth required pam_unix.so\n"
                            "account required pam_permit.so\nsession required pam_permit.so\n")
        # Every line says whose it is: one could be a question of ours.
        asked = "".join(f"{line}(127.0.0.1) " for line in ("", "The code was sent to\n", "+1 555 ?[31m\n"))
        asked += "Password:"
        equal(answer(f"sftp ls {server.target}:{there}", (asked, "wrong\r"),
                     (f"{asked}\n{asked}", "sesame\r")), (0, f"{asked}\n{asked}\nfile"))
        equal(answer(f"sftp ls {server.target}:{there}", (asked, "\x03")),
              (130, f"{asked}\nsftp ls: {server.user}@127.0.0.1: interrupted"))
    finally:
        (server.directory / "config").write_text(before)
        server.stop()
        server.start()


@case
def a_keys_passphrase_is_asked_for():
    key = server.ssh / "id_ed25519"
    shutil.copy(key, home.path / "kept")
    question = f"Passphrase for {key}:"
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "sesame", "-f", str(key)], check=True,
                   stdout=subprocess.DEVNULL)
    try:
        # What is listed has no questions in it.
        out = home.path / "out"
        equal(answer(f"sftp ls {server.target}:{there}", (question, "wrong\r"),
                     (f"{question}\n{question}", "sesame\r"), out=out),
              (0, f"{question}\n{question}"))
        equal(out.read_text(), "file\n")
        interrupted = f"{question}\nsftp {{}}: {server.user}@127.0.0.1: interrupted"
        equal(answer(f"sftp ls {server.target}:{there}", (question, "\x03")),
              (130, interrupted.format("ls")))
        equal(answer(f"sftp mount {server.target}:{there}", (question, "\x03")),
              (130, interrupted.format("mount")))
        equal(home.mounts(), [])
    finally:
        shutil.move(home.path / "kept", key)


def by_ssh(*lines, known=None):
    """Settings for the host "work", which libssh cannot follow; known_hosts, as they name it."""
    file = home.path / "known"
    file.write_text(known or (server.ssh / "known_hosts").read_text())
    (server.ssh / "config").write_text("".join(f"{line}\n" for line in (
        "Host work", "HostName 127.0.0.1", f"Port {server.port}", f"User {server.user}",
        f"IdentityFile {server.ssh}/id_ed25519", f"UserKnownHostsFile {file}", *lines)))
    return f"sftp://work{there}"


@case
def one_key_of_many_is_offered():
    need_mounts()
    sock, place = home.path / "full-agent", home.path / "one-key"
    place.mkdir()
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(sock)], stdout=subprocess.DEVNULL) as agent:
        try:
            wait_for(sock.exists, 60, "the agent")
            for number in range(8):  # more than sshd lets anybody try
                key = home.path / f"key{number}"
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
                subprocess.run(["ssh-add", "-q", key], check=True,
                               env={**os.environ, "SSH_AUTH_SOCK": str(sock)})
            env = {"SSH_AUTH_SOCK": str(sock)}
            # The server hangs up, and nobody waits for an answer to the next key.
            done = home.run("-c", f"sftp ls --timeout 3600 {server.target}:{there}", env=env)
            equal((done.stderr, done.returncode),
                  (f"sftp ls: {server.user}@127.0.0.1: cannot log in: Received SSH_MSG_DISCONNECT: "
                   "2:Too many authentication failures\n", 1))
            target = by_ssh("IdentitiesOnly yes")
            done = home.run("-c", f"sftp ls {target}", env=env)
            equal((done.stdout, done.stderr, done.returncode), ("file\n", "", 0))
            data = os.urandom(3_000_000)
            (home.path / "much").write_bytes(data)
            done = home.run("-c", f"sftp put --verify {home.path}/much {target}/much", env=env)
            equal((done.returncode, (there / "much").read_bytes() == data), (0, True), done.stderr)
            equal(home.run("-c", f"sftp mount {target} {place}", env=env).stderr, "")
            server.signal_sessions(signal.SIGKILL)
            equal((place / "much").read_bytes() == data, True)
            equal(home.run("sftp", "umount", str(place)).returncode, 0)
            (there / "much").unlink()
        finally:
            agent.kill()


@case
def keys_are_known_by_what_ssh_config_says():
    key = (server.ssh / "known_hosts").read_text().split(" ", 1)[1]
    equal(ls(by_ssh("HostKeyAlias other", known=f"other {key}")).stdout, "file\n")
    done = ls(by_ssh("HostKeyAlias other", known=f"another {key}"))
    equal((done.stderr, done.returncode),
          ("sftp ls: work: ssh: No ED25519 host key is known for other and you have requested strict "
           "checking.\nhint: see whether ssh work gets there\n", 5))
    # Certificates: of the server's key and of the user's.
    for name in ("ca", "strange"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home.path / name],
                       check=True)
    sign = ["ssh-keygen", "-q", "-s", str(home.path / "ca"), "-I", "test"]
    subprocess.run([*sign, "-h", "-n", "127.0.0.1", server.directory / "key.pub"], check=True)
    shutil.copy(server.ssh / "id_ed25519.pub", home.path / "mine.pub")
    subprocess.run([*sign, "-n", server.user, home.path / "mine.pub"], check=True)
    before = settings(
        ("UsePAM no", f"UsePAM no\nHostCertificate {server.directory}/key-cert.pub\n"
         f"TrustedUserCAKeys {home.path}/ca.pub"), ("AuthorizedKeysFile", "AuthorizedKeysFile none\n#"))
    server.stop()
    server.start()
    try:
        known = [f"@cert-authority * {(home.path / name).read_text()}" for name in ("ca.pub", "strange.pub")]
        mine = f"CertificateFile {home.path}/mine-cert.pub"
        equal(ls(by_ssh(mine, known=known[0])).stdout, "file\n")
        done = ls(by_ssh(mine, known=known[1]))
        equal(done.returncode, 5)
        contains(done.stderr, " is known for [127.0.0.1]:")
        done = ls(by_ssh(known=known[0]))
        equal((done.stderr, done.returncode),
              (f"sftp ls: work: ssh: {server.user}@127.0.0.1: Permission denied (publickey).\n"
               "hint: see whether ssh work gets there\n", 5))
    finally:
        (server.directory / "config").write_text(before)
        (server.ssh / "config").unlink()
        server.stop()
        server.start()


@case
def settings_that_take_for_ever_are_not_waited_for():
    pid = home.path / "pid"

    def is_gone():
        return not Path(f"/proc/{int(pid.read_text())}").exists()

    (server.ssh / "config").write_text(
        f'Match exec "echo $SSH_ASKPASS_REQUIRE >{home.path}/require; echo $$ >{pid}; exec sleep 30"\n  User nobody\n')
    try:
        done = home.run("-c", f"sftp ls --timeout 1 {server.target}:{there}")
        equal((done.stdout, done.stderr, done.returncode),
              ("", f"sftp ls: {server.user}@127.0.0.1: ssh does not say its settings in time\n"
               "hint: see what takes it so long: ssh -G 127.0.0.1\n", 124))
        wait_for(is_gone, 10, "the program to be gone")
        pid.unlink()
        screen = Terminal([str(CROSH)], home.env, rows=24, columns=100)
        try:
            screen.wait(lambda t: t.text().endswith("crosh>"), 60, "the prompt")
            screen.send(f"sftp ls {server.target}:{there}/{TAB}x")
            screen.wait(lambda t: t.text().endswith("/x"), 60, "what is typed behind it")
            wait_for(is_gone, 10, "the program to be gone that Tab has started")
            # Nor does a window ask for anything meanwhile.
            equal((home.path / "require").read_text(), "never\n")
        finally:
            screen.close()
    finally:
        (server.ssh / "config").unlink()


@case
def ssh_asks_by_itself():
    key = server.ssh / "id_ed25519"
    shutil.copy(key, home.path / "kept")
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "sesame", "-f", str(key)], check=True,
                   stdout=subprocess.DEVNULL)
    question = f"Enter passphrase for key '{key}':"
    try:
        target = by_ssh("IdentitiesOnly yes")
        equal(answer(f"sftp ls {target}", (question, "sesame\r")), (0, f"{question}\nfile"))
        equal(answer(f"sftp ls {target}", (question, "\x03"), before="trap : INT; "),
              (130, f"{question}\nsftp ls: interrupted"))
        done = ls(target)
        equal((done.stderr, done.returncode),
              (f"sftp ls: work: ssh: {server.user}@127.0.0.1: Permission denied (publickey).\n"
               "hint: see whether ssh work gets there\n", 5))
    finally:
        shutil.move(home.path / "kept", key)
        (server.ssh / "config").unlink()


@case
def a_password_is_asked_for():
    settings(("PasswordAuthentication no", "PasswordAuthentication yes"))
    start_with_password()
    (server.ssh / "id_ed25519").rename(server.ssh / "hidden")
    done = ls(f"{server.target}:{there}")
    contains(done.stderr, "lets nobody in with what was offered\nhint: it takes: keys password")
    equal(done.returncode, 5)
    screen = Terminal([str(CROSH), "-c", f"sftp ls {server.target}:{there}"], home.env, rows=24,
                      columns=100)
    try:
        for password in ("wrong", "sesame"):
            screen.wait(lambda t: t.text().endswith("Password for 127.0.0.1:"), 60, "the question")
            before = screen.text()
            screen.send(password + "\r")
            screen.wait(lambda t, b=before: t.text() != b, 60, "an answer")
        screen.expect("file", 60)
        equal("sesame" in screen.text(), False)
        equal(screen.end(60), 0)
    finally:
        screen.close()


main(set_up, tear_down)
