"""Make what the test hosts are started from: tools, a key, a network, the shop's versions, and an image of a Debian release.

An image has systemd as PID 1 and sshd, as a hoster would hand a machine over. It is made with debootstrap, needs no container
registry, and is kept under a key of what it is built from. Several runs at once wait for one another::

    python molecule/lab/lab.py bookworm
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
LAB = CHECKOUT / ".lab"
VERSIONS = ("v1", "v2", "v1_1", "fails_halfway", "does_not_start")
NETWORK = "intermission-lab"
SUBNET = "10.203.0.0/16"
PACKAGES = "systemd,systemd-sysv,dbus,libpam-systemd,python3-minimal,python3-apt,openssh-server,iproute2,sudo,ca-certificates,openssl"
TOOLS = {"podman": "podman", "runc": "runc", "debootstrap": "debootstrap", "ssh": "openssh-client"}
CNI = Path("/usr/lib/cni/bridge")
AUTHORITIES = Path("/usr/local/share/ca-certificates")

# An account that connects by key and may become root; nothing that a web host needs is there yet
PROVISION = """
update-ca-certificates >/dev/null 2>&1
useradd --create-home --shell /bin/bash deploy
echo 'deploy ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/deploy
install -d -m 700 -o deploy -g deploy /home/deploy/.ssh
systemctl enable ssh.service >/dev/null 2>&1
systemctl mask systemd-networkd-wait-online.service >/dev/null 2>&1
rm -f /etc/machine-id
touch /etc/machine-id
"""


def need_tools() -> None:
    """Install what builds and runs the hosts where this is root on Debian, or say what is missing."""
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if not CNI.exists():
        missing.append("containernetworking-plugins")
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if missing and (os.geteuid() != 0 or shutil.which("apt-get") is None):
        sys.exit(f"The test hosts need root and Debian's packages {' '.join(missing)}. As root: {' '.join(install)}")
    if os.geteuid() != 0:
        sys.exit("The test hosts need root: they have networks and systemd of their own. Run this as root.")
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "--quiet=2"], check=True, env=environment)
        subprocess.run([*install, "--quiet=2"], check=True, env=environment, stdout=subprocess.DEVNULL)


def make_lab() -> None:
    """Make the key that opens the hosts, their network, and the sources that are deployed to them."""
    LAB.mkdir(mode=0o700, exist_ok=True)
    if not (LAB / "key").exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(LAB / "key")], check=True)
    if subprocess.run(["podman", "network", "exists", NETWORK], check=False).returncode != 0:
        command = ["podman", "network", "create", "--subnet", SUBNET, NETWORK]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    for version in VERSIONS:
        command = [sys.executable, str(CHECKOUT / "demo/build.py"), version, str(LAB / "sources" / version)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def name_of(release: str) -> str:
    """Name the image of a Debian release: its tag is a digest of all that it is built from."""
    built_from = hashlib.sha256((PACKAGES + PROVISION).encode())
    for authority in sorted(AUTHORITIES.glob("*.crt")):
        built_from.update(authority.read_bytes())
    return f"localhost/intermission-lab-{release}:{built_from.hexdigest()[:12]}"


def build(release: str, image: str) -> None:
    """Build an image. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory(prefix="intermission-image-") as directory:
        root = Path(directory) / "root"
        log = Path(directory) / "log"
        with log.open("wb") as output:
            command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, str(root)]
            if subprocess.run(command, stdout=output, stderr=output, check=False).returncode != 0:
                sys.exit(f"debootstrap failed:\n{log.read_text(errors='replace')[-3000:]}")
        for authority in AUTHORITIES.glob("*.crt"):
            shutil.copy(authority, root / str(AUTHORITIES).lstrip("/"))
        subprocess.run(["chroot", str(root), "sh", "-ec", PROVISION], check=True)
        shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
        tar = subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(
            ["podman", "import", "--quiet", "-", image], stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL
        )


def main() -> None:
    """Make what is not there yet, for hosts of the release on the command line; print the image's name."""
    parser = argparse.ArgumentParser(description="Make what the test hosts are started from.")
    parser.add_argument("release", choices=["bookworm", "trixie"])
    release = parser.parse_args().release
    with open(f"/run/lock/intermission-lab-{os.geteuid()}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        need_tools()
        make_lab()
        image = name_of(release)
        if subprocess.run(["podman", "image", "exists", image], check=False).returncode != 0:
            build(release, image)
    print(image)


if __name__ == "__main__":
    main()
