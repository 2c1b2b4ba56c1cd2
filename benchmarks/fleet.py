"""How long it takes to close many hosts: one sshd, and as many hosts as are wanted, each with an address of its own.

All of it is in namespaces of its own, in which sshd listens to every loopback address and nobody else reaches it, and which leave
nothing behind. A host is an address and directories of its own. The machine is shared by the controller and its hosts, so what a
host spends slows the controller down here, and does not elsewhere.
"""

import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT, BrokenRunError
from benchmarks.report import Bound, Row, ratio_row, value_row
from benchmarks.site import HOST, NAME, Site
from benchmarks.tools import unpack

FEW, MANY, MOST = 10, 100, 500
ROUNDS = {FEW: 3, MANY: 5, MOST: 1}
PORT = 2222
PATIENCE = 10.0  # seconds
BIN = Path(sys.executable).parent

# As it is written by hand: facts, a task for each step, five hosts at a time, Ansible's own settings
STRAIGHT = """\
- hosts: all
  tasks:
    - name: Make the directory
      ansible.builtin.file:
        path: "{{ straight }}"
        state: directory
        mode: "0755"

    - name: Copy the page
      ansible.builtin.copy:
        src: "{{ page }}"
        dest: "{{ straight }}/maintenance.html"
        mode: "0644"

    - name: Set the flag
      ansible.builtin.file:
        path: "{{ straight }}/on"
        state: touch
        mode: "0644"

    - name: Look at the flag
      ansible.builtin.stat:
        path: "{{ straight }}/on"
      register: flag

    - name: Check that it is there
      ansible.builtin.command: test -e {{ straight }}/on
      changed_when: false
"""
# As little as Ansible can do with a module on each host
LEAST = """\
- hosts: all
  gather_facts: false
  tasks:
    - name: Answer
      ansible.builtin.ping:
"""
SSHD = """\
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/key.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
LogLevel FATAL
MaxStartups 1000
"""


@dataclass(frozen=True)
class Run:
    """What a run took: seconds, the controller's seconds of CPU time, those of all others, and its largest process in kilobytes."""

    seconds: float
    controller: float
    others: float
    kilobytes: int


def measure(folder: Path) -> list[Row]:
    """Measure in namespaces of its own; give the findings, none without root. Raises BrokenRunError."""
    if os.geteuid() != 0:
        print("Closing a fleet is not measured: only root can give it a network of its own.", file=sys.stderr)
        return []
    folder.mkdir()
    Site(folder)
    unpack(("openssh-server", "libwrap0"), folder / "ssh")
    # Whoever ends this ends all that was started in there
    namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*namespaces, sys.executable, "-m", __name__, str(folder)]
    done = subprocess.run(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise BrokenRunError("closing a fleet could not be measured; what failed stands above")
    found = json.loads(done.stdout)
    straight, least = Run(**found["straight"]), Run(**found["least"])
    ours = {int(count): [Run(**run) for run in runs] for count, runs in found["ours"].items()}
    return rows(straight, least, ours)


def rows(straight: Run, least: Run, ours: Mapping[int, Sequence[Run]]) -> list[Row]:
    """Compare ours on ``MANY`` hosts with the playbook written by hand, with the least, and with ours on fewer and on more hosts."""
    seconds = {count: statistics.median(run.seconds for run in runs) for count, runs in ours.items()}
    controller = {count: statistics.median(run.controller for run in runs) / count for count, runs in ours.items()}
    others = statistics.median(run.others for run in ours[MANY]) / MANY
    largest = {count: max(run.kilobytes for run in runs) for count, runs in ours.items()}
    hosts = f"{MANY} hosts are closed: "
    return [
        ratio_row(
            f"{hosts}the playbook that people write / maintenance_on.yml, time",
            straight.seconds,
            seconds[MANY],
            "{:.1f} against {:.1f} s",
            Bound(12, least=True),
        ),
        value_row(
            "  the controller's CPU time, for each host",
            1000 * controller[MANY],
            " ms",
            f"the playbook that people write: {1000 * straight.controller / MANY:.0f} ms",
            Bound(50, unit=" ms"),
        ),
        value_row(
            "  for comparison: one task of ansible.builtin.ping, with the same settings",
            1000 * least.controller / MANY,
            " ms",
            f"{least.seconds:.1f} s",
        ),
        value_row(
            "  the CPU time of each host",
            1000 * others,
            " ms",
            f"the playbook that people write: {1000 * straight.others / MANY:.0f} ms",
        ),
        *(
            ratio_row(
                f"  {count} hosts / {MANY} hosts, time for each host",
                1000 * seconds[count] / count,
                1000 * seconds[MANY] / MANY,
                "{:.0f} against {:.0f} ms",
                Bound(1.1) if count == MOST else None,
            )
            for count in (FEW, MOST)
        ),
        ratio_row(
            f"  {MOST} hosts / {MANY} hosts, the controller's largest process",
            largest[MOST] / 1024,
            largest[MANY] / 1024,
            "{:.0f} against {:.0f} MB",
        ),
    ]


def main(folder: Path) -> None:
    """Measure below a folder, inside the namespaces, and print what was found."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    users, home = folder / "passwd", folder / "home"
    home.mkdir()
    # What this machine's root has in its login files is no part of what a host costs
    users.write_text(f"root:x:0:0::{home}:/bin/sh\nsshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
    subprocess.run(["mount", "--bind", users, "/etc/passwd"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    Path("/run/sshd").mkdir(mode=0o755)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    with sshd(folder):
        ours = {}
        for count in (FEW, MANY, MOST):
            inventory = write_inventory(folder, count)
            ours[count] = list(close_often(folder, inventory, ROUNDS[count]))
        inventory = write_inventory(folder, MANY)
        least = run_least(folder, inventory)
        straight = run_straight(folder, inventory)
    found = {"straight": asdict(straight), "least": asdict(least)}
    print(json.dumps({**found, "ours": {count: [*map(asdict, runs)] for count, runs in ours.items()}}))


@contextmanager
def sshd(folder: Path) -> Iterator[None]:
    """Run an SSH server for all hosts."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key"], check=True)
    programs = folder / "ssh/usr/lib/openssh"
    parts = [
        f"Sshd{name.title()}Path {path}\n"
        for name in ("session", "auth")
        if (path := programs / f"sshd-{name}").exists()
    ]
    (folder / "sshd_config").write_text(SSHD.format(port=PORT, folder=folder) + "".join(parts))
    libraries = {path.parent for path in folder.glob("ssh/usr/lib/*/libwrap.so*")} | {
        path.parent for path in folder.glob("ssh/lib/*/libwrap.so*")
    }
    process = subprocess.Popen(
        [folder / "ssh/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"],
        env={**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))},
    )
    try:
        deadline = time.monotonic() + PATIENCE
        while socket.socket().connect_ex(("127.0.0.1", PORT)):
            if time.monotonic() > deadline:
                raise BrokenRunError("sshd does not listen")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def write_inventory(folder: Path, count: int) -> Path:
    """Describe so many hosts, each with a state directory that has the site's pages."""
    hosts = {}
    for number in range(count):
        place = folder / "hosts" / f"web{number}"
        hosts[f"web{number}"] = {
            "ansible_host": address(number),
            "intermission_state_root": str(place / "state"),
            "straight": str(place / "straight"),
        }
        if not (place / "state").exists():
            shutil.copytree(folder / "state", place / "state")
    variables = {
        "ansible_user": "root",
        "ansible_port": PORT,
        "ansible_ssh_private_key_file": str(folder / "key"),
        "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR",
        "ansible_python_interpreter": "/usr/bin/python3",
        # Each host has its copy of the modules since the first run, which does not count; here one is enough for all of them
        "ansible_remote_tmp": f"{folder}/tmp",
        "intermission_site": NAME,
        "intermission_server_names": [HOST],
        "intermission_platform": "command",
        "maintenance_window_proof": False,  # No Nginx is there to be asked, and the other playbook asks none
    }
    inventory = folder / f"{count}.json"
    inventory.write_text(json.dumps({"all": {"children": {NAME: {"hosts": hosts, "vars": variables}}}}))
    return inventory


