"""Who passes the closed gate, and who does not although they look alike."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.intermission.django.plugins.module_utils import share as share_module
from ansible_collections.intermission.django.plugins.module_utils.state import new_secret

from driving import wait_until
from nginx.answers import assert_app, assert_fallback, assert_maintenance
from nginx.app import PATIENCE
from nginx.site import Site

LINK = "/_intermission/pass/"
COOKIE = "intermission_shop"
HEADER = "X-Intermission-Pass"
MakeSite = Callable[..., Site]


@pytest.fixture
def secret() -> str:
    return new_secret()


@pytest.fixture
def passed_site(site: Site, secret: str) -> Site:
    """A closed site with a secret for those who are to pass."""
    site.open_window(secret=secret)
    return site


def cookie(value: str) -> dict[str, str]:
    return {"Cookie": f"a=b; {COOKIE}={value}; c=d"}


def nearly(secret: str) -> list[str]:
    """Secrets that are nearly right: one character off at each end and in the middle, cut, lengthened, another case, other bytes."""
    other = {True: "A", False: "B"}
    off = [secret[:at] + other[secret[at] != "A"] + secret[at + 1 :] for at in (0, 21, 42)]
    return [
        *off,
        secret[:-1],
        f"{secret} {secret}",
        f"{secret} x",
        f"x {secret}",
        secret + "A",
        secret.swapcase(),
        "",
        "none",
        ".",
        "..",
        "*",
        f"../pass/{secret}",
        f"./{secret}",
    ]


def test_the_link_sets_a_cookie_that_passes(passed_site: Site, secret: str) -> None:
    answer = passed_site.ask(path=LINK + secret)
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert answer.headers["set-cookie"] == f"{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Lax"
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    for method in ("GET", "POST", "DELETE"):
        assert_app(passed_site.ask(method, "/orders/?a=b", cookie(secret)), asked=f"{method} /orders/?a=b")
    if passed_site.form == "vhost":
        assert passed_site.ask(path="/file.html", headers=cookie(secret)).body == b"a file"
    assert_maintenance(passed_site.ask())


def test_the_cookie_is_secure_behind_tls(passed_site: Site, secret: str) -> None:
    answer = passed_site.ask(path=LINK + secret, headers={"X-Forwarded-Proto": "https"})
    assert answer.headers["set-cookie"].endswith("; HttpOnly; SameSite=Lax; Secure")


def test_the_cookie_is_secure_over_tls(make_site: MakeSite, secret: str) -> None:
    site = make_site("vhost", tls={})
    site.open_window(secret=secret)
    answer = site.ask(path=LINK + secret, on=site.tls_connection())
    assert answer.headers["set-cookie"].endswith("; HttpOnly; SameSite=Lax; Secure")


def test_a_machine_shows_the_secret_in_a_header(passed_site: Site, secret: str) -> None:
    assert_app(passed_site.ask("POST", headers={HEADER: secret}), asked="POST /")
    assert_app(passed_site.ask(headers={HEADER: secret, **cookie("none")}))


def test_what_is_nearly_the_secret_does_not_pass(passed_site: Site, secret: str) -> None:
    for wrong in nearly(secret):
        assert_maintenance(passed_site.ask(headers=cookie(wrong)))
        assert_maintenance(passed_site.ask(headers={HEADER: wrong}))
        answer = passed_site.ask(path=LINK + wrong.replace(" ", "%20"))
        reached = "/" in wrong  # The path leads to the secret itself
        assert answer.status in ((303,) if reached else (404, 503)), wrong
        assert ("set-cookie" in answer.headers) is reached
    for name in (f"{COOKIE}2", "intermission", f"x{COOKIE}"):
        assert_maintenance(passed_site.ask(headers={"Cookie": f"{name}={secret}"}))


def test_the_secret_ends_with_its_window(site: Site, secret: str) -> None:
    site.open_window(secret=secret)
    site.close_window()
    assert site.ask(path=LINK + secret).status == 404
    site.open_window(reason="Another")
    assert_maintenance(site.ask(headers=cookie(secret)))
    site.close_window()
    another = new_secret()
    site.open_window(secret=another)
    assert_maintenance(site.ask(headers=cookie(secret)))
    assert_app(site.ask(headers=cookie(another)))
    site.open_window(secret=secret)
    assert_maintenance(site.ask(headers=cookie(another)))


def test_a_flag_by_hand_lets_nobody_pass(site: Site, secret: str) -> None:
    site.state.flag.touch()
    assert_maintenance(site.ask(headers=cookie(secret)))
    assert site.ask(path=LINK + secret).status == 404


def test_nobody_else_lists_the_secrets(passed_site: Site, secret: str) -> None:
    directory = passed_site.state.flag.resolve() / "passes"
    assert directory.stat().st_mode & 0o7777 == 0o711
    assert secret not in (passed_site.state.flag / "window.json").read_text()
    assert secret not in str(passed_site.state.journal(10))


def test_the_secret_is_in_no_log(make_site: MakeSite, form: str, secret: str) -> None:
    """Neither the one that is right, nor one of an earlier window, nor one that is mistyped."""
    log = "access_log logs combined;"
    site = make_site(form, server_lines=log, http_lines="limit_req_zone all zone=all:1m rate=1000r/s;")
    earlier, wrong = new_secret(), new_secret()
    site.open_window(secret=earlier)
    site.open_window(secret=secret)
    for shown in (secret, earlier, wrong):
        for path in (LINK + shown, f"/{LINK}{shown}", f"{LINK}{shown}?a=b", f"/x/..{LINK}{shown}"):
            site.ask(path=path)
        site.ask(headers=cookie(shown))
        site.ask(headers={HEADER: shown})
    site.ask(path="/seen")
    logs = site.root / "logs"
    wait_until(lambda: "GET /seen" in logs.read_text(), "Nginx logs the last request, which it does after its answer")
    access = logs.read_text()
    for shown in (secret, earlier, wrong):
        assert shown not in access
        assert shown not in site.error_log.read_text()


def test_the_secret_is_in_no_log_where_plain_http_is_sent_on(make_site: MakeSite, secret: str) -> None:
    site = make_site("vhost", tls={}, access_log="logs combined")
    site.open_window(secret=secret)
    for path in (LINK + secret, f"/{LINK}{secret}", f"{LINK}{secret}?a=b", f"/x/..{LINK}{secret}"):
        answer = site.ask(path=path)
        sent_to = f"https://shop.example:{site.tls_port}{path}"
        assert (answer.status, answer.headers["location"]) == (301, sent_to)
    site.ask(path="/seen")
    logs = site.root / "logs"
    wait_until(lambda: "GET /seen" in logs.read_text(), "Nginx logs the last request, which it does after its answer")
    assert secret not in logs.read_text()
    assert secret not in site.error_log.read_text()


@pytest.mark.parametrize(
    ("networks", "passes"),
    [
        (["127.0.0.1"], True),
        (["127.0.0.0/8", "2001:db8::/32"], True),
        (["::1", "10.0.0.0/8"], False),
        ([], False),
    ],
)
def test_networks(make_site: MakeSite, form: str, networks: list[str], passes: bool) -> None:
    site = make_site(form, maintenance_page_bypass_networks=networks)
    site.open_window()
    for headers in ({}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Real-IP": "127.0.0.1"}, {"Forwarded": "for=127.0.0.1"}):
        (assert_app if passes else assert_maintenance)(site.ask(headers=headers))
    assert_maintenance(site.ask(headers={"X-Intermission-Visitor": "1"}))


def test_forwarded_addresses_count_from_trusted_proxies_only(make_site: MakeSite, form: str) -> None:
    site = make_site(
        form,
        maintenance_page_bypass_networks=["198.51.100.7", "2001:db8:7::/48"],
        maintenance_page_trusted_proxies=["127.0.0.1", "192.0.2.0/24"],
    )
    site.open_window()
    for passes in ("198.51.100.7", "198.51.100.7, 192.0.2.9", "203.0.113.5, 198.51.100.7", "2001:db8:7::1"):
        assert_app(site.ask(headers={"X-Forwarded-For": passes}))
    for stays in (
        "198.51.100.7, 203.0.113.5",
        "203.0.113.5",
        "",
        "198.51.100.77",
        "x",
        "2001:db8:8::1",
        "198.51.100.7, x",
    ):
        assert_maintenance(site.ask(headers={"X-Forwarded-For": stays}))


def test_a_forged_address_does_not_pass_where_no_proxy_is_trusted(make_site: MakeSite, form: str) -> None:
    site = make_site(form, maintenance_page_bypass_networks=["198.51.100.7"])
    site.open_window()
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "CF-Connecting-IP"):
        assert_maintenance(site.ask(headers={name: "198.51.100.7"}))


ADDRESSES = [f"198.51.100.{number}" for number in range(100)] + [f"2001:db8:7::{number:x}" for number in range(100)]


def let_in(site: Site, share: int) -> None:
    share_module.let_in(site.state, share, "somebody", "here")


def who_passes(site: Site, addresses: list[str], method: str = "GET") -> set[str]:
    """Ask as each of them, behind a proxy, and give those whom the app has answered."""
    passed, connection = set(), site.connection()
    for address in addresses:
        answer = site.ask(method, headers={"X-Forwarded-For": address}, on=connection)
        if answer.status == 200:
            assert_app(answer, asked=f"{method} /")
            passed.add(address)
        else:
            assert_maintenance(answer)
    connection.close()
    return passed


@pytest.fixture
def proxied_site(make_site: MakeSite, form: str) -> Site:
    """A closed site behind a proxy that is trusted."""
    site = make_site(form, maintenance_page_trusted_proxies=["127.0.0.1"], maintenance_page_health_path="/health")
    site.open_window()
    return site


def test_a_share_of_the_visitors_passes_and_who_was_let_in_stays_in(proxied_site: Site) -> None:
    former: set[str] = set()
    for share in (10, 20, 50, 90):
        let_in(proxied_site, share)
        passed = who_passes(proxied_site, ADDRESSES)
        assert passed > former
        assert abs(100 * len(passed) / len(ADDRESSES) - share) < 6
        former = passed
    assert who_passes(proxied_site, ADDRESSES[:60], "POST") == {one for one in ADDRESSES[:60] if one in former}
    let_in(proxied_site, 0)
    assert not who_passes(proxied_site, ADDRESSES[:60])
    let_in(proxied_site, 50)
    proxied_site.close_window()
    assert len(who_passes(proxied_site, ADDRESSES[:60])) == 60


def test_it_is_the_same_visitors_on_each_host(proxied_site: Site) -> None:
    """Whatever the host, the form and Nginx's version: a visitor is sent from one host to another."""
    let_in(proxied_site, 10)
    passed = who_passes(proxied_site, ADDRESSES[:60])
    assert {int(address.rpartition(".")[2]) for address in passed} == {3, 4, 7, 13, 26, 36}


