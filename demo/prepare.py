"""Makes what the demo's hosts have before the first deploy: `prepare.py ROOT` builds the versions of the shop and the nodes' Nginx.

A real host has an Nginx with a main configuration; here each node gets one below its own folder.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from build import VERSIONS, build

NODES = ("web1", "web2")
MARK = ".intermission-demo"
NGINX = """\
{user}error_log error.log;
pid nginx.pid;
events {{
    worker_connections 1024;
}}
http {{
    access_log access.log;
    client_body_temp_path temp;
    proxy_temp_path temp;
    types {{
        text/html html;
        text/css css;
        image/svg+xml svg;
    }}
    include conf.d/*.conf;
}}
"""


def prepare(root: Path) -> None:
    """Build every version of the shop, and a folder with an Nginx configuration for each node."""
    root.mkdir(parents=True, exist_ok=True)
    (root / MARK).touch()
    for version in VERSIONS:
        build(version, root / "sources" / version)
    # Workers of an Nginx that root starts would otherwise run as a user that may not enter this folder.
    user = f"user {getpass.getuser()};\n" if os.geteuid() == 0 else ""
    for node in NODES:
        nginx = root / node / "nginx"
        for directory in (nginx / "conf.d", nginx / "snippets", root / node / "www"):
            directory.mkdir(parents=True, exist_ok=True)
        (nginx / "nginx.conf").write_text(NGINX.format(user=user))


if __name__ == "__main__":
    prepare(Path(sys.argv[1]).resolve())
