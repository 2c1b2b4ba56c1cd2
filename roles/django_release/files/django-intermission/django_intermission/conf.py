"""The settings: read once, checked, and read again only when a test overrides one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Optional, cast

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from django_intermission import log
from django_intermission.addresses import UNIX, Network, Proxies, parse_network
from django_intermission.state import LAYERS, HostState, Maintenance
from django_intermission.times import format_instant, parse_instant

EARLY = "django_intermission.middleware.MaintenanceModeMiddleware"
LATE = "django_intermission.middleware.MaintenanceModeLateMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
ENVIRONMENT_VARIABLE = "MAINTENANCE_MODE"
FROM_ENVIRONMENT = "MAINTENANCE_FROM_ENVIRONMENT"
TRUE = ("1", "true", "yes", "on")
FALSE = ("0", "false", "no", "off")
FORMATS = ("html", "json")
LONGEST = 366 * 24 * 3600
HEADER = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")

DEFAULTS: Mapping[str, Any] = {
    "MAINTENANCE_FROM_ENVIRONMENT": True,
    "MAINTENANCE_MODE": None,
    "MAINTENANCE_IN_DEBUG": False,
    "MAINTENANCE_READ_ONLY": False,
    "MAINTENANCE_REASON": "",
    "MAINTENANCE_MESSAGE": "",
    "MAINTENANCE_END": None,
    "MAINTENANCE_STATE_DIRECTORY": None,
    "MAINTENANCE_LAYERS": list(LAYERS),
    "MAINTENANCE_BYPASS_IP": [],
    "MAINTENANCE_TRUSTED_PROXIES": [],
    "MAINTENANCE_CLIENT_ADDRESS_HEADER": "X-Forwarded-For",
    "MAINTENANCE_ALLOWED_URLS": [],
    "MAINTENANCE_ALLOWED_URL_NAMES": [],
    "MAINTENANCE_ALLOW_STAFF": False,
    "MAINTENANCE_ALLOW_SUPERUSERS": False,
    "MAINTENANCE_ALLOW_PERMISSION": None,
    "MAINTENANCE_TEMPLATE": "maintenance.html",
    "MAINTENANCE_RETRY_AFTER": 300,
    "MAINTENANCE_FORMAT": None,
    "MAINTENANCE_JSON_PATHS": [],
    "MAINTENANCE_HANDLER": None,
    "MAINTENANCE_REDIRECT_URL": None,
}

# What the host knows and the project does not: the environment tells it where the project's settings do not, lists with commas
OF_THE_HOST = (
    "MAINTENANCE_STATE_DIRECTORY",
    "MAINTENANCE_LAYERS",
    "MAINTENANCE_TRUSTED_PROXIES",
    "MAINTENANCE_REASON",
    "MAINTENANCE_MESSAGE",
    "MAINTENANCE_END",
    "MAINTENANCE_READ_ONLY",
)

Look = Callable[[], Optional[Maintenance]]


@dataclass(frozen=True)
class Options:
    """The settings as the other modules use them. ``look`` gives what is in force now, None while the site is open.

    ``debug`` tells that DEBUG opens everything.
    """

    look: Look
    debug: bool
    mode: bool
    host: Optional[HostState]
    bypass: tuple[Network, ...]
    proxies: Proxies
    address_header: str
    allowed_urls: tuple[re.Pattern[str], ...]
    allowed_url_names: frozenset[str]
    staff: bool
    superusers: bool
    permission: Optional[str]
    template: str
    retry_after: Optional[int]
    format: Optional[Callable[[HttpRequest], Optional[str]]]
    json_paths: tuple[re.Pattern[str], ...]
    handler: Optional[Callable[..., Any]]
    redirect_url: Optional[str]
    found: dict[str, Any] = field(default_factory=dict)  # What other modules keep until a setting changes

    @property
    def asks_user(self) -> bool:
        """Tell whether it matters who is logged in."""
        return self.staff or self.superusers or self.permission is not None

    @cached_property
    def has_late_half(self) -> bool:
        """Tell whether the middleware's second half is there to ask who is logged in, behind the first one."""
        return is_behind(LATE, EARLY)

    @cached_property
    def speaks_languages(self) -> bool:
        """Tell whether the project answers visitors in languages of theirs."""
        return any(is_middleware(path, LOCALE) for path in settings.MIDDLEWARE)


loaded: Optional[Options] = None


def current() -> Options:
    """Give the settings; they are read at the first call. Raises ImproperlyConfigured, which says what to set."""
    global loaded
    options = loaded
    if options is None:
        options = loaded = load()
    return options


def forget(**_: Any) -> None:
    """Let the settings be read again at the next call."""
    global loaded
    loaded = None
    log.forget_all()


setting_changed.connect(forget, dispatch_uid="django_intermission")