def test_a_share_is_by_an_address_that_nobody_can_choose(site: Site) -> None:
    """Where no proxy is trusted."""
    site.open_window()
    let_in(site, 50)
    assert len(who_passes(site, ADDRESSES[:60])) in (0, 60)


def test_who_is_let_in_gets_the_same_robots_and_health_as_all(proxied_site: Site) -> None:
    let_in(proxied_site, 50)
    passed = who_passes(proxied_site, ADDRESSES[:20])
    assert 0 < len(passed) < 20
    for path, body in (("/robots.txt", b"User-agent: *\nDisallow:\n"), ("/health", b"ok\n")):
        answers = [proxied_site.ask(path=path, headers={"X-Forwarded-For": address}) for address in ADDRESSES[:20]]
        assert {(answer.status, answer.body) for answer in answers} == {(200, body)}


def test_who_is_let_in_passes_with_any_path_and_finds_a_dead_app_as_always(proxied_site: Site) -> None:
    let_in(proxied_site, 50)
    headers = {"X-Forwarded-For": min(who_passes(proxied_site, ADDRESSES[:20]))}
    assert_app(proxied_site.ask("DELETE", "/orders/?a=b", headers), asked="DELETE /orders/?a=b")
    proxied_site.app.die()
    assert_fallback(proxied_site.ask(headers=headers))


