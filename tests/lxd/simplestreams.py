# SPDX-License-Identifier: MIT
"""A simplestreams server: a tree of images that tests have built, served by HTTPS."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from harness import wait_for

# Runs where LXD is. It serves files, and holds requests for ever that ask for "stall".
SERVER = """
import http.server, ssl, sys, threading, time
class Handler(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *words):
        print(self.path, flush=True)
    def do_GET(self):
        if "stall" in self.path:
            self.log_message()
            time.sleep(100000)
        super().do_GET()
server = http.server.ThreadingHTTPServer((sys.argv[3], 8443), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("up", flush=True)
server.serve_forever()
"""


def sha256(*paths):
    """Of the files, one behind the other."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()


class Tree:
    """An image server's files below a directory."""

    def __init__(self, path):
        self.path = Path(path)
        self.products = {}
        (self.path / "streams" / "v1").mkdir(parents=True)

    def add(self, system, release, rootfs, metadata, stall=False):
        """An image of two files, known as SYSTEM/RELEASE."""
        directory = Path("images") / ("stall" if stall else system) / release
        (self.path / directory).mkdir(parents=True)
        for file in (rootfs, metadata):
            shutil.copy(file, self.path / directory)
        items = {
            "lxd.tar.xz": {
                "ftype": "lxd.tar.xz", "path": str(directory / Path(metadata).name),
                "sha256": sha256(metadata), "size": Path(metadata).stat().st_size,
                "combined_squashfs_sha256": sha256(metadata, rootfs)},
            "root.squashfs": {
                "ftype": "squashfs", "path": str(directory / Path(rootfs).name),
                "sha256": sha256(rootfs), "size": Path(rootfs).stat().st_size}}
        self.products[f"{system}:{release}:amd64:default"] = {
            "aliases": f"{system}/{release}", "arch": "amd64", "os": system.capitalize(),
            "release": release, "release_title": release, "variant": "default",
            "versions": {"20261101_00:00": {"items": items}}}
        self.write()

    def write(self):
        """The indexes."""
        streams = self.path / "streams" / "v1"
        (streams / "images.json").write_text(json.dumps({
            "format": "products:1.0", "datatype": "image-downloads", "content_id": "images",
            "products": self.products}))
        (streams / "index.json").write_text(json.dumps({
            "format": "index:1.0", "index": {"images": {
                "datatype": "image-downloads", "format": "products:1.0",
                "path": "streams/v1/images.json", "products": sorted(self.products)}}}))


class Server:
    """Serves a tree at port 8443 of an address of the place that around leads to."""

    def __init__(self, tree, directory, around, address="127.0.0.1"):
        self.url = f"https://{address}:8443"
        self.certificate = Path(directory) / "server.crt"
        key = Path(directory) / "server.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:prime256v1", "-nodes", "-days", "3650",
                        "-subj", "/CN=images.test", "-addext", f"subjectAltName=IP:{address}",
                        "-keyout", key, "-out", self.certificate], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.log = Path(directory) / "server.log"
        with open(self.log, "w", encoding="ascii") as log:
            self.process = subprocess.Popen(
                [*around, "/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(tree.path),
                 "/usr/bin/python3", "-c", SERVER, str(self.certificate), str(key), address],
                stdout=log)
        wait_for(lambda: "up" in self.asked_for(), 60, "the image server")

    def asked_for(self):
        """The paths that were."""
        return self.log.read_text(encoding="ascii").split("\n")

    def close(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()
