# SPDX-License-Identifier: MIT
"""The files of a guest, whose agent runs on this host: bare SFTP on a plain session."""

import errno
import json
import os
import pwd
import shutil
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path
from xml.dom import minidom
from xml.etree import ElementTree

from harness import CROSH, LIBEXEC, Home, Skip, case, contains, equal, main, wait_for

sys.path.insert(0, os.path.join(os.environ["top_srcdir"], "tests", "agent"))
import wire  # noqa: E402 pylint: disable=wrong-import-position
from launcher import Launcher  # noqa: E402 pylint: disable=wrong-import-position

home = launcher = top = None


def set_up():
    global home, launcher, top
    home = Home()
    top = home.path / "files"
    top.mkdir()
    launcher = Launcher(home, "alpha")


def tear_down():
    if launcher is not None:
        launcher.close()
        home.close()


def plain(argv, data):
    """Runs argv as a plain session; returns all that comes behind READY."""
    with wire.Session(launcher.ports[9001]) as session:
        session.send(wire.setup_request(argv) + wire.number(101, 1))
        size = struct.unpack("<I", session.exactly(4))[0]
        fields = dict(wire.parse(session.exactly(size)))
        if fields[1] != wire.READY:
            return fields
        equal(fields[103], 1, "is_plain")
        if data:  # else it may have ended already
            session.sock.sendall(data)
        session.sock.shutdown(1)
        out = b""
        while piece := session.sock.recv(65536):
            out += piece
        return out


@case
def a_plain_session_is_the_commands_own():
    data = bytes(range(256)) * 400  # less than the sockets hold
    equal(plain(["cat"], data) == data, True)
    equal(plain(["sh", "-c", "echo out; echo err >&2; exit 3"], b""), b"out\n")


@case
def one_that_cannot_start_says_why():
    fields = plain_of("nobody-here")
    equal(fields[1], wire.FAILED)
    contains(fields[2].decode(), "nobody-here")


def plain_of(user):
    with wire.Session(launcher.ports[9001]) as session:
        session.send(wire.setup_request(["true"], user=user) + wire.number(101, 1))
        size = struct.unpack("<I", session.exactly(4))[0]
        return dict(wire.parse(session.exactly(size)))


@case
def a_guests_files_are_listed():
    (top / "file").write_text("abc")
    done = home.run("-c", f"sftp ls --json alpha:{top}")
    equal((done.stderr, done.returncode), ("", 0))
    equal([(e["name"], e["size"]) for e in json.loads(done.stdout)], [("file", 3)])


@case
def a_guests_files_are_mounted():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    done = home.run("-c", f"sftp mount alpha:{top}")
    equal((done.stdout, done.stderr, done.returncode),
          (f"alpha:{top} is at {home.path}/crosh/alpha\n", "", 0))
    mounted = home.path / "crosh" / "alpha"
    data = os.urandom(2_000_000)
    (mounted / "copy").write_bytes(data)
    equal((top / "copy").read_bytes() == data, True)
    launcher.cut()
    equal((mounted / "copy").read_bytes() == data, True)
    equal(home.run("-c", f"sftp umount alpha:{top}").returncode, 0)
    equal(mounted.exists(), False)


@case
def a_mount_has_a_bookmark_while_it_is_there():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    # Where no desktop has been, nothing is made.
    equal((home.path / "config" / "gtk-3.0").exists(), False)
    bookmarks = home.path / "config" / "gtk-3.0" / "bookmarks"
    bookmarks.parent.mkdir(parents=True)
    real = home.path / "dotfile"
    own = "file:///tmp Own\nfile:///nowhere\nno newline"
    real.write_text(own)
    real.chmod(0o640)
    bookmarks.symlink_to(real)
    line = f"file://{home.path}/crosh/alpha alpha (crosh)\n"
    equal(home.run("-c", "sftp mount alpha").returncode, 0)
    equal(real.read_text(), own + "\n" + line)
    equal((bookmarks.is_symlink(), real.stat().st_mode & 0o777), (True, 0o640))
    equal(home.run("-c", "sftp umount alpha").returncode, 0)
    equal(real.read_text(), own + "\n")
    # Root with another's home leaves that's files alone: what is there may lead anywhere.
    if os.geteuid() == 0:
        os.chown(bookmarks.parent, 12, 34)
        equal(home.run("-c", "sftp mount alpha").returncode, 0)
        equal(real.read_text(), own + "\n")
        equal(home.run("-c", "sftp umount alpha").returncode, 0)
        os.chown(bookmarks.parent, 0, 0)
    # A line of the user's for it is enough, and stays.
    real.write_text(f"file://{home.path}/crosh/alpha Mine\n")
    equal(home.run("-c", "sftp mount alpha").returncode, 0)
    equal(home.run("-c", "sftp umount alpha").returncode, 0)
    equal(real.read_text(), f"file://{home.path}/crosh/alpha Mine\n")
    equal(sorted(os.listdir(real.parent / "config" / "gtk-3.0")), ["bookmarks"])


