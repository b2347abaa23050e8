#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""What a user of Crostini does with containers, in that order: the default container, lxc in the VM,
an image server, containers of several distributions, the VM stopped and started again.

The images are built here: Debian of two releases, and small ones. All of it happens in namespaces
that stand for a VM; tests/lxd/booted.py has it happen in a VM.
"""

import fcntl
import json
import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

from harness import CROSH, Home, LIBEXEC, case, contains, equal, main, wait_for
from launcher import Launcher
from lxdhost import tiny_image
from places import Namespaces
from simplestreams import Tree

notes = []  # (case, whether it needs the images of Debian)
releases = []  # Debian's: the default image's, and another
images = []  # (its name at the server, a container's name, the word that tells its release)
place = None
home = None
server = None
repository = None  # the address of a small repository of packages


def debian(*options):
    """The directory of an image of Debian, built when it is not there yet."""
    directory = Path(os.environ["top_builddir"]) / "test-images"
    directory.mkdir(exist_ok=True)
    output = directory / "-".join(["penguin", *[word.strip("-") for word in options]])
    with open(directory / "penguin.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run([str(LIBEXEC / "crosh-mkimage"), "penguin", "--if-needed", *options,
                               "--output", str(output)], timeout=1500, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise AssertionError(f"the image could not be built: {done.stdout}")
    return output


def debian_images():
    """{release: directory} of the default image and another."""
    default = debian()
    suite = json.loads((default / "manifest.json").read_text())["root"]["suite"]
    other = "trixie" if suite != "trixie" else "bookworm"
    return {suite: default, other: debian("--suite", other)}


def set_up(make_place, has_debian):
    """The images, a server that has them, and a VM's worth of LXD."""
    global place, home, server, repository  # pylint: disable=global-statement
    found = debian_images() if has_debian else {}
    place = make_place()
    home = place.home
    tree = Tree(home.path / "tree")
    for release, directory in found.items():
        tree.add("debian", release, directory / "rootfs.squashfs", directory / "metadata.tar.xz")
        releases.append(release)
        images.append(("debian/" + release, f"my{release}container", release))
    if found:
        at = home.data / "crosh" / "images"
        at.mkdir(parents=True, exist_ok=True)
        (at / "penguin").symlink_to(found[releases[0]])
    for release in ("one", "two"):
        (home.path / release).mkdir()
        tree.add("tiny", release, *tiny_image(home.path / release, release=release))
    images.append(("tiny/one", "mytinycontainer", "one"))
    if not found:
        images.append(("tiny/two", "myothertinycontainer", "two"))
    server = place.serve_images(tree)
    repository = place.serve_files(packages())


def packages():
    """The directory of a repository of Debian packages: a program, and a newer release of it."""
    directory = home.path / "repository"
    directory.mkdir()
    index = ""
    for version in ("1", "2"):
        root = home.path / f"note-{version}"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "usr/bin").mkdir(parents=True)
        control = textwrap.dedent(f"""\
            Package: note
            Version: {version}
            Architecture: all
            Maintainer: tests
            Description: says which release of it this is
            """)
        (root / "DEBIAN/control").write_text(control)
        (root / "usr/bin/note").write_text(f"#!/bin/sh\necho note {version}\n")
        (root / "usr/bin/note").chmod(0o755)
        file = directory / f"note_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, file], check=True,
                       stdout=subprocess.DEVNULL)
        digest = subprocess.run(["sha256sum", file], check=True, stdout=subprocess.PIPE,
                                text=True).stdout.split()[0]
        index += (f"{control}Filename: ./{file.name}\nSize: {file.stat().st_size}\n"
                  f"SHA256: {digest}\n\n")
    (directory / "Packages").write_text(index)
    return directory


def tear_down():
    """Ends them."""
    if server is not None:
        server.close()
    if place is not None:
        place.close()


def note(function):
    """A part of the notes."""
    notes.append((function, False))
    return function


def debian_note(function):
    """One that needs the images of Debian."""
    notes.append((function, True))
    return function


def crosh(*words, status=0, **options):
    """Runs one command; what it printed, after its status was looked at."""
    done = home.run("--", *words, timeout=900, **options)
    equal(done.returncode, status, f"status of {' '.join(words)}: {done.stderr}")
    return done.stdout


