"""What a visitor gets while the site is closed: a handler's answer, a redirect, JSON, a page of the project's, or the built-in one."""

from __future__ import annotations

import math
from datetime import datetime
from datetime import timezone as zones
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Optional

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.template import Context, Engine, Template, TemplateDoesNotExist
from django.template.loader import get_template
from django.utils import timezone, translation
from django.utils.http import http_date

from django_intermission import conf, log
from django_intermission.paths import is_allowed
from django_intermission.state import Maintenance

STATUS = 503
MARK = ("X-Intermission", "maintenance")  # By this the playbooks recognise it, whatever the page looks like
TITLE = "Service Unavailable"
DETAIL = "The site is being worked on. Please come back later."
NEVER_CACHE = "max-age=0, no-cache, no-store, must-revalidate, private"  # As never_cache says it
BUILT_IN = Path(__file__).parent / "templates" / "django_intermission"


def answer(request: HttpRequest, maintenance: Maintenance) -> HttpResponseBase:
    """Answer a request that does not pass."""
    handler = conf.current().handler
    if handler is not None:
        try:
            call = async_to_sync(handler) if iscoroutinefunction(handler) else handler
            return _finished(_checked(call(request, maintenance)), maintenance)
        except Exception:
            _log_handler()
    return _ordinary(request, maintenance)


async def aanswer(request: HttpRequest, maintenance: Maintenance) -> HttpResponseBase:
    """Answer a request that does not pass, in an event loop; only a handler that is not async takes a thread."""
    handler = conf.current().handler
    if handler is not None:
        try:
            call: Any = handler if iscoroutinefunction(handler) else sync_to_async(handler)
            response = await call(request, maintenance)
            return _finished(
                await sync_to_async(_checked)(response) if _waits(response) else _checked(response), maintenance
            )
        except Exception:
            _log_handler()
    return _ordinary(request, maintenance)


def _checked(response: object) -> HttpResponseBase:
    if not isinstance(response, HttpResponseBase):
        raise TypeError(f"MAINTENANCE_HANDLER gave {response!r}, which is no HttpResponse")
    if _waits(response):
        response.render()  # type: ignore[attr-defined]
    return response


def _waits(response: object) -> bool:
    """Tell whether a response is still to be rendered, which Django does for those of views alone."""
    return not getattr(response, "is_rendered", True)


def _log_handler() -> None:
    log.once("handler", "MAINTENANCE_HANDLER failed, visitors get the ordinary answer", exc_info=True)


def _ordinary(request: HttpRequest, maintenance: Maintenance) -> HttpResponseBase:
    """Give the answer without a handler, whatever there may be in settings and state that nobody has thought of."""
    try:
        return _finished(_built(request, maintenance), maintenance)
    except Exception:
        log.once("answer", "the maintenance page cannot be made, visitors get a line of text", exc_info=True)
    name, value = MARK
    headers = {"Retry-After": str(conf.DEFAULTS["MAINTENANCE_RETRY_AFTER"]), "Cache-Control": NEVER_CACHE, name: value}
    response = HttpResponse(DETAIL, status=STATUS, content_type="text/plain; charset=utf-8", headers=headers)
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _built(request: HttpRequest, maintenance: Maintenance) -> HttpResponse:
    options = conf.current()
    if wanted_format(request, options) == "json":
        with translation.override(language_of(request)):
            told = problem(maintenance)
        response: HttpResponse = JsonResponse(
            told,
            status=STATUS,
            content_type="application/problem+json",
            json_dumps_params={"ensure_ascii": False},
        )
    elif options.redirect_url is not None:
        response = HttpResponseRedirect(options.redirect_url)
    else:
        response = HttpResponse(
            page(request, maintenance, options.template), status=STATUS, content_type="text/html; charset=utf-8"
        )
    response.headers["Vary"] = "Accept, Accept-Language" if options.speaks_languages else "Accept"
    return response