PLACES = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE xbel>
<!-- kept -->
<xbel xmlns:bookmark="http://www.freedesktop.org/standards/desktop-bookmarks" \
xmlns:kdepriv="http://www.kde.org/kdepriv" dbusName="kfilePlaces">
 <info>
  <metadata owner="http://www.kde.org">
   <kde_places_version>4</kde_places_version>
  </metadata>
 </info>
 <bookmark href="file:///tmp/%C3%BC">
  <title>Sp\u00e4ti &amp; <![CDATA[<more>]]></title>
  <info>
   <metadata owner="http://freedesktop.org">
    <bookmark:icon name="user-home"/>
   </metadata>
  </info>
 </bookmark>
 <separator/>
</xbel>
"""


def places_of(path):
    """The titles, URIs and icons of a file of places."""
    icon = "{http://www.freedesktop.org/standards/desktop-bookmarks}icon"
    return [(" ".join(node.find("title").text.split()), node.get("href"),
             [found.get("name") for found in node.iterfind(f"info/metadata/{icon}")])
            for node in ElementTree.parse(path).getroot().iterfind("bookmark")]


@case
def a_mount_has_a_place_in_kde_while_it_is_there():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    if not (LIBEXEC / "crosh-places").exists():
        raise Skip("built without libxml2")
    places, real = home.data / "user-places.xbel", home.path / "places"
    uri = f"file://{home.path}/crosh/alpha"
    # Where KDE has not been, nothing is made.
    equal(places.exists(), False)
    real.write_text(PLACES)
    real.chmod(0o640)
    places.symlink_to(real)
    others = [("Sp\u00e4ti & <more>", "file:///tmp/%C3%BC", ["user-home"])]

    def mounted():
        done = home.run("-c", "sftp mount alpha")
        equal((done.stderr, done.returncode), ("", 0))

    def umounted():
        equal(home.run("-c", "sftp umount alpha").returncode, 0)

    equal(places_of(real), others)
    mounted()
    equal(places_of(real), [*others, ("alpha (crosh)", uri, ["crosh"])])
    contains(real.read_text(), '<bookmark:icon name="crosh"/>')
    equal((places.is_symlink(), real.stat().st_mode & 0o777), (True, 0o640))
    umounted()
    equal(real.read_text(), PLACES)
    # It is known again when KDE has written it in its own way.
    mounted()
    real.write_text(minidom.parse(str(real)).toprettyxml(" "))
    umounted()
    equal(places_of(real), others)
    # One that the user has made, or renamed, stays, and is enough.
    for text in (PLACES.replace("file:///tmp/%C3%BC", f"{uri}/"),
                 PLACES.replace("file:///tmp/%C3%BC", uri.replace("alpha", "%61lpha"))):
        real.write_text(text)
        mounted()
        umounted()
        equal(real.read_text(), text)
    real.write_text(PLACES)
    mounted()
    renamed = real.read_text().replace("alpha (crosh)", "Mine")
    real.write_text(renamed)
    umounted()
    equal(real.read_text(), renamed)
    # What is none is left alone, and told of.
    real.write_text(PLACES[:-9])
    done = home.run("-c", "sftp mount alpha")
    equal((done.stderr, done.returncode),
          ("warning: KDE's file manager gets no place for it: Invalid argument\n", 0))
    umounted()
    equal(real.read_text(), PLACES[:-9])
    # Without the others, the namespace and the declaration.
    real.write_text("<xbel>\n</xbel>")
    mounted()
    equal(places_of(real), [("alpha (crosh)", uri, ["crosh"])])
    umounted()
    equal(ElementTree.parse(real).getroot().findall("*"), [])
    equal(sorted(os.listdir(home.data)), ["crosh", "user-places.xbel"])
    equal([name for name in os.listdir(home.path) if name.startswith("places.")], [])
    real.unlink()
    places.unlink()


@case
def a_file_of_places_that_is_none_is_left_alone():
    if not (LIBEXEC / "crosh-places").exists():
        raise Skip("built without libxml2")
    (home.path / "secret").write_text("secret")
    place, directory = home.path / "odd.xbel", str(home.path / "crosh" / "alpha")
    outside = home.path / "outside.dtd"
    outside.write_text('<!ENTITY e "from outside">\n')

    def edited(text, what="add", where=directory):
        data = text if isinstance(text, bytes) else text.encode()
        place.write_bytes(data)
        done = subprocess.run([LIBEXEC / "crosh-places", what, place, where], env=home.env,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
        equal((done.stdout, done.stderr), (b"", b""))
        return done.returncode, place.read_bytes() != data

    equal(edited(PLACES), (0, True))
    for text in ("", "<xbel>", PLACES[:-9], "<html/>", PLACES + "<xbel/>", PLACES.replace("/>", ">"),
                 PLACES.encode() + b"\0", PLACES.encode("latin-1"),
                 # Entities, of which some would be files, and more than there is memory for.
                 PLACES.replace("xbel>", 'xbel [<!ENTITY e "x">]>', 1),
                 PLACES.replace("xbel>", f'xbel [<!ENTITY e SYSTEM "{home.path}/secret">]>', 1),
                 PLACES.replace("xbel>", f'xbel [<!ENTITY % e SYSTEM "{outside}"> %e;]>', 1),
                 PLACES.replace("kept", "x" * (1 << 20))):
        for what in ("add", "remove"):
            equal(edited(text, what), (errno.EINVAL, False), text[:300])
    # A DTD is named, and not read: the entity of it is not known.
    dtd = PLACES.replace("xbel>", f'xbel SYSTEM "{outside}">', 1)
    equal(edited(dtd), (0, True))
    contains(place.read_text(), f'<!DOCTYPE xbel SYSTEM "{outside}">')
    equal(edited(dtd.replace("&amp;", "&e;")), (0, True))
    contains(place.read_text(), "Sp\u00e4ti &e; <![CDATA[<more>]]>")
    # Names that XML cannot hold have none.
    for name in (b"bad\xff", b"new\nline"):
        equal(edited(PLACES, where=os.fsencode(directory) + name), (0, False))
    equal(edited(PLACES, where=directory + " <&>\u00fc"), (0, True))
    equal(places_of(place)[-1][0], "alpha <&>\u00fc (crosh)")
    equal(places_of(place)[-1][1], f"file://{directory}%20%3C%26%3E%C3%BC")
    place.unlink()


@case
def a_mount_has_an_icon_where_a_desktop_runs():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    mounted = home.path / "crosh" / "alpha"
    hidden = mounted.parent / ".directory"
    attribute = "metadata::custom-icon-name"
    bus = subprocess.Popen(["dbus-daemon", "--session", "--nofork", "--print-address"],
                           env=home.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    env = {**home.env, "DBUS_SESSION_BUS_ADDRESS": bus.stdout.readline().strip()}

    def icon():
        done = subprocess.run(["gio", "info", "-a", attribute, mounted], env=env, text=True,
                              stdout=subprocess.PIPE, check=True)
        return attribute + ": crosh" in done.stdout.split("attributes:")[-1].splitlines()[-1]

    mounted.mkdir()
    try:
        # Without a desktop, or by a name of the user's own, there is none.
        equal(home.run("-c", "sftp mount alpha; sftp umount alpha").returncode, 0)
        equal((icon(), hidden.exists()), (False, False))
        done = home.run("-c", f"sftp mount alpha {mounted}", env=env | {"XDG_CURRENT_DESKTOP": "KDE"})
        equal(done.returncode, 0, done.stderr)
        equal(home.run("-c", "sftp umount alpha").returncode, 0)
        equal((icon(), hidden.exists()), (False, False))
        done = home.run("-c", "sftp mount alpha", env=env | {"XDG_CURRENT_DESKTOP": "KDE"})
        equal((done.returncode, done.stderr), (0, ""))
        wait_for(icon, 60, "the icon")
        equal(hidden.read_text(), "[Desktop Entry]\nIcon=crosh\n")
        equal(sorted(os.listdir(mounted)), sorted(os.listdir(pwd.getpwuid(os.getuid()).pw_dir)))
        equal(home.run("-c", "sftp umount alpha").returncode, 0)
    finally:
        home.run("-c", "sftp umount alpha")
        bus.terminate()
        bus.wait(60)
        hidden.unlink(missing_ok=True)
        mounted.rmdir()


@case
def paths_of_a_guest_are_completed():
    (top / "completed").mkdir()
    (top / "completed" / "name").write_text("")
    (top / "completed" / ".hidden").write_text("")
    for line, wanted in ((f"sftp get alpha:{top}/compl", [f"alpha:{top}/completed/"]),
                         (f"sftp ls alpha:{top}/completed/", [f"alpha:{top}/completed/name"]),
                         (f"sftp ls alpha:{top}/completed/.", [f"alpha:{top}/completed/.hidden"]),
                         (f"sftp get other:{top}/compl", [])):
        done = home.run("--complete", line)
        equal((done.returncode, [text.split("\t")[0] for text in done.stdout.splitlines()]),
              (0, wanted), line)
    shutil.rmtree(top / "completed")


@case
def files_of_a_guest_are_copied():
    data = os.urandom(5_000_000)
    (home.path / "payload").write_bytes(data)
    done = home.run("-c", f"sftp put --verify {home.path}/payload alpha:{top}/put")
    equal(done.returncode, 0, done.stderr)
    equal((top / "put").read_bytes() == data, True)
    # The sum of what is there is the guest's own work, and the copy goes on behind it.
    part = home.path / ".got.crosh-part"
    part.write_bytes(data[:3_000_000])
    inode = part.stat().st_ino
    done = home.run("-c", f"sftp get alpha:{top}/put {home.path}/got")
    equal(done.returncode, 0, done.stderr)
    equal(((home.path / "got").read_bytes() == data, (home.path / "got").stat().st_ino),
          (True, inode))


@case
def a_name_that_no_vm_has_is_a_container():
    done = home.run("-c", "sftp ls penguin:/")
    equal((done.stdout, done.stderr, done.returncode),
          ("", "sftp ls: penguin: there is no VM of that name, and no VM termina that could have it "
           "as a container\nhint: see what there is: vmc list\n", 3))
    termina = Launcher(home, "termina")
    try:
        # The agent on this host has no containers: it is asked for one of that name.
        done = home.run("-c", "sftp ls penguin:/")
        contains(done.stderr, "sftp ls: penguin: ")
        contains(done.stderr, "container")
        equal(done.returncode, 1)
    finally:
        termina.close()
        shutil.rmtree(home.data / "crosh" / "vms" / "termina")


@case
def a_guest_without_a_server_has_the_agents():
    if os.geteuid() != 0:
        raise Skip("only root can hide the server")
    nothing = home.path / "nothing"
    nothing.mkdir()
    hidden = Launcher(home, "bare", around=[
        "unshare", "-m", "sh", "-c",
        f"mount --bind {nothing} /usr/lib/openssh && exec \"$@\"", "sh"])
    try:
        (top / "kept").write_text("abc")
        done = home.run("-c", f"sftp ls --json bare:{top}")
        equal((done.stderr, done.returncode), ("", 0))
        contains([(e["name"], e["size"]) for e in json.loads(done.stdout)], ("kept", 3))
        done = home.run("-c", f"sftp put --verify {top}/kept bare:{top}/copied")
        equal((done.returncode, (top / "copied").read_text()), (0, "abc"))
    finally:
        hidden.close()


def need_sshd():
    if shutil.which("sshd", path="/usr/sbin:/usr/local/sbin") is None:
        raise Skip("sshd is not installed")
    if pwd.getpwuid(os.getuid()).pw_shell.endswith(("nologin", "false")):
        raise Skip("sshd lets nobody in whose account is locked")


def sshd_directories():
    return {str(path) for place in ("/dev/shm", "/run", "/tmp")
            for path in Path(place).glob("crosh-sshd.*")}


OTHERS = sshd_directories()


def left_by_sshd():
    """What another run has left, one that was killed, is not ours."""
    return sorted(sshd_directories() - OTHERS)


@case
def a_guest_is_reached_by_ssh_with_keys_of_the_session():
    need_sshd()
    data = os.urandom(3_000_000)
    (home.path / "secret").write_bytes(data)
    done = home.run("-c", f"sftp put --ssh --verify {home.path}/secret alpha:{top}/secret")
    equal((done.returncode, (top / "secret").read_bytes() == data), (0, True), done.stderr)
    # The keys are for nobody else, which is no reason for what is made to be so.
    done = home.run("sftp", "shell", "--ssh", f"alpha:{top}", data="mkdir by-ssh\n")
    equal((done.stderr, (top / "by-ssh").stat().st_mode & 0o777), ("", 0o755))
    (top / "by-ssh").rmdir()
    done = home.run("-c", f"set sftp.transport ssh; sftp ls alpha:{top}/secret/none")
    contains(done.stderr, "sftp ls: alpha: ")
    # Nothing is known to anybody afterwards: neither here nor there.
    equal((home.path / ".ssh").exists(), False)
    wait_for(lambda: not left_by_sshd(), 60, "the session's keys to be gone")


@case
def a_mount_by_ssh_comes_back():
    if not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None:
        raise Skip("no FUSE here")
    need_sshd()

    def servers():
        return len(left_by_sshd())

    done = home.run("-c", f"sftp mount --ssh alpha:{top}")
    equal((done.stderr, done.returncode), ("", 0))
    equal(servers() >= 1, True)
    mounted = home.path / "crosh" / "alpha"
    data = os.urandom(2_000_000)
    (mounted / "by-ssh").write_bytes(data)
    equal((top / "by-ssh").read_bytes() == data, True)
    launcher.cut()
    equal((mounted / "by-ssh").read_bytes() == data, True)
    equal(servers() >= 1, True)
    equal(home.run("-c", f"sftp umount alpha:{top}").returncode, 0)
    wait_for(lambda: servers() == 0, 60, "the session's keys to be gone")


class NameServer:
    """Knows no name, and notes which it was asked for: on the port 53 of an address of the loopback."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.address = f"127.53.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
        self.asked = []
        try:
            self.sock.bind((self.address, 53))
        except OSError as error:
            self.sock.close()
            raise Skip(f"no name server can listen here: {error}") from error
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        """Until one without a question comes."""
        while len(query := self.sock.recvfrom(512)) == 2 and query[0]:
            data, client = query
            self.asked.append(data[13:13 + data[12]].decode("ascii"))
            self.sock.sendto(data[:2] + b"\x81\x83" + data[4:], client)

    def close(self):
        """Ends it."""
        self.sock.sendto(b"", self.sock.getsockname())


