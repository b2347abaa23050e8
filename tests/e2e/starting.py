# SPDX-License-Identifier: MIT
"""Starts that meet other starts, an end, or an impatient user; and what they leave behind."""

import json
import signal
import subprocess
import time

from harness import CROSH, Home, case, contains, equal, main, wait_for

BOOT = 180
home = Home()


def set_up():
    run("vmc create --memory 256M one")


def run(command, status=0):
    done = home.run("-c", command, timeout=BOOT)
    equal(done.returncode, status, f"{command}: {done.stderr}")
    return done


def begin(command):
    """Runs a command beside the test."""
    return subprocess.Popen([str(CROSH), "-c", command], env=home.env, stdin=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def finish(process):
    _, stderr = process.communicate(timeout=BOOT)
    return process.returncode, stderr


def vms():
    return {vm["name"]: vm for vm in json.loads(run("vmc list --json").stdout)}


def launcher_is_up(name):
    path = home.runtime / "crosh" / name / "vsock.sock"
    wait_for(path.exists, 60, "the launcher")


def nothing_is_left(name):
    equal(name in vms(), False, "the VM")
    equal((home.runtime / "crosh" / name).exists(), False, "the runtime directory")
    equal((home.data / "crosh" / "vms" / name).exists(), False, "the data directory")


@case
def of_two_starts_at_once_one_wins():
    starts = [begin("vmc start --no-shell one") for _ in range(2)]
    ends = sorted(finish(start) for start in starts)
    equal([status for status, _ in ends], [0, 4], ends)
    contains(ends[1][1], "VM one is ")
    run("vmc stop one")


@case
def a_vm_called_termina_without_its_image_says_how_to_build_it():
    hint = "note: a small VM, as there is no image for containers yet; build one: vmc image build termina\n"
    status, stderr = finish(begin("vmc start --no-shell --memory 256M termina"))
    equal(status, 0, stderr)
    equal(stderr.count(hint), 1, stderr)
    run("vmc stop termina")
    # Who asks for the small one knows.
    status, stderr = finish(begin("vmc start --no-shell --image micro termina"))
    equal((status, stderr.count(hint)), (0, 0), stderr)
    run("vmc stop termina")
    run("vmc destroy --yes termina")


@case
def running_vms_have_cids_of_their_own():
    starts = [begin(f"vmc start --no-shell --memory 256M {name}") for name in ("two", "three")]
    for start in starts:
        status, stderr = finish(start)
        equal(status, 0, stderr)
    equal(sorted(vm["cid"] for vm in vms().values() if vm["state"] == "running"), [3, 4])
    run("vmc stop two three")
    equal({vm["state"] for vm in vms().values()}, {"stopped"})


@case
def ctrl_c_takes_a_new_vm_back():
    terminal = home.terminal("-c", "vmc start --memory 256M fresh")
    terminal.expect("  kernel ")
    terminal.send("\x03")
    equal(terminal.end(), 130)
    nothing_is_left("fresh")


@case
def ctrl_c_leaves_an_old_vm_stopped():
    terminal = home.terminal("-c", "vmc start one")
    terminal.expect("  kernel ")
    terminal.send("\x03")
    equal(terminal.end(), 130)
    equal(vms()["one"]["state"], "stopped")


@case
def patience_ends():
    # A kernel that waits for a disk that never comes.
    done = run("vmc start --no-shell --timeout 2 --kernel-param rdinit=/none "
               "--kernel-param root=/dev/vdz --kernel-param rootwait late", 124)
    contains(done.stderr, "VM late did not start (stage kernel): not ready after 2 s")
    contains(done.stderr, "--timeout")
    nothing_is_left("late")


@case
def a_panic_is_explained():
    done = run("vmc start --no-shell --kernel-param rdinit=/none panics", 1)
    contains(done.stderr, "VM panics did not start (stage kernel): the guest's kernel panicked: ")
    contains(done.stderr, "  | ")
    contains(done.stderr, "Kernel panic - not syncing")
    nothing_is_left("panics")


@case
def a_vm_can_be_stopped_while_it_starts():
    start = begin("vmc start --no-shell --kernel-param rdinit=/none "
                  "--kernel-param root=/dev/vdz --kernel-param rootwait one")
    launcher_is_up("one")
    began = time.monotonic()
    run("vmc stop one")
    status, stderr = finish(start)
    # No waiting for a guest that cannot hear yet.
    equal(time.monotonic() - began < 15, True, "at once")
    equal(status, 1, stderr)
    contains(stderr, "stopped by another command")
    equal(vms()["one"]["state"], "stopped")


@case
def a_start_outlives_its_starter():
    start = begin("vmc start --no-shell one")
    launcher_is_up("one")
    start.send_signal(signal.SIGKILL)
    finish(start)
    wait_for(lambda: vms()["one"]["state"] == "running", BOOT, "the VM to be ready")
    run("vmc start --no-shell one", 4)
    run("vmc stop one")


@case
def a_stop_before_the_agent_is_there_is_graceful():
    start = begin("vmc start --no-shell one")
    launcher_is_up("one")
    time.sleep(0.2)
    start.send_signal(signal.SIGKILL)
    finish(start)
    run("vmc stop one")
    equal(json.loads(run("vmc status --json one").stdout)["ended"]["reason"], "poweroff")


@case
def options_hold_for_one_start():
    run("vmc start --no-shell --cpus 2 --memory 384M one")
    equal((vms()["one"]["cpus"], vms()["one"]["memory"]), (2, 384 << 20))
    equal(home.run("vsh", "one", "--", "nproc").stdout, "2\n")
    run("vmc stop one")
    equal((vms()["one"]["cpus"], vms()["one"]["memory"]), (1, 256 << 20))


if __name__ == "__main__":
    main(set_up, home=home)
