#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""vmc container and vsh against a real LXD, whose containers run, in namespaces of this host."""

import json
import os
import pwd
import re
import shutil
import socket
import stat
import subprocess
import time
from pathlib import Path

from harness import CROSH, Home, Skip, case, contains, equal, main, wait_for
from launcher import Launcher
from lxdhost import Lxd, tiny_image

home = Home()
lxd = None
launcher = None
rootfs = metadata = None


def set_up():
    """One LXD serves all cases."""
    global lxd, launcher, rootfs, metadata  # pylint: disable=global-statement
    lxd = Lxd()
    launcher = Launcher(home, "alpha", around=lxd.around)
    (home.path / "image").mkdir()
    rootfs, metadata = map(str, tiny_image(home.path / "image"))


def tear_down():
    """Ends it."""
    if launcher is not None:
        launcher.close()
    if lxd is not None:
        lxd.close()
    home.close()


def crosh(*words, status=0, **options):
    """Runs one command; what it printed, after its status was looked at."""
    done = home.run("--", *words, **options)
    equal(done.returncode, status, f"status of {' '.join(words)}: {done.stderr}")
    return done.stdout


def refused(*words, status, text):
    """Runs one command that fails so."""
    done = home.run("--", *words)
    equal((done.returncode, done.stdout), (status, ""), " ".join(words))
    contains(done.stderr, text)
    return done.stderr


def containers():
    """{name: state} by vmc container list."""
    return {item["name"]: item["state"]
            for item in json.loads(crosh("vmc", "container", "list", "--json", "alpha"))}


@case
def nothing_yet():
    """No containers: an empty list, and errors that say so."""
    equal(crosh("vmc", "container", "list", "alpha"), "NAME  STATE  ADDRESS  SNAPSHOTS  IMAGE\n")
    equal(json.loads(crosh("vmc", "container", "list", "--json", "alpha")), [])
    for words in (("info", "alpha", "none"), ("start", "alpha", "none"), ("stop", "alpha", "none"),
                  ("logs", "alpha", "none"), ("delete", "-y", "alpha", "none"),
                  ("rename", "alpha", "none", "some"), ("copy", "alpha", "none", "some"),
                  ("snapshot", "alpha", "none"), ("restore", "alpha", "none", "snap"),
                  ("limits", "alpha", "none"), ("export", "alpha", "none", "/nowhere/file")):
        refused("vmc", "container", *words, status=3,
                text="no such container in VM alpha: none\nhint: see: vmc container list alpha\n")
    refused("vsh", "alpha", "none", "--", "id", status=1, text="vsh: no such container 'none'\n"
            "hint: see: vmc container list alpha; a command stands behind \"--\": vsh alpha -- COMMAND\n")


@case
def bad_words():
    """What cannot be a name or a source is refused before LXD is asked."""
    refused("vmc", "container", "alpha", "c 1", status=2,
            text="'c 1' cannot be the name of a container\nhint: a name is 1 to 63 letters")
    refused("vmc", "container", "alpha", "c\x1b[31m1", status=2, text="'c?[31m1' cannot be")
    refused("vmc", "container", "alpha", "1c", status=2, text="cannot be the name")
    refused("vmc", "container", "alpha", "c1-", status=2, text="cannot be the name")
    refused("vmc", "container", "alpha", "crosh-new-c1", status=2, text="are being made")
    refused("vmc", "container", "alpha", "c1", "http://127.0.0.1/", "x", status=2,
            text="LXD takes images by https only")
    refused("vmc", "container", "alpha", "c1", "ftp://127.0.0.1/", "x", status=2,
            text="not a server (https://...)")
    refused("vmc", "container", "alpha", "c1", "https://127.0.0.1/", status=2,
            text="a server needs an image's name behind it")
    refused("vmc", "container", "alpha", "c1", "/nowhere/rootfs", metadata, status=3,
            text="/nowhere/rootfs: No such file or directory")
    refused("vmc", "container", "alpha", "c1", "--user", "Jane Doe", status=2,
            text="'Jane Doe' cannot be the name of a user")
    refused("vmc", "container", "alpha", "c1", "--container_name=c2", status=2,
            text="--container_name: another name than c1")
    refused("vmc", "container", "list", "beta", status=3, text="there is no VM named beta")
    equal(containers(), {})


