# SPDX-License-Identifier: MIT
"""Command lines that vmc refuses: the exact status, a text that says why, and nothing left behind."""

import os
import shutil
import sys
from pathlib import Path

from harness import Home, case, contains, equal, main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "agent"))
from launcher import Launcher  # noqa: E402 pylint: disable=wrong-import-position

home = None


def set_up():
    global home
    home = Home()


def tear_down():
    if home is not None:
        home.close()


def files():
    """Every path of the home: what a refused command may not change."""
    return sorted(str(path.relative_to(home.path)) for path in home.path.rglob("*")
                  if path.name not in (".lock", ".cid.lock"))


def refused(command, status, *texts, env=None):
    before = files()
    done = home.run("-c", command, env=env)
    equal(done.returncode, status, f"{command}: {done.stderr}")
    equal(done.stdout, "", command)
    for text in texts:
        contains(done.stderr, text, command)
    made = [path for path in files() if path not in before]
    equal([path for path in made if "vms/" in path or path.startswith("run/crosh/")], [], command)


@case
def names_that_cannot_be():
    long_name = "a" * 300
    for command in ("start", "stop", "create", "destroy -y", "status", "logs", "console"):
        for name, quoted in (("../x", '"../x"'), ("''", '""'), (long_name, '"' + "a" * 40 + '..."'),
                             ("Upper", '"Upper"'), ("'a b'", '"a b"'), ("-- -a", '"-a"'),
                             ("'a\033[31m'", '"a\\x1b[31m"')):
            refused(f"vmc {command} {name}", 2, f"{quoted} cannot be the name of a VM", "1 to 63")


@case
def vms_that_are_not_there():
    for command in ("stop", "destroy -y", "destroy", "status", "logs", "console"):
        refused(f"vmc {command} nobody", 3, "there is no VM named nobody", "vmc list")


@case
def more_than_the_host_has():
    for command in ("start --no-shell", "create"):
        refused(f"vmc {command} --memory 9000G x1", 2, "9000G of memory is more than", "--memory")


@case
def values_out_of_range():
    for option in ("--cpus 0", "--cpus 65", "--cpus two", "--memory 95M", "--memory lots",
                   "--memory -1"):
        refused(f"vmc create {option} x1", 2, option.split()[0])
    for option in ("--timeout 0", "--accel magic"):
        refused(f"vmc start --no-shell {option} x1", 2, option.split()[0])
    refused("vmc create x1 x2", 2)
    refused("vmc create", 2)
    refused("vmc nonsense", 2)


@case
def files_that_are_not_there():
    for option in ("kernel", "initrd", "extra-disk"):
        for command in ("start --no-shell", "create"):
            refused(f"vmc {command} --{option} /no/such/file x1", 3, "/no/such/file")
            refused(f"vmc {command} --{option} {home.path} x1", 1, str(home.path))


@case
def modules_that_cannot_be():
    kernel = home.path / "kernel"
    kernel.write_bytes(b"\0" * 4096)
    refused(f"vmc create --modules {home.path} x1", 2, "--modules needs a --kernel")
    refused(f"vmc create --kernel {kernel} --modules /no/such/dir x1", 3, "/no/such/dir")
    refused(f"vmc create --kernel {kernel} --modules {kernel} x1", 1, "not a directory")


@case
def a_disk_that_may_not_be_written():
    disk = home.path / "disk"
    disk.write_bytes(b"\0" * 4096)
    disk.chmod(0o400)
    # Root may write to anything; what it may not write to is a read-only mount.
    if os.geteuid() != 0:
        refused(f"vmc create --extra-disk {disk} x1", 5, str(disk))
    equal(home.run("-c", f"vmc create --extra-disk {disk},ro x1").returncode, 0)
    equal(home.run("-c", "vmc destroy -y x1").returncode, 0)


@case
def kernel_parameters_that_cannot_be():
    refused("vmc create --kernel-param " + "x" * 2000 + " x1", 2, "kernel parameters")
    refused("vmc create --kernel-param 'a\001b' x1", 2, "control characters")


@case
def a_kernel_that_is_none():
    kernel = home.path / "no-kernel"
    kernel.write_bytes(b"this is no kernel" * 100)
    refused(f"vmc start --no-shell --kernel {kernel} x1", 1, "x1 did not start", str(kernel))


@case
def containers_of_a_small_vm():
    for image, made in (("", "x2"), ("--image micro ", "x3")):
        equal(home.run("-c", f"vmc create {image}{made}").returncode, 0)
        done = home.run("-c", f"vmc container --timeout 5 {made} penguin")
        equal((done.stdout, done.stderr, done.returncode),
              ("", f"vmc container: VM {made} is a small one, which has no containers\n"
               "hint: they are in VMs of the image termina: vmc image build termina; VMs that name no "
               "other take it from their next start on\n", 5))
        # It was not started for that.
        equal(home.run("-c", f"vmc status --json {made}").stdout.count('"stopped"'), 1)


@case
def an_image_for_containers_that_there_is_not():
    refused("vmc container x1 pengiun nosuch", 2,
            "nosuch: a server needs an image's name behind it, a root file its metadata\n"
            "hint: the one image that needs no server is the default one, for which nothing stands "
            "there: vmc container x1 pengiun\n")
    refused("vmc container x1 pengiun https://images.invalid", 2,
            "https://images.invalid: a server needs an image's name behind it")
    refused("vmc container x1 pengiun nosuch neither", 3, "nosuch: No such file or directory")


@case
def containers_of_a_vm_that_runs_from_before_its_image():
    equal(home.run("-c", "vmc create early").returncode, 0)
    launcher = Launcher(home, "early", again=True)
    images = home.data / "crosh" / "images" / "termina"
    try:
        done = home.run("-c", "vmc container --timeout 5 early penguin")
        contains(done.stderr, "VM early is a small one, which has no containers\nhint: they are in VMs")
        equal((done.stdout, done.returncode), ("", 5))
        images.mkdir(parents=True)
        (images / "manifest.json").write_text('{"image": "termina"}')
        done = home.run("-c", "vmc container --timeout 5 early penguin")
        equal((done.stdout, done.stderr, done.returncode),
              ("", "vmc container: VM early is a small one, which has no containers\n"
               "hint: it runs from before there was the image termina, which it takes at its next "
               "start: vmc stop early\n", 5))
    finally:
        launcher.close()
        shutil.rmtree(images, ignore_errors=True)


@case
def a_runtime_directory_of_others():
    runtime = home.runtime / "crosh"
    runtime.mkdir(exist_ok=True)
    runtime.chmod(0o755)
    try:
        refused("vmc start --no-shell x1", 5, str(runtime), "755", "chmod 700")
    finally:
        runtime.chmod(0o700)
    other = home.path / "other"
    other.mkdir()
    # The specification has it private; else others could put theirs in the place of ours.
    other.chmod(0o777)
    refused("vmc start --no-shell x1", 5, "XDG_RUNTIME_DIR", "777", "unset XDG_RUNTIME_DIR",
            env={"XDG_RUNTIME_DIR": str(other)})
    equal(list(other.iterdir()), [])
    other.chmod(0o700)
    (other / "crosh").symlink_to(home.runtime)
    refused("vmc start --no-shell x1", 1, str(other / "crosh"), env={"XDG_RUNTIME_DIR": str(other)})


@case
def a_runtime_directory_that_is_not_there():
    refused("vmc start --no-shell x1", 3, "/no/such/dir", env={"XDG_RUNTIME_DIR": "/no/such/dir"})


if __name__ == "__main__":
    main(set_up, tear_down)