def _finished(response: HttpResponseBase, maintenance: Maintenance) -> HttpResponseBase:
    """Add what each answer has; it is no error that the admins would want a mail for."""
    after = retry_after(maintenance, conf.current().retry_after)
    if after is not None:
        response.headers.setdefault("Retry-After", after)
    response.headers["Cache-Control"] = NEVER_CACHE
    name, value = MARK
    response.headers[name] = value
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def retry_after(maintenance: Maintenance, seconds: Optional[int]) -> Optional[str]:
    """Give the header's value: the end as a date while that is to come, else a number of seconds."""
    if maintenance.end is not None and maintenance.end > datetime.now(zones.utc):
        return _date(maintenance.end)
    return None if seconds is None else str(seconds)


@lru_cache(maxsize=8)
def _date(instant: datetime) -> str:
    return http_date(math.ceil(instant.timestamp()))


def problem(maintenance: Maintenance) -> dict[str, Any]:
    """Give the answer for programs, as RFC 9457 has it."""
    known = {
        "start": maintenance.start,
        "end": maintenance.end,
        "reason": str(maintenance.reason),
    }
    about = {"type": "about:blank", "title": TITLE, "status": STATUS, "detail": str(maintenance.message) or DETAIL}
    return {**about, **{name: value for name, value in known.items() if value}}


def wanted_format(request: HttpRequest, options: conf.Options) -> str:
    """Give ``html`` or ``json``: as MAINTENANCE_FORMAT says, else as Accept prefers, else by the path."""
    if options.format is not None:
        try:
            chosen = options.format(request)
        except Exception:
            log.once("format", "MAINTENANCE_FORMAT failed, Accept and the path decide", exc_info=True)
            chosen = None
        if chosen in conf.FORMATS:
            return str(chosen)
    by_accept = preferred(request.META.get("HTTP_ACCEPT", ""))
    if by_accept is not None:
        return by_accept
    return "json" if is_allowed(request.path_info, options.json_paths) else "html"


def preferred(accept: str) -> Optional[str]:
    """Give what an Accept header names with the highest weight, the first where two have the same; None where it names neither."""
    best: tuple[float, Optional[str]] = (0.0, None)
    for entry in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        if media_type in ("text/html", "application/xhtml+xml"):
            kind = "html"
        elif media_type == "application/json" or media_type.endswith("+json"):
            kind = "json"
        else:
            continue
        weight = _weight(parameters)
        if weight > best[0]:
            best = (weight, kind)
    return best[1]


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _equals, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0 <= weight <= 1 else 0.0
    return 1.0


def page(request: HttpRequest, maintenance: Maintenance, name: str) -> str:
    """Render the project's template, without context processors, which may want a session or a database; else the built-in one."""
    with translation.override(language_of(request)):
        try:
            template = own_template(name)
            if template is not None:
                return str(template.render({"request": request, "maintenance": maintenance}))
        except Exception:
            log.once("template", "the template %s cannot be shown, visitors get the built-in page", name, exc_info=True)
        return built_in_page(maintenance, translation.get_language(), settings.TIME_ZONE)


def language_of(request: HttpRequest) -> str:
    """Give the visitor's language as LocaleMiddleware finds it, though that stands behind; a thread still has the one before's."""
    if hasattr(request, "LANGUAGE_CODE"):
        return str(request.LANGUAGE_CODE)
    if conf.current().speaks_languages:
        return translation.get_language_from_request(request, check_path=True)
    return str(settings.LANGUAGE_CODE)


def own_template(name: str) -> Any:
    """Give the project's template, None where there is none. It is looked for once, but with DEBUG each time, as it may be new."""
    options = conf.current()
    if settings.DEBUG:
        return _find(name)
    if "template" not in options.found:
        options.found["template"] = _find(name)
    return options.found["template"]


def _find(name: str) -> Any:
    try:
        return get_template(name)
    except TemplateDoesNotExist:
        return None


@lru_cache(maxsize=8)
def built_in_page(maintenance: Maintenance, language: Optional[str], zone: str) -> str:
    """Render the built-in page, with times in the project's time zone. One for all visitors who read the same language."""
    with timezone.override(zone):
        return str(
            built_in("maintenance.html").render(Context({"maintenance": maintenance, "detail": DETAIL}, use_tz=True))
        )


@cache
def built_in(name: str) -> Template:
    """Give one of the package's own templates, which no setting of the project's changes."""
    return Engine(dirs=[str(BUILT_IN)]).get_template(name)