def in_vm(*words):
    """Runs a command in the VM, as a user at its shell does."""
    return crosh("vsh", *place.vsh_options, "termina", "--", *words)


def inside(name, script):
    """What a shell script in a container prints."""
    return crosh("vsh", "termina", name, "--", "sh", "-c", script)


def states():
    """{name: state} by vmc container list."""
    return {item["name"]: item["state"]
            for item in json.loads(crosh("vmc", "container", "list", "--json", "termina"))}


def address_of(name):
    """The container's, of IPv4, once it has one."""
    def addresses():
        info = json.loads(crosh("vmc", "container", "info", "--json", "termina", name))
        return [address for address in info["addresses"] if "." in address]

    wait_for(lambda: addresses() != [], 300, "an address")
    return addresses()[0]


@debian_note
def the_default_container():
    """vmc container termina penguin: made, started, with a user of one's own."""
    done = home.run("--", "vmc", "container", "--network-timeout", "600", "termina", "penguin",
                    timeout=900, env={"LANG": "en_GB.UTF-8"})
    equal((done.returncode, done.stdout), (0, ""), done.stderr)
    # Its network is there at once.
    equal(inside("penguin", "getent ahostsv4 penguin.lxd")[:8], "100.115.")
    equal(states(), {"penguin": "running"})
    text = crosh("vsh", "--user", "user", "termina", "penguin", "--", "sh", "-c",
                 "id -un; id -u; pwd; hostname; sudo -n id -u; cat /etc/default/locale;"
                 "locale -a | grep -c en_GB; cat /proc/1/comm")
    equal(text.split("\n"), ["user", "1000", "/home/user", "penguin", "0", "LANG=en_GB.UTF-8", "1",
                             "systemd", ""])
    # The system in it comes up whole.
    equal(inside("penguin", "systemctl is-system-running --wait;"
                 "systemctl --failed --plain --no-legend"), "running\n")


@debian_note
def the_image_is_no_vms():
    """The default image is listed, and no VM starts from it."""
    contains(crosh("vmc", "image", "list"), "penguin  penguin  ")
    done = home.run("--", "vmc", "start", "--no-shell", "--image", "penguin", "other")
    equal(done.returncode, 1, done.stderr)
    contains(done.stderr, "the image penguin is one for containers, not for VMs\n"
             "hint: make a container from it: vmc container VM penguin\n")


@debian_note
def a_shell_in_it():
    """vsh termina penguin, its name completed: a login shell on a terminal."""
    equal([line.split("\t")[0] for line in crosh_completes("ping pen")],
          ["penguin", "penguin.termina"])
    terminal = home.terminal()
    try:
        terminal.expect("crosh>", 60)
        terminal.send("vsh --user user ter\tpen\t\r")
        terminal.expect("user@penguin:~$", 120)
        terminal.send("echo $0; tty\r")
        terminal.expect("-bash", 60)
        terminal.expect("/dev/pts/", 60)
        terminal.send("exit\r")
        terminal.wait(lambda t: t.text().endswith("crosh>"), 60, "the prompt")
        terminal.send("exit\r")
        equal(terminal.end(60), 0)
    finally:
        terminal.close()


def crosh_completes(line):
    """What a tab behind the line offers."""
    return home.run("--complete", line).stdout.splitlines()


@debian_note
def lxc_in_the_vm():
    """lxc list, info, info --show-log, exec."""
    address_of("penguin")
    contains(in_vm("lxc", "list"), "| penguin | RUNNING | 100.115.")
    contains(in_vm("sh", "-c", "lxc info penguin | grep 'Status: '"), "Status: RUNNING\n")
    contains(in_vm("lxc", "info", "--show-log", "penguin"), "Log:\n")
    contains(in_vm("lxc", "exec", "penguin", "--", "/bin/bash", "-c", "cat /etc/*elease*"),
             'PRETTY_NAME="Debian GNU/Linux ')


