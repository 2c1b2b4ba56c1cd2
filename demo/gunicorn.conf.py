"""Gunicorn's settings for one node of the demo. Read anew by each master, so that a reload takes up a new environment."""

import os
import re
from pathlib import Path
from typing import Any

root = Path(os.environ["GUNICORN_ROOT"])

wsgi_app = "shop.wsgi"
bind = f"unix:{root}/app.sock"
pidfile = f"{root}/gunicorn.pid"
chdir = str(root / "current")
workers = 2
preload_app = True  # A reload starts another master, and importing Django is what a start takes longest for
threads = 4
timeout = 60
graceful_timeout = 35
control_socket_disable = True
raw_env = [
    f"{name}=" + re.sub(r"\\(.)", r"\1", value)
    for file in (root / "environment", root / "maintenance.env")
    if file.exists()
    for name, value in re.findall(r'^(\w+)="(.*)"$', file.read_text(), re.MULTILINE)
]


def post_worker_init(worker: Any) -> None:
    """Tell gunicornctl.py that a worker of this master serves."""
    (root / f"gunicorn.{worker.ppid}.ready").touch()


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    (root / f"gunicorn.{server.pid}.ready").unlink(missing_ok=True)
