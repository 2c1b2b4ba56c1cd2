"""A site on hosts of their own, as the checks of Molecule's scenarios drive it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driving import BIN, CHECKOUT, Answer, Run, Site, wait_until

if TYPE_CHECKING:
    from testinfra.host import Host

REBOOT_SECONDS = 120.0
# What Molecule gives its checks, for programs that drive the lab's hosts by themselves
LAB = {
    "ANSIBLE_CONFIG": str(CHECKOUT / "molecule/lab/ansible.cfg"),
    "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"),
    "ANSIBLE_PRIVATE_KEY_FILE": str(CHECKOUT / ".lab/key"),
}
SSHD = "$(grep --files-with-matches '^sshd' /proc/[0-9]*/comm | cut -d/ -f3)"
# A connection is a process of its own, which ends before it is killed where it has just been closed
NO_SSH = f"systemctl stop ssh.socket ssh.service; kill -KILL {SSHD} 2>/dev/null || true"


COMMANDS = re.compile(r"^ +((?:mariadb|zcat|echo|pg_restore) .*)$", re.MULTILINE)
# Runs a command and types a password when it is asked for one
OPERATOR = """
import os, pty, sys

def read(terminal):
    said = os.read(terminal, 1024)
    if b"password" in said.lower():
        os.write(terminal, sys.argv[1].encode() + b"\\n")
    return said

sys.exit(os.waitstatus_to_exitcode(pty.spawn(["sh", "-ec", sys.argv[2]], read)))
"""


class Fleet(Site):
    """The site of an inventory, on hosts of their own."""

    def __init__(self, inventory: str, environment: Mapping[str, str] = os.environ) -> None:
        self.inventory = inventory
        command = [str(BIN / "ansible-inventory"), "--inventory", inventory, "--list"]
        asked = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        listed = json.loads(asked.stdout)
        self.hosts: dict[str, dict[str, Any]] = listed["_meta"]["hostvars"]
        self.name = next(its["intermission_site"] for its in self.hosts.values() if "intermission_site" in its)
        its = {name: self.hosts[name] for name in listed[self.name]["hosts"]}
        urls = {name: f"http://{one['ansible_host']}:{one.get('lab_port', 80)}" for name, one in its.items()}
        super().__init__(urls, next(iter(its.values()))["intermission_server_names"][0], environment)
        self.playbook_arguments = ["--inventory", inventory]

    def connections(self) -> list[Host]:
        """Connect to each web host."""
        import testinfra  # Who only deploys to the hosts does without

        key = self.environment.get("ANSIBLE_PRIVATE_KEY_FILE")
        names = [f"ansible://{name}" for name in self.urls]
        hosts: list[Host] = testinfra.get_hosts(names, ansible_inventory=self.inventory, ssh_identity_file=key)
        return hosts

    def machine(self, node: str) -> str:
        """Name the container that a host of the lab is, to do what does not go through its network."""
        return f"intermission-{Path(self.inventory).parent.name}-{node.partition('.')[0]}"

    def console(self, node: str) -> Host:
        """Sit down at a host of the lab, as one does where SSH is gone."""
        import testinfra

        return testinfra.get_host(f"podman://{self.machine(node)}")

    def remains(self, node: str) -> list[str]:
        names = f"{self.name}/on .{self.name}.*.json"
        found = self.console(node).check_output(f"cd /var/lib/intermission && ls -d {names} 2>/dev/null || true")
        return str(found).split()

    def cutting_off(self, node: str) -> str:
        """Give the shell command that ends SSH on a host of the lab, also for whom it has let in; what it serves is as ever."""
        return shlex.join(["podman", "exec", self.machine(node), "sh", "-c", NO_SSH])

    def is_cut_off(self, node: str) -> bool:
        """Tell whether SSH has ended on a host of the lab."""
        return not self.console(node).service("ssh").is_running

    def let_in(self, node: str) -> None:
        """Start SSH again on a host of the lab, where it has ended."""
        self.console(node).check_output("systemctl start ssh.service")

    def cut_power(self, node: str) -> None:
        """Turn a host of the lab off, at whatever it is."""
        subprocess.run(["podman", "stop", "--time", "0", self.machine(node)], check=True, stdout=subprocess.DEVNULL)

    def turn_on(self, node: str) -> Answer:
        """Turn a host of the lab on again; gives what the first visitor got."""
        subprocess.run(["podman", "start", self.machine(node)], check=True, stdout=subprocess.DEVNULL)
        return self.first_answer(node)

    def first_answer(self, node: str) -> Answer:
        """Ask a host that starts until it answers, and give that answer."""
        answers: list[Answer] = []

        def answered() -> bool:
            with contextlib.suppress(OSError):
                answers.append(self.ask(node))
            return bool(answers)

        wait_until(answered, f"{node} answers")
        return answers[0]


def told_commands(run: Run) -> list[str]:
    """Give the commands that restore a database, as a run has told its operator."""
    return COMMANDS.findall(run.stdout)


def type_in(host: Host, command: str, password: str) -> None:
    """Run a command as an operator does, who types the password of the database that it asks for."""
    host.check_output("python3 -c %s %s %s < /dev/null", OPERATOR, password, command)


def manage(host: Host, command: str) -> str:
    """Run a command of the live release's manage.py, as the shop's account and with its environment."""
    settings = "--property=EnvironmentFile=/srv/shop/environment --property=User=shop"
    place = "--property=WorkingDirectory=/srv/shop/current"
    python = "/srv/shop/current/.venv/bin/python"
    return str(host.check_output(f"systemd-run --quiet --pipe {settings} {place} {python} manage.py {command}"))


def reboot(host: Host) -> None:
    """Reboot a host and wait until systemd has started everything."""
    before = boot_id(host)
    with contextlib.suppress(RuntimeError):  # The connection may end before the command does
        host.run("systemctl reboot")
    await_systemd(host, before)


def await_systemd(host: Host, before: str = "") -> None:
    """Wait until a host can be reached, in another boot than the one before, and systemd has started everything."""
    wait_until(lambda: boot_id(host) not in (before, ""), "the host has rebooted", REBOOT_SECONDS)
    host.run("systemctl is-system-running --wait")


def boot_id(host: Host) -> str:
    """Give what differs from boot to boot, nothing while the host cannot be reached."""
    try:
        return str(host.run("stat -c %Y /proc/1").stdout.strip())
    except RuntimeError:
        return ""