@debian_note
def from_the_host():
    """ping of the container's address; ssh, scp, rsync and git without any network."""
    equal(place.ping("penguin", address_of("penguin")), True)
    key = home.path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    crosh("vsh", "--user", "user", "termina", "penguin", "--", "sh", "-c",
          "mkdir -m 700 .ssh && cat >.ssh/authorized_keys", data=(home.path / "key.pub").read_text())
    config = home.path / "ssh_config"
    config.write_text(crosh("vsh", "ssh-config", "--user", "user") + f"    IdentityFile {key}\n")
    ssh = f"ssh -F {config} -o BatchMode=yes"

    def run(*argv):
        done = subprocess.run(argv, env=home.env, stdin=subprocess.DEVNULL, text=True, timeout=600,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return done.returncode, done.stdout, done.stderr

    done = run(*ssh.split(), "penguin.termina.vsh", "id -un; hostname; echo $LANG; exit 7")
    equal(done[:2], (7, "user\npenguin\nen_GB.UTF-8\n"), done[2])
    contains((home.data / "crosh" / "ssh_known_hosts").read_text(), "penguin.termina.vsh ssh-ed25519")
    # The container is of this host's release: programs of it that the image lacks run there, too.
    for program in ("rsync", "git"):
        path = shutil.which(program)
        crosh("vsh", "cp", path, f"termina/penguin:{path}")
        for library in re.findall(r"=> (/\S+)", run("ldd", path)[1]):
            if inside("penguin", f"test -e {library} || echo none"):
                crosh("vsh", "cp", os.path.realpath(library), f"termina/penguin:{library}")
    inside("penguin", "ln -s git /usr/bin/git-upload-pack; ln -s git /usr/bin/git-receive-pack")
    data = home.path / "copied"
    data.write_bytes(os.urandom(1_000_000))
    host = "penguin.termina.vsh"
    for argv in (("scp", *ssh.split()[1:], str(data), f"{host}:by-scp"),
                 ("scp", *ssh.split()[1:], f"{host}:by-scp", f"{data}.scp"),
                 ("rsync", "-e", ssh, "-a", str(data), f"{host}:by-rsync"),
                 ("rsync", "-e", ssh, "-a", f"{host}:by-rsync", f"{data}.rsync")):
        done = run(*argv)
        equal(done[0], 0, f"{argv}: {done[2]}")
    for way in ("scp", "rsync"):
        equal((home.path / f"copied.{way}").read_bytes() == data.read_bytes(), True, way)
    there = inside("penguin", "git init -q --bare /home/user/work.git && chown -R user /home/user &&"
                   "stat -c %U /home/user/by-scp /home/user/by-rsync")
    equal(there, "user\nuser\n")
    git = ("git", "-c", f"core.sshCommand={ssh}", "-c", "user.name=n", "-c", "user.email=e", "-C",
           str(home.path / "work"))
    for argv in ((*git[:-2], "clone", "-q", f"{host}:work.git", str(home.path / "work")),
                 (*git, "commit", "-q", "--allow-empty", "-m", "from the host"),
                 (*git, "push", "-q", "origin", "HEAD:main")):
        done = run(*argv)
        equal(done[0], 0, f"{argv}: {done[2]}")
    contains(inside("penguin", "git -c safe.directory=* -C /home/user/work.git log --oneline main"),
             "from the host\n")
    # Who has no such server is told so.
    done = run(*ssh.split(), "none.termina.vsh", "true")
    equal(done[0], 255)
    contains(done[2], "no such container 'none'")


def left_by_sshd(name):
    """The directories of keys in a container."""
    return inside(name, "find /dev/shm /run /tmp -name 'crosh-sshd*' 2>/dev/null; true")


@debian_note
def files_on_the_host():
    """sftp put, get, ls and mount of a container: by the agent, and by an sshd of the session's own."""
    data = os.urandom(1_000_000)
    (home.path / "bytes").write_bytes(data)
    for option in ((), ("--ssh",)):
        crosh("sftp", "put", *option, "--verify", str(home.path / "bytes"), "penguin:/tmp/bytes")
        crosh("sftp", "get", *option, "--verify", "penguin:/tmp/bytes", str(home.path / "got"))
        equal((home.path / "got").read_bytes() == data, True)
        (home.path / "got").unlink()
        equal(crosh("sftp", "ls", *option, "penguin:/home"), "user/\n")
        equal(crosh("sftp", "shell", *option, "penguin:/tmp", data="mkdir made\n"), "")
        equal(inside("penguin", "stat -c '%n %a %U' /tmp/made /tmp/bytes"),
              "/tmp/made 755 root\n/tmp/bytes 644 root\n")
        inside("penguin", "rmdir /tmp/made; rm /tmp/bytes")
        if os.access("/dev/fuse", os.R_OK | os.W_OK) and shutil.which("fusermount3") is not None:
            mounted_as_root(option)
    wait_for(lambda: left_by_sshd("penguin") == "", 300, "the sessions' keys to be gone")
    # A password that is locked is none of its business; a shell that is not there is, without SSH neither.
    inside("penguin", "usermod -p '!' root")
    equal(crosh("sftp", "ls", "--ssh", "penguin:/home"), "user/\n")
    inside("penguin", "usermod -s /bin/none root 2>/dev/null")
    done = home.run("sftp", "ls", "--ssh", "penguin:/home", timeout=900)
    equal(done.returncode, 5)
    contains(done.stderr, "sftp ls: penguin: the server does not let us in: ")
    contains(done.stderr, "\nhint: sshd lets nobody in whose account is locked or whose shell is not there;"
             " without SSH neither matters\n")
    equal(crosh("sftp", "ls", "penguin:/home"), "user/\n")
    inside("penguin", "usermod -p '*' -s /bin/bash root; mv /usr/sbin/sshd /usr/sbin/no-sshd")
    done = home.run("sftp", "mount", "--ssh", "penguin", timeout=900)
    inside("penguin", "mv /usr/sbin/no-sshd /usr/sbin/sshd")
    equal((done.returncode, done.stderr),
          (5, "sftp mount: penguin: it has no sshd\nhint: without SSH none is needed; else install it "
           "there: apt-get install openssh-server\n"))


def mounted_as_root(option):
    """A mount, with the server that this needs."""
    mounted = home.path / "crosh" / "penguin"
    crosh("sftp", "mount", *option, "penguin")
    try:
        equal(len(left_by_sshd("penguin").splitlines()) >= 1, bool(option))
        (mounted / "made").write_text("on the host\n")
        equal(inside("penguin", "cat /root/made; rm /root/made"), "on the host\n")
    finally:
        crosh("sftp", "umount", str(mounted))


@debian_note
def files_of_its_user():
    """The same by who is called as its user is, here, and has that one's rights there."""
    if place.is_booted:
        return  # the VM is root's
    people = home.path / "passwd"
    people.write_text("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
    with Home() as theirs:
        # Another's launcher, which leads to the same agent.
        launcher = Launcher(theirs, "termina", ports=place.launcher.ports)

        def as_user(*words, status=0):
            done = subprocess.run(
                ["unshare", "-m", "sh", "-c", f"mount --bind {people} /etc/passwd && exec setpriv --reuid "
                 "1000 --regid 1000 --clear-groups \"$@\"", "sh", CROSH, *words], env=theirs.env,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                timeout=900, check=False)
            equal(done.returncode, status, done.stderr)
            return done.stdout + done.stderr

        try:
            (theirs.path / "file").write_text("of the user\n")
            for path in (theirs.path, *theirs.path.rglob("*")):
                os.chown(path, 1000, 1000)
            for option in ((), ("--ssh",)):
                as_user("sftp", "put", *option, str(theirs.path / "file"), "penguin:file")
                equal(inside("penguin", "stat -c '%U %a' /home/user/file; rm /home/user/file"), "user 644\n")
                contains(as_user("sftp", "put", *option, str(theirs.path / "file"), "penguin:/etc/file",
                                 status=5), "Permission denied")
            inside("penguin", "usermod -s /bin/none user")
            contains(as_user("sftp", "ls", "--ssh", "penguin:", status=5), "whose shell is not there")
            inside("penguin", "usermod -s /bin/bash user")
            wait_for(lambda: left_by_sshd("penguin") == "", 300, "the sessions' keys to be gone")
        finally:
            launcher.close()


@debian_note
def packages_in_it():
    """sudo apt install of a file; apt update and upgrade."""
    source = f"deb [trusted=yes] {repository}/ ./"
    inside("penguin", f"echo '{source}' >/etc/apt/sources.list")
    crosh("vsh", "cp", "--user", "user", str(home.path / "repository" / "note_1_all.deb"),
          "termina/penguin:note.deb")
    as_user = ("vsh", "--user", "user", "termina", "penguin", "--")
    crosh(*as_user, "sudo", "apt", "install", "-y", "./note.deb")
    equal(crosh(*as_user, "note"), "note 1\n")
    contains(inside("penguin", "apt update && apt upgrade -y"), "note (2) over (1)")
    equal(crosh(*as_user, "note"), "note 2\n")


@note
def a_remote():
    """lxc remote list and add, image list and info."""
    contains(in_vm("lxc", "remote", "list"), "| images ")
    in_vm("mkdir", "-p", f"{place.vm_home}/.config/lxc/servercerts")
    crosh("vsh", "cp", str(server.certificate),
          f"termina:{place.vm_home}/.config/lxc/servercerts/google.crt")
    in_vm("lxc", "remote", "add", "google", server.url, "--protocol=simplestreams")
    contains(in_vm("lxc", "remote", "list"), f"| google          | {server.url}")
    listed = in_vm("lxc", "image", "list", "google:")
    equal(sorted(set(re.findall(r"^\| (\w+/\w+) ", listed, re.M))),
          [*sorted("debian/" + release for release in releases), "tiny/one", "tiny/two"])
    image, _, release = images[0]
    contains(in_vm("lxc", "image", "info", f"google:{image}"), f"release: {release}\n")


@note
def several_distributions():
    """lxc launch from it, list, exec; the releases are those that were asked for."""
    for image, name, release in images:
        in_vm("sh", "-c", f"lxc launch google:{image} {name} </dev/null")
        contains(in_vm("lxc", "list"), f"| {name} ")
        contains(in_vm("lxc", "exec", name, "--", "sh", "-c", "cat /etc/*elease*"), release)
        # vsh leads into every one of them, whether systemd runs in it or not.
        contains(inside(name, "cat /etc/os-release"), release)
        inside(name, f"echo {name} >/root/mine && sync")
    in_vm("lxc", "stop", "--force", images[1][1])


@note
def stopped_and_started_again():
    """Containers and what was changed in them are there again, stopped or started as they were."""
    global server  # pylint: disable=global-statement
    before = states()
    server = place.stop_and_start()
    wait_for(lambda: states() == before, 600, "the containers to be as they were")
    stopped = images[1][1]
    equal([name for name, state in before.items() if state == "stopped"], [stopped])
    in_vm("lxc", "start", stopped)
    for _, name, _ in images:
        equal(inside(name, "cat /root/mine"), name + "\n")
    if "penguin" in before:
        equal(crosh("vsh", "--user", "user", "termina", "penguin", "--", "sudo", "id", "-u"), "0\n")
    # And they have their network again.
    equal(place.ping(images[-1][1] + ".termina", address_of(images[-1][1])), True)


@debian_note
def another_way_to_launch():
    """vmc container termina mycontainer --container_name=mycontainer --user=jdoe --shell."""
    shell = crosh("vmc", "container", "termina", "mycontainer", "--container_name=mycontainer",
                  "--user=jdoe", "--shell", data="id -un; hostname; exit 3\n", status=3)
    equal(shell, "jdoe\nmycontainer\n")
    equal(states()["mycontainer"], "running")


@note
def straight_from_the_server():
    """vmc container termina c1 https://... IMAGE, from a server that LXD does not know."""
    image, _, release = images[0]
    crosh("vmc", "container", "termina", "c1", server.url, image, "--certificate",
          str(server.certificate))
    contains(crosh("vsh", "--user", "user", "termina", "c1", "--", "cat", "/etc/os-release"), release)


def run(make_place, has_debian=True):
    """Tries the notes there; without Debian, those that do without it."""
    for function, needs_debian in notes:
        if has_debian or not needs_debian:
            case(function)
    main(lambda: set_up(make_place, has_debian), tear_down)


if __name__ == "__main__":
    run(Namespaces)