def test_a_share_is_of_one_window_only(proxied_site: Site) -> None:
    let_in(proxied_site, 90)
    proxied_site.open_window(reason="Another")
    assert not who_passes(proxied_site, ADDRESSES[:60])


PATHS = ["= /exact", "/admin/", "/health", "~ ^/[a-z]+/public$", "~* \\.(ico|png)$"]


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/exact", "/exact"),
        ("/exact/", None),
        ("/exact?a=b%2Fc", "/exact?a=b%2Fc"),
        ("/admin/", "/admin/"),
        ("/admin/users/1", "/admin/users/1"),
        ("/admin", None),
        ("//admin/", "/admin/"),
        ("/%61dmin/", "/admin/"),
        ("/admin//x", "/admin/x"),
        ("/admin/../x", None),
        ("/admin/%2e%2e/x", None),
        ("/admin/..%2fx", None),
        ("/admin%2f../x", None),
        ("/x/../admin/", "/admin/"),
        ("/x/%2e%2e/admin/", "/admin/"),
        ("/x%2f..%2fadmin/", "/admin/"),
        ("/admin/%2e%2e%2e/x", "/admin/.../x"),
        ("/Admin/", None),
        ("/admin%00/", 400),
        ("/admin%3f/", None),
        ("/admin/%3fa", "/admin/%3Fa"),
        ("/admin;/x", None),
        ("/x#/admin/", None),
        ("/health", "/health"),
        ("/health/", "/health/"),
        ("/healthy-data-export", None),
        ("/health?x", "/health?x"),
        ("/some/public", "/some/public"),
        ("/some/public/", None),
        ("/x/some/public", None),
        ("/some/public%0a", None),
        ("/favicon.ICO", "/favicon.ICO"),
        ("/favicon.ico/orders", None),
    ],
)
def test_paths(path_site: Site, path: str, seen: str | int | None) -> None:
    """``seen`` is what the app is asked for; None where the visitor gets the page."""
    answer = path_site.ask("POST", path)
    if seen is None:
        assert_maintenance(answer)
    elif isinstance(seen, int):
        assert answer.status == seen
    else:
        assert_app(answer, asked=f"POST {seen}")


