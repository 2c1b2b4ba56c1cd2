"""Text for Nginx's configuration: quoted strings, and patterns of paths as keys of a ``map``.

A pattern is written as Nginx's directive ``location`` writes it: ``= /exact``, ``/prefix``, ``~ regular expression``, or
``~* regular expression`` whatever the case (https://nginx.org/en/docs/http/ngx_http_core_module.html#location).
"""

from __future__ import annotations

import re


def quoted(text: str) -> str:
    """Write a string that Nginx reads as it is, except for its variables. Raises ValueError for what no string can hold."""
    if "\0" in text:
        raise ValueError("a string of Nginx's configuration cannot have a zero byte")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def map_key(pattern: str) -> str:
    """Write a pattern of paths as the key of a ``map`` on ``$uri``. Raises ValueError where it is none.

    A prefix ends at a slash: ``/health`` is ``/health`` and all below it, and not ``/healthy``. An exact path is a regular
    expression too, for Nginx compares a map's strings without regard to case.
    """
    kind, _space, rest = pattern.strip().partition(" ")
    if kind in ("=", "~", "~*"):
        rest = rest.strip()
        _check(pattern, bool(rest) and (kind != "=" or rest.startswith("/")))
        if kind == "=":
            return quoted(f"~^{re.escape(rest)}\\z")
        return quoted(kind + _checked_expression(pattern, rest))
    _check(pattern, pattern.startswith("/") and not rest)
    return quoted("~^" + re.escape(kind) + ("" if kind.endswith("/") else "(?:/|$)"))


def _checked_expression(pattern: str, expression: str) -> str:
    try:
        re.compile(expression)
    except re.error as error:
        raise ValueError(f"'{pattern}' is no regular expression: {error}") from error
    return expression


def _check(pattern: str, right: bool) -> None:
    if not right or re.search(r"[\0\r\n]", pattern):
        raise ValueError(
            f"'{pattern}' is no pattern of a path. Write '= /path' for one path, '/path/' for all below it, '~ expression' or "
            "'~* expression' for a regular expression"
        )
