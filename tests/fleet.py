"""A site on hosts of their own, as the checks of Molecule's scenarios drive it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import testinfra
from testinfra.host import Host

from driving import BIN, Answer, Site, wait_until

REBOOT_SECONDS = 120.0


class Fleet(Site):
    """The site of an inventory, on hosts of their own."""

    def __init__(self, inventory: str) -> None:
        self.inventory = inventory
        command = [str(BIN / "ansible-inventory"), "--inventory", inventory, "--list"]
        listed = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        self.hosts: dict[str, dict[str, Any]] = listed["_meta"]["hostvars"]
        site = next(its["intermission_site"] for its in self.hosts.values() if "intermission_site" in its)
        its = {name: self.hosts[name] for name in listed[site]["hosts"]}
        urls = {name: f"http://{one['ansible_host']}:{one.get('lab_port', 80)}" for name, one in its.items()}
        super().__init__(urls, next(iter(its.values()))["intermission_server_names"][0], os.environ)
        self.playbook_arguments = ["--inventory", inventory]

    def connections(self) -> list[Host]:
        """Connect to each web host."""
        key = self.environment.get("ANSIBLE_PRIVATE_KEY_FILE")
        names = [f"ansible://{name}" for name in self.urls]
        hosts: list[Host] = testinfra.get_hosts(names, ansible_inventory=self.inventory, ssh_identity_file=key)
        return hosts

    def machine(self, node: str) -> str:
        """Name the container that a host of the lab is, to do what does not go through its network."""
        return f"intermission-{Path(self.inventory).parent.name}-{node.partition('.')[0]}"

    def console(self, node: str) -> Host:
        """Sit down at a host of the lab, as one does where SSH is gone."""
        return testinfra.get_host(f"podman://{self.machine(node)}")

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