@case
def made_from_files():
    """ROOTFS METADATA: there, running, with a user; and nothing left of its making."""
    done = home.run("--", "vmc", "container", "alpha", "c1", rootfs, metadata, "--user", "jdoe")
    equal((done.returncode, done.stdout), (0, ""), done.stderr)
    equal(re.findall(r"^  (\w+) +\d+\.\d\d s$", done.stderr, re.M),
          ["image", "container", "start", "user", "network"])
    # Its network is there at once.
    contains(crosh("vsh", "alpha", "c1", "--", "ip", "-4", "addr", "show", "dev", "eth0"),
             "inet 100.115.93.")
    contains(crosh("vsh", "alpha", "c1", "--", "nslookup", "c1.lxd"), "Address: 100.115.93.")
    equal(containers(), {"c1": "running"})
    equal(crosh("vsh", "--user", "jdoe", "alpha", "c1", "--", "sh", "-c", "id; pwd; hostname"),
          "uid=1000(jdoe) gid=1000(jdoe) groups=29(audio),1000(jdoe)\n/home/jdoe\nc1\n")
    equal(crosh("vsh", "alpha", "c1", "--", "stat", "-c", "%U", "/home/jdoe"), "jdoe\n")
    equal(json.loads(lxd.run("lxc", "query", "/1.0/operations")).get("running", []), [])
    # What LXD recorded of the set-up is gone.
    equal([path for path in json.loads(lxd.run("lxc", "query", "/1.0/instances/c1/logs"))
           if "exec" in path], [])


@case
def again():
    """The same command again starts what does not run and changes nothing else."""
    done = home.run("--", "vmc", "container", "alpha", "c1")
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
    crosh("vmc", "container", "stop", "alpha", "c1")
    equal(containers(), {"c1": "stopped"})
    done = home.run("--", "vmc", "container", "alpha", "c1", rootfs, metadata)
    equal(done.returncode, 0, done.stderr)
    contains(done.stderr, "container c1 is there already: nothing is taken from " + rootfs)
    equal(containers(), {"c1": "running"})
    equal(crosh("vsh", "alpha", "c1", "--", "grep", "-c", "jdoe", "/etc/passwd"), "1\n")


@case
def without_a_network():
    """What has no address, or no name server, in time is told so, and that is no failure."""
    def restart(seconds):
        done = home.run("--", "vmc", "container", "restart", "--force", "--network-timeout", seconds,
                        "alpha", "c1")
        equal((done.returncode, done.stdout), (0, ""), done.stderr)
        return done.stderr, re.findall(r"^  (\w+) +\d+\.\d\d s$", done.stderr, re.M)

    def lacks(text):
        refused("vsh", "alpha", "c1", "--", "/opt/crosh/agent", "--wait-for-network", "1", status=1,
                text=text)

    crosh("vsh", "alpha", "c1", "--", "mv", "/etc/lease", "/etc/no-lease")
    contains(restart("1")[0],
             "container c1 runs, its network may not be ready: it has no address yet\n")
    equal(containers(), {"c1": "running"})
    equal(restart("0")[1], ["restart"])
    # An address comes, and is enough no more than a name server that does not answer.
    crosh("vsh", "alpha", "c1", "--", "mv", "/etc/no-lease", "/etc/lease")
    equal(restart("60")[1], ["restart", "network"])
    crosh("vsh", "alpha", "c1", "--", "sh", "-c", ": >/etc/resolv.conf")
    lacks("it has an address, but no name server in /etc/resolv.conf\n")
    crosh("vsh", "alpha", "c1", "--", "sh", "-c", "echo nameserver 100.115.93.77 >/etc/resolv.conf")
    lacks("it has an address, but no answer from its name server 100.115.93.77\n")
    equal(restart("60")[1], ["restart", "network"])
    contains(crosh("vsh", "alpha", "c1", "--", "nslookup", "c1.lxd"), "Address: 100.115.93.")


@case
def own_user():
    """Without --user it is named as the host's user; root stays root's name alone."""
    crosh("vmc", "container", "alpha", "own", rootfs, metadata)
    own = pwd.getpwuid(os.getuid()).pw_name
    name = own if own != "root" else "user"
    contains(crosh("vsh", "alpha", "own", "--", "cat", "/etc/passwd"), f"{name}:x:1000:1000:")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "own")
    if own == "root":
        # Whom sudo made root has a name of their own.
        done = home.run("--", "vmc", "container", "alpha", "own", rootfs, metadata,
                        env={"SUDO_USER": "daemon"})
        equal(done.returncode, 0, done.stderr)
        contains(crosh("vsh", "alpha", "own", "--", "cat", "/etc/passwd"), "daemon:x:1000:1000:")
        crosh("vmc", "container", "delete", "-y", "-f", "alpha", "own")