@case
def a_locked_root_is_let_in_without_a_question_to_a_name_server():
    need_sshd()
    if os.geteuid() != 0:
        raise Skip("only root's account is often locked, and only root can lock it here")
    shadow, resolv = home.path / "shadow", home.path / "resolv.conf"
    shadow.write_text("".join(
        "root:!:19000:0:99999:7:::\n" if line.startswith("root:") else line
        for line in Path("/etc/shadow").read_text(encoding="ascii").splitlines(keepends=True)))
    shadow.chmod(0o600)
    names = NameServer()
    resolv.write_text(f"nameserver {names.address}\n")
    guest = None
    try:
        guest = Launcher(home, "locked", around=[
            "unshare", "-m", "sh", "-c", f"mount --bind {shadow} /etc/shadow && mount --bind {resolv} "
            "/etc/resolv.conf && exec \"$@\"", "sh"])
        # That it would be asked.
        home.run("-c", "vsh locked -- getent hosts somebody")
        equal(set(names.asked), {"somebody"})
        names.asked.clear()
        done = home.run("-c", f"sftp ls --ssh locked:{top}/none")
        contains(done.stderr, "sftp ls: locked: ")
        contains(done.stderr, "No such file or directory")
        equal(names.asked, [])
    finally:
        if guest is not None:
            guest.close()
        names.close()


