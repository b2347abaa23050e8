# SPDX-License-Identifier: MIT
"""A cloud disk as Debian's cloud team makes them: their packages, partitions and settings.

Theirs are not on Debian's package mirrors, which are all that tests may need. The boot loader's files
are there, but it is not written into the disk's first sectors: nothing here runs it.
"""

import fcntl
import os
import re
import subprocess
import tempfile
from pathlib import Path

PACKAGES = """systemd-sysv systemd-resolved libpam-systemd udev dbus netplan.io
cloud-init cloud-guest-utils cloud-initramfs-growroot openssh-server openssh-sftp-server sudo
linux-image-cloud-amd64 grub-cloud-amd64 ca-certificates iproute2 iputils-ping kmod procps less""".split()

# The disk's identities are the same each time, as is everything that tests look at.
ROOT_ID, ESP_ID = "8a1c8d23-9d5c-4c3a-9c8e-3f5b1a6de001", "8a1c8d23-9d5c-4c3a-9c8e-3f5b1a6de015"
ROOT_UUID = "f9d0f3f1-5c0a-4b6e-9f0b-7d1f8ad8a001"
MEBIBYTE = 1 << 20
ROOT_START = 128 * MEBIBYTE
ROOT_SIZE = 1280 * MEBIBYTE

FILES = {
    "/etc/hostname": "localhost\n",
    "/etc/fstab": f"PARTUUID={ROOT_ID} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1\n"
                  f"PARTUUID={ESP_ID} /boot/efi vfat defaults 0 0\n",
    "/etc/netplan/90-default.yaml": """network:
    version: 2
    ethernets:
        all-en:
            match:
                name: en*
            dhcp4: true
            dhcp4-overrides:
                use-domains: true
            dhcp6: true
            dhcp6-overrides:
                use-domains: true
        all-eth:
            match:
                name: eth*
            dhcp4: true
            dhcp4-overrides:
                use-domains: true
            dhcp6: true
            dhcp6-overrides:
                use-domains: true
""",
    "/etc/cloud/cloud.cfg.d/01_debian_cloud.cfg": """apt:
  generate_mirrorlists: true

system_info:
  default_user:
    name: debian
    sudo: ALL=(ALL) NOPASSWD:ALL
    shell: /bin/bash
    lock_passwd: True
    gecos: Debian
    groups: [adm, audio, cdrom, dialout, dip, floppy, netdev, plugdev, sudo, video]
  paths:
    cloud_dir: /var/lib/cloud/
    templates_dir: /etc/cloud/templates/
  ssh_svcname: ssh

manage_etc_hosts: true
locale: C.UTF-8
""",
    "/etc/default/grub.d/10_cloud.cfg": 'GRUB_CMDLINE_LINUX="console=tty0 console=ttyS0,115200 '
                                        'earlyprintk=ttyS0,115200 consoleblank=0"\n',
}

# In the root, at the end. What update-grub would write needs the disk's devices.
FINISH = f"""set -e
rm -f /etc/ssh/ssh_host_*_key* /var/lib/dbus/machine-id
: >/etc/machine-id
ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
systemctl enable systemd-networkd systemd-resolved
usermod -p '!unprovisioned' root
mkdir -p /boot/efi /boot/grub
release=$(basename /boot/vmlinuz-*) release=${{release#vmlinuz-}}
cat >/boot/grub/grub.cfg <<END
set default="0"
search --no-floppy --fs-uuid --set=root {ROOT_UUID}
menuentry 'Debian GNU/Linux' --class debian {{
\tlinux\t/boot/vmlinuz-$release root=PARTUUID={ROOT_ID} ro console=tty0 console=ttyS0,115200
\tinitrd\t/boot/initrd.img-$release
}}
END
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /tmp/finish
"""


def _sources():
    """Debian's lines of this system's apt, or a mirror's."""
    done = subprocess.run(["apt-get", "indextargets", "--format",
                           "$(ORIGIN) $(COMPONENT) $(ARCHITECTURE) $(CODENAME) $(REPO_URI)",
                           "Created-By: Packages"], stdout=subprocess.PIPE, check=False, text=True)
    lines = sorted(set(re.findall(r"^Debian main amd64 (bookworm(?:-security|-updates)?) (\S+)$",
                                  done.stdout, re.M)))
    return [f"deb {uri} {suite} main" for suite, uri in lines] or [
        "deb http://deb.debian.org/debian bookworm main"]