@case
def shown():
    """list and info, for people and for programs."""
    wait_for(lambda: json.loads(crosh("vmc", "container", "info", "--json", "alpha", "c1"))
             ["addresses"] != [], 120, "an address")
    info = json.loads(crosh("vmc", "container", "info", "--json", "alpha", "c1"))
    equal({key: info[key] for key in ("name", "state", "image", "privileged", "snapshots")},
          {"name": "c1", "state": "running", "image": "Tiny tiny", "privileged": False,
           "snapshots": []})
    equal(len(info["addresses"]), 1)
    equal(info["addresses"][0].startswith("100.115.93."), True, info["addresses"][0])
    contains(crosh("vmc", "container", "info", "alpha", "c1"),
             f"addresses   {info['addresses'][0]}\n")
    contains(crosh("vmc", "container", "list", "alpha"),
             f"c1    running  {info['addresses'][0]}  0          Tiny tiny\n")


@case
def inside():
    """A session in a container: its processes, network, limits and terminals, not the VM's."""
    equal(crosh("vsh", "alpha", "c1", "--", "cat", "/proc/1/comm"), "init\n")
    equal(crosh("vsh", "alpha", "c1", "--", "cat", "/proc/self/uid_map").split(),
          ["0", "1000000", "1000000000"])
    # The agent is in every container, and not the container's to change.
    equal(crosh("vsh", "alpha", "c1", "--", "/opt/crosh/agent", "--version").split()[0],
          "crosh-agent")
    refused("vsh", "alpha", "c1", "--", "sh", "-c", "echo >/opt/crosh/agent", status=1,
            text="Read-only file system")
    equal(crosh("vsh", "alpha", "c1", "--", "sh", "-c", "exit 7", status=7), "")
    equal(crosh("vsh", "alpha", "c1", "--", "sh", "-c", "kill -TERM $$", status=143), "")
    refused("vsh", "alpha", "c1", "--", "nonesuch", status=127, text="cannot run 'nonesuch'")
    refused("vsh", "--user", "nobody-here", "alpha", "c1", "--", "id", status=1,
            text="no such user 'nobody-here'")
    equal(crosh("vsh", "alpha", "c1", "--", "cat", data="through\n"), "through\n")
    equal(crosh("vsh", "-n", "alpha", "c1", "--", "cat", data="kept back\n"), "")
    # Where the container's limits hold, as seen from beside it.
    equal(crosh("vsh", "alpha", "c1", "--", "grep", "0::", "/proc/self/cgroup"), "0::/\n")
    terminal = crosh("vsh", "-t", "--user", "jdoe", "alpha", "c1", "--", "sh", "-c",
                     "tty; stat -c '%U %a' $(tty)").split()
    equal((terminal[0].startswith("/dev/pts/"), terminal[1:]), (True, ["jdoe", "620"]), terminal)
    equal(crosh("vmc", "container", "exec", "--user", "jdoe", "--env", "A=b c", "--cwd", "/tmp",
                "alpha", "c1", "--", "sh", "-c", 'id -un; pwd; echo "$A"'), "jdoe\n/tmp\nb c\n")


@case
def of_another_c_library():
    """A root with musl and nothing of glibc: its programs, its login shell on a terminal."""
    if shutil.which("musl-gcc") is None:
        raise Skip("needs musl-gcc")
    shell = home.path / "musl-shell"
    subprocess.run(["musl-gcc", "-o", shell, Path(__file__).parent / "musl-shell.c"], check=True)
    loader = re.search(r"interpreter: (/lib/(ld-musl-\S+?\.so\.1))\]", subprocess.run(
        ["readelf", "-l", shell], stdout=subprocess.PIPE, text=True, check=True).stdout)
    (home.path / "musl").mkdir()
    image = tiny_image(home.path / "musl", files=[("bin/musl-shell", shell),
                                                  (loader[1][1:], loader[1])])
    crosh("vmc", "container", "alpha", "musl", *map(str, image), "--user", "jdoe")
    equal(crosh("vsh", "alpha", "musl", "--", "musl-shell", "one", data="two\nexit 3\n", status=3),
          "musl-shell of root, by musl: 1, at a terminal: 0\none\ntold: two\n")
    crosh("vsh", "alpha", "musl", "--", "sed", "-i", "/^jdoe/s,/bin/sh$,/bin/musl-shell,",
          "/etc/passwd")
    terminal = home.terminal("vsh", "--user", "jdoe", "alpha", "musl")
    try:
        terminal.expect("-musl-shell of jdoe, by musl: 1, at a terminal: 1", 60)
        terminal.send("three\r")
        terminal.expect("told: three", 60)
        terminal.send("exit 4\r")
        equal(terminal.end(60), 4)
    finally:
        terminal.close()
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "musl")