# In the place of sshd: the real one with another key, or none at all.
OTHER_KEY = """#!/bin/sh
n=$#
while [ $n -gt 0 ]; do
    case $1 in HostKey=*) set -- "$@" HostKey={key} ;; *) set -- "$@" "$1" ;; esac
    shift
    n=$((n - 1))
done
exec {real} "$@"
"""


def with_sshd(script, name, program="/usr/sbin/sshd"):
    """What the listing says of a guest that has the script as its sshd; None: nothing."""
    fake = home.path / "fake-sshd"
    fake.write_text(script or "")
    fake.chmod(0o755 if script else 0o644)
    guest = Launcher(home, name, around=[
        "unshare", "-m", "sh", "-c", f"mount --bind {fake} {program} && exec \"$@\"", "sh"])
    try:
        done = home.run("-c", f"sftp ls --ssh {name}:/")
        return done.stdout, done.stderr, done.returncode
    finally:
        guest.close()


@case
def another_key_than_the_sessions_is_refused():
    if os.geteuid() != 0 or not Path("/usr/sbin/sshd").exists():
        raise Skip("only root can change the server")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home.path / "other")],
                   check=True)
    shutil.copy("/usr/sbin/sshd", home.path / "sshd-real")
    equal(with_sshd(OTHER_KEY.format(key=home.path / "other", real=home.path / "sshd-real"), "liar"),
          ("", "sftp ls: liar: the server shows another key than the one that it was given\n", 5))
    equal(with_sshd(None, "none"),
          ("", "sftp ls: none: it has no sshd\nhint: without SSH none is needed; else install it "
           "there: apt-get install openssh-server\n", 5))
    equal(with_sshd("#!/bin/sh\nexit 1\n", "broken")[2], 1)


