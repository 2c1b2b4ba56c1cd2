"""What gixy-next, which looks for weak spots in configurations of Nginx, has to say about the role's."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nginx.site import Site

GIXY = Path(sys.executable).parent / "gixy-next"
ON_PURPOSE = {
    "host_spoofing": "Django checks the host against ALLOWED_HOSTS, and needs the port that the visitor wrote",
    "http_splitting": "Nginx escapes the path for the app: test_a_path_with_line_breaks_is_escaped_for_the_app",
    "missing_worker_processes": "is in the main configuration, which is not the role's",
}


@pytest.mark.parametrize("tls", [None, {"hsts": 300}], ids=["plain", "tls"])
def test_gixy_reports_nothing_above_low(
    make_site: Callable[..., Site], form: str, tls: dict[str, object] | None
) -> None:
    site = make_site(
        form,
        tls=tls if form == "vhost" else None,
        maintenance_page_headers={"X-Frame-Options": "DENY"},
        maintenance_page_cors_origins=["https://app.example"],
        maintenance_page_health_path="/healthz",
        maintenance_page_bypass_networks=["10.0.0.0/8"],
        maintenance_page_bypass_paths=["/admin/", "~ ^/[a-z]+/public$"],
        maintenance_page_trusted_proxies=["10.0.0.1"],
    )
    command = [str(GIXY), "--format", "json", str(site.root / "nginx.conf")]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(said.stdout)
    assert found, said.stderr
    serious = {one["plugin"]: one["reason"] for one in found if one["severity"] not in ("LOW", "UNSPECIFIED")}
    assert {name: reason for name, reason in serious.items() if name not in ON_PURPOSE} == {}