@case
def completed():
    """Names of containers, alone and beside their VM's, as the place where they stand wants them."""
    crosh("vmc", "container", "copy", "alpha", "c1", "still")
    for line, found in (
            ("vsh alpha ", ["c1"]), ("vsh -- alpha ", ["c1"]), ("vsh forward alpha ", ["c1"]),
            ("vsh proxy al", ["alpha", "alpha/c1"]), ("vsh proxy alpha/c", ["alpha/c1"]),
            ("vsh cp ", ["alpha/c1:", "alpha:"]), ("vsh cp alpha/c1:x alpha/", ["alpha/c1:"]),
            ("sftp ls alpha/", ["alpha/c1"]), ("net publish al", ["alpha", "alpha/c1"]),
            ("ping ", ["alpha", "c1.alpha", "gw"]), ("ping c1.", ["c1.alpha"]),
            ("ping c1.b", []), ("vsh beta ", []),
            ("vmc container info alpha ", ["c1", "still"]),
            ("vmc container start alpha ", ["still"]), ("vmc container stop alpha ", ["c1"]),
            ("vmc container exec alpha ", ["c1"]), ("vmc container delete alpha st", ["still"])):
        equal([text.split("\t")[0] for text in home.run("--complete", line).stdout.splitlines()],
              found, line)
    crosh("vmc", "container", "delete", "-y", "alpha", "still")


@case
def completed_without_a_hang():
    """A tab in the shell; and a VM that does not answer costs a moment, not the shell."""
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(home.path / "silent"))
    silent.listen(64)
    mute = Launcher(home, "mute", ports={9002: str(home.path / "silent")})
    terminal = home.terminal()
    try:
        terminal.expect("crosh>", 60)
        terminal.send("vsh al\t")
        terminal.expect("vsh alpha ", 60)
        terminal.send("\t")
        terminal.expect("vsh alpha c1 ", 60)
        terminal.send("\x15vsh cp alpha/\t")
        terminal.expect("vsh cp alpha/c1:", 60)
        terminal.send("/etc/x")
        terminal.expect("vsh cp alpha/c1:/etc/x", 60)
        # An agent that takes streams and says nothing: what is typed next is seen soon.
        for line in ("vsh mute ", "ping c", "vsh cp mut", "vmc container info mute "):
            terminal.send(f"\x15{line}\tnext")
            terminal.expect("crosh> " + (line + "next").replace("mutn", "mute:n")
                            .replace("cnext", "c1.alpha next"), 40)
        terminal.send("\x15exit\r")
        equal(terminal.end(60), 0)
    finally:
        terminal.close()
        mute.close()
        silent.close()


@case
def ends_with_the_container():
    """A session's processes are the container's: they end with it."""
    session = subprocess.Popen([CROSH, "--", "vsh", "alpha", "c1", "--", "sh", "-c",
                                "echo up; exec sleep 1000"], env=home.env, stdout=subprocess.PIPE)
    equal(session.stdout.readline(), b"up\n")
    crosh("vmc", "container", "stop", "--force", "alpha", "c1")
    equal(session.wait(60), 137)
    session.stdout.close()
    refused("vsh", "alpha", "c1", "--", "id", status=1, text="container c1 is not running")
    crosh("vmc", "container", "start", "alpha", "c1")


@case
def files():
    """vsh cp into a container and out of it, as a user of it."""
    (home.path / "there").write_text("what is in it\n")
    crosh("vsh", "cp", "--user", "jdoe", str(home.path / "there"), "alpha/c1:copied")
    equal(crosh("vsh", "alpha", "c1", "--", "stat", "-c", "%U", "/home/jdoe/copied"), "jdoe\n")
    crosh("vsh", "cp", "alpha/c1:/home/jdoe/copied", str(home.path / "back"))
    equal((home.path / "back").read_text(), "what is in it\n")


