# SPDX-License-Identifier: MIT
"""What a new LXD in the VM is set up with: the image's own script, with a lxd that writes it down."""

import os
import subprocess
import tempfile
from pathlib import Path

from harness import case, contains, equal, main

IMAGE = Path(os.environ["top_srcdir"]) / "guest" / "image" / "termina"
LXD = '#!/bin/sh\necho "$@" >>"$WRITTEN"\ncat >>"$WRITTEN"\n'


def set_up_with(network):
    """What lxd is told at a first start with that file of the network's; None: there is none."""
    with tempfile.TemporaryDirectory(prefix="crosh-test.") as name:
        place = Path(name)
        for directory in ("run", "data", "lib", "bin"):
            (place / directory).mkdir()
        text = (IMAGE / "lxd-ready").read_text(encoding="utf-8")
        for theirs, ours in (("/run/crosh", place / "run"), ("sync -f /data", ":"),
                             ("/data/", f"{place / 'data'}/"), ("/var/lib/lxd", place / "lib"),
                             ("/etc/crosh/preseed.yaml", IMAGE / "preseed.yaml")):
            text = text.replace(theirs, str(ours))
        for path, content in ((place / "lxd-ready", text), (place / "bin" / "lxd", LXD),
                              (place / "run" / "agent", "#!/bin/sh\n")):
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755)
        if network is not None:
            (place / "run" / "network").write_text(network, encoding="utf-8")
        written = place / "written"
        done = subprocess.run([place / "lxd-ready"], stdin=subprocess.DEVNULL, timeout=60,
                              capture_output=True, text=True, check=False,
                              env=os.environ | {"PATH": f"{place / 'bin'}:{os.environ['PATH']}",
                                                "WRITTEN": str(written)})
        equal((done.stdout, done.stderr, done.returncode), ("", "", 0))
        return written.read_text(encoding="utf-8")


def addresses(told):
    return [line.strip() for line in told.splitlines() if "ipv4.address" in line]


@case
def without_a_network_lxd_chooses():
    told = set_up_with(None)
    equal(addresses(told), ["ipv4.address: auto"])
    contains(told, "init --preseed\n")


@case
def the_hosts_choice_is_the_first_one():
    told = set_up_with("CROSH_NET_BRIDGE_ADDRESS=100.115.98.1/26\n")
    equal(addresses(told), ["ipv4.address: 100.115.98.1/26"] * 2)


@case
def a_network_without_one_has_none_chosen():
    equal(addresses(set_up_with("CROSH_NET_ADDRESS=100.115.92.2/30\n")), ["ipv4.address: none"] * 2)


if __name__ == "__main__":
    main()
