# SPDX-License-Identifier: MIT
"""Where the commands of tests/lxd/notes.py run: a VM that is booted, or namespaces of this host that
stand for one. Both have a network beside them for servers of images and of packages.
"""

import json
import subprocess
from pathlib import Path

from harness import Home, contains, equal, termina_images
from launcher import Launcher
from lxdhost import Lxd
from simplestreams import Server

BRIDGE = "100.115.93.1"


class Namespaces:
    """LXD in namespaces, with the agent beside it. It is quick, and always there."""

    is_booted = False

    def __init__(self):
        self.home = Home()
        self.children = []
        self.lxd = Lxd()
        self.launcher = Launcher(self.home, "termina", around=self.lxd.around)
        self.tree = None
        # lxc in the "VM" keeps its remotes there: this host's own home is nobody's here.
        self.vm_home = f"{self.home.path}/vm-home"
        self.vsh_options = ("--env", "LXD_DIR=/var/lib/lxd", "--env", f"HOME={self.vm_home}")

    def serve_images(self, tree):
        """The server of that tree, as the VM reaches it."""
        self.tree = tree
        return Server(tree, self.home.path, self.lxd.around)

    def serve_files(self, directory):
        """The address at which containers read the files of a directory."""
        self.children.append(subprocess.Popen(
            [*self.lxd.around, "/usr/bin/python3", "-m", "http.server", "-d", str(directory),
             "--bind", BRIDGE, "8080"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        return f"http://{BRIDGE}:8080"

    def ping(self, _, address):
        """Whether the host reaches the container."""
        return " 0% packet loss" in self.lxd.run("ping", "-c", "1", "-W", "20", address)

    def stop_and_start(self):
        """As the VM's end and its next start: LXD ends by itself, with all that ran."""
        self.lxd.run("lxd", "shutdown", "--timeout", "120")
        self.launcher.close()
        self.lxd.kill()
        for child in self.children:
            child.wait()
        self.children.clear()
        self.lxd.start()
        self.launcher = Launcher(self.home, "termina", around=self.lxd.around, again=True)
        return self.serve_images(self.tree)

    def close(self):
        """Ends all."""
        self.launcher.close()
        self.lxd.close()
        for child in self.children:
            child.wait()
        self.home.close()


class Booted:
    """A VM of the image termina with a network, in a world of its own (tests/net/world.py)."""

    is_booted = True
    vm_home = "/root"
    vsh_options = ()

    def __init__(self, world, internet):
        self.world = world
        self.internet = internet
        self.server = None
        self.home = Home()
        self.home.env["CROSH_NETWORK"] = "auto"
        images = self.home.data / "crosh" / "images"
        images.mkdir(parents=True)
        (images / "termina").symlink_to(termina_images() / "termina")
        self.start("--memory", "2G", "--size", "8G")

    def start(self, *options):
        """Starts the VM as the notes do, with the patience that a loaded machine needs."""
        done = self.home.run("vmc", "start", "--no-shell", "--timeout", "600", *options, "termina",
                             timeout=620)
        equal(done.returncode, 0, done.stderr)

    def serve_images(self, tree):
        """The server of that tree, on the internet."""
        self.server = Server(tree, self.home.path, self.world.inside(), self.internet)
        return self.server

    def serve_files(self, directory):
        """The address at which containers read the files of a directory."""
        place = self.world.directory / "www" / Path(directory).name
        place.symlink_to(directory)
        return f"http://{self.internet}/{place.name}"

    def ping(self, name, address):
        """Whether the host reaches the container, which it knows by name."""
        done = self.home.run("ping", "-c", "1", "-W", "60", name)
        contains(done.stdout, f"({address})", done.stderr)
        return done.returncode == 0

    def stop_and_start(self):
        """Its end and its next start."""
        done = self.home.run("vmc", "stop", "--timeout", "600", "termina", timeout=1300)
        equal(done.returncode, 0, done.stderr)
        ended = json.loads(self.home.run("vmc", "status", "--json", "termina").stdout)["ended"]
        equal(ended["reason"], "poweroff")
        self.start()
        return self.server

    def close(self):
        """Ends all."""
        self.home.close()
        self.world.close()