@case
def streams():
    """Streams to ports and sockets of a container, and from them."""
    server = subprocess.Popen([CROSH, "--", "vsh", "alpha", "c1", "--", "nc", "-l", "-p", "7070",
                               "-e", "/bin/cat"], env=home.env)
    listening = "grep -q :1B9E /proc/net/tcp /proc/net/tcp6"
    wait_for(lambda: home.run("--", "vsh", "alpha", "c1", "--", "sh", "-c", listening)
             .returncode == 0, 60, "the container's server")
    done = home.run("--", "vsh", "proxy", "alpha/c1", "7070", data="there and back\n")
    equal((done.returncode, done.stdout), (0, "there and back\n"), done.stderr)
    server.wait(60)
    # Nobody listens there in the container, though somebody does in the VM.
    refused("vsh", "proxy", "alpha/c1", "7070", status=1, text="cannot connect: Connection refused")
    refused("vsh", "proxy", "alpha/none", "7070", status=1, text="no such container 'none'")
    # The other way: what listens in the container leads to a socket of the host.
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.path / "host.sock"))
        listener.listen()
        listener.settimeout(60)
        forward = subprocess.Popen([CROSH, "--", "vsh", "forward", "-R",
                                    f"7171:{home.path}/host.sock", "alpha", "c1"],
                                   env=home.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        listening = "grep -q :1C03 /proc/net/tcp /proc/net/tcp6"
        wait_for(lambda: home.run("--", "vsh", "alpha", "c1", "--", "sh", "-c", listening)
                 .returncode == 0, 60, "the forwarding")
        client = subprocess.Popen([CROSH, "--", "vsh", "alpha", "c1", "--", "nc", "127.0.0.1",
                                   "7171"], env=home.env, stdout=subprocess.PIPE)
        stream, _ = listener.accept()
        stream.sendall(b"from the host\n")
        stream.close()
        equal(client.communicate(timeout=60)[0], b"from the host\n")
        forward.terminate()
        forward.communicate(timeout=60)


@case
def privileged():
    """--privileged true: the VM's ids, but not all of its powers."""
    crosh("vmc", "container", "alpha", "priv", rootfs, metadata, "--privileged", "true")
    equal(crosh("vsh", "alpha", "priv", "--", "cat", "/proc/self/uid_map").split(),
          ["0", "0", "4294967295"])
    equal(json.loads(crosh("vmc", "container", "info", "--json", "alpha", "priv"))["privileged"],
          True)
    ours = crosh("vsh", "alpha", "priv", "--", "grep", "CapBnd", "/proc/self/status")
    equal(ours, lxd.run("lxc", "exec", "priv", "--", "grep", "CapBnd", "/proc/self/status"))
    equal(int(ours.split()[1], 16) >> 16 & 1, 0, "CAP_SYS_MODULE")
    contains(crosh("vsh", "-t", "alpha", "priv", "--", "tty"), "/dev/pts/")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "priv")


@case
def logged():
    """logs: LXD's own, and the console."""
    contains(crosh("vmc", "container", "logs", "alpha", "c1"), "lxc c1 ")
    contains(crosh("vmc", "container", "logs", "--console", "alpha", "c1"), "the console speaks")


@case
def power():
    """start, stop and restart, several at once, and what is so already."""
    crosh("vmc", "container", "copy", "alpha", "c1", "c2")
    equal(containers(), {"c1": "running", "c2": "stopped"})
    crosh("vmc", "container", "start", "alpha", "c1", "c2")
    equal(containers(), {"c1": "running", "c2": "running"})
    first = crosh("vsh", "alpha", "c2", "--", "stat", "-c", "%Z", "/proc/1")
    time.sleep(1.1)  # so that the start's second is another
    crosh("vmc", "container", "restart", "--force", "alpha", "c2")
    equal(crosh("vsh", "alpha", "c2", "--", "stat", "-c", "%Z", "/proc/1") != first, True)
    crosh("vmc", "container", "stop", "--force", "alpha", "c1", "c2")
    crosh("vmc", "container", "stop", "alpha", "c1")
    equal(containers(), {"c1": "stopped", "c2": "stopped"})
    crosh("vmc", "container", "restart", "alpha", "c1")
    equal(containers(), {"c1": "running", "c2": "stopped"})
    crosh("vmc", "container", "delete", "-y", "alpha", "c2")


def mounts():
    """Targets and places of those that are there, by sftp list."""
    return [(item["target"], item["directory"], item["state"])
            for item in json.loads(crosh("sftp", "list", "--json"))]


@case
def files_without_a_server():
    """sftp with a container that has nothing but busybox: the agent is its server."""
    equal(crosh("vsh", "alpha", "c1", "--", "sh", "-c", "ls -d /usr/lib* | wc -l"), "0\n")
    (home.path / "up").write_bytes(os.urandom(300_000))
    crosh("sftp", "put", "--verify", str(home.path / "up"), "alpha/c1:/tmp/")
    crosh("sftp", "get", "alpha/c1:/tmp/up", str(home.path / "down"))
    equal((home.path / "down").read_bytes() == (home.path / "up").read_bytes(), True)
    equal(crosh("vsh", "alpha", "c1", "--", "stat", "-c", "%U %s", "/tmp/up"), "root 300000\n")
    # It is one of the container's processes, as confined as those, and sees its files alone.
    equal(json.loads(crosh("sftp", "ls", "--json", "alpha/c1:/opt/crosh"))[0]["name"], "agent")
    refused("sftp", "put", str(home.path / "up"), "alpha/c1:/opt/crosh/agent", status=1, text="")
    refused("sftp", "ls", "--ssh", "alpha/c1:/", status=5, text="it has no sshd")


