"""What the doctor proves over HTTP, on a real Nginx with the role's own files."""

from ansible_collections.intermission.django.plugins.module_utils.doctor_proof import prove

from nginx.site import Site

URIS = [f"/_intermission/{name}" for name in ("closed", "window", "page", "bare", "502", "504")]


def proven(site: Site, closed: bool) -> list[str]:
    found = prove(f"http://127.0.0.1:{site.port}/", "shop.example", closed, URIS)
    return [finding["id"] for finding in found]


def test_nothing_is_found_on_an_open_site(site: Site) -> None:
    assert proven(site, closed=False) == []


def test_nothing_is_found_on_a_closed_site(closed_site: Site) -> None:
    assert proven(closed_site, closed=True) == []


def test_a_flag_that_nginx_does_not_see_is_found(site: Site) -> None:
    assert proven(site, closed=True) == ["N16"]


def test_an_app_that_is_gone_is_found(dead_site: Site) -> None:
    assert proven(dead_site, closed=False) == ["http"]
