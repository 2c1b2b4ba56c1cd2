"""The demo: `demo.py run` deploys the shop twice, the second time under load; `demo.py stop` ends all of it.

Lives below .demo/ of the checkout and listens on ports 8081 and 8082; the variables INTERMISSION_DEMO_ROOT and
INTERMISSION_DEMO_PORT (the first of two ports) of the environment move it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from gunicornctl import running_pid
from prepare import MARK, NODES, prepare

CHECKOUT = Path(__file__).resolve().parent.parent
ROOT = Path(os.environ.get("INTERMISSION_DEMO_ROOT") or CHECKOUT / ".demo")
FIRST_PORT = int(os.environ.get("INTERMISSION_DEMO_PORT") or 8081)
URLS = {node: f"http://127.0.0.1:{FIRST_PORT + number}" for number, node in enumerate(NODES)}
BIN = Path(sys.executable).parent
ORDER_LINES = int(os.environ.get("INTERMISSION_DEMO_LINES") or 200_000)
RATE = 10
SETTLED_ANSWERS = 40
WAIT_SECONDS = 60.0


def run() -> None:
    """Deploy version 1, fill the shop, deploy version 2 under load, and say what visitors saw."""
    stop()
    if ROOT.exists() and not (ROOT / MARK).exists() and any(ROOT.iterdir()):
        sys.exit(f"{ROOT} is not a demo's: name an empty folder in INTERMISSION_DEMO_ROOT")
    shutil.rmtree(ROOT, ignore_errors=True)
    prepare(ROOT)
    say("Version 1 of the shop is deployed to two nodes", ", ".join(URLS.values()))
    deploy("v1")
    say(f"The shop gets {ORDER_LINES:,} order lines")
    fill()
    say(
        "Version 2 is deployed while visitors come",
        "its migration adds a column, fills it and makes it NOT NULL",
    )
    record = ROOT / "probe"
    with visitors(record):
        deploy("v2")
        wait_until(lambda: answers_since_deploy(record) >= SETTLED_ANSWERS, "the visitors did not come back")
    sys.exit(report(record))


def stop() -> None:
    """End the nodes' gunicorn and Nginx; what does not run is passed over."""
    for node in NODES:
        site, pid_file = ROOT / node / "shop", ROOT / node / "nginx" / "nginx.pid"
        if site.exists():
            subprocess.run([sys.executable, Path(__file__).with_name("gunicornctl.py"), site, "stop"], check=True)
        if pid := running_pid(pid_file, b"nginx"):
            os.kill(pid, signal.SIGQUIT)
            wait_until(lambda file=pid_file: running_pid(file, b"nginx") is None, "Nginx did not end")
        pid_file.unlink(missing_ok=True)


def say(what: str, more: str = "") -> None:
    """Print a step of the demo."""
    print(f"\n==> {what}{': ' + more if more else ''}", flush=True)


def deploy(version: str) -> None:
    """Run the playbook, showing its phases and reports; the whole output goes to a log."""
    log_path = ROOT / f"deploy-{version}.log"
    command = [str(BIN / "ansible-playbook"), "deploy.yml", "-e", f"django_release_version={version}"]
    print(
        f"    ansible-playbook deploy.yml -e django_release_version={version}    (whole output: {log_path})",
        flush=True,
    )
    environment = {**os.environ, "INTERMISSION_DEMO_ROOT": str(ROOT), "ANSIBLE_NOCOLOR": "1"}
    started = time.monotonic()
    with log_path.open("w", encoding="utf-8") as log:
        playbook = subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert playbook.stdout
        in_report = False
        for line in playbook.stdout:
            log.write(line)
            in_report = line.startswith(("PLAN ", "FAILED ", "DONE ")) or (
                in_report and not line.startswith(("TASK", "STEP"))
            )
            if line.startswith("STEP "):
                print(f"    {time.monotonic() - started:5.1f} s  {line.rstrip()}", flush=True)
            if line.startswith("TASK [") and line[6].isdigit():
                print(f"    {time.monotonic() - started:5.1f} s  phase {line[6:].split(']')[0]}", flush=True)
            elif in_report and line.strip():
                print(f"             {line.rstrip()}", flush=True)
    if playbook.wait() != 0:
        sys.exit(f"The deploy failed: see {log_path}")


