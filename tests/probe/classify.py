"""Decide what one answer is: pure functions from an HTTP reply or an exception to one class."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import format_datetime, parsedate_to_datetime

from probe.mix import JSON, Spec, html_problem
from probe.verdict import APP_ERROR, FALLBACK, MAINTENANCE, Verdict, app_kind

_MAINTENANCE_MARKER = b'data-intermission="maintenance"'
_FALLBACK_MARKER = b'data-intermission="fallback"'
_PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that arrived whole: ``headers`` has lower-case names, ``received`` is epoch seconds."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    received: float

    @property
    def content_type(self) -> str:
        """The media type without parameters, "" when absent."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def classify(spec: Spec, reply: Reply, version_header: str) -> Verdict:
    """Return the class of ``reply`` to ``spec``.

    An answer that states the app's version came through to the app and is judged as the app's, whatever it looks like,
    unless the app says that it is its maintenance answer.
    """
    if reply.headers.get("x-intermission") == "maintenance":
        return _page(MAINTENANCE, maintenance_problems(spec, reply))
    if version := reply.headers.get(version_header):
        return _app(spec, reply, version)
    if _looks_like_maintenance(reply):
        return _page(MAINTENANCE, maintenance_problems(spec, reply))
    if _looks_like_fallback(spec, reply):
        return _page(FALLBACK, fallback_problems(spec, reply))
    if reply.status >= 400 and _is_nginx(reply):
        return Verdict(f"nginx error {reply.status}")
    return Verdict(f"other: status {reply.status} without {version_header}")


def _app(spec: Spec, reply: Reply, version: str) -> Verdict:
    if reply.status != spec.status:
        return Verdict(APP_ERROR, version, f"status {reply.status}, not {spec.status}")
    if reply.content_type != spec.content_type:
        return Verdict(APP_ERROR, version, f"content type {reply.content_type!r}, not {spec.content_type!r}")
    if problem := spec.body_problem(reply.body):
        return Verdict("incomplete app answer", version, problem)
    return Verdict(app_kind(version), version)


def _page(kind: str, problems: list[str]) -> Verdict:
    if not problems:
        return Verdict(kind)
    return Verdict(f"incomplete {kind} answer: {problems[0]}", detail="; ".join(problems))


def _looks_like_maintenance(reply: Reply) -> bool:
    announced = reply.status == 503 and "retry-after" in reply.headers
    return announced or _MAINTENANCE_MARKER in reply.body


def _looks_like_fallback(spec: Spec, reply: Reply) -> bool:
    # A HEAD answer has no marker; Nginx's built-in error pages never say no-store, ours do.
    headless = spec.method == "HEAD" and reply.status in (502, 504) and has_no_store(reply.headers)
    return headless or _FALLBACK_MARKER in reply.body


def _is_nginx(reply: Reply) -> bool:
    return reply.headers.get("server", "").startswith("nginx") or b"<center>nginx" in reply.body


def maintenance_problems(spec: Spec, reply: Reply) -> list[str]:
    """Return what keeps ``reply`` from being a correct maintenance answer, [] when nothing does."""
    problems = []
    if reply.status != 503:
        problems.append(f"status {reply.status}")
    if problem := retry_after_problem(reply.headers.get("retry-after"), reply.received):
        problems.append(problem)
    if not has_no_store(reply.headers):
        problems.append("no no-store")
    if problem := _maintenance_body_problem(spec, reply):
        problems.append(problem)
    return problems


def _maintenance_body_problem(spec: Spec, reply: Reply) -> str:
    if spec.accept == JSON and reply.content_type == _PROBLEM_JSON:
        return _problem_json_problem(reply.body)
    return _page_problem(spec, reply.body, _MAINTENANCE_MARKER)


def fallback_problems(spec: Spec, reply: Reply) -> list[str]:
    """Return what keeps ``reply`` from being a correct fallback page, [] when nothing does."""
    problems = []
    if reply.status not in (502, 504):
        problems.append(f"status {reply.status}")
    if not has_no_store(reply.headers):
        problems.append("no no-store")
    if problem := _page_problem(spec, reply.body, _FALLBACK_MARKER):
        problems.append(problem)
    return problems


def _page_problem(spec: Spec, body: bytes, marker: bytes) -> str:
    if spec.method == "HEAD":
        return "a body in answer to HEAD" if body else ""
    if marker not in body:
        return "no marker"
    return html_problem(body)


def _problem_json_problem(body: bytes) -> str:
    try:
        problem = json.loads(body)
    except ValueError:
        return "problem details that are not JSON"
    # RFC 9457 makes the member optional, but forbids it to contradict the status line.
    if not isinstance(problem, dict) or problem.get("status", 503) != 503:
        return "problem details without status 503"
    return ""


def has_no_store(headers: Mapping[str, str]) -> bool:
    """Tell whether Cache-Control has the no-store directive."""
    directives = headers.get("cache-control", "").lower().split(",")
    return "no-store" in (directive.strip() for directive in directives)


def retry_after_problem(value: str | None, received: float) -> str:
    """Return what is wrong with a Retry-After received at epoch ``received``, "" when it is valid.

    Valid are a positive whole number of seconds and an IMF-fixdate that is not in the past; such a
    date has whole seconds, so the second in which the answer came still counts as present.
    """
    if value is None:
        return "no Retry-After"
    if re.fullmatch("[0-9]+", value):
        return "" if int(value) else "Retry-After of 0 seconds"
    moment = _imf_fixdate(value)
    if moment is None:
        return "malformed Retry-After"
    return "" if moment >= int(received) else "Retry-After in the past"


def _imf_fixdate(value: str) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
        # The parser is lenient; only the strict form survives being written again.
        return moment.timestamp() if format_datetime(moment, usegmt=True) == value else None
    except ValueError:
        return None


def classify_failure(error: Exception, kept: bool) -> Verdict:
    """Return the class of a request that ended in ``error`` instead of a whole reply.

    A reset or an empty reply on a reused (``kept``) connection has its own class: the server may have
    closed an idle connection at the very moment of its reuse. A visitor's browser might have asked
    again by itself, the probe never does, so it stays unexpected.
    """
    kind = _failure_kind(error)
    if kept and kind in ("reset", "empty reply"):
        kind += " on kept connection"
    return Verdict(kind, detail=str(error) or type(error).__name__)


_FAILURES_BY_TYPE: tuple[tuple[type[BaseException], str], ...] = (
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    (ConnectionResetError, "reset"),
    (BrokenPipeError, "reset"),
)

# httpx has one exception type for these and tells them apart in words only.
_FAILURES_BY_TEXT = (
    ("disconnected without sending a response", "empty reply"),
    ("without sending complete message body", "truncated"),
)


def _failure_kind(error: Exception) -> str:
    causes = list(_causes(error))
    for failure, kind in _FAILURES_BY_TYPE:
        if any(isinstance(cause, failure) for cause in causes):
            return kind
    for text, kind in _FAILURES_BY_TEXT:
        if text in str(error):
            return kind
    return f"other: {type(error).__name__}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    yield error
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _causes(inner)
    if cause := error.__cause__ or error.__context__:
        yield from _causes(cause)
