"""Who passes while the site is closed."""

from __future__ import annotations

import hashlib
import hmac
from enum import Enum
from functools import lru_cache
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.urls import Resolver404, ResolverMatch, resolve
from django.utils import translation
from django.utils.translation import get_language_from_path

from django_intermission import log
from django_intermission.addresses import contains
from django_intermission.answer import language_of
from django_intermission.conf import Options
from django_intermission.paths import is_allowed
from django_intermission.state import Maintenance

SAFE_METHODS = ("GET", "HEAD")
EXEMPT = "maintenance_exempt"


class Verdict(Enum):
    """What becomes of a request: it passes, it is refused, or it depends on who is logged in, or on the view that is called."""

    PASS = 1
    REFUSE = 2
    ASK_USER = 3
    ASK_VIEW = 4


def judge(request: HttpRequest, maintenance: Maintenance, options: Options) -> Verdict:
    """Decide on a request, without touching the database, the session or who is logged in."""
    if (
        by_address(request, options)
        or is_allowed(request.path_info, options.allowed_urls)
        or by_redirect(request, options)
        or (maintenance.read_only and request.method in SAFE_METHODS)
        or by_secret(request, maintenance)
    ):
        return Verdict.PASS
    if by_view(request, options):
        return Verdict.ASK_VIEW
    return Verdict.ASK_USER if options.asks_user else Verdict.REFUSE


def by_address(request: HttpRequest, options: Options) -> bool:
    """Tell whether the client's address may pass; a proof that asks as any visitor says so, and does not."""
    if not options.bypass or "HTTP_X_INTERMISSION_VISITOR" in request.META:
        return False
    peer = request.META.get("REMOTE_ADDR") or ""
    forwarded = request.META.get(options.address_header) or ""
    return contains(options.bypass, options.proxies.client(peer, forwarded))


def by_redirect(request: HttpRequest, options: Options) -> bool:
    """Tell whether this is where visitors are sent, with a slash at its end or without; another site's path is not."""
    if options.redirect_url is None:
        return False
    host, path = _place(options.redirect_url)
    if request.path.rstrip("/") != path or request.method not in SAFE_METHODS:
        return False
    try:
        return host in ("", request.get_host().lower())
    except DisallowedHost:
        return False


@lru_cache(maxsize=8)
def _place(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc.lower(), unquote(parts.path).rstrip("/")


def by_secret(request: HttpRequest, maintenance: Maintenance) -> bool:
    """Tell whether the request shows the window's secret, as to Nginx's gate: in a header, or in the cookie of its link."""
    if maintenance.bypass_digest is None:
        return False
    shown = (
        request.META.get("HTTP_X_INTERMISSION_PASS", ""),
        request.COOKIES.get(f"intermission_{maintenance.site}", ""),
    )
    return any(hmac.compare_digest(_digest(secret), maintenance.bypass_digest.encode()) for secret in shown)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest().encode()


def by_view(request: HttpRequest, options: Options) -> bool:
    """Tell whether the view that Django would call by now may be called; a later middleware may name another URLconf."""
    try:
        match = _resolve(request)
    except Resolver404:
        return False
    except Exception as error:
        log.once(
            "urls", "the URLs cannot be resolved (%r): no view passes by its name or decorator", error, exc_info=True
        )
        return False
    return may_be_called(match, options)


def may_be_called(match: ResolverMatch, options: Options) -> bool:
    """Tell whether a view may be called while the site is closed, by the name of its URL or by its decorator."""
    if match.view_name in options.allowed_url_names:
        return True
    view: Any = match.func
    return any(
        # A class made from an exempt one is another view
        getattr(place, "__dict__", {}).get(EXEMPT, False)
        for place in (view, getattr(view, "view_class", None), getattr(view, "cls", None))
    )


def _resolve(request: HttpRequest) -> ResolverMatch:
    """Find the view, also below i18n_patterns, whose language nobody has activated yet. Raises Resolver404."""
    # A thread still has the language of the visitor before
    with translation.override(get_language_from_path(request.path_info) or language_of(request)):
        return resolve(request.path_info, getattr(request, "urlconf", None))


def knows_user(request: HttpRequest) -> bool:
    """Tell whether AuthenticationMiddleware has seen the request."""
    return hasattr(request, "user")


def user_passes(request: HttpRequest, options: Options) -> bool:
    """Tell whether who is logged in may pass; nobody does while that cannot be found out. Asks session and database."""
    try:
        user: Optional[Any] = getattr(request, "user", None)
        if user is None or not user.is_active:
            return False
        return bool(
            (options.staff and user.is_staff)
            or (options.superusers and user.is_superuser)
            or (options.permission is not None and user.has_perm(options.permission))
        )
    except Exception as error:
        log.once("user", "nobody passes by being logged in, because who it is cannot be found out: %r", error)
        return False
