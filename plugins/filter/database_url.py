# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``database_url``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable
from urllib.parse import quote

DOCUMENTATION = r"""
name: database_url
short_description: Write the URL of a database as Django projects read it
version_added: 0.1.0
description:
  - Writes the URL that dj-database-url and django-environ read from C(DATABASE_URL), with every part encoded.
options:
  _input:
    description:
      - C(engine), which is C(postgresql), C(mariadb) or C(sqlite); then C(path) for SQLite, and C(host), C(port), C(name),
        C(user) and C(password) for the others.
    type: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ {'engine': 'sqlite', 'path': '/srv/shop/shared/private/db.sqlite3'} | intermission.django.database_url }}"
"""

RETURN = r"""
_value:
  description: The URL.
  type: str
"""

SCHEMES = {"postgresql": "postgres", "mariadb": "mysql"}


def database_url(database: Mapping[str, Any]) -> str:
    """Write the URL; see the documentation above."""
    if database["engine"] == "sqlite":
        return "sqlite:///" + quote(str(database["path"]))
    user, password, name = (quote(str(database[part]), safe="") for part in ("user", "password", "name"))
    host = str(database["host"])
    address = f"[{host}]" if ":" in host else host
    return f"{SCHEMES[database['engine']]}://{user}:{password}@{address}:{database['port']}/{name}"


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"database_url": database_url}