def parse_flag(name: str, value: object) -> bool:
    """Read a switch: a bool, or ``1``, ``true``, ``yes``, ``on`` or their opposites in any case. Raises ImproperlyConfigured."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        word = value.strip().lower()
        if word in TRUE + FALSE:
            return word in TRUE
    raise ImproperlyConfigured(
        f"{name} is {value!r}: set it to one of {', '.join(TRUE)} or {', '.join(FALSE)}, as text, or to True or False"
    )


def load() -> Options:
    """Read and check all settings. Raises ImproperlyConfigured."""
    mode = _mode()
    host = _host()
    debug = not _flag("MAINTENANCE_IN_DEBUG") and settings.DEBUG
    look = _look(mode, host)
    return Options(
        look=_open if debug else look,
        debug=debug,
        mode=mode,
        host=host,
        bypass=_networks("MAINTENANCE_BYPASS_IP", _strings("MAINTENANCE_BYPASS_IP")),
        proxies=_proxies(),
        address_header=_header(),
        allowed_urls=_patterns("MAINTENANCE_ALLOWED_URLS"),
        allowed_url_names=frozenset(_strings("MAINTENANCE_ALLOWED_URL_NAMES")),
        staff=_flag("MAINTENANCE_ALLOW_STAFF"),
        superusers=_flag("MAINTENANCE_ALLOW_SUPERUSERS"),
        permission=_text("MAINTENANCE_ALLOW_PERMISSION") or None,
        template=_text("MAINTENANCE_TEMPLATE"),
        retry_after=_retry_after(),
        format=_format(),
        json_paths=_patterns("MAINTENANCE_JSON_PATHS"),
        handler=_callable("MAINTENANCE_HANDLER"),
        redirect_url=_redirect_url(),
    )


def get(name: str) -> Any:
    """Give a setting as the project has it, else as the environment has what is the host's, else its default."""
    if name in OF_THE_HOST and not hasattr(settings, name) and os.environ.get(name) and _flag(FROM_ENVIRONMENT):
        words = os.fsencode(os.environ[name]).decode(errors="replace")
        return (
            [word.strip() for word in words.split(",") if word.strip()] if isinstance(DEFAULTS[name], list) else words
        )
    return getattr(settings, name, DEFAULTS[name])


def _mode() -> bool:
    mode = get("MAINTENANCE_MODE")
    by_setting = mode is not None and parse_flag("MAINTENANCE_MODE", mode)
    word = os.environ.get(ENVIRONMENT_VARIABLE) if _flag(FROM_ENVIRONMENT) else None
    by_environment = word is not None and parse_flag(f"the environment variable {ENVIRONMENT_VARIABLE}", word)
    return by_setting or by_environment


def _host() -> Optional[HostState]:
    name = "MAINTENANCE_STATE_DIRECTORY"
    directory = get(name)
    if not isinstance(directory, (str, os.PathLike, type(None))):
        raise ImproperlyConfigured(f"{name} is {directory!r}: set it to a path, or to None")
    layers = _strings("MAINTENANCE_LAYERS")
    if unknown := sorted(set(layers) - set(LAYERS)):
        raise ImproperlyConfigured(f"MAINTENANCE_LAYERS has {', '.join(unknown)}: there are {' and '.join(LAYERS)}")
    if not layers:
        raise ImproperlyConfigured(
            "MAINTENANCE_LAYERS is empty, so that no window would close the site: name one or leave it away"
        )
    if not directory:
        return None
    path = os.fspath(directory)
    if not os.path.isabs(path) or "\0" in path:
        raise ImproperlyConfigured(f"{name} is {path!r}: set it to an absolute path")
    return HostState(path, layers)


def _look(mode: bool, host: Optional[HostState]) -> Look:
    """Give the function that each request calls, with nothing in it that the settings rule out."""
    by_setting = Maintenance(
        source="setting",
        reason=_text("MAINTENANCE_REASON"),
        message=_text("MAINTENANCE_MESSAGE"),
        end=_end(),
        read_only=_flag("MAINTENANCE_READ_ONLY"),
    )
    if mode and host is not None and by_setting.read_only:

        def strictest() -> Optional[Maintenance]:
            by_flag = host.look()
            return by_flag if by_flag is not None and not by_flag.read_only else by_setting

        return strictest
    if mode:
        return lambda: by_setting
    return _open if host is None else host.look


def _open() -> None:
    return None


def _flag(name: str) -> bool:
    return parse_flag(name, get(name))


def _text(name: str) -> str:
    """Give a text; one of gettext_lazy stays one, so that each visitor reads it in a language of theirs."""
    value = get(name)
    if value is None:
        return ""
    if not isinstance(value, (str, Promise)):
        raise ImproperlyConfigured(f"{name} is {value!r}: set it to text")
    return cast(str, value)