@case
def mounted_by_itself():
    """sftp.automount: the container's home is there as long as it runs."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    (home.path / "config" / "crosh").mkdir(parents=True, exist_ok=True)
    config = home.path / "config" / "crosh" / "config"
    config.write_text("set sftp.automount on\n")
    place = home.path / "crosh" / "penguin.alpha"
    there = [("alpha/penguin", str(place), "connected")]
    try:
        crosh("vmc", "container", "alpha", "penguin", rootfs, metadata, "--user", "jdoe")
        wait_for(lambda: mounts() == there, 120, "the mount")
        (place / "from-here").write_text("hello\n")
        equal(crosh("vsh", "alpha", "penguin", "--", "cat", "/root/from-here"), "hello\n")
        crosh("vmc", "container", "stop", "--force", "alpha", "penguin")
        equal(mounts(), [])
        # The directory was made for the mount, and goes with it.
        equal(place.exists(), False)
        crosh("vmc", "container", "start", "alpha", "penguin")
        wait_for(lambda: mounts() == there, 120, "the mount")
        equal((place / "from-here").read_text(), "hello\n")
        # Another's end is none of its business.
        crosh("vmc", "container", "copy", "alpha", "c1", "other")
        crosh("vmc", "container", "start", "alpha", "other")
        crosh("vmc", "container", "stop", "--force", "alpha", "other")
        crosh("sftp", "umount", "--auto", "alpha/other")
        equal(mounts(), there)
        # A restart is waited for.
        crosh("vmc", "container", "restart", "--force", "alpha", "penguin")
        wait_for(lambda: mounts() == there and (place / "from-here").read_text() == "hello\n", 120,
                 "the mount")
        crosh("vmc", "container", "delete", "-y", "-f", "alpha", "penguin", "other")
        equal(mounts(), [])
    finally:
        config.unlink()
        for _, directory, _ in mounts():
            home.run("-c", f"sftp umount --timeout 20 {directory}")


@case
def snapshots():
    """snapshot, restore, copies of a snapshot, and their names."""
    equal(crosh("vmc", "container", "snapshot", "alpha", "c1"), "snap0\n")
    crosh("vsh", "alpha", "c1", "--", "touch", "/root/later")
    equal(crosh("vmc", "container", "snapshot", "alpha", "c1", "with-it"), "")
    equal(crosh("vmc", "container", "snapshot", "alpha", "c1"), "snap1\n")
    info = json.loads(crosh("vmc", "container", "info", "--json", "alpha", "c1"))
    equal([item["name"] for item in info["snapshots"]], ["snap0", "with-it", "snap1"])
    crosh("vmc", "container", "restore", "alpha", "c1", "snap0")
    equal(containers(), {"c1": "running"})
    equal(crosh("vsh", "alpha", "c1", "--", "ls", "/root"), "")
    crosh("vmc", "container", "copy", "alpha", "c1/with-it", "was")
    crosh("vmc", "container", "start", "alpha", "was")
    equal(crosh("vsh", "alpha", "was", "--", "ls", "/root"), "later\n")
    refused("vmc", "container", "restore", "alpha", "c1", "none", status=3,
            text="container c1 has no snapshot none")
    refused("vmc", "container", "snapshot", "--delete", "alpha", "c1", "none", status=3,
            text="container c1 has no snapshot none")
    refused("vmc", "container", "snapshot", "alpha", "c1", "a/b", status=2,
            text="'a/b' cannot be the name of a snapshot")
    for name in ("snap0", "with-it", "snap1"):
        crosh("vmc", "container", "snapshot", "--delete", "alpha", "c1", name)
    equal(json.loads(crosh("vmc", "container", "info", "--json", "alpha", "c1"))["snapshots"], [])


@case
def renamed():
    """rename, and delete with its questions."""
    refused("vmc", "container", "rename", "alpha", "was", "is", status=1,
            text="hint: stop it first: vmc container stop alpha was")
    crosh("vmc", "container", "stop", "--force", "alpha", "was")
    crosh("vmc", "container", "rename", "alpha", "was", "is")
    equal(containers(), {"c1": "running", "is": "stopped"})
    refused("vmc", "container", "copy", "alpha", "is", "c1", status=4,
            text="container c1 is there already")
    refused("vmc", "container", "delete", "alpha", "is", status=2, text="hint: say so with -y")
    refused("vmc", "container", "delete", "-y", "alpha", "c1", status=4,
            text="container c1 is running")
    crosh("vmc", "container", "delete", "-y", "alpha", "is")
    equal(containers(), {"c1": "running"})


@case
def used():
    """top: what a container uses, for programs, once for people, and live on a terminal."""
    crosh("vmc", "container", "snapshot", "alpha", "c1", "busy")
    crosh("vmc", "container", "copy", "alpha", "c1/busy", "other")
    crosh("vmc", "container", "start", "alpha", "other")
    before = json.loads(crosh("vmc", "container", "top", "--json", "--sort", "name", "alpha"))
    equal([(row["vm"], row["name"]) for row in before], [("alpha", "c1"), ("alpha", "other")])
    crosh("vsh", "alpha", "c1", "--", "sh", "-c",
          "sleep 100000 & sleep 100000 & for i in 1 2 3; do"
          " ping -c 1 -s 1400 -W 60 100.115.93.1 >/dev/null || exit 1; done")
    after = json.loads(crosh("vmc", "container", "top", "--json", "--sort", "processes"))
    equal([row["name"] for row in after], ["c1", "other"])
    grown = {key: after[0][key] - before[0][key] for key in ("sent_bytes", "processes")}
    equal((grown["sent_bytes"] >= 3 * 1400, grown["processes"]), (True, 2), grown)
    header, *rows = crosh("vmc", "container", "top", "--once", "--sort", "name").splitlines()
    equal(header.split(), ["CONTAINER", "CPU%", "MEMORY", "SWAP", "DISK", "IN/S", "OUT/S",
                           "PROCESSES", "VM"])
    equal([(row.split()[0], row.split()[-1]) for row in rows], [("c1", "alpha"), ("other", "alpha")])
    terminal = home.terminal("vmc", "container", "top", "--interval", "1", rows=10)
    terminal.expect("(Ctrl-C leaves)", 60)
    contains(terminal.text(), "other")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "other")
    terminal.wait(lambda t: "c1" in t.text() and "other" not in t.text(), 60, "the next look")
    terminal.send("\x03")
    equal(terminal.end(), 130)
    contains(terminal.output, b"\x1b[?25h\x1b[?1049l", "the screen as it was")
    crosh("vmc", "container", "snapshot", "--delete", "alpha", "c1", "busy")
    refused("vmc", "container", "top", "beta", status=3, text="there is no VM named beta")
    refused("vmc", "container", "top", "--sort", "colour", status=2, text="colour")


@case
def limits():
    """limits are LXD's, and shown."""
    equal(crosh("vmc", "container", "limits", "alpha", "c1"),
          "memory     none\ncpus       none\nprocesses  none\ndisk       none\n")
    crosh("vmc", "container", "limits", "--memory", "300M", "--processes", "77", "--disk", "2G",
          "alpha", "c1")
    equal(json.loads(crosh("vmc", "container", "limits", "--json", "alpha", "c1")),
          {"memory": "314572800", "cpus": None, "processes": "77", "disk": "2147483648"})
    config = json.loads(lxd.run("lxc", "query", "/1.0/instances/c1"))
    equal((config["config"]["limits.memory"], config["devices"]["root"]["size"]),
          ("314572800", "2147483648"))
    crosh("vmc", "container", "limits", "--memory", "none", "alpha", "c1")
    equal(crosh("vmc", "container", "limits", "alpha", "c1"),
          "memory     none\ncpus       none\nprocesses  77\ndisk       2G\n")
    for bad in ("x", "-1", "0", "1M2"):
        refused("vmc", "container", "limits", "--memory=" + bad, "alpha", "c1", status=2,
                text="is neither a size such as 512M nor none")


