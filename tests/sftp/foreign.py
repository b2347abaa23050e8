# SPDX-License-Identifier: MIT
"""Programs that test any file system, on a mount of a real sshd: fio's verification, stress-ng's
stressors of file systems.

Of what SFTP has not, xattr and fiemap leave themselves out.
"""

import json
import os
import subprocess

from harness import case, equal, main
from server import end, need_mounts, two_ends

STRESSORS = ("access", "chmod", "chown", "copy-file", "dentry", "dir", "dup", "fallocate", "fcntl",
             "filename", "flock", "fpunch", "fsize", "fstat", "getdent", "hdd", "io", "iomix", "lease",
             "link", "locka", "lockf", "lockofd", "mknod", "open", "rename", "symlink", "sync-file",
             "touch", "utime")

home = server = here = None


def set_up():
    global home, server, here
    need_mounts("fio", "stress-ng")
    home, server, there, here = two_ends()
    done = home.run("-c", f"sftp mount {server.target}:{there} {here}")
    equal((done.stderr, done.returncode), ("", 0))


def tear_down():
    if home is None:
        return
    home.run("-c", f"sftp umount {here}")
    end(home, server)


def run(*argv):
    """Runs a program in the mount; what it printed."""
    done = subprocess.run(argv, cwd=home.path, stdin=subprocess.DEVNULL, text=True, timeout=600,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    equal(done.returncode, 0, f"status of {argv[0]}: {done.stdout[-2000:]}")
    return done.stdout


@case
def fio_finds_all_that_it_wrote():
    """Reads and writes of all sizes at random by two processes, checked by checksums."""
    printed = run("fio", "--name=random", f"--directory={here}", "--rw=randrw", "--bsrange=1k-256k",
                  "--bs_unaligned", "--size=24m", "--numjobs=2", "--ioengine=psync", "--fsync=64",
                  "--verify=crc32c", "--verify_fatal=1", "--do_verify=1", "--output-format=json")
    jobs = json.loads(printed[printed.index("{"):])["jobs"]
    equal([job["error"] for job in jobs], [0, 0])
    equal([job["write"]["io_bytes"] > 0 for job in jobs], [True, True])
    for file in here.glob("random*"):
        file.unlink()


@case
def stress_ng_is_content():
    """All of them at once; those that go on for as long as they may, for 10 s."""
    options = [word for name in STRESSORS for word in (f"--{name}", "1", f"--{name}-ops", "20")]
    run("stress-ng", *options, "--verify", "--timeout", "10", "--temp-path", str(here))
    equal(os.listdir(here), [])


main(set_up, tear_down)
