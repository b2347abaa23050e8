# SPDX-License-Identifier: MIT
"""Images for containers of this machine's own programs (busybox, apt and dpkg), and packages for them."""

import hashlib
import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("apt-get", "dpkg", "dpkg-deb", "dpkg-query", "dpkg-split", "dpkg-trigger", "ldconfig",
            "start-stop-daemon", "tar", "diff")
METHODS = ("file", "copy", "store")
INITTAB = """::sysinit:/bin/mount -t proc proc /proc
::respawn:/bin/sleep 100000
"""


def copy_with_libraries(program, root, name=None):
    """A program at the place that it has here (or name), and what it is linked with."""
    places = [(program, name or program)]
    linked = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            text=True, check=False).stdout
    for line in linked.splitlines():
        words = line.split()
        library = words[2] if "=>" in words else words[0]
        if library.startswith("/"):
            places.append((library, library))
    for source, place in places:
        to = Path(f"{root}{place}")
        to.parent.mkdir(parents=True, exist_ok=True)
        if not to.exists():
            shutil.copy(source, to)


def system(root):
    """A root with busybox as its init and shell."""
    for path in ("bin", "sbin", "etc", "root", "tmp", "dev", "proc", "sys", "run", "srv", "home",
                 "usr/bin", "usr/sbin", "var/log"):
        (root / path).mkdir(parents=True)
    copy_with_libraries(shutil.which("busybox"), root, "/bin/busybox")
    for applet in subprocess.run(["busybox", "--list"], stdout=subprocess.PIPE, text=True,
                                 check=True).stdout.split():
        # Not those that have the names of the programs proper. (The shell runs its own all the same,
        # unless it is given a path.)
        if applet not in ("busybox", *PROGRAMS):
            (root / "bin" / applet).symlink_to("busybox")
    (root / "sbin" / "init").symlink_to("../bin/busybox")
    (root / "etc" / "inittab").write_text(INITTAB)
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc" / "group").write_text("root:x:0:\n")


def package_tools(root):
    """Apt and dpkg, with nothing installed."""
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")
        copy_with_libraries(found, root, f"/usr/bin/{name}")
    for name in METHODS:
        copy_with_libraries(f"/usr/lib/apt/methods/{name}", root)
    shutil.copytree("/usr/share/dpkg", root / "usr/share/dpkg")
    for path in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d",
                 "var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt",
                 "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"):
        (root / path).mkdir(parents=True)
    # There is no user beside root, whom apt would have fetch.
    (root / "etc/apt/apt.conf.d/root").write_text('APT::Sandbox::User "root";\n')
    for path in ("etc/apt/sources.list", "var/lib/dpkg/status", "var/lib/dpkg/available"):
        (root / path).touch()


def image(directory, fill=lambda root: None):
    """An image's two files in the directory: (root file system, metadata)."""
    directory.mkdir()
    root = directory / "root"
    root.mkdir()
    system(root)
    fill(root)
    subprocess.run(["mksquashfs", root, directory / "rootfs.squashfs", "-quiet", "-no-progress",
                    "-all-root", "-comp", "zstd"], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return directory / "rootfs.squashfs", metadata(directory, "first")


# What apt says to do after an interruption: dpkg alone cannot go on with a package when one that it
# depends on was not unpacked yet.
REPAIR = "/usr/bin/dpkg --configure -a || apt-get -q -y --fix-broken install"


def metadata(directory, mark):
    """Metadata by which an image of the same root is another image."""
    (directory / "metadata.yaml").write_text("architecture: x86_64\ncreation_date: 1700000000\n"
                                             f"properties: {{description: {mark}}}\n")
    file = directory / f"{mark}.tar.xz"
    subprocess.run(["tar", "-C", directory, "-cJf", file, "metadata.yaml"], check=True)
    return file


def repository(directory, chance, version, names):
    """A repository of packages of that version, each with files of random content and a script that
    runs at its installation. {path: SHA-256} of all the files.
    """
    sums = {}
    index = ""
    directory.mkdir()
    for number, name in enumerate(names):
        root = directory / "root"
        (root / "DEBIAN").mkdir(parents=True)
        (root / "srv" / name).mkdir(parents=True)
        control = (f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: tests\n"
                   f"Description: files of random content\n")
        if number > 0:
            control += f"Depends: {names[number - 1]} (= {version})\n"
        (root / "DEBIAN/control").write_text(control)
        (root / "DEBIAN/postinst").write_text(
            f"#!/bin/sh\nset -e\necho {version} >/srv/{name}.configured.new\n"
            f"mv /srv/{name}.configured.new /srv/{name}.configured\n")
        (root / "DEBIAN/postinst").chmod(0o755)
        for file in range(20):
            data = chance.randbytes(chance.randint(1, 20000))
            path = f"srv/{name}/{file}"
            (root / path).write_bytes(data)
            sums[f"/{path}"] = hashlib.sha256(data).hexdigest()
        deb = directory / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", root, deb],
                       check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(root)
        data = deb.read_bytes()
        index += (control + f"Filename: ./{deb.name}\nSize: {len(data)}\n"
                  f"SHA256: {hashlib.sha256(data).hexdigest()}\n\n")
    (directory / "Packages").write_text(index)
    return sums
