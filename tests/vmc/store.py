# SPDX-License-Identifier: MIT
"""Making, listing, asking about and destroying VMs that do not run."""

import json
import subprocess

from harness import CROSH, Home, case, contains, equal, main

home = None


def set_up():
    global home
    home = Home()


def tear_down():
    if home is not None:
        home.close()


def run(command, status=0, env=None):
    done = home.run("-c", command, env=env)
    equal(done.returncode, status, f"{command}: {done.stderr}")
    return done


def listed():
    return {vm["name"]: vm for vm in json.loads(run("vmc list --json").stdout)}


def config(name):
    return home.data / "crosh" / "vms" / name / "config.json"


@case
def none_yet():
    equal(listed(), {})
    done = run("vmc list")
    equal(done.stdout, "")
    contains(done.stderr, "vmc start NAME")


@case
def a_new_vm_is_listed():
    run("vmc create --cpus 3 --memory 300M --kernel-param quiet --kernel-param 'a=b c=d' one")
    run("vmc create two")
    equal(listed(), {
        "one": {"name": "one", "state": "stopped", "cpus": 3, "memory": 300 << 20,
                "image": "micro"},
        "two": {"name": "two", "state": "stopped", "cpus": 1, "image": "micro",
                "memory": listed()["two"]["memory"]}})
    lines = run("vmc list").stdout.splitlines()
    equal([line.split()[:4] for line in lines],
          [["NAME", "STATE", "CPUS", "MEMORY"], ["one", "stopped", "3", "300M"],
           ["two", "stopped", "1", lines[2].split()[3]]])
    stored = json.loads(config("one").read_text())
    equal(stored["kernel_params"], ["quiet", "a=b c=d"])
    equal(config("one").stat().st_mode & 0o7777, 0o600)
    equal(config("one").parent.stat().st_mode & 0o7777, 0o700)


@case
def paths_are_stored_absolute():
    disk = home.path / "a disk, ro"
    disk.write_bytes(b"\0" * 4096)
    done = subprocess.run([str(CROSH), "-c", "vmc create --extra-disk 'a disk, ro' three"],
                          cwd=home.path, env=home.env, timeout=60, check=False,
                          capture_output=True, text=True)
    equal(done.returncode, 0, done.stderr)
    equal(json.loads(config("three").read_text())["disks"],
          [{"path": str(disk), "read_only": False}])
    run("vmc destroy -y three")
    equal(disk.exists(), True)


@case
def status_shows_one():
    equal(json.loads(run("vmc status --json one").stdout), listed()["one"])
    text = run("vmc status one").stdout
    for part in ("one", "stopped", "300M"):
        contains(text, part)


@case
def a_name_is_taken_once():
    done = run("vmc create one", 4)
    contains(done.stderr, "VM one exists already")
    equal(listed()["one"]["cpus"], 3)


@case
def of_two_at_once_one_wins():
    both = [subprocess.Popen([str(CROSH), "-c", "vmc create race"], env=home.env,
                             stderr=subprocess.DEVNULL) for _ in range(2)]
    equal(sorted(process.wait(60) for process in both), [0, 4])
    run("vmc destroy -y race")


@case
def a_stopped_vm_is_not_stopped_again():
    contains(run("vmc stop one", 4).stderr, "VM one is not running")
    done = run("vmc stop one nobody two", 4)
    for part in ("VM one is not running", "no VM named nobody", "VM two is not running"):
        contains(done.stderr, part)


@case
def a_damaged_configuration_is_named():
    config("one").write_text('{"cpus": 3,\n"memory"')
    where = str(config("one"))
    for command in ("vmc start --no-shell one", "vmc start --no-shell --cpus 1 one"):
        done = run(command, 1)
        contains(done.stderr, where)
        contains(done.stderr, "line 2")
    equal(listed()["one"]["state"], "stopped")
    contains(listed()["one"]["error"], where)
    done = run("vmc list")
    contains(done.stderr, where)
    contains(done.stdout, "two")
    contains(run("vmc status one").stderr, where)
    run("vmc create one", 4)


@case
def destroying_wants_consent():
    contains(run("vmc destroy one", 2).stderr, "-y")
    terminal = home.terminal("-c", "vmc destroy one")
    terminal.expect("Continue? (y/N)")
    terminal.send("n\r")
    equal(terminal.end(), 1)
    terminal = home.terminal("-c", "vmc destroy one")
    terminal.expect("Continue? (y/N)")
    terminal.send("\r")
    equal(terminal.end(), 1)
    terminal = home.terminal("-c", "vmc destroy one", env={"VMC_NONINTERACTIVE": "1"})
    equal(terminal.end(), 2)
    equal(config("one").exists(), True)
    terminal = home.terminal("-c", "vmc destroy one")
    terminal.expect("Continue? (y/N)")
    terminal.send("y\r")
    equal(terminal.end(), 0)
    equal(config("one").parent.exists(), False)


@case
def destroyed_is_gone():
    run("vmc destroy -y two")
    equal(listed(), {})
    run("vmc destroy -y two", 3)
    equal([path.name for path in (home.data / "crosh/vms").iterdir()], [".lock"])


if __name__ == "__main__":
    main(set_up, tear_down)
