"""A site with TLS: the gate, the page and the fallback as over plain HTTP, which leads to it."""

import re
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from ansible_collections.intermission.django.plugins.module_utils.proof import Answer, ask, observe, prove

from nginx.answers import assert_app, assert_fallback, assert_maintenance
from nginx.app import PATIENCE
from nginx.conftest import running_site
from nginx.site import Site, in_an_hour

MakeSite = Callable[..., Site]
Ask = Callable[..., Answer]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW")
CHALLENGE = "/.well-known/acme-challenge/token"
LARGER_THAN_ANY_LIMIT = 21 * 1024 * 1024
# What nginx -v of Debian 12, of Debian 13 and of OpenResty says, and what is said where there is none
OLD, NEW = "nginx version: nginx/1.22.1", "nginx version: nginx/1.26.3"
OPENRESTY, NONE = "nginx version: openresty/1.25.3.1", "/bin/sh: 1: nginx: not found"
HSTS = "strict-transport-security"


def said(text: str) -> dict[str, Any]:
    """Give what the role registers where Nginx was asked for its version."""
    return {"__maintenance_page_nginx_said": {"stdout": "", "stderr": text}}


@pytest.fixture(scope="module", params=["HTTP/1.1", "HTTP/2, http2 on", "HTTP/2, listen"])
def version(request: pytest.FixtureRequest) -> str:
    """Name each version of HTTP, and for HTTP/2 each way to switch it on."""
    return str(request.param)


@pytest.fixture(scope="module")
def tls_nginx(version: str) -> Iterator[Site]:
    """Run one Nginx for all sites with TLS that differ in nothing."""
    with running_site("vhost", tls={"hsts": 300}, **said(OLD if version == "HTTP/2, listen" else NEW)) as site:
        yield site


@pytest.fixture
def tls_site(tls_nginx: Site) -> Site:
    """Give a site with TLS that is as new."""
    tls_nginx.renew()
    return tls_nginx


@pytest.fixture
def ask_tls(tls_site: Site, version: str) -> Ask:
    """Ask a site over TLS, in one version of HTTP."""

    def ask_it(method: str = "GET", path: str = "/", body: bytes | None = None, **headers: str) -> Answer:
        if version != "HTTP/1.1":
            return ask_http2(tls_site, method, path, body, headers)
        connection = tls_site.tls_connection()
        try:
            return tls_site.ask(method, path, headers, body, on=connection)
        finally:
            connection.close()

    return ask_it


