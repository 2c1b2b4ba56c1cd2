"""Bad input fails before anything has changed, and says which variable to set and how."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.shop import Shop

ON = "playbooks/maintenance_on.yml"


@pytest.fixture(scope="module")
def shop(shop: Shop) -> Shop:
    """The site as if it had one node."""
    return shop.alone()


def refused(shop: Shop, playbook: str, variables: dict[str, object], *sentences: str) -> None:
    """Run a playbook that has to fail with these sentences and to leave all as it was."""
    before = shop.tree()
    run = shop.playbook(playbook, **variables)
    assert run.status != 0, run.output
    for sentence in sentences:
        assert sentence in run.words
    assert shop.tree() == before
    assert shop.kinds() == {"app"}


@pytest.mark.parametrize("playbook", ["deploy.yml", ON])
def test_unknown_site(shop: Shop, playbook: str) -> None:
    refused(
        shop,
        playbook,
        {"intermission_site": "shopp"},
        "intermission_site is shopp",
        "for instance -e intermission_site=shop",
    )


@pytest.mark.parametrize("duration", ["-5m", "tomorrow"])
def test_nonsense_duration(shop: Shop, duration: str) -> None:
    refused(shop, ON, {"maintenance_window_for": duration}, duration, "maintenance_window_for", "for instance 30m")


def test_end_in_the_past(shop: Shop) -> None:
    refused(shop, ON, {"maintenance_window_until": "2020-01-01T00:00Z"}, "has passed", "maintenance_window_until")


def test_end_without_a_zone(shop: Shop) -> None:
    refused(shop, ON, {"maintenance_window_until": "2099-01-01T00:00"}, "has no time zone", "2026-12-01T02:00Z")


def test_source_that_does_not_exist(shop: Shop) -> None:
    refused(
        shop,
        "deploy.yml",
        {"django_release_source": "/nowhere"},
        "django_release_source: there is no",
        "for instance https://",
    )


def test_project_without_manage_py(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").touch()
    sentences = ("django_release_project:", "has no manage.py", "for instance src")
    refused(shop, "deploy.yml", {"django_release_source": str(tmp_path)}, *sentences)


def test_project_without_requirements(shop: Shop) -> None:
    sentences = ("django_release_requirements:", "has no deps.txt", "requirements/production.txt")
    refused(shop, "deploy.yml", {"django_release_requirements": "deps.txt"}, *sentences)


def test_a_host_that_is_none_of_the_sites(shop: Shop) -> None:
    sentences = ("django_release_ignore_hosts names web9", "for instance -e django_release_ignore_hosts=web1")
    refused(shop, "deploy.yml", {"django_release_ignore_hosts": "web9"}, *sentences)


def test_requests_that_wait_where_nothing_keeps_them_and_for_too_long(shop: Shop) -> None:
    variables: dict[str, object] = {"django_release_strategy": "hold", "django_release_hold_seconds": 90}
    sentences = ("requests can wait only at a socket of systemd's", "hold_seconds is 90. Write seconds from 1 to 50")
    refused(shop, "deploy.yml", variables, *sentences)


def test_visitors_that_are_load(shop: Shop) -> None:
    refused(shop, "deploy.yml", {"django_release_probe_rate": 100}, "probe_rate is 100", "at most 20")


def test_summary_in_no_directory(shop: Shop) -> None:
    variables: dict[str, object] = {"django_release_summary_file": "/nowhere/deploy.json"}
    refused(shop, "deploy.yml", variables, "django_release_summary_file is '/nowhere/deploy.json'", "Make it")


def test_a_window_that_nothing_closes(shop: Shop) -> None:
    sentences = (
        "maintenance_window_expires is set, and only systemd closes",
        "for instance -e maintenance_window_for=30m",
    )
    refused(shop, ON, {"maintenance_window_expires": True}, *sentences)


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_port_in_use(shop: Shop, taken_port: int) -> None:
    variables: dict[str, object] = {"maintenance_page_listen": [f"127.0.0.1:{taken_port}"]}
    refused(
        shop,
        "deploy.yml",
        variables,
        f"port {taken_port} is in use by",
        "maintenance_page_listen",
        f"pid {os.getpid()}",
    )


def test_listen_without_a_port(shop: Shop) -> None:
    refused(shop, "deploy.yml", {"maintenance_page_listen": ["web"]}, "maintenance_page_listen 'web'", "127.0.0.1:8081")


def test_n10_state_directory_that_the_nginx_worker_cannot_traverse(shop: Shop, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    worker = "nobody"
    if os.geteuid() != 0:
        worker = pwd.getpwuid(os.geteuid()).pw_name
        closed.chmod(0o600)
    variables: dict[str, object] = {
        "intermission_state_root": str(closed / "state"),
        "maintenance_page_worker_user": worker,
    }
    refused(
        shop,
        "deploy.yml",
        variables,
        "intermission_state_root",
        "may not traverse",
        "for instance /var/lib/intermission",
    )


def test_missing_page_template(shop: Shop) -> None:
    sentences = ("maintenance_page_template is 'none.html.j2'", "for instance page.html.j2")
    refused(shop, "deploy.yml", {"maintenance_page_template": "none.html.j2"}, *sentences)


def test_page_template_that_no_proof_could_recognise(shop: Shop, tmp_path: Path) -> None:
    template = tmp_path / "page.html.j2"
    template.write_text("<html>soon</html>")
    refused(
        shop,
        "deploy.yml",
        {"maintenance_page_template": str(template)},
        "maintenance_page_template",
        "data-intermission=",
    )


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"maintenance_page_colour": "green"}, "maintenance_page_colour is 'green'. Write it as #rrggbb, for instance"),
        ({"maintenance_page_languages": ["en", "pl"]}, "has 'pl', and there is no pl.yml in"),
        ({"maintenance_page_logo": "none.svg"}, "maintenance_page_logo: 'none.svg' cannot be read: No such file"),
    ],
)
def test_page_that_cannot_be_made(shop: Shop, variables: dict[str, object], sentence: str) -> None:
    refused(shop, "deploy.yml", variables, sentence)


def test_page_that_a_browser_would_not_take(shop: Shop, tmp_path: Path) -> None:
    template = tmp_path / "own.html.j2"
    template.write_text('{% extends "page.html.j2" %}\n{% block brand %}<p onclick="go()">Tea</p>{% endblock %}\n')
    refused(
        shop,
        "deploy.yml",
        {"maintenance_page_template": str(template)},
        'has <p onclick="go()">, and a browser would not take it',
    )


def test_environment_with_an_impossible_name(shop: Shop) -> None:
    sentences = ("django_release_environment: 'A-B' is no name", "for instance SHOP_DEBUG")
    refused(shop, "deploy.yml", {"django_release_environment": {"A-B": "secret-value"}}, *sentences)


def test_socket_path_that_is_too_long(shop: Shop) -> None:
    path = f"/tmp/{'long' * 30}/app.sock"
    refused(
        shop, "deploy.yml", {"django_release_socket": path}, "django_release_socket", "for instance /run/shop/app.sock"
    )


def test_codes_that_are_no_fallback(shop: Shop) -> None:
    refused(
        shop, "deploy.yml", {"maintenance_page_fallback_codes": [404]}, "maintenance_page_fallback_codes", "[502, 504]"
    )


def test_origins_that_no_browser_sends(shop: Shop) -> None:
    origins = ["https://app.example", "*", "https://app.example/"]
    refused(
        shop, "deploy.yml", {"maintenance_page_cors_origins": origins}, "has *, https://app.example/.", "without a path"
    )


def test_the_role_of_a_deploy_without_its_playbook(shop: Shop, tmp_path: Path) -> None:
    play = tmp_path / "site.yml"
    play.write_text("- hosts: shop\n  gather_facts: false\n  roles: [intermission.django.django_release]\n")
    refused(shop, str(play), {}, "import_playbook: intermission.django.deploy")


def test_line_that_nginx_refuses_puts_the_former_files_back(shop: Shop) -> None:
    file = shop.root / "web1/nginx/conf.d/intermission-shop.server.conf"
    before = file.read_text()
    run = shop.playbook("deploy.yml", maintenance_page_server_extra="no_such_directive on;")
    assert run.status != 0
    assert 'unknown directive "no_such_directive"' in run.words
    assert "intermission-shop.server.conf:" in run.words
    assert "FAILED in the phase prepare" in run.words
    assert file.read_text() == before
    assert shop.kinds() == {"app"}
