"""The site that is measured: the role's own files, and an app that costs next to nothing."""

import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Optional

from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

from benchmarks.server import Server
from nginx.rendering import RenderedRole, render

NAME = "shop"
HOST = "shop.example"

# What browsers send that has to do with the form of the answer
HEADERS = {
    "Host": HOST,
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.8,de;q=0.5",
}

NETWORKS = [f"203.0.{number}.0/24" for number in range(90)] + [f"2001:db8:{number:x}::/48" for number in range(10)]
PATTERNS = [
    pattern
    for number in range(5)
    for pattern in (f"= /exact/{number}", f"/below/{number}/", f"~ ^/expression/{number}/\\d+$", f"~* [.]type{number}$")
]

APP = """\
server {{
    listen unix:{socket};
    return 200 "the app";
}}
"""

PLAIN_FILES = """\
server {{
    listen 127.0.0.1:{port};
    root {directory};
    error_page 503 /plain.html;
    location = /always-503 {{
        return 503;
    }}
}}
"""


class Gate(Enum):
    """What a vhost has of the gate: nothing, as the role's defaults have it, or with long lists of who passes."""

    NONE = 0
    DEFAULT = 1
    LISTS = 2


@dataclass(frozen=True)
class Request:
    """What is asked of a server, on its first port (the site) or its second one (plain files), and what answers."""

    path: str
    status: int
    port: int = 0


APP_REQUEST = Request("/orders/", 200)
CLOSED_REQUEST = Request("/orders/", 503)
PLAIN_REQUEST = Request("/plain.html", 200, port=1)
ERROR_PAGE_REQUEST = Request("/always-503", 503, port=1)


class Site:
    """One site below a folder; its servers are started one by one."""

    def __init__(self, root: Path) -> None:
        """Write the state directory and the pages as the role does."""
        self.root = root
        self.socket = root / "app.sock"
        self.www = root / "www"
        self.www.mkdir()
        self.state = StateDirectory(str(root / "state"), NAME)
        self.state.make()
        for path, content in self.role(root, port=0).pages.items():
            Path(path).write_text(content)

    def role(
        self, folder: Path, port: int, form: str = "vhost", lists: bool = False, app_socket: Optional[Path] = None
    ) -> RenderedRole:
        """Render the role in one of its forms for a server whose configuration is below ``folder``."""
        inventory = {
            "intermission_site": NAME,
            "intermission_server_names": [HOST],
            "intermission_state_root": str(self.root / "state"),
            "maintenance_page_form": form,
            "maintenance_page_conf_dir": str(folder / "conf.d"),
            "maintenance_page_snippet_dir": str(folder / "snippets"),
            "maintenance_page_listen": [f"127.0.0.1:{port}"],
            "maintenance_page_app_socket": str(app_socket or self.socket),
            "maintenance_page_document_root": str(self.www),
            "maintenance_page_bypass_networks": NETWORKS if lists else [],
            "maintenance_page_bypass_paths": PATTERNS if lists else [],
        }
        return render(inventory)

    def start_app(self) -> Server:
        """Start the app: a second Nginx, so that Python is not what is measured."""
        return Server(self.root / "app", APP.format(socket=self.socket))

    def start(self, name: str, gate: Gate, wrapper: Sequence[str] = (), app_socket: Optional[Path] = None) -> Server:
        """Start a server of the role's vhost with the lines of the gate and the fallback, or without.

        Its second port serves plain files and knows nothing of the gate. ``app_socket`` is for another app than the usual.
        """
        listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        port, plain_port = (each.getsockname()[1] for each in listening)
        folder = self.root / name
        for directory in ("conf.d", "snippets"):
            (folder / directory).mkdir(parents=True, exist_ok=True)
        for path, content in self.configuration(folder, port, gate, app_socket).items():
            Path(path).write_text(content)
        plain_files = PLAIN_FILES.format(port=plain_port, directory=self.www)
        return Server(folder, f"include conf.d/*.conf;\n{plain_files}", listening, wrapper)

    def configuration(self, folder: Path, port: int, gate: Gate, app_socket: Optional[Path]) -> dict[str, str]:
        """Give the files of the vhost; without the gate, what it includes is empty and what only that uses is gone."""
        files = self.role(folder, port, lists=gate is Gate.LISTS, app_socket=app_socket).files
        if gate is not Gate.NONE:
            return files
        gate_files = self.role(folder, port, "snippet").files
        return {path: without_gate(content.removeprefix(gate_files[path])) for path, content in files.items()}

    def open_window(self, number: int) -> None:
        """Open a window that ends in an hour, with the real switch."""
        now = datetime.now(UTC)
        end = format_instant(now + timedelta(hours=1))
        window = Window(f"w{number}", NAME, format_instant(now), end=end, reason="The benchmark")
        self.state.open(window, "the benchmark", "here")

    def copy_page(self) -> Path:
        """Make a plain file of the open window's English page."""
        copy = self.www / PLAIN_REQUEST.path.lstrip("/")
        shutil.copyfile(self.state.flag / "503.en.html", copy)
        return copy

    def close_window(self) -> None:
        """Close the window that is open."""
        self.state.close("the benchmark", "here")


def without_gate(vhost: str) -> str:
    """Leave out what the vhost says for the gate's answers only."""
    return "".join(line for line in vhost.splitlines(keepends=True) if "_recursive 1;" not in line)