def ask_http2(site: Site, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Answer:
    """Send one request as HTTP/2."""
    with httpx.Client(http1=False, http2=True, verify=site.trust(), timeout=PATIENCE, trust_env=False) as client:
        answer = client.request(
            method,
            f"https://127.0.0.1:{site.tls_port}{path}",
            content=body,
            headers={"Host": "shop.example", "Accept": "text/html", **headers},
            extensions={"sni_hostname": "shop.example"},
        )
    assert answer.http_version == "HTTP/2"
    return Answer(answer.status_code, dict(answer.headers), answer.content)


def handshake(site: Site, **limits: Any) -> ssl.SSLSocket:
    """Shake hands as a visitor who is limited to some of TLS."""
    context = site.trust()
    context.set_ciphers("ALL:@SECLEVEL=0")
    for name, value in limits.items():
        if name == "ciphers":
            context.set_ciphers(f"{value}:@SECLEVEL=0")
        elif name == "alpn":
            context.set_alpn_protocols(value)
        else:
            setattr(context, name, value)
    plain = socket.create_connection(("127.0.0.1", site.tls_port), PATIENCE)
    return context.wrap_socket(plain, server_hostname="shop.example")


def test_the_app_answers_and_is_told_that_it_is_https(tls_site: Site, ask_tls: Ask) -> None:
    assert_app(ask_tls())
    assert_app(ask_tls("POST", "/orders/", b"a=1"), asked="POST /orders/")
    for headers in tls_site.app.headers:
        assert (headers["Host"], headers["X-Forwarded-Proto"]) == ("shop.example", "https")


@pytest.mark.parametrize("method", METHODS)
def test_n1_every_method_gets_503(tls_site: Site, ask_tls: Ask, method: str) -> None:
    tls_site.open_window()
    assert_maintenance(ask_tls(method, "/orders/1/", b"{}" if method in ("POST", "PUT", "PATCH") else None))


def test_a_window_has_its_end_and_is_over_at_once(tls_site: Site, ask_tls: Ask) -> None:
    tls_site.open_window(in_an_hour())
    answer = ask_tls()
    assert_maintenance(answer, answer.headers["retry-after"])
    assert answer.headers["retry-after"].endswith(" GMT")
    tls_site.close_window()
    assert_app(ask_tls())


def test_n17_body_that_is_announced_as_too_large(tls_site: Site, ask_tls: Ask) -> None:
    announced = {"Content-Length": str(LARGER_THAN_ANY_LIMIT)}
    assert ask_tls("POST", "/", b"x", **announced).status == 413
    tls_site.open_window()
    assert_maintenance(ask_tls("POST", "/", b"x", **announced))


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_n1_every_method_gets_502_where_the_app_is_gone(tls_site: Site, ask_tls: Ask, method: str) -> None:
    tls_site.app.die()
    assert_fallback(ask_tls(method))


def test_n24_acme_challenge_over_tls(tls_site: Site, ask_tls: Ask) -> None:
    tls_site.open_window()
    assert ask_tls(path=CHALLENGE).body == b"a proof"
    tls_site.close_window()
    assert ask_tls(path=CHALLENGE).body == b"a proof"


def test_n6_hsts_leaves_with_every_answer(tls_site: Site, ask_tls: Ask) -> None:
    assert ask_tls().headers[HSTS] == "max-age=300"
    assert ask_tls(path="/static/none.css").headers[HSTS] == "max-age=300"
    tls_site.app.die()
    assert ask_tls().headers[HSTS] == "max-age=300"
    tls_site.open_window()
    assert ask_tls().headers[HSTS] == "max-age=300"


def test_no_hsts_unless_it_is_asked_for(make_site: MakeSite) -> None:
    site = make_site("vhost", tls={})
    for change in (site.open_window, site.close_window):
        change()
        assert HSTS not in site.ask(on=site.tls_connection()).headers


@pytest.mark.parametrize(
    ("text", "options", "protocol", "lines"),
    [
        (NEW, {}, "h2", ["http2 on;"]),
        (OPENRESTY, {}, "h2", ["http2 on;"]),
        (OLD, {}, "h2", ["listen 127.0.0.1:{port} ssl http2;"]),
        (NONE, {}, "h2", ["listen 127.0.0.1:{port} ssl http2;"]),
        (NEW, {"http2": False}, "http/1.1", []),
        (OLD, {"http2": False}, "http/1.1", []),
    ],
    ids=["1.26.3", "OpenResty", "1.22.1", "not known", "not asked for", "not asked for, 1.22.1"],
)
def test_http2(make_site: MakeSite, text: str, options: dict[str, Any], protocol: str, lines: list[str]) -> None:
    site = make_site("vhost", tls=options, **said(text))
    configured = re.findall(r"^    (.*http2.*)$", "\n".join(site.role.files.values()), re.MULTILINE)
    assert configured == [line.format(port=site.tls_port) for line in lines]
    with handshake(site, alpn=["h2", "http/1.1"]) as visitor:
        assert visitor.selected_alpn_protocol() == protocol


@pytest.mark.parametrize("window", [True, False], ids=["closed", "open"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "BREW"])
def test_plain_http_is_sent_on(make_site: MakeSite, window: bool, method: str) -> None:
    site = make_site("vhost", tls={})
    if window:
        site.open_window()
    answer = site.ask(method, "/orders/?page=2&next=//evil.example", body=b"a=1" if method == "POST" else None)
    assert answer.status == 301
    assert answer.headers["location"] == f"https://shop.example:{site.tls_port}/orders/?page=2&next=//evil.example"
    assert HSTS not in answer.headers


def test_plain_upload_that_is_too_large_is_sent_on(make_site: MakeSite) -> None:
    site = make_site("vhost", tls={})
    assert site.ask("POST", body=b"x" * LARGER_THAN_ANY_LIMIT).status == 301


@pytest.mark.parametrize(
    ("host", "sent_to"),
    [
        ("shop.example", "shop.example"),
        ("SHOP.example", "shop.example"),
        ("shop.example:80", "shop.example"),
        ("www.shop.example", "www.shop.example"),
        ("tea.wild.example", "tea.wild.example"),
        ("evil.example", "shop.example"),
        ("shop.example.evil.example", "shop.example"),
        ("wild.example.evil.example", "shop.example"),
    ],
)
def test_redirects_lead_to_the_sites_own_names_only(make_site: MakeSite, host: str, sent_to: str) -> None:
    names = ["shop.example", "www.shop.example", "*.wild.example"]
    site = make_site("vhost", tls={}, intermission_server_names=names)
    assert site.ask(headers={"Host": host}).headers["location"] == f"https://{sent_to}:{site.tls_port}/"


def test_redirect_names_no_port_where_it_is_443(make_site: MakeSite) -> None:
    site = make_site("vhost")
    options = {"certificate": "/c.pem", "key": "/k.pem"}
    assert "return 301 https://$im_shop_host$request_uri;" in site.render_with(maintenance_page_tls=options)
    assert "return 301 https://$im_shop_host$request_uri;" in site.render_with(maintenance_page_tls=options)


def test_n24_acme_challenge_over_plain_http(make_site: MakeSite) -> None:
    site = make_site("vhost", tls={})
    for change in (site.open_window, site.close_window):
        change()
        assert site.ask(path=CHALLENGE).body == b"a proof"
        assert site.ask(path="/.well-known/acme-challenge/none").status == 404
    assert site.app.requests == []


def test_plain_http_is_served_too_where_it_is_not_sent_on(make_site: MakeSite) -> None:
    site = make_site("vhost", tls={"redirect": False, "hsts": 300})
    plain = site.ask()
    assert_app(plain)
    assert HSTS not in plain.headers
    assert site.app.headers[-1]["X-Forwarded-Proto"] == "http"
    assert site.ask(on=site.tls_connection()).headers[HSTS] == "max-age=300"
    site.open_window()
    assert_maintenance(site.ask())
    assert HSTS not in site.ask().headers
    assert_maintenance(site.ask(on=site.tls_connection()))


def test_proof_over_tls(make_site: MakeSite) -> None:
    site = make_site("vhost", tls={})
    url, trust = f"https://127.0.0.1:{site.tls_port}/", site.trust()
    assert observe(url, "www.shop.example", tls=trust) == "open"
    site.open_window()
    assert prove("closed", url, "shop.example", ["GET", "POST"], 0, tls=trust) == {"GET": None, "POST": None}
    assert "not valid for 'other.example'" in ask(url, "other.example", tls=trust).error


@pytest.mark.parametrize(
    ("protocols", "highest", "spoken"),
    [
        (None, ssl.TLSVersion.TLSv1_3, "TLSv1.3"),
        (None, ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
        (None, ssl.TLSVersion.TLSv1_1, None),
        (["TLSv1.3"], ssl.TLSVersion.TLSv1_2, None),
        (["TLSv1.2"], ssl.TLSVersion.TLSv1_3, "TLSv1.2"),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_protocols(
    make_site: MakeSite, protocols: list[str] | None, highest: ssl.TLSVersion, spoken: str | None
) -> None:
    site = make_site("vhost", tls={"protocols": protocols} if protocols else {})
    lowest = min(highest, ssl.TLSVersion.TLSv1_2)
    if spoken is None:
        with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
            handshake(site, maximum_version=highest, minimum_version=lowest)
    else:
        with handshake(site, maximum_version=highest, minimum_version=lowest) as visitor:
            assert visitor.version() == spoken


@pytest.mark.parametrize(
    ("ciphers", "strong"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA", False),
        ("ECDHE-ECDSA-AES256-SHA384", False),
        ("ECDHE-ECDSA-AES128-CCM8", False),
    ],
)
def test_ciphers(make_site: MakeSite, ciphers: str, strong: bool) -> None:
    site = make_site("vhost", tls={})
    if strong:
        with handshake(site, maximum_version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers) as visitor:
            assert (visitor.cipher() or [""])[0] == ciphers
    else:
        with pytest.raises(ssl.SSLError, match="(?i)handshake.failure"):
            handshake(site, maximum_version=ssl.TLSVersion.TLSv1_2, ciphers=ciphers)


def test_sessions_are_kept_here_and_not_in_tickets(make_site: MakeSite) -> None:
    site = make_site("vhost", tls={})
    context = site.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    sessions: list[ssl.SSLSession | None] = [None]
    for _ in range(2):
        plain = socket.create_connection(("127.0.0.1", site.tls_port), PATIENCE)
        with context.wrap_socket(plain, server_hostname="shop.example", session=sessions[-1]) as visitor:
            resumed = visitor.session_reused
            sessions.append(visitor.session)
    assert resumed
    assert sessions[-1] is not None
    assert not sessions[-1].has_ticket


def test_nginx_has_nothing_to_say_against_it(make_site: MakeSite) -> None:
    site = make_site("vhost", tls={"hsts": 300}, **said(NEW))
    assert "[warn]" not in site.error_log.read_text()
