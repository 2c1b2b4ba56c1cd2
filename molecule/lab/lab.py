"""Make what the test hosts are started from: tools, a key, a network, the shop's versions, and an image of a Debian release.

An image has systemd as PID 1 and sshd, as a hoster would hand a machine over. It is made with mmdebstrap, needs no container
registry, and is kept under a key of what it is built from; so is one with packages for hosts of which there are many. Several
runs at once wait for one another::

    python molecule/lab/lab.py bookworm [PACKAGE ...]
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
SUBNET, GATEWAY = "10.203.0.0/16", "10.203.0.1/16"
HELD, HELD_END = "im-lab-held", "im-lab-end"  # At most 15 letters each
# Without an address of its own it would get that which comes after the last host's, and which another one is about to ask for
ADDED_TO, ADDED_TO_ADDRESS = "intermission-lab-added-to", "10.203.255.254"
BRIDGE_ADDRESS = "02:00:0a:cb:00:01"
PACKAGES = "systemd,systemd-sysv,dbus,libpam-systemd,python3-minimal,python3-apt,openssh-server,iproute2,sudo,ca-certificates,openssl"
# Hosts of tests need not survive a power cut; the lists of packages spare each of them a download
OPTIONS = ("--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io", "--skip=cleanup/apt/lists")
TOOLS = {"podman": "podman", "runc": "runc", "mmdebstrap": "mmdebstrap", "ssh": "openssh-client", "ip": "iproute2"}
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
    LAB.mkdir(exist_ok=True)
    LAB.chmod(0o700)
    if not (LAB / "key").exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(LAB / "key")], check=True)
    make_network()
    for version in VERSIONS:
        # Made beside the sources, which another scenario may be packing, and are left alone where they are the same
        made, source = LAB / "made" / version, LAB / "sources" / version
        command = [sys.executable, str(CHECKOUT / "demo/build.py"), version, str(made)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if files(made) != files(source):
            shutil.rmtree(source, ignore_errors=True)
            source.parent.mkdir(exist_ok=True)
            made.rename(source)


def make_network() -> None:
    """Make the network of the hosts, whose bridge is there before the first host, stays after the last, and keeps its address.

    One that Podman makes takes its hardware address from a host on it, and another with each host that comes or goes: for all
    others this machine is then silent, for up to minutes (https://github.com/containers/netavark/pull/833).
    """
    if subprocess.run(["podman", "network", "exists", NETWORK], check=False).returncode != 0:
        command = ["podman", "network", "create", "--subnet", SUBNET, NETWORK]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    command = ["podman", "network", "inspect", "--format", "{{.NetworkInterface}}", NETWORK]
    bridge = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    if not Path("/sys/class/net", HELD).exists():
        if not Path("/sys/class/net", bridge).exists():
            ip("link", "add", bridge, "type", "bridge")
            ip("address", "add", GATEWAY, "dev", bridge)
        ip("link", "set", bridge, "address", BRIDGE_ADDRESS, "up")
        ip("link", "add", HELD, "type", "veth", "peer", "name", HELD_END)
        ip("link", "set", HELD, "master", bridge)


def ip(*words: str) -> None:
    """Run iproute2's command."""
    subprocess.run(["ip", *words], check=True)


def files(tree: Path) -> dict[Path, bytes]:
    """Read all files below a folder."""
    return {path.relative_to(tree): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def name_of(release: str) -> str:
    """Name the image of a Debian release: its tag is a digest of all that it is built from."""
    built_from = hashlib.sha256(" ".join([*OPTIONS, PACKAGES, PROVISION]).encode())
    for authority in sorted(AUTHORITIES.glob("*.crt")):
        built_from.update(authority.read_bytes())
    return f"localhost/intermission-lab-{release}:{built_from.hexdigest()[:12]}"


def build(release: str, image: str) -> None:
    """Build an image."""
    with tempfile.TemporaryDirectory(prefix="intermission-image-", dir=memory()) as directory:
        provision, log, tar = (Path(directory) / name for name in ("provision", "log", "root.tar"))
        provision.write_text(PROVISION, encoding="ascii")
        hooks = [f"--customize-hook=copy-in {authority} {AUTHORITIES}" for authority in AUTHORITIES.glob("*.crt")]
        hooks.append(f'--customize-hook=chroot "$1" sh -e < {provision}')
        command = ["mmdebstrap", *OPTIONS, f"--include={PACKAGES}", *hooks, release, str(tar)]
        environment = {**os.environ, "TMPDIR": directory}
        with log.open("wb") as output:
            if subprocess.run(command, stdout=output, stderr=output, env=environment, check=False).returncode != 0:
                sys.exit(f"mmdebstrap failed:\n{log.read_text(errors='replace')[-3000:]}")
        subprocess.run(["podman", "import", "--quiet", str(tar), image], check=True, stdout=subprocess.DEVNULL)


def add(packages: list[str], image: str, named: str) -> None:
    """Build an image that has packages beside what another one has."""
    install = "apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends"
    options = ["--replace", "--name", ADDED_TO, "--network", NETWORK, "--ip", ADDED_TO_ADDRESS, "--quiet"]
    try:
        command = ["podman", "--runtime", "runc", "run", *options, image, "sh", "-c", f"{install} {' '.join(packages)}"]
        subprocess.run(command, check=True, stdout=sys.stderr)
        subprocess.run(["podman", "commit", "--quiet", ADDED_TO, named], check=True, stdout=subprocess.DEVNULL)
    finally:
        subprocess.run(["podman", "rm", "--force", "--ignore", ADDED_TO], check=False, stdout=subprocess.DEVNULL)


def exists(image: str) -> bool:
    """Tell whether an image is there."""
    return subprocess.run(["podman", "image", "exists", image], check=False).returncode == 0


def memory() -> str | None:
    """Give a folder in memory in which programs may run, for that takes half of the time; None where there is none."""
    flags = os.statvfs("/dev/shm").f_flag if os.path.isdir("/dev/shm") else os.ST_NOEXEC
    return None if flags & (os.ST_NOEXEC | os.ST_NODEV | os.ST_NOSUID) else "/dev/shm"


def main() -> None:
    """Make what is not there yet, for hosts of the release on the command line; print the image's name."""
    parser = argparse.ArgumentParser(description="Make what the test hosts are started from.")
    parser.add_argument("release", choices=["bookworm", "trixie"])
    parser.add_argument("packages", nargs="*", metavar="PACKAGE")
    options = parser.parse_args()
    with open(f"/run/lock/intermission-lab-{os.geteuid()}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        need_tools()
        make_lab()
        image = name_of(options.release)
        if not exists(image):
            build(options.release, image)
        if options.packages:
            base, image = image, "-".join([image, *options.packages])
            if not exists(image):
                add(options.packages, base, image)
    print(image)


if __name__ == "__main__":
    main()
