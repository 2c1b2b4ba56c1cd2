"""How long a deploy with a migration closes a site: two web hosts and a database host of their own, and load.

Closed is what visitors are told: from the first maintenance page that any web host gives to the last. The playbook that people write
brings the same release to the same hosts, whose virtualenv is there and has what the release needs.
"""

import json
import os
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT, BrokenRunError
from benchmarks.report import Bound, Row, count_row, ratio_row, value_row
from fleet import LAB, Fleet
from probe.record import ANSWERS

SCENARIO = "deploy"
INVENTORY = str(CHECKOUT / "molecule" / SCENARIO / "inventory")
SOURCES = CHECKOUT / ".lab/sources"
FORMER, VERSION, PATCH = "v1", "v2", "v1_1"
ROUNDS = 3
RATE = 20  # requests per second and host, which is how exactly the closed time is known

# The same hosts as they are deployed to by hand: the code in one directory, which is written over
BY_HAND = """\
- hosts: shop
  gather_facts: false
  tasks:
    - name: Make the directory of the code
      ansible.builtin.file:
        path: /srv/by-hand
        state: directory
        mode: "0755"

    - name: Unpack the former version
      ansible.builtin.unarchive:
        src: "{{ former }}"
        dest: /srv/by-hand

    - name: Make a directory for the unit's change
      ansible.builtin.file:
        path: /etc/systemd/system/shop.service.d
        state: directory
        mode: "0755"

    - name: Start the app in there
      ansible.builtin.copy:
        content: "[Service]\\nWorkingDirectory=/srv/by-hand\\n"
        dest: /etc/systemd/system/shop.service.d/by-hand.conf
        mode: "0644"

    - name: Restart the app
      ansible.builtin.systemd_service:
        name: shop
        state: restarted
        daemon_reload: true
"""
STRAIGHT = """\
- hosts: shop
  tasks:
    - name: Open the window
      ansible.builtin.file:
        path: /var/lib/intermission/shop/on
        state: touch
        mode: "0644"

    - name: Check the version out
      ansible.builtin.unarchive:
        src: "{{ version }}"
        dest: /srv/by-hand

    - name: Install what it needs
      ansible.builtin.command: /srv/shop/current/.venv/bin/pip install --requirement requirements.txt
      args: &there
        chdir: /srv/by-hand

    - name: Collect static files
      ansible.builtin.shell: set -a; . /srv/shop/environment; /srv/shop/current/.venv/bin/python manage.py collectstatic --noinput
      args: *there

    - name: Migrate
      ansible.builtin.shell: set -a; . /srv/shop/environment; /srv/shop/current/.venv/bin/python manage.py migrate --noinput
      args: *there
      run_once: true

    - name: Restart the app
      ansible.builtin.systemd_service:
        name: shop
        state: restarted

    - name: Close the window
      ansible.builtin.file:
        path: /var/lib/intermission/shop/on
        state: absent
"""


@dataclass(frozen=True)
class Deploy:
    """What visitors had of a deploy: the seconds that the site was closed, and how many answers were lost of how many."""

    closed: float
    lost: int
    answers: int


def measure(folder: Path) -> list[Row]:
    """Measure on hosts that are made for it; give the findings, none without root. Raises BrokenRunError."""
    if os.geteuid() != 0:
        print("Deploys are not measured: only root can make hosts for them.", file=sys.stderr)
        return []
    folder.mkdir()
    with hosts() as site:
        ours, migrating = [], []
        for number in range(ROUNDS):
            ours.append(
                watched(site, folder / f"ours-{number}", "deploy.yml", *deploys(VERSION, "window"), *told(folder))
            )
            migrating.append(json.loads((folder / "summary.json").read_text())["migration_seconds"])
            play(site, "playbooks/rollback.yml")
        patch = watched(site, folder / "patch", "deploy.yml", *deploys(PATCH))
        play(site, "deploy.yml", *deploys(FORMER))
        straight = watched_straight(site, folder)
    return rows(ours, statistics.median(migrating), straight, patch)