def _make_root(work, root):
    """The root's file system, with everything installed."""
    files = work / "files"
    for path, text in FILES.items():
        place = files / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (work / "finish").write_text(FINISH)
    subprocess.run(["tar", "-C", files, "--owner=0", "--group=0", "-cf", work / "files.tar", "."],
                   check=True)
    # By whoever may be root in a namespace only, and as another user there.
    with open(root, "wb") as out:
        out.truncate(ROOT_SIZE)
    root.chmod(0o666)
    command = ["mmdebstrap", "--variant=minbase", "--format=null", "--quiet", "--architectures=amd64",
               "--include=" + ",".join(PACKAGES), "--aptopt=APT::Install-Recommends \"false\"",
               "--aptopt=Acquire::Languages \"none\""]
    for path in ("doc", "man", "locale"):
        command.append(f"--dpkgopt=path-exclude=/usr/share/{path}/*")
    proxy = subprocess.run(["apt-config", "dump", "--format", "%v", "Acquire::http::Proxy"],
                           stdout=subprocess.PIPE, check=False, text=True).stdout.strip()
    if proxy:
        command.append(f"--aptopt=Acquire::http::Proxy \"{proxy}\"")
    command += [f"--customize-hook=tar-in {work}/files.tar /",
                f"--customize-hook=upload {work}/finish /tmp/finish",
                "--customize-hook=chroot \"$1\" sh /tmp/finish",
                # Without what is mounted there meanwhile.
                "--customize-hook=unshare -m sh -ec 'mount --bind \"$1\" /mnt; mke2fs -q -F -t ext4 "
                f"-U {ROOT_UUID} -d /mnt {root}' sh \"$1\"",
                "bookworm", "/dev/null", *_sources()]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                          text=True, timeout=900)
    if done.returncode != 0:
        raise AssertionError("the disk's root could not be made: " + done.stdout[-2000:])


def _make_disk(work, root, disk):
    """The partitions in their order on the disk: for BIOS' loader, EFI's, and the root."""
    with open(disk, "wb") as out:
        out.truncate(ROOT_START + ROOT_SIZE + MEBIBYTE)
    subprocess.run(["sfdisk", "-q", disk], check=True, text=True, input=f"""label: gpt
1 : start=262144, size={ROOT_SIZE // 512}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid={ROOT_ID}
14 : start=2048, size=6144, type=21686148-6449-6E6F-744E-656564454649
15 : start=8192, size=253952, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid={ESP_ID}
""")
    esp = work / "esp"
    with open(esp, "wb") as out:
        out.truncate(124 * MEBIBYTE)
    subprocess.run(["mkfs.vfat", "-F", "16", esp], check=True, stdout=subprocess.DEVNULL)
    for part, start in ((esp, 4), (root, 128)):
        subprocess.run(["dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={start}", "conv=notrunc,sparse",
                        "status=none"], check=True)


def stock_disk():
    """The disk, as a qcow2 file whose clusters are compressed; made when it is not there yet."""
    if "CROSH_TEST_STOCK" in os.environ:
        return Path(os.environ["CROSH_TEST_STOCK"])
    directory = Path(os.environ.get("top_builddir", tempfile.gettempdir())) / "test-stock"
    directory.mkdir(exist_ok=True)
    disk = directory / "debian-12-genericcloud-amd64.qcow2"
    with open(directory / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if disk.exists() and disk.stat().st_mtime >= Path(__file__).stat().st_mtime:
            return disk
        with tempfile.TemporaryDirectory(dir=directory) as name:
            work = Path(name)
            # Another user of ours works in it.
            work.chmod(0o755)
            _make_root(work, work / "root")
            _make_disk(work, work / "root", work / "disk")
            subprocess.run(["qemu-img", "convert", "-c", "-O", "qcow2", work / "disk", work / "new"],
                           check=True)
            os.replace(work / "new", disk)
    return disk


if __name__ == "__main__":
    print(stock_disk())
