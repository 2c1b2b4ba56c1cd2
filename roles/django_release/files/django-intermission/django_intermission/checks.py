"""System checks: what in the settings is wrong, or risky."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from django_intermission import conf
from django_intermission.addresses import Network, Proxies
from django_intermission.conf import AUTHENTICATION, EARLY, LATE, is_behind, is_middleware

MAY_STAND_BEFORE = (
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "corsheaders.middleware.CorsMiddleware",
)
PROBES = ("/", "/a/b/", "/x-1")


def check_settings(app_configs: object, **_: Any) -> list[CheckMessage]:
    """Look at all settings. One that cannot be read hides the findings about the others."""
    try:
        options = conf.load()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="intermission.E001")]
    findings = (middleware, addresses, urls, users, answers, unknown_settings, state_directory)
    return [message for find in findings for message in find(options)]


def middleware(options: conf.Options) -> Iterator[CheckMessage]:
    """Find where the middleware stands."""
    names = list(settings.MIDDLEWARE)
    places = [number for number, name in enumerate(names) if is_middleware(name, EARLY)]
    if not places:
        yield Warning(
            "The app is installed, and its middleware is not: the site cannot be closed.",
            hint=f"Put '{EARLY}' first in MIDDLEWARE.",
            id="intermission.W001",
        )
        return
    before = [name for name in names[: places[0]] if name not in MAY_STAND_BEFORE]
    if before:
        yield Warning(
            f"MaintenanceModeMiddleware stands behind {', '.join(before)}: these run while the site is closed, and may want a "
            "database that is being migrated.",
            hint="Put it first in MIDDLEWARE.",
            id="intermission.W002",
        )


def addresses(options: conf.Options) -> Iterator[CheckMessage]:
    """Find lists that let in more than was meant."""
    trusted = options.proxies
    both = [f"{network}" for network in options.bypass if _overlaps(network, trusted.networks)]
    if both:
        yield Warning(
            f"MAINTENANCE_BYPASS_IP admits a trusted proxy ({', '.join(both)}): whatever that proxy's host asks for itself passes.",
            hint="List the clients alone in MAINTENANCE_BYPASS_IP.",
            id="intermission.W003",
        )
    inner = [
        f"{network}"
        for network in options.bypass
        if network.is_private and network.prefixlen and _may_be_a_proxys(network, trusted)
    ]
    if inner:
        yield Warning(
            f"MAINTENANCE_BYPASS_IP has {', '.join(inner)}: behind a proxy on such an address every visitor comes from there, and "
            "all of them pass.",
            hint="Name the proxy in MAINTENANCE_TRUSTED_PROXIES ('unix' for one that comes through a unix socket), or leave that "
            "address out. Without any proxy, silence this check.",
            id="intermission.W004",
        )
    everybody = [f"{network}" for network in options.bypass if network.prefixlen == 0]
    if everybody:
        yield Warning(f"MAINTENANCE_BYPASS_IP has {', '.join(everybody)}: everybody passes.", id="intermission.W005")


def urls(options: conf.Options) -> Iterator[CheckMessage]:
    """Find patterns that open the whole site."""
    for pattern in options.allowed_urls:
        if all(pattern.match(path) for path in PROBES):
            yield Warning(
                f"MAINTENANCE_ALLOWED_URLS has {pattern.pattern!r}, which fits {', '.join(PROBES)}: hardly anything is ever closed.",
                hint="A pattern is matched from the start of the path, such as '^/admin/'.",
                id="intermission.W006",
            )


def users(options: conf.Options) -> Iterator[CheckMessage]:
    """Find out whether those who may pass by being logged in can be known."""
    if not options.asks_user:
        return
    decides_late = is_behind(LATE, AUTHENTICATION) and is_behind(LATE, EARLY)
    if not decides_late and not is_behind(EARLY, AUTHENTICATION):
        yield Error(
            "Staff, superusers or a permission may pass, and nothing decides that after AuthenticationMiddleware: nobody passes.",
            hint=f"Put '{LATE}' behind '{AUTHENTICATION}' in MIDDLEWARE, and '{EARLY}' first.",
            id="intermission.E002",
        )
    if not options.allowed_urls and not options.allowed_url_names:
        yield Warning(
            "Who is logged in may pass, and no URL is allowed: who is not cannot log in.",
            hint="Allow the log-in page, for instance MAINTENANCE_ALLOWED_URLS = ['^/admin/'].",
            id="intermission.W007",
        )


def answers(options: conf.Options) -> Iterator[CheckMessage]:
    """Find settings that shut each other out."""
    if options.handler is not None and options.redirect_url is not None:
        yield Warning(
            "MAINTENANCE_HANDLER answers, so that MAINTENANCE_REDIRECT_URL counts only where it fails.",
            id="intermission.W008",
        )
    if options.debug and options.mode:
        yield Warning(
            "MAINTENANCE_MODE is on, and DEBUG lets everybody pass.",
            hint="Set MAINTENANCE_IN_DEBUG = True to see the page while DEBUG is on.",
            id="intermission.W009",
        )


def unknown_settings(options: conf.Options) -> Iterator[CheckMessage]:
    """Find settings that nobody reads: another package's, or misspelt ones."""
    unknown = [name for name in dir(settings) if name.startswith("MAINTENANCE_") and name not in conf.DEFAULTS]
    if unknown:
        yield Warning(
            f"These settings count for nothing here: {', '.join(unknown)}.",
            hint="docs/django.md says which settings there are, and which take the place of django-maintenance-mode's.",
            id="intermission.W011",
        )


def state_directory(options: conf.Options) -> Iterator[CheckMessage]:
    """Find out whether the host's flag can be seen."""
    if options.host is None:
        return
    directory = options.host.path
    try:
        os.lstat(options.host.flag)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            yield Error(
                f"The flag {options.host.flag} cannot be looked at ({error.strerror}): the site counts as closed.",
                hint=f"Let the app's account enter {directory}, or take MAINTENANCE_STATE_DIRECTORY away.",
                id="intermission.E003",
            )
            return
    if not directory.is_dir():
        yield Warning(
            f"MAINTENANCE_STATE_DIRECTORY names {directory}, and there is no such directory: no flag is ever seen there.",
            hint="Apply the role maintenance_page to this host, or run 'manage.py maintenance on', which makes it.",
            id="intermission.W010",
        )


def _overlaps(network: Network, others: tuple[Network, ...]) -> bool:
    return any(network.version == other.version and network.overlaps(other) for other in others)


def _may_be_a_proxys(network: Network, trusted: Proxies) -> bool:
    """Tell whether a private network may be where all visitors seem to come from: none is named, or none on this host."""
    if not trusted.networks and not trusted.unix:
        return True
    return network.is_loopback and not trusted.unix and not _overlaps(network, trusted.networks)