def fill() -> None:
    """Generate the shop's data."""
    site = ROOT / NODES[0] / "shop"
    script = 'set -a; . ../../environment; exec .venv/bin/python manage.py generate_orders --lines "$1"'
    subprocess.run(["sh", "-c", script, "fill", str(ORDER_LINES)], cwd=site / "current", check=True)


@contextmanager
def visitors(record: Path) -> Iterator[None]:
    """Let the load probe ask both nodes meanwhile."""
    command = [sys.executable, "-m", "probe", "run", "--rate", str(RATE), "--host", "shop.example"]
    command += ["--out", str(record)]
    for node, url in URLS.items():
        command += ["--node", f"{node}={url}"]
    probe = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT / "tests")})
    try:
        wait_until((record / "probe.json").exists, "the load probe did not start")
        yield
    finally:
        probe.send_signal(signal.SIGTERM)
        probe.wait()


def wait_until(condition: object, otherwise: str) -> None:
    """Wait until a condition holds; ends the program where it does not in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            sys.exit(otherwise)
        time.sleep(0.05)


def answers_since_deploy(record: Path) -> int:
    """Count the answers of the new version."""
    return (record / "answers.jsonl").read_text(encoding="utf-8").count('"app 2"')


def phases() -> list[dict[str, object]]:
    """Read the phases of the last deploy from the first node's journal."""
    lines = (ROOT / NODES[0] / "state/shop/journal.jsonl").read_text(encoding="utf-8").splitlines()
    found: list[dict[str, object]] = []
    for entry in map(json.loads, lines):
        at = datetime.fromisoformat(entry["at"]).timestamp()
        if entry["event"] == "deploy begun":
            found = [{"name": "prepare", "start": at, "end": at}]
        elif entry["event"] == "deploy phase":
            found[-1]["end"] = at
            found.append({"name": entry["phase"], "start": at, "end": at})
        elif entry["event"] == "deploy ended":
            found[-1]["end"] = at
    return found


def report(record: Path) -> int:
    """Print the summary and the next commands to try; gives the exit status."""
    bands = phases()
    (record / "phases.json").write_text(json.dumps(bands), encoding="utf-8")
    picture = record / "visitors.png"
    say("What visitors saw")
    command = [sys.executable, "-m", "probe", "report", str(record)]
    command += ["--phases", str(record / "phases.json"), "--png", str(picture)]
    verdict = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(CHECKOUT / "tests")}, check=False)
    say("Seconds per phase")
    for band in bands:
        print(f"    {band['name']:<9}{band['end'] - band['start']:6.1f} s")  # type: ignore[operator]
    say("The site goes on running", ", ".join(URLS.values()))
    print(f"""    Picture of the deploy: {picture}
    Try:  . .venv/bin/activate
          ansible-playbook playbooks/maintenance_on.yml -e maintenance_window_for=30m -e maintenance_window_reason=Tea
          ansible-playbook playbooks/maintenance_status.yml
          ansible-playbook playbooks/maintenance_off.yml
          ansible-playbook deploy.yml                 (nothing to do)
          ansible-playbook playbooks/rollback.yml     (back to version 1, with its schema)
          ansible-playbook deploy.yml -e django_release_version=does_not_start    (it begins at version 1, too)
          ansible-playbook deploy.yml                 (version 2 again)
          touch {ROOT / NODES[0]}/state/shop/on       (closed by hand, until rm)
          make demo-stop""")
    return verdict.returncode


if __name__ == "__main__":
    actions = {"run": run, "stop": stop}
    if len(sys.argv) != 2 or sys.argv[1] not in actions:
        sys.exit(__doc__)
    actions[sys.argv[1]]()