def _strings(name: str) -> tuple[str, ...]:
    values = get(name)
    if isinstance(values, str) or not isinstance(values, (list, tuple, set, frozenset)):
        raise ImproperlyConfigured(f"{name} is {values!r}: set it to a list")
    for value in values:
        if not isinstance(value, str):
            raise ImproperlyConfigured(f"{name} has {value!r}: each entry is text")
    return tuple(values)


def _patterns(name: str) -> tuple[re.Pattern[str], ...]:
    values = get(name)
    if isinstance(values, str) or not isinstance(values, (list, tuple)):
        raise ImproperlyConfigured(f"{name} is {values!r}: set it to a list of regular expressions")
    patterns = []
    for value in values:
        try:
            pattern = re.compile(value)
        except (TypeError, re.error) as error:
            raise ImproperlyConfigured(f"{name} has {value!r}, which is no regular expression: {error}") from error
        if not isinstance(pattern.pattern, str):
            raise ImproperlyConfigured(f"{name} has {value!r}: each entry is text, not bytes")
        patterns.append(pattern)
    return tuple(patterns)


def _networks(name: str, values: tuple[str, ...]) -> tuple[Network, ...]:
    networks = []
    for value in values:
        try:
            networks.append(parse_network(value))
        except ValueError as error:
            raise ImproperlyConfigured(
                f"{name} has {value!r}, which is neither an address nor a network such as 203.0.113.0/24: {error}"
            ) from error
    return tuple(networks)


def _proxies() -> Proxies:
    name = "MAINTENANCE_TRUSTED_PROXIES"
    values = _strings(name)
    return Proxies(_networks(name, tuple(value for value in values if value != UNIX)), UNIX in values)


def _header() -> str:
    """Give the key in ``request.META`` of the header with the client's address."""
    name = "MAINTENANCE_CLIENT_ADDRESS_HEADER"
    header = _text(name)
    if HEADER.fullmatch(header) is None or header.lower() == "forwarded":
        raise ImproperlyConfigured(
            f"{name} is {header!r}: name a header that has addresses alone, such as X-Forwarded-For"
        )
    return "HTTP_" + header.upper().replace("-", "_")


def is_behind(name: str, other: str) -> bool:
    """Tell whether the last middleware of one kind stands behind the first of another."""
    places = [
        [place for place, path in enumerate(settings.MIDDLEWARE) if is_middleware(path, kind)] for kind in (name, other)
    ]
    return all(places) and places[0][-1] > places[1][0]


def is_middleware(path: str, wanted: str) -> bool:
    """Tell whether a middleware is the wanted one, or one made from it."""
    if path == wanted:
        return True
    try:
        found, base = import_string(path), import_string(wanted)
    except ImportError:
        return False
    return isinstance(found, type) and issubclass(found, base)


def _end() -> Optional[datetime]:
    name = "MAINTENANCE_END"
    end = get(name)
    if end in (None, ""):
        return None
    try:
        if isinstance(end, datetime) and end.tzinfo is not None:
            return parse_instant(format_instant(end))
        return parse_instant(end)
    except (TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ImproperlyConfigured(
            f"{name} is {end!r}: set it to an instant with its zone, such as '2026-12-01T02:00Z'"
        ) from error


def _retry_after() -> Optional[int]:
    name = "MAINTENANCE_RETRY_AFTER"
    seconds = get(name)
    if seconds is None:
        return None
    if not isinstance(seconds, int) or isinstance(seconds, bool) or not 0 <= seconds <= LONGEST:
        # A number of thousands of digits cannot be written out
        what = repr(seconds) if not isinstance(seconds, int) or -LONGEST <= seconds <= LONGEST else "out of range"
        raise ImproperlyConfigured(
            f"{name} is {what}: set it to a number of seconds, at most {LONGEST}, or to None for no header"
        )
    return seconds


def _redirect_url() -> Optional[str]:
    name = "MAINTENANCE_REDIRECT_URL"
    value = get(name)
    url = str(value) if isinstance(value, Promise) else _text(name)
    if url and not url.startswith(("/", "http://", "https://")):
        raise ImproperlyConfigured(
            f"{name} is {url!r}: set it to a path that begins with '/', to a whole URL, or to reverse_lazy(...)"
        )
    return url or None


def _format() -> Optional[Callable[[HttpRequest], Optional[str]]]:
    value = get("MAINTENANCE_FORMAT")
    if value in FORMATS:
        return lambda request: str(value)
    return _callable("MAINTENANCE_FORMAT")


def _callable(name: str) -> Optional[Callable[..., Any]]:
    value = get(name)
    if value is None:
        return None
    try:
        function = import_string(value) if isinstance(value, str) else value
    except ImportError as error:
        raise ImproperlyConfigured(f"{name} is {value!r}, which cannot be imported: {error}") from error
    if not callable(function):
        raise ImproperlyConfigured(f"{name} is {value!r}: set it to a function, or to the dotted path of one")
    return function  # type: ignore[no-any-return]
