"""Settings: what they mean, and what is wrong with them."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.test.utils import override_settings
from django.utils.translation import gettext_lazy
from django_intermission import conf
from django_intermission.addresses import Proxies
from hypothesis import given
from hypothesis import strategies as st

from django_layer.conftest import Configure, Host
from django_layer.project import EARLY, LATE
from django_layer.visitors import Visit

WORDS = st.sampled_from([*conf.TRUE, *conf.FALSE])


@given(WORDS, st.sampled_from(["", " ", "\t"]), st.data())
def test_words_in_any_case(word: str, space: str, data: st.DataObject) -> None:
    written = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in word)
    assert conf.parse_flag("X", f"{space}{written}{space}") is (word in conf.TRUE)


@given(st.one_of(st.text(), st.integers(), st.none(), st.floats(), st.lists(st.text())))
def test_anything_else_is_refused(value: object) -> None:
    if isinstance(value, str) and value.strip().lower() in conf.TRUE + conf.FALSE:
        return
    with pytest.raises(ImproperlyConfigured, match="SWITCH is"):
        conf.parse_flag("SWITCH", value)


@pytest.mark.parametrize("value", [True, "1", "true", "YES", " on "])
def test_closed_by_the_setting(configure: Configure, visit: Visit, value: object) -> None:
    configure(MAINTENANCE_MODE=value)
    assert visit().status == 503


@pytest.mark.parametrize("value", [None, False, "0", "false", "NO", "off"])
def test_open_by_the_setting(configure: Configure, visit: Visit, value: object) -> None:
    configure(MAINTENANCE_MODE=value)
    assert visit().status == 200


@pytest.mark.parametrize(("word", "setting", "status"), [("on", False, 503), ("off", True, 503), ("0", False, 200)])
def test_the_environment_closes_too(
    configure: Configure, visit: Visit, monkeypatch: pytest.MonkeyPatch, word: str, setting: bool, status: int
) -> None:
    monkeypatch.setenv("MAINTENANCE_MODE", word)
    configure(MAINTENANCE_MODE=setting)
    assert visit().status == status


def test_what_is_the_hosts_may_come_from_the_environment(
    host: Host, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    with override_settings():
        del settings.MAINTENANCE_STATE_DIRECTORY
        monkeypatch.setenv("MAINTENANCE_STATE_DIRECTORY", str(host.path))
        monkeypatch.setenv("MAINTENANCE_LAYERS", "django,")
        monkeypatch.setenv("MAINTENANCE_TRUSTED_PROXIES", " unix , 192.0.2.1 ")
        monkeypatch.setenv("MAINTENANCE_BYPASS_IP", "0.0.0.0/0")
        conf.forget()
        options = conf.current()
        assert options.host is not None
        assert (options.host.path, options.host.layers) == (host.path, frozenset({"django"}))
        assert options.proxies.unix
        assert [str(network) for network in options.proxies.networks] == ["192.0.2.1/32"]
        host.open(layer="nginx")
        assert visit().status == 200
        host.open("manual-2", layer="django")
        assert visit().status == 503


@pytest.mark.parametrize(("word", "status"), [("on", 200), ("off", 503)])
def test_what_goes_with_the_mode_may_come_from_the_environment(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, word: str, status: int
) -> None:
    for name, value in {"MODE": "on", "REASON": "Disk", "END": "2999-12-01T02:00:00Z", "READ_ONLY": word}.items():
        monkeypatch.setenv(f"MAINTENANCE_{name}", value)
    conf.forget()
    assert visit().status == status
    refused = visit(method="POST")
    assert (refused.status, refused["Retry-After"]) == (503, "Sun, 01 Dec 2999 02:00:00 GMT")
    assert "Disk" in refused.body


@pytest.mark.parametrize("word", ["", "2", "ja", "True!", "on off"])
def test_a_bad_word_in_the_environment_is_an_error_at_the_start(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    from django_intermission.middleware import MaintenanceModeMiddleware

    monkeypatch.setenv("MAINTENANCE_MODE", word)
    with pytest.raises(ImproperlyConfigured, match="environment variable MAINTENANCE_MODE"):
        MaintenanceModeMiddleware(lambda request: None)  # type: ignore[arg-type,return-value]


def test_debug_lets_everybody_pass(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, DEBUG=True)
    assert visit().status == 200


def test_debug_can_be_told_not_to(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, DEBUG=True, MAINTENANCE_IN_DEBUG=True)
    assert visit().status == 503


def test_debug_lets_pass_while_the_flag_is_there(configure: Configure, host: Host, visit: Visit) -> None:
    host.open()
    configure(DEBUG=True)
    assert visit().status == 200


BAD: list[tuple[str, Any, str]] = [
    ("MAINTENANCE_MODE", 1, "set it to one of"),
    ("MAINTENANCE_FROM_ENVIRONMENT", "never", "set it to one of"),
    ("MAINTENANCE_IN_DEBUG", "perhaps", "set it to one of"),
    ("MAINTENANCE_READ_ONLY", None, "set it to one of"),
    ("MAINTENANCE_REASON", 5, "set it to text"),
    ("MAINTENANCE_MESSAGE", ["a"], "set it to text"),
    ("MAINTENANCE_END", "tomorrow", "with its zone"),
    ("MAINTENANCE_END", 5, "with its zone"),
    ("MAINTENANCE_END", datetime(2026, 1, 1), "with its zone"),
    ("MAINTENANCE_END", "9999-12-31T23:59-02:00", "with its zone"),
    ("MAINTENANCE_STATE_DIRECTORY", 5, "set it to a path"),
    ("MAINTENANCE_STATE_DIRECTORY", "state/shop", "absolute"),
    ("MAINTENANCE_LAYERS", ["apache"], "nginx and django"),
    ("MAINTENANCE_LAYERS", "django", "set it to a list"),
    ("MAINTENANCE_BYPASS_IP", "127.0.0.1", "set it to a list"),
    ("MAINTENANCE_BYPASS_IP", [5], "each entry is text"),
    ("MAINTENANCE_BYPASS_IP", ["10.0.0.1/8"], "neither an address nor a network"),
    ("MAINTENANCE_BYPASS_IP", ["unix"], "neither an address nor a network"),
    ("MAINTENANCE_BYPASS_IP", [r"10\..*"], "neither an address nor a network"),
    ("MAINTENANCE_TRUSTED_PROXIES", ["proxy"], "neither an address nor a network"),
    ("MAINTENANCE_CLIENT_ADDRESS_HEADER", "X_Forwarded_For", "name a header"),
    ("MAINTENANCE_CLIENT_ADDRESS_HEADER", "Forwarded", "name a header"),
    ("MAINTENANCE_CLIENT_ADDRESS_HEADER", "", "name a header"),
    ("MAINTENANCE_ALLOWED_URLS", "^/admin/", "list of regular expressions"),
    ("MAINTENANCE_ALLOWED_URLS", ["("], "no regular expression"),
    ("MAINTENANCE_ALLOWED_URLS", [5], "no regular expression"),
    ("MAINTENANCE_ALLOWED_URLS", [b"/"], "not bytes"),
    ("MAINTENANCE_ALLOWED_URL_NAMES", [None], "each entry is text"),
    ("MAINTENANCE_ALLOW_STAFF", "staff", "set it to one of"),
    ("MAINTENANCE_ALLOW_SUPERUSERS", 2, "set it to one of"),
    ("MAINTENANCE_ALLOW_PERMISSION", True, "set it to text"),
    ("MAINTENANCE_TEMPLATE", ["a.html"], "set it to text"),
    ("MAINTENANCE_RETRY_AFTER", "300", "number of seconds"),
    ("MAINTENANCE_RETRY_AFTER", True, "number of seconds"),
    ("MAINTENANCE_RETRY_AFTER", -1, "number of seconds"),
    ("MAINTENANCE_FORMAT", "xml", "cannot be imported"),
    ("MAINTENANCE_FORMAT", 5, "set it to a function"),
    ("MAINTENANCE_JSON_PATHS", ["*"], "no regular expression"),
    ("MAINTENANCE_HANDLER", "nowhere.handler", "cannot be imported"),
    ("MAINTENANCE_HANDLER", "os.sep", "set it to a function"),
    ("MAINTENANCE_REDIRECT_URL", 5, "set it to text"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD)
def test_a_bad_setting_says_what_to_set(configure: Configure, name: str, value: object, words: str) -> None:
    configure(**{name: value})
    with pytest.raises(ImproperlyConfigured, match=words) as raised:
        conf.load()
    assert name in str(raised.value)


def test_each_setting_has_a_bad_value_here() -> None:
    assert {name for name, _, _ in BAD} == set(conf.DEFAULTS)


def test_the_defaults() -> None:
    options = conf.load()
    assert options.look() is None
    assert (options.debug, options.mode, options.host, options.bypass) == (False, False, None, ())
    assert (options.proxies, options.address_header) == (Proxies(), "HTTP_X_FORWARDED_FOR")
    assert (options.allowed_urls, options.allowed_url_names, options.asks_user) == ((), frozenset(), False)
    assert (options.template, options.retry_after, options.format) == ("maintenance.html", 300, None)
    assert (options.json_paths, options.handler, options.redirect_url) == ((), None, None)


def test_what_the_settings_say(configure: Configure) -> None:
    configure(
        MAINTENANCE_MODE=True,
        MAINTENANCE_REASON=gettext_lazy("Yes"),
        MAINTENANCE_MESSAGE=None,
        MAINTENANCE_END=datetime(2030, 1, 1, tzinfo=timezone.utc),
        MAINTENANCE_ALLOWED_URLS=[re.compile("/x"), "/y"],
        MAINTENANCE_RETRY_AFTER=None,
    )
    options = conf.load()
    maintenance = options.look()
    assert maintenance is not None
    assert (str(maintenance.reason), maintenance.message, maintenance.source) == ("Yes", "", "setting")
    assert maintenance.end == datetime(2030, 1, 1, tzinfo=timezone.utc)
    assert [pattern.pattern for pattern in options.allowed_urls] == ["/x", "/y"]
    assert options.retry_after is None


@pytest.mark.parametrize(
    ("middleware", "found"),
    [
        ([EARLY], False),
        ([EARLY, LATE], True),
        ([LATE, EARLY], False),
        ([LATE], False),
        (["nowhere.Middleware", "django_layer.test_conf.not_a_class", EARLY, "django_layer.test_conf.Own"], True),
    ],
)
def test_the_late_half_is_found(configure: Configure, middleware: list[str], found: bool) -> None:
    configure(MIDDLEWARE=middleware)
    assert conf.load().has_late_half is found


def not_a_class(get_response: Any) -> Any:
    """A middleware that is a function."""


def __getattr__(name: str) -> Any:
    if name == "Own":
        from django_intermission.middleware import MaintenanceModeLateMiddleware

        return type("Own", (MaintenanceModeLateMiddleware,), {})
    raise AttributeError(name)


def test_settings_are_read_once(configure: Configure) -> None:
    assert conf.current() is conf.current()
    before = conf.current()
    configure(MAINTENANCE_REASON="Disk")
    assert conf.current() is not before