@pytest.fixture(scope="module")
def path_sites() -> dict[str, Site]:
    return {}


@pytest.fixture
def path_site(request: pytest.FixtureRequest, form: str, path_sites: dict[str, Site]) -> Site:
    """One closed site for all paths."""
    from nginx.conftest import running_site

    if form not in path_sites:
        site = running_site(form, maintenance_page_bypass_paths=PATHS)
        path_sites[form] = site.__enter__()
        request.session.addfinalizer(lambda: site.__exit__(None, None, None))
        path_sites[form].open_window()
    return path_sites[form]


@pytest.mark.parametrize(
    "path", ["/_intermission/WINDOW", "/_Intermission/page", "/_intermission/502", "/_INTERMISSION/504?a=b"]
)
def test_the_roles_own_paths_are_closed_however_they_are_written(site: Site, path: str) -> None:
    """Nginx compares the strings of a map without regard to case, and paths with it."""
    site.open_window()
    for method in ("GET", "POST", "DELETE"):
        answer = site.ask(method, path)
        assert (answer.status, site.app.requests) == (503, []), method


def test_exact_paths_are_compared_with_their_case(make_site: MakeSite, form: str) -> None:
    long = "/" + "webhooks/" * 20
    health = {"maintenance_page_health_path": "/hz", "maintenance_page_health_during": "ok"}
    site = make_site(form, maintenance_page_bypass_paths=["= /exact", f"= {long}"], **health)
    site.open_window()
    for path in ("/exact", long, "/hz", "/robots.txt"):
        assert site.ask(path=path).status == 200, path
    for path in ("/EXACT", long.upper(), "/HZ", "/ROBOTS.TXT", "/exact/", "/exact%0A"):
        assert_maintenance(site.ask(path=path))


OWN_RULES = """
if ($http_x_evil) { return 403; }
set $forward app;
rewrite ^/old/(.*)$ /new/$1;
location /new/ { proxy_pass http://$forward; }
"""