@case
def a_guest_without_a_place_for_keys_says_so():
    if os.geteuid() != 0 or not Path("/usr/sbin/sshd").exists():
        raise Skip("only root can change the guest")
    equal(with_sshd(None, "full", os.path.realpath(shutil.which("mktemp"))),
          ("", "sftp ls: full: it has no place for the session's keys: neither /dev/shm nor /run nor "
           "/tmp takes a directory\n", 1))


# Says that it has made the directory, and is not over before that is to be.
SLOW_MKTEMP = """#!/bin/sh
trap '' PIPE
{real} "$@"
echo >{home}/made
n=0
while [ ! -e {home}/go ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n + 1)); done
"""


@case
def a_stream_that_ends_early_leaves_no_directory():
    need_sshd()
    if os.geteuid() != 0:
        raise Skip("only root can change the guest")
    wait_for(lambda: not left_by_sshd(), 60, "other sessions' keys to be gone")
    mktemp = os.path.realpath(shutil.which("mktemp"))
    shutil.copy(mktemp, home.path / "mktemp-real")
    (home.path / "mktemp").write_text(SLOW_MKTEMP.format(real=home.path / "mktemp-real",
                                                         home=home.path))
    (home.path / "mktemp").chmod(0o755)
    guest = Launcher(home, "slow", around=[
        "unshare", "-m", "sh", "-c", f"mount --bind {home.path}/mktemp {mktemp} && exec \"$@\"", "sh"])
    try:
        with subprocess.Popen([CROSH, "-c", "sftp ls --ssh slow:/"], env=home.env,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as client:
            try:
                wait_for((home.path / "made").exists, 60, "the directory")
                equal(len(left_by_sshd()), 1)
            finally:
                client.kill()
        (home.path / "go").touch()
        wait_for(lambda: not left_by_sshd(), 20, "the directory to be gone")
    finally:
        guest.close()


@case
def a_path_alone_names_no_place():
    for path in ("/tmp", ":/tmp"):
        done = home.run("-c", f"sftp ls {path}")
        equal((done.stdout, done.stderr, done.returncode),
              ("", f"sftp ls: '{path}' names no place: a path has what it is of in front of it\n"
               "hint: VM[:PATH], VM/CONTAINER[:PATH] or USER@HOST[:PORT][:PATH]\n", 2))


@case
def a_list_of_no_mounts_says_so():
    done = home.run("-c", "sftp list")
    equal((done.stdout, done.stderr, done.returncode),
          ("", "Nothing is mounted. Mount a guest's files: sftp mount TARGET\n", 0))
    equal(json.loads(home.run("-c", "sftp list --json").stdout), [])


@case
def what_is_not_there_is_said():
    done = home.run("-c", "sftp ls beta:/")
    contains(done.stderr, "beta")
    equal(done.returncode, 3)
    done = home.run("-c", "sftp ls alpha/none:/")
    contains(done.stderr, "sftp ls: alpha/none: ")
    equal(done.returncode, 1)


main(set_up, tear_down)