def rows(ours: list[Deploy], migrating: float, straight: Deploy, patch: Deploy) -> list[Row]:
    """Compare the closed time without that of the migrations with the playbook that is written by hand."""
    closed = statistics.median(deploy.closed for deploy in ours) - migrating
    return [
        value_row(
            "a deploy with a migration closes the site, beside the migration's own time",
            closed,
            " s",
            f"the migration's own: {migrating:.1f} s; two web hosts, a database host",
            Bound(2, unit=" s"),
        ),
        ratio_row(
            "  the playbook that people write / deploy.yml",
            straight.closed - migrating,
            closed,
            "{:.1f} against {:.1f} s",
        ),
        value_row("a deploy without a migration closes the site", patch.closed, " s", "", Bound(0, unit=" s")),
        count_row("  requests lost", patch.lost, patch.answers, Bound(0)),
    ]


@contextmanager
def hosts() -> Iterator[Fleet]:
    """Give hosts on which the former version has been deployed, and end them. Raises BrokenRunError."""
    try:
        molecule("converge")
        yield Fleet(INVENTORY, {**os.environ, **LAB})
    finally:
        molecule("destroy")


def molecule(action: str) -> None:
    """Run Molecule on the scenario. Raises BrokenRunError with the end of what it said."""
    command = [str(Path(sys.executable).parent / "molecule"), action, "--scenario-name", SCENARIO]
    environment = {**os.environ, "MOLECULE_GLOB": "molecule/*/molecule.yml"}
    output: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=CHECKOUT, env=environment, **output, check=False)
    if done.returncode != 0:
        raise BrokenRunError(f"molecule {action} failed:\n{done.stdout[-3000:]}")


def deploys(version: str, strategy: str = "auto") -> list[str]:
    """Give the arguments that choose a version, and the way to it."""
    return variables(django_release_version=version, django_release_strategy=strategy)


def told(folder: Path) -> list[str]:
    """Give the arguments that let a deploy write its summary."""
    return variables(django_release_summary_file=str(folder / "summary.json"))


def variables(**values: Any) -> list[str]:
    """Give the arguments that set variables."""
    return ["--extra-vars", json.dumps(values)]


def play(site: Fleet, playbook: str, *arguments: str) -> None:
    """Run a playbook as an operator does, in a process that has nothing loaded. Raises BrokenRunError."""
    run = site.start_playbook(playbook, *arguments)
    said, errors = run.communicate()
    if run.returncode != 0:
        raise BrokenRunError(f"{playbook} failed:\n{(said + errors)[-3000:]}")


def watched(site: Fleet, record: Path, playbook: str, *arguments: str) -> Deploy:
    """Run a playbook under load. Raises BrokenRunError."""
    with site.visitors(record, RATE):
        play(site, playbook, *arguments)
    answers = [json.loads(line) for line in (record / ANSWERS).read_text().splitlines()]
    return Deploy(closed_seconds(answers), site.verdict(record)["unexpected"], len(answers))


def closed_seconds(answers: Sequence[Mapping[str, Any]]) -> float:
    """Give how long a site was closed, as its visitors' answers say."""
    pages = [answer for answer in answers if answer["class"] == "maintenance"]
    return max(page["ended"] for page in pages) - min(page["started"] for page in pages) if pages else 0.0


def watched_straight(site: Fleet, folder: Path) -> Deploy:
    """Let the same hosts be deployed to by hand, and watch that."""
    for version in (FORMER, VERSION):
        with tarfile.open(folder / f"{version}.tar", "w") as archive:
            archive.add(SOURCES / version, arcname=".")
    for name, text in (("by-hand.yml", BY_HAND), ("straight.yml", STRAIGHT)):
        (folder / name).write_text(text)
    play(site, str(folder / "by-hand.yml"), *variables(former=str(folder / f"{FORMER}.tar")))
    settings = folder / "ansible.cfg"
    settings.write_text("[defaults]\nhost_key_checking = false\n")
    by_hand = Fleet(site.inventory, {**os.environ, **LAB, "ANSIBLE_CONFIG": str(settings)})
    arguments = variables(version=str(folder / f"{VERSION}.tar"))
    return watched(by_hand, folder / "straight", str(folder / "straight.yml"), *arguments)
