"""Paths that pass, and those that merely look like them."""

from __future__ import annotations

import re
from typing import Optional

import pytest
from django_intermission.paths import is_allowed, settled
from hypothesis import given
from hypothesis import strategies as st

from django_layer.conftest import Configure
from django_layer.project import EARLY
from django_layer.visitors import Visit

ADMIN = [re.compile("^/admin/")]
PARTS = st.sampled_from(
    ["admin", "x", "", ".", "..", "%2e", "%2E%2e", "%252e%252e", "%2f", "..;", ";a", "\\", "\x00", "100%"]
)
PATHS = st.lists(PARTS, max_size=7).map(lambda parts: "/" + "/".join(parts))


@given(st.one_of(PATHS, st.text(max_size=20)))
def test_a_settled_path_stays_as_it_is(path: str) -> None:
    plain = settled(path)
    if plain is not None:
        assert settled(plain) == plain
        assert plain.startswith("/") and "//" not in plain
        assert not {".", ".."} & set(plain.split("/"))


@given(PATHS)
def test_no_path_that_leads_elsewhere_passes(path: str) -> None:
    if is_allowed(path, ADMIN):
        assert path.startswith("/admin/") and (settled(path) or "").startswith("/admin/")


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("/", "/"),
        ("/admin", "/admin"),
        ("/admin/", "/admin/"),
        ("//admin//x", "/admin/x"),
        ("/admin/../x", "/x"),
        ("/admin/./x/.", "/admin/x/"),
        ("/a/b/..", "/a/"),
        ("/..", "/"),
        ("/../../x", "/x"),
        ("/admin/%2e%2e/x", "/x"),
        ("/admin/%252e%252e%252fx", "/x"),
        ("/100%", "/100%"),
        ("/%25", "/%"),
        ("/%252541", "/A"),
        ("/%25252541", None),
        ("/a;b=1/x", "/a;b=1/x"),
        ("/a/..;/x", None),
        ("/a/.;/x", None),
        ("/a/;x", None),
        ("/a\\b", None),
        ("/a\nb", None),
        ("/a\x7f", None),
        ("/\x1f", None),
        ("/ ~", "/ ~"),
        ("admin/", None),
        ("", None),
        ("*", None),
    ],
)
def test_settled(path: str, plain: Optional[str]) -> None:
    assert settled(path) == plain


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/admin/", 200),
        ("/admin/login/?next=/", 200),
        ("/admin", 503),
        ("//admin/", 503),
        ("/admin/../x", 503),
        ("/admin/%2e%2e/x", 503),
        ("/admin/%252e%252e/x", 503),
        ("/admin/..%2fx", 503),
        ("/x/../admin/", 503),
        ("/x/admin/", 503),
        ("/ADMIN/", 503),
        ("/?next=/admin/", 503),
    ],
)
def test_allowed_urls(configure: Configure, visit: Visit, path: str, status: int) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_ALLOWED_URLS=["^/admin/"])
    assert visit(path).status == status


@pytest.mark.parametrize(
    ("path", "status"),
    [("/health/", 200), ("/ops/status/", 200), ("/de/words/", 200), ("/", 503), ("/nowhere/", 503), ("/health/x", 503)],
)
def test_allowed_names(configure: Configure, visit: Visit, path: str, status: int) -> None:
    configure(
        MAINTENANCE_MODE=True,
        MAINTENANCE_ALLOWED_URL_NAMES=["health", "ops:status", "words"],
        MIDDLEWARE=[EARLY, "django.middleware.locale.LocaleMiddleware"],
    )
    assert visit(path).status == status


def test_urls_that_cannot_be_loaded_let_nobody_pass(
    configure: Configure, visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_ALLOWED_URL_NAMES=["health"], ROOT_URLCONF="nowhere.urls")
    assert {visit("/health/").status, visit("/health/").status} == {503}
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == ["django_intermission"]