def address(number: int) -> str:
    """Give a loopback address for each number."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def close_often(folder: Path, inventory: Path, rounds: int) -> Iterator[Run]:
    """Close all hosts, so often; the first time, which connects to them, does not count."""
    environment = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    hosts = json.loads(inventory.read_text())["all"]["children"][NAME]["hosts"]
    for number in range(rounds + 1):
        closed = run_playbook(folder, CHECKOUT / "playbooks/maintenance_on.yml", inventory, environment)
        flags = [path for name in hosts for path in folder.glob(f"hosts/{name}/state/*/on")]
        if len(flags) != len(hosts) or not all(path.exists() for path in flags):
            raise BrokenRunError("not all hosts are closed")
        for path in flags:
            path.unlink()
        if number > 0:
            yield closed


def run_least(folder: Path, inventory: Path) -> Run:
    """Ask all hosts for an answer, with the project's settings of Ansible; once more than what counts, which connects to them."""
    playbook = folder / "least.yml"
    playbook.write_text(LEAST)
    environment = {"ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    run_playbook(folder, playbook, inventory, environment)
    return run_playbook(folder, playbook, inventory, environment)


def run_straight(folder: Path, inventory: Path) -> Run:
    """Close all hosts as people do."""
    playbook = folder / "straight.yml"
    playbook.write_text(STRAIGHT)
    (folder / "ansible.cfg").write_text("[defaults]\nforks = 5\n")
    page = next((folder / "state" / NAME / "pages").rglob("*.html"))
    return run_playbook(folder, playbook, inventory, {"ANSIBLE_CONFIG": str(folder / "ansible.cfg")}, page=str(page))


def run_playbook(
    folder: Path, playbook: Path, inventory: Path, environment: Mapping[str, str], **variables: Any
) -> Run:
    """Run a playbook, and tell what that took. Raises BrokenRunError where it fails."""
    log = folder / "ansible.log"
    command = [str(BIN / "ansible-playbook"), "-i", str(inventory), str(playbook), "-e", json.dumps(variables)]
    whole = {**os.environ, **environment, "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp")}
    others, began = machine_seconds(), time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=whole, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream
        )
        _pid, status, used = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BrokenRunError(f"{playbook.name} failed: {log.read_text(errors='replace')[-3000:]}")
    controller = used.ru_utime + used.ru_stime
    return Run(seconds, controller, machine_seconds() - others - controller, used.ru_maxrss)


def machine_seconds() -> float:
    """Give the seconds of CPU time that all processes have spent so far."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    user, nice, system = map(int, fields[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
