"""The site that is measured: the role's own files, and an app that costs next to nothing."""

import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

from benchmarks.server import Server
from nginx.rendering import RenderedRole, render

NAME = "shop"
HOST = "shop.example"
APP_PATH = "/orders/"
PLAIN_PATH = "/plain.html"

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
}}
"""


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

    def role(self, folder: Path, port: int, form: str = "vhost") -> RenderedRole:
        """Render the role in one of its forms for a server whose configuration is below ``folder``."""
        inventory = {
            "intermission_site": NAME,
            "intermission_server_names": [HOST],
            "intermission_state_root": str(self.root / "state"),
            "maintenance_page_form": form,
            "maintenance_page_conf_dir": str(folder / "conf.d"),
            "maintenance_page_snippet_dir": str(folder / "snippets"),
            "maintenance_page_listen": [f"127.0.0.1:{port}"],
            "maintenance_page_app_socket": str(self.socket),
            "maintenance_page_document_root": str(self.www),
        }
        return render(inventory)

    def start_app(self) -> Server:
        """Start the app: a second Nginx, so that Python is not what is measured."""
        return Server(self.root / "app", APP.format(socket=self.socket))

    def start(self, name: str, gate: bool, wrapper: Sequence[str] = ()) -> Server:
        """Start a server of the role's vhost with the lines of the gate and the fallback, or without.

        Its second port serves plain files and knows nothing of the gate.
        """
        listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        port, plain_port = (each.getsockname()[1] for each in listening)
        folder = self.root / name
        for directory in ("conf.d", "snippets"):
            (folder / directory).mkdir(parents=True, exist_ok=True)
        for path, content in self.configuration(folder, port, gate).items():
            Path(path).write_text(content)
        plain_files = PLAIN_FILES.format(port=plain_port, directory=self.www)
        return Server(folder, f"include conf.d/*.conf;\n{plain_files}", listening, wrapper)

    def configuration(self, folder: Path, port: int, gate: bool) -> dict[str, str]:
        """Give the files of the vhost; without the gate, what it includes is empty and what only that uses is gone."""
        files = self.role(folder, port).files
        if gate:
            return files
        gate_files = self.role(folder, port, "snippet").files
        return {path: content.removeprefix(gate_files[path]) for path, content in files.items()}

    def open_window(self, number: int) -> Path:
        """Open a window that ends in an hour, with the real switch; give its page."""
        now = datetime.now(UTC)
        end = format_instant(now + timedelta(hours=1))
        window = Window(f"w{number}", NAME, format_instant(now), end=end, reason="The benchmark")
        self.state.open(window, "the benchmark", "here")
        return (self.state.flag / "503.en.html").resolve()

    def close_window(self) -> None:
        """Close the window that is open."""
        self.state.close("the benchmark", "here")