@pytest.mark.parametrize("way", ["path", "secret", "read only"])
def test_who_passes_obeys_the_servers_own_rules(make_site: MakeSite, form: str, secret: str, way: str) -> None:
    """They may stand below the include, and are for a visitor who passes what they are for all."""
    paths = {"maintenance_page_bypass_paths": ["/old/", "/new/"]} if way == "path" else {}
    site = make_site(form, server_lines=OWN_RULES, **paths)
    site.open_window(secret=secret, read_only=way == "read only")
    shown = cookie(secret) if way == "secret" else {}
    for method in ("GET", "HEAD") if way == "read only" else ("GET", "POST", "DELETE"):
        assert site.ask(method, "/old/tea?a=b%20c", shown).status == 200
        assert site.app.requests[-1] == f"{method} /new/tea?a=b%20c"
        assert site.ask(method, "/old/tea", {**shown, "X-Evil": "1"}).status == 403


def test_a_question_mark_in_a_path_stays_in_it(passed_site: Site, secret: str) -> None:
    """The path ends where the visitor ended it, or else it does not pass."""
    for method in ("GET", "POST"):
        assert_app(passed_site.ask(method, "/a%3Fb/?c=d", cookie(secret)), asked=f"{method} /a%3Fb/?c=d")
    assert_maintenance(passed_site.ask("DELETE", "/a%3Fb/?c=d", cookie(secret)))


OWN_404 = "error_page 404 /own.html; location = /own.html { } location /files/ { } location /front/ { try_files $uri /index.php; }"


def test_an_internal_redirect_of_who_passed_passes(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines=OWN_404, maintenance_page_bypass_paths=["/files/", "/front/"])
    (site.www / "own.html").write_text("own 404")
    site.open_window()
    for path in ("/files/none", "/.well-known/acme-challenge/none"):
        answer = site.ask(path=path)
        assert (answer.status, answer.body) == (404, b"own 404"), path
    assert_app(site.ask(path="/front/page"), asked="GET /index.php")
    assert_maintenance(site.ask(path="/index.php"))


def test_an_internal_redirect_of_who_came_before_the_window_passes(make_site: MakeSite, form: str) -> None:
    own = "location = /own.html { } location /slow { proxy_pass http://app; proxy_intercept_errors on; error_page 404 /own.html; }"
    site = make_site(form, server_lines=own)
    (site.www / "own.html").write_text("own 404")
    site.app.slow_status = 404
    with ThreadPoolExecutor(1) as pool:
        early = pool.submit(site.ask, path="/slow")
        assert site.app.entered.wait(PATIENCE)
        site.open_window()
        assert_maintenance(site.ask())
        site.app.go_on.set()
        assert (early.result().status, early.result().body) == (404, b"own 404")


def test_load_balancers_in_a_network_that_passes_get_the_health_paths_answer(make_site: MakeSite, form: str) -> None:
    health = {"maintenance_page_health_path": "/health", "maintenance_page_health_during": "ok"}
    site = make_site(form, maintenance_page_bypass_networks=["127.0.0.0/8"], **health)
    site.open_window()
    assert_app(site.ask())
    site.app.die()
    assert (site.ask(path="/health").status, site.ask(path="/health").body) == (200, b"ok\n")


def test_no_slash_is_merged_where_the_server_does_not(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines="merge_slashes off;", maintenance_page_bypass_paths=["/admin/"])
    site.open_window()
    assert_maintenance(site.ask(path="//admin/"))
    assert_app(site.ask(path="/admin/"), asked="GET /admin/")


def test_a_path_with_line_breaks_is_escaped_for_the_app(passed_site: Site, secret: str) -> None:
    answer = passed_site.ask(path="/a%0d%0aX-Forged:%20yes%0a/b", headers=cookie(secret))
    assert_app(answer, asked="GET /a%0D%0AX-Forged:%20yes%0A/b")
    assert "X-Forged" not in passed_site.app.headers[-1]


def test_the_secrets_are_random_and_need_no_escaping() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", secret) for secret in made)


def test_a_page_of_another_owner_is_not_sent(site: Site) -> None:
    """A member of the group may put a link where a page is, but not to what Nginx may read and others may not."""
    import os

    if os.geteuid() != 0:
        pytest.skip("needs files of two owners")
    window = site.open_window()
    page = site.state.windows / window.id / "503.en.html"
    page.unlink()
    (site.root / "secret").write_text("a secret")
    page.symlink_to(site.root / "secret")
    os.lchown(page, 65534, 65534)
    answer = site.ask()
    assert (answer.status, b"a secret" in answer.body) == (503, False)
    assert_maintenance(answer)
