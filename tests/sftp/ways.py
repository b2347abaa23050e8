# SPDX-License-Identifier: MIT
"""Ways to an SSH server: its settings in ssh_config, a jump host, a password, a key that changed."""

import os
import subprocess
from pathlib import Path

from harness import CROSH, Skip, Terminal, case, contains, equal, main
from server import SSHD, end, two_ends

home = server = None
there = None


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
        f"#!/bin/sh\necho \"$@\" >>{log}\nexec /usr/bin/ssh -F none -i {server.ssh}/id_ed25519 "
        f"-o UserKnownHostsFile={server.ssh}/known_hosts \"$@\"\n")
    (tools / "ssh").chmod(0o755)
    config = server.ssh / "config"
    # Two names of one server: the second is reached from the first.
    config.write_text(f"Host inner\n  HostName 127.0.0.1\n  Port {server.port}\n"
                      f"  User {server.user}\n"
                      f"  ProxyJump {server.user}@127.0.0.1:{server.port}\n")
    done = ls(f"sftp://inner{there}", PATH=f"{tools}:{home.env['PATH']}")
    equal((done.stdout, done.stderr, done.returncode), ("file\n", "", 0))
    contains(log.read_text(), f"-W [127.0.0.1]:{server.port}")
    config.unlink()


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
    contains(done.stderr, "ssh-keygen -R")
    equal(target.exists(), False)
    server.know()
    equal(home.run("-c", f"sftp get {server.target}:{there}/file {target}").returncode, 0)
    equal(target.read_text(), "hello")


@case
def a_password_is_asked_for():
    if os.geteuid() != 0:
        raise Skip("only root may give sshd users of its own")
    # sshd gets a table of passwords of its own, in a mount namespace.
    hashed = subprocess.run(["openssl", "passwd", "-6", "sesame"], check=True, capture_output=True,
                            text=True).stdout.strip()
    shadow = home.path / "shadow"
    shadow.write_text("".join(
        f"{server.user}:{hashed}:19000:0:99999:7:::\n" if line.split(":")[0] == server.user
        else line for line in Path("/etc/shadow").read_text().splitlines(keepends=True)))
    shadow.chmod(0o600)
    config = server.directory / "config"
    config.write_text(config.read_text().replace("PasswordAuthentication no",
                                                 "PasswordAuthentication yes"))
    server.stop()
    server.start(["unshare", "-m", "sh", "-c",
                  f"mount --bind {shadow} /etc/shadow && exec {SSHD} \"$@\"", "sshd"])
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