@case
def disk_limit_holds():
    """On btrfs, as VMs have it, the disk's limit is a quota, and the kernel's word."""
    lxd.run("lxc", "storage", "create", "quota", "btrfs", "size=512MiB")
    lxd.run("lxc", "copy", "c1", "q1", "--storage", "quota", "--instance-only")
    crosh("vmc", "container", "limits", "--disk", "32M", "alpha", "q1")
    crosh("vmc", "container", "start", "alpha", "q1")
    fill = ("vsh", "alpha", "q1", "--", "dd", "if=/dev/zero", "of=/root/big", "bs=1M", "count=64",
            "conv=fsync")
    refused(*fill, status=1, text="Disk quota exceeded")
    usage = json.loads(crosh("vmc", "container", "top", "--json", "--sort", "disk", "alpha"))[0]
    equal((usage["name"], 16 << 20 < usage["disk_bytes"] <= 32 << 20), ("q1", True), usage)
    crosh("vsh", "alpha", "q1", "--", "rm", "/root/big")
    crosh("vmc", "container", "limits", "--disk", "none", "alpha", "q1")
    crosh(*fill)
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "q1")
    lxd.run("lxc", "storage", "delete", "quota")


@case
def shared_directories():
    """Directories that the VM has of the host's: also those that come later, with right owners."""
    image = home.data / "crosh" / "images" / "termina"
    image.mkdir(parents=True)
    (image / "manifest.json").write_text('{"image": "termina", "shares_with_containers": true}')
    share = ("set -e; mkdir /mnt/shared/$1; mount -t tmpfs -o mode=700,uid=1000,gid=1000 $1 "
             "/mnt/shared/$1; cd /mnt/shared/$1; echo $1 >word; chmod 600 word; "
             "chown 1000:1000 word; echo root >root")
    try:
        lxd.run("sh", "-c", share, "sh", "early")
        crosh("vmc", "container", "alpha", "with", rootfs, metadata, "--user", "jdoe")
        lxd.run("sh", "-c", share, "sh", "late")
        for name in ("early", "late"):
            equal(crosh("vsh", "--user", "jdoe", "alpha", "with", "--", "sh", "-c",
                        f"cd /mnt/shared/{name}; cat word root; stat -c '%u:%g' . word root;"
                        "echo more >>word; echo made >made"),
                  f"{name}\nroot\n1000:1000\n1000:1000\n65534:65534\n")
            equal(lxd.run("sh", "-c", f"cd /mnt/shared/{name}; stat -c '%u:%g' word made; cat word"),
                  f"1000:1000\n1000:1000\n{name}\nmore\n")
        # The container's root is nobody in the VM, and nobody else is its user.
        crosh("vsh", "alpha", "with", "--", "touch", "/mnt/shared/late/by-root")
        equal(lxd.run("stat", "-c", "%u", "/mnt/shared/late/by-root"), "1000000\n")
        equal(crosh("vsh", "alpha", "with", "--", "cat", "/proc/self/uid_map").split(),
              ["0", "1000000", "1000", "1000", "1000", "1", "1001", "1001001", "999998999"])
        # What is taken from the VM is taken from the container.
        lxd.run("umount", "/mnt/shared/late")
        equal(crosh("vsh", "alpha", "with", "--", "ls", "/mnt/shared/late"), "")
        # The VM's own ids, and the same directories, where its root is the VM's.
        crosh("vmc", "container", "alpha", "privileged", rootfs, metadata, "--privileged", "true")
        equal(crosh("vsh", "alpha", "privileged", "--", "stat", "-c", "%u", "/mnt/shared/early/word"),
              "1000\n")
    finally:
        for name in ("with", "privileged"):
            home.run("--", "vmc", "container", "delete", "-y", "-f", "alpha", name)
        lxd.run("sh", "-c", "umount /mnt/shared/early /mnt/shared/late; rm -r /mnt/shared/*", check=False)
        (image / "manifest.json").unlink()


