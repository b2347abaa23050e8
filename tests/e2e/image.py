# SPDX-License-Identifier: MIT
"""The image builder: what it makes, out of what, and what it refuses."""

import hashlib
import json
import lzma
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness import LIBEXEC, Skip, case, contains, equal, main, wait_for

MKIMAGE = LIBEXEC / "crosh-mkimage"
top = None
kernel = None  # what the distribution's package holds, unpacked once
release = None


def mkimage(*args, env=None, timeout=120):
    """Runs the builder; returns a CompletedProcess with text output."""
    return subprocess.run([str(MKIMAGE), *map(str, args)], timeout=timeout, check=False, text=True,
                          env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def set_up():
    global top, kernel, release
    top = Path(tempfile.mkdtemp(prefix="crosh-test."))
    done = mkimage("kernel", "--output", top / "kernel", timeout=300)
    if done.returncode == 0:
        kernel = next((top / "kernel/boot").glob("vmlinuz-*"))
        release = kernel.name[len("vmlinuz-"):]
    elif "no kernel:" not in done.stderr:
        raise AssertionError(done.stderr)


def tear_down():
    shutil.rmtree(top, ignore_errors=True)


def build(output, *options):
    """Builds an image of the unpacked kernel."""
    if kernel is None:
        raise Skip("the distribution's kernel package cannot be had")
    return mkimage("micro", "--quiet", "--kernel", kernel, "--modules",
                   top / "kernel/lib/modules" / release, "--output", output, *options)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def listing(initramfs):
    """Name, mode and owner of everything in an initramfs."""
    with open(initramfs, "rb") as file:
        lines = subprocess.run(["cpio", "-itvn", "--quiet"], stdin=file, stdout=subprocess.PIPE,
                               text=True, check=True).stdout.splitlines()
    return {line.split(" -> ")[0].split()[-1]: line for line in lines}


def unpack(initramfs, name):
    """The bytes of one file in an initramfs."""
    with open(initramfs, "rb") as file:
        return subprocess.run(["cpio", "-i", "--to-stdout", "--quiet", name], check=True,
                              stdin=file, stdout=subprocess.PIPE).stdout


def nothing_beside(output):
    """Whether the builder left only the image and its lock."""
    left = [path.name for path in output.parent.iterdir() if ".build." in path.name]
    equal(left, [], "left behind")


@case
def the_image_is_whole_and_the_manifest_describes_it():
    output = top / "images/whole"
    done = build(output)
    equal(done.returncode, 0, done.stderr)
    manifest = json.loads((output / "manifest.json").read_text())
    equal(manifest["kernel"]["release"], release)
    equal(sorted(manifest["files"]), ["initramfs", "vmlinux", "vmlinuz"])
    lines = (output / "manifest.json").read_text().splitlines(keepends=True)
    equal(manifest["sum"], hashlib.sha256("".join(lines[:-2]).encode()).hexdigest())
    for name, entry in manifest["files"].items():
        equal(entry, {"size": (output / name).stat().st_size, "sha256": sha256(output / name)}, name)
    equal(sha256(output / "vmlinuz"), sha256(kernel))
    equal((output / "vmlinux").read_bytes()[:4], b"\x7fELF")
    equal(manifest["agent"]["sha256"], sha256(LIBEXEC / "crosh-agent"))
    nothing_beside(output)


@case
def the_initramfs_has_what_the_agent_needs():
    output = top / "images/whole"
    files = listing(output / "initramfs")
    contains(files["init"], "sbin/crosh-agent")
    for name in ("bin/busybox", "bin/sh", "etc/passwd", "etc/group", "etc/shells", "etc/os-release"):
        equal(name in files, True, name)
    equal(files["tmp"].startswith("drwxrwxrwt"), True, files["tmp"])
    equal([line for line in files.values() if line.split()[2:4] != ["0", "0"]], [], "owners")
    # The user's home follows in an archive of its own: magic, inode, mode, uid, gid in hexadecimal.
    data = (output / "initramfs").read_bytes()
    header = data[data.rindex(b"home/user\0") - 110:][:38]
    equal(header[:6], b"070701")
    equal([int(header[at:at + 8], 16) for at in (22, 30)], [1000, 1000], "owner of home/user")

    order = unpack(output / "initramfs", "etc/crosh/modules").decode().splitlines()
    names = [Path(path).stem.replace("-", "_") for path in order]
    for first, then in (("virtio_ring", "virtio"), ("virtio", "virtio_pci"),
                        ("vsock", "vmw_vsock_virtio_transport"), ("virtio", "virtio_blk")):
        equal(names.index(first) < names.index(then), True, f"{first} before {then}")
    equal(len(set(order)), len(order), "modules named once")
    for path in order:
        equal(unpack(output / "initramfs", path.lstrip("/"))[:4], b"\x7fELF", path)


def signed(initramfs):
    """How many of the modules in an initramfs have their signature."""
    order = unpack(initramfs, "etc/crosh/modules").decode().split()
    return sum(unpack(initramfs, path.lstrip("/")).endswith(b"~Module signature appended~\n")
               for path in order), len(order)


@case
def signatures_stay_where_the_kernel_asks_for_them():
    equal(signed(top / "images/whole/initramfs")[0], 0, "not asked for")
    strict = top / "strict"
    strict.mkdir()
    shutil.copy(kernel, strict)
    (strict / f"config-{release}").write_text("CONFIG_MODULE_SIG=y\nCONFIG_MODULE_SIG_FORCE=y\n")
    for what in ("asked for", "not known"):
        output = top / "images" / what.replace(" ", "-")
        done = mkimage("micro", "--quiet", "--kernel", strict / kernel.name, "--modules",
                       top / "kernel/lib/modules" / release, "--output", output)
        equal(done.returncode, 0, done.stderr)
        having, all_of_them = signed(output / "initramfs")
        equal(having, all_of_them, what)
        (strict / f"config-{release}").unlink(missing_ok=True)


@case
def the_same_inputs_give_the_same_bytes():
    again = top / "images/again"
    equal(build(again).returncode, 0)
    equal(sha256(again / "initramfs"), sha256(top / "images/whole/initramfs"))
    equal((again / "manifest.json").read_text(), (top / "images/whole/manifest.json").read_text())


@case
def compressed_modules_make_the_same_initramfs():
    if kernel is None:
        raise Skip("the distribution's kernel package cannot be had")
    modules = top / "packed" / release
    shutil.copytree(top / "kernel/lib/modules" / release, modules, symlinks=True,
                    ignore=lambda directory, names: [n for n in names if n.startswith("modules.dep")
                                                     or n.startswith("modules.alias")])
    for name in ("virtio", "vmw_vsock", "vsock", "pvpanic", "button"):
        for path in modules.rglob(f"{name}*.ko"):
            path.with_suffix(".ko.xz").write_bytes(lzma.compress(path.read_bytes(),
                                                                 check=lzma.CHECK_CRC32))
            path.unlink()
    output = top / "images/packed"
    done = mkimage("micro", "--quiet", "--kernel", kernel, "--modules", modules, "--output", output)
    equal(done.returncode, 0, done.stderr)
    equal(sha256(output / "initramfs"), sha256(top / "images/whole/initramfs"))


@case
def an_elf_kernel_serves_as_well():
    output = top / "images/elf"
    done = build(output)
    equal(done.returncode, 0, done.stderr)
    done = mkimage("micro", "--quiet", "--kernel", output / "vmlinux", "--modules",
                   top / "kernel/lib/modules" / release, "--output", top / "images/elf2")
    equal(done.returncode, 0, done.stderr)
    equal(sha256(top / "images/elf2/vmlinux"), sha256(output / "vmlinux"))
    equal(json.loads((top / "images/elf2/manifest.json").read_text())["kernel"]["release"], release)


@case
def if_needed_builds_when_the_agent_changed_and_else_not():
    output = top / "images/needed"
    agent = top / "agent"
    shutil.copy(LIBEXEC / "crosh-agent", agent)
    equal(build(output, "--agent", agent).returncode, 0)
    first = (output / "manifest.json").stat().st_ino
    equal(build(output, "--agent", agent, "--if-needed").returncode, 0)
    equal((output / "manifest.json").stat().st_ino, first, "built without need")
    with open(agent, "ab") as file:
        file.write(b"changed")
    equal(build(output, "--agent", agent, "--if-needed").returncode, 0)
    equal(json.loads((output / "manifest.json").read_text())["agent"]["sha256"], sha256(agent))


@case
def if_needed_mends_what_was_cut_short():
    output = top / "images/mended"
    equal(build(output).returncode, 0)
    sizes = json.loads((output / "manifest.json").read_text())["files"]
    for name in ("initramfs", "vmlinux"):
        with open(output / name, "r+b") as file:
            file.truncate(1000)
        done = build(output, "--if-needed")
        equal(done.returncode, 0, done.stderr)
        equal((output / name).stat().st_size, sizes[name]["size"], name)


@case
def if_needed_mends_a_manifest_that_is_junk():
    output = top / "images/mended"
    equal(build(output, "--if-needed").returncode, 0)
    manifest = output / "manifest.json"
    whole = manifest.read_text()
    for junk in ("", "junk", whole[:-20], whole.replace('"modules"', '"m0dules"'),
                 whole + "{", whole.replace('"initramfs": {', '"initram": {')):
        manifest.write_text(junk)
        done = build(output, "--if-needed")
        equal(done.returncode, 0, done.stderr)
        contains(done.stderr, "is damaged and is made anew")
        equal(manifest.read_text(), whole, junk)
    done = build(output, "--if-needed")
    equal((done.returncode, done.stderr), (0, ""), "when all is well")
    # Files of somebody else's beside a damaged manifest: not ours to replace.
    manifest.write_text("junk")
    (output / "thesis").write_text("years of work")
    done = build(output, "--if-needed")
    equal(done.returncode, 1)
    contains(done.stderr, "is no image of ours")


@case
def no_home_is_no_obstacle():
    env = {name: value for name, value in os.environ.items()
           if name not in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
    done = subprocess.run([str(MKIMAGE), "--help"], env=env, check=False, text=True,
                          capture_output=True, timeout=20)
    equal((done.returncode, done.stderr), (0, ""))


@case
def what_is_no_kernel_is_refused_and_leaves_the_old_image():
    output = top / "images/kept"
    equal(build(output).returncode, 0)
    before = (output / "manifest.json").read_text()
    bad = top / "bad"
    whole = kernel.read_bytes()
    for content, text in ((b"this is no kernel" * 100, "neither a bzImage nor an ELF"),
                          (b"", "empty"),
                          (whole[:100000], "truncated kernel image"),
                          (whole[:5000000] + bytes(1000000) + whole[6000000:], "do not unpack"),
                          (whole[:0x202] + b"XXXX" + whole[0x206:], "neither a bzImage")):
        bad.write_bytes(content)
        done = mkimage("micro", "--kernel", bad, "--modules", top / "kernel/lib/modules" / release,
                       "--output", output)
        equal(done.returncode, 1, text)
        contains(done.stderr, text)
        equal((output / "manifest.json").read_text(), before, "the old image")
    nothing_beside(output)


@case
def a_kernel_without_virtio_is_refused():
    if kernel is None:
        raise Skip("the distribution's kernel package cannot be had")
    modules = top / "poor" / release
    shutil.copytree(top / "kernel/lib/modules" / release, modules, symlinks=True)
    for path in modules.rglob("virtio_blk.ko"):
        path.unlink()
    for path in modules.glob("modules.dep*"):
        path.unlink()
    done = mkimage("micro", "--kernel", kernel, "--modules", modules, "--output", top / "images/poor")
    equal(done.returncode, 1)
    contains(done.stderr, "has no virtio_blk")
    equal((top / "images/poor").exists(), False)


@case
def a_directory_of_the_users_is_never_replaced():
    output = top / "precious"
    output.mkdir()
    (output / "thesis").write_text("years of work")
    done = build(output)
    equal(done.returncode, 1)
    contains(done.stderr, "is no image of ours")
    equal((output / "thesis").read_text(), "years of work")


@case
def an_interrupted_build_leaves_nothing():
    output = top / "cut/image"
    output.parent.mkdir()
    for number in (signal.SIGTERM, signal.SIGKILL):
        if kernel is None:
            raise Skip("the distribution's kernel package cannot be had")
        process = subprocess.Popen([str(MKIMAGE), "micro", "--quiet", "--output", str(output),
                                    "--kernel", str(kernel), "--modules",
                                    str(top / "kernel/lib/modules" / release)],
                                   start_new_session=True)
        wait_for(lambda: list(output.parent.glob(".image.build.*/tree/bin")), 20, "its beginning")
        os.killpg(process.pid, number)
        process.wait(20)
        equal(output.exists(), False)
        if number == signal.SIGTERM:
            nothing_beside(output)
    # What a killed one could not remove, the next one does.
    equal(build(output).returncode, 0)
    nothing_beside(output)


def begun(output, earlier=None):
    """A builder of penguin whose mmdebstrap has begun, and the directory that that has, which is not
    an earlier one's.
    """
    process = subprocess.Popen([str(MKIMAGE), "penguin", "--quiet", "--output", str(output)],
                               start_new_session=True)
    scratch = None

    def has_begun():
        nonlocal scratch
        if process.poll() is not None:
            raise Skip("Debian's mirror cannot be reached")
        for path in output.parent.glob(".image.build.*/scratch"):
            text = path.read_text().strip()
            if text and text != str(earlier) and list(Path(text).glob("mmdebstrap.*/var/lib")):
                scratch = Path(text)
                return True
        return False

    try:
        wait_for(has_begun, 300, "mmdebstrap's beginning")
    except BaseException:
        process.terminate()
        process.wait(60)
        raise
    return process, scratch


def runs_in(directory):
    """Whether any process is busy there."""
    return subprocess.run(["pgrep", "-f", str(directory)], stdout=subprocess.DEVNULL,
                          check=False).returncode == 0


@case
def an_interrupted_build_of_debian_leaves_nothing():
    output = top / "cut-debian/image"
    output.parent.mkdir()
    process, first = begun(output)
    # The builder alone is killed: what it runs ends as well, and then the lock is free.
    process.kill()
    process.wait(60)
    wait_for(lambda: not runs_in(first), 60, "mmdebstrap to end")
    equal(first.exists(), True, "nobody was there to remove it")
    process, second = begun(output, first)
    equal(first.exists(), False, "the next builder removes it")
    process.terminate()
    equal(process.wait(60), 143)
    equal((second.exists(), runs_in(second), output.exists()), (False, False, False))
    nothing_beside(output)


@case
def two_builders_at_once_do_not_disturb_each_other():
    output = top / "images/both"
    if kernel is None:
        raise Skip("the distribution's kernel package cannot be had")
    command = [str(MKIMAGE), "micro", "--quiet", "--output", str(output), "--kernel", str(kernel),
               "--modules", str(top / "kernel/lib/modules" / release)]
    both = [subprocess.Popen(command) for _ in range(2)]
    equal([process.wait(120) for process in both], [0, 0])
    equal(sha256(output / "initramfs"), sha256(top / "images/whole/initramfs"))
    nothing_beside(output)


@case
def no_package_lists_is_said_with_the_remedy():
    lists = top / "no-lists"
    lists.mkdir()
    config = top / "apt.conf"
    config.write_text(f'Dir::State::Lists "{lists}";\nDir::Cache::pkgcache "";\n'
                      'Dir::Cache::srcpkgcache "";\nDir::State::status "/dev/null";\n')
    if shutil.which("apt-get") is None:
        raise Skip("no apt here")
    if Path(f"/boot/vmlinuz-{os.uname().release}").exists():
        raise Skip("this machine's own kernel is taken instead")
    started = time.monotonic()
    done = mkimage("micro", "--output", top / "images/none", env={"APT_CONFIG": str(config)})
    equal(done.returncode, 1)
    contains(done.stderr, "sudo apt-get update")
    equal((top / "images/none").exists(), False)
    equal(time.monotonic() - started < 30, True, "quickly")


@case
def an_ordinary_user_can_build():
    if os.geteuid() != 0:
        raise Skip("this is an ordinary user already, and the other cases built")
    home = top / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    top.chmod(0o755)
    done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                           str(MKIMAGE), "micro", "--quiet", "--kernel", str(kernel), "--modules",
                           str(top / "kernel/lib/modules" / release)], check=False, text=True,
                          env={"HOME": str(home), "PATH": os.environ["PATH"]}, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    equal(done.returncode, 0, done.stderr)
    equal(sha256(home / ".local/share/crosh/images/micro/initramfs"),
          sha256(top / "images/whole/initramfs"))


@case
def a_user_without_ids_is_told_what_to_do():
    if os.geteuid() != 0 or shutil.which("newuidmap") is None:
        raise Skip("needs root, to be another user, and newuidmap")
    home = top / "poor-home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    top.chmod(0o755)
    for image in ("penguin", "termina"):
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                               str(MKIMAGE), image, "--output", str(home / image)], check=False,
                              text=True, env={"HOME": str(home), "PATH": os.environ["PATH"]},
                              timeout=120, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        equal(done.returncode, 1)
        contains(done.stderr, "user nobody has no ids in /etc/subuid, which the files of packages "
                 "need\n  As root: usermod --add-subuids ")
        nothing_beside(home / image)


@case
def wrong_command_lines_are_usage_errors():
    for arguments in ((), ("nano",), ("micro", "--kernel"), ("micro", "--bogus"),
                      ("micro", "--modules", "/tmp")):
        done = mkimage(*arguments)
        equal(done.returncode, 2, arguments)
        contains(done.stderr, "Usage:")
    equal(mkimage("--help").returncode, 0)


@case
def an_image_for_an_unknown_processor_is_refused():
    output = top / "images/sparc"
    done = mkimage("micro", "--arch", "sparc", "--output", output)
    equal((done.returncode, done.stdout), (1, ""))
    equal(done.stderr, "crosh-mkimage: there are no images for sparc\n  Known: amd64, arm64\n")
    equal(output.exists(), False)


if __name__ == "__main__":
    main(set_up, tear_down)
