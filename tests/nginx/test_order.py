"""What docs/nginx.md says about lines of the server's own above and below the include."""

from collections.abc import Callable

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import new_secret

from nginx.answers import assert_maintenance
from nginx.site import OWN_SERVER, Site

MakeSite = Callable[..., Site]
MakeOrdered = Callable[[str, str], Site]
INCLUDE = "    include {snippet};\n"
OLD = "rewrite ^/old/(.*)$ /new/$1"
ALL = "rewrite ^/(.*)$ /shop/$1"
FORBIDDEN = "if ($arg_x) {{ return 403; }}"


@pytest.fixture
def ordered(make_site: MakeSite, monkeypatch: pytest.MonkeyPatch) -> MakeOrdered:
    """Make a site whose server has lines above the include, and others in a location."""

    def make(above: str, inside: str) -> Site:
        server = OWN_SERVER.replace(INCLUDE, f"    {above}\n{INCLUDE}").replace(
            "location / {{", f"location / {{{{ {inside}"
        )
        monkeypatch.setattr("nginx.site.OWN_SERVER", server)
        return make_site("snippet")

    return make


@pytest.mark.parametrize(
    ("above", "inside", "path", "expected"),
    [
        (f"{OLD};", "", "/old/x", (200, "GET /new/x")),
        ("", f"{OLD} last;", "/old/x", (200, "GET /new/x")),
        ("", f"{ALL} break;", "/x", (200, "GET /shop/x")),
        (FORBIDDEN, "", "/x?x=1", (403, "403 Forbidden")),
        ("set $part shop;", "rewrite ^/(.*)$ /$part/$1 break;", "/x", (200, "GET /shop/x")),
    ],
)
def test_lines_where_they_belong_hold_for_those_who_pass_too(
    ordered: MakeOrdered, above: str, inside: str, path: str, expected: tuple[int, str]
) -> None:
    site = ordered(above, inside)
    secret = new_secret()
    for close in (False, True):
        if close:
            site.open_window(secret=secret)
            assert_maintenance(site.ask(path="/old/y"))
        answer = site.ask(path=path, headers={"X-Intermission-Pass": secret})
        assert (answer.status, expected[1] in answer.body.decode()) == (expected[0], True)