@case
def exported():
    """export and import: a container with its snapshots, through a file."""
    archive = home.path / "c1.tar.zst"
    crosh("vsh", "alpha", "c1", "--", "sh", "-c", "echo kept >/root/kept")
    crosh("vmc", "container", "snapshot", "alpha", "c1", "then")
    crosh("vmc", "container", "export", "alpha", "c1", str(archive))
    equal(stat.S_IMODE(archive.stat().st_mode), 0o600)
    equal(archive.read_bytes()[:4], b"\x28\xb5\x2f\xfd")
    equal(json.loads(lxd.run("lxc", "query", "/1.0/instances/c1/backups")), [])
    refused("vmc", "container", "export", "alpha", "c1", str(archive), status=4, text="File exists")
    # What an import left that ended with its VM is in nobody's way.
    lxd.run("lxc", "init", "--empty", "crosh-new-c3")
    crosh("vmc", "container", "import", "alpha", str(archive), "c3")
    equal(containers()["c3"], "stopped")
    refused("vmc", "container", "import", "alpha", str(archive), "c3", status=4,
            text="container c3 is there already")
    crosh("vmc", "container", "start", "alpha", "c3")
    equal(crosh("vsh", "alpha", "c3", "--", "cat", "/root/kept"), "kept\n")
    info = json.loads(crosh("vmc", "container", "info", "--json", "alpha", "c3"))
    equal([item["name"] for item in info["snapshots"]], ["then"])
    # What lxc itself writes is taken as well.
    lxd.run("lxc", "export", "c3", str(home.path / "lxc.tar.gz"))
    crosh("vmc", "container", "import", "alpha", str(home.path / "lxc.tar.gz"), "c4")
    crosh("vmc", "container", "delete", "-y", "-f", "alpha", "c3", "c4")
    short = home.path / "short"
    short.write_bytes(archive.read_bytes()[:100000])
    refused("vmc", "container", "import", "alpha", str(short), "c5", status=1,
            text="the file is cut short")
    short.write_bytes(archive.read_bytes()[:1000] + bytes(1000) + archive.read_bytes()[2000:])
    refused("vmc", "container", "import", "alpha", str(short), "c5", status=1, text="damaged")
    refused("vmc", "container", "import", "alpha", metadata, "c5", status=1, text="LXD says: ")
    equal(containers(), {"c1": "running"})


if __name__ == "__main__":
    main(set_up, tear_down)
