"""MAINTENANCE_MODE of a site, in a file that its app reads.

That is variables of the environment, which the app reads when it starts; or the state file of django-maintenance-mode, one digit
that it reads with each request.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

from ansible_collections.intermission.django.plugins.module_utils.environment import dump, load
from ansible_collections.intermission.django.plugins.module_utils.files import pinned, read_plain, write_file

VARIABLE = "MAINTENANCE_MODE"
ENVIRONMENT_MODE = 0o600
DIGIT_MODE = 0o644


class EnvironmentSetting:
    """An environment file of its own, which follows the site's; beside it is noted what the app has taken up."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet."""
        self.path = path
        self.applied_file = path.with_name(f"{path.name}.applied")

    def is_on(self) -> bool:
        """Tell whether it closes the site. Raises OSError."""
        return load(_text_of(self.path) or "").get(VARIABLE) == "on"

    def differs(self, on: bool, about: Mapping[str, object]) -> bool:
        """Tell whether it says something else; a file that is not there says off. Raises OSError and ValueError."""
        there = _text_of(self.path)
        return on if there is None else there != self._content(on, about)

    def write(self, on: bool, about: Mapping[str, object]) -> None:
        """Say on or off, and with on what else the app is to know. Raises OSError, and ValueError for a line break."""
        write_file(self.path, self._content(on, about).encode(), ENVIRONMENT_MODE)

    def is_applied(self) -> bool:
        """Tell whether the app has taken up what it says, as far as was noted. Raises OSError."""
        there = _text_of(self.path)
        return there is None or _text_of(self.applied_file) == _digest(there)

    def note_applied(self) -> None:
        """Note that the app has taken up what it says. Raises OSError."""
        write_file(self.applied_file, _digest(_text_of(self.path) or "").encode(), ENVIRONMENT_MODE)

    @staticmethod
    def _content(on: bool, about: Mapping[str, object]) -> str:
        variables: dict[str, object] = {VARIABLE: "off"}
        if on:
            known = {f"MAINTENANCE_{name.upper()}": value for name, value in about.items() if value}
            variables = {VARIABLE: "on", **known}
        return dump(variables)


class DigitSetting:
    """The state file of django-maintenance-mode: 1 or 0."""

    def __init__(self, path: Path) -> None:
        """Name the file; nothing is read yet."""
        self.path = path

    def is_on(self) -> bool:
        """Tell whether it closes the site. Raises OSError."""
        return (_text_of(self.path) or "").strip() == "1"

    def differs(self, on: bool, about: Mapping[str, object]) -> bool:
        """Tell whether it says something else; a file that is not there says off. Raises OSError."""
        there = _text_of(self.path)
        return on if there is None else there != str(int(on))

    def write(self, on: bool, about: Mapping[str, object]) -> None:
        """Say on or off. The file stays its owner's, or becomes that of its directory's owner. Raises OSError."""
        with pinned(self.path.parent) as held:  # The app may write there
            path = held / self.path.name
            there = os.path.lexists(path)
            status = path.lstat() if there else held.stat()
            mode = status.st_mode & 0o777 if there else DIGIT_MODE
            write_file(path, str(int(on)).encode(), mode, owner=(status.st_uid, status.st_gid))

    def is_applied(self) -> bool:
        """Tell whether the app has taken it up: it always has, as it reads the file with each request."""
        return True


def _text_of(path: Path) -> Optional[str]:
    """Read a file; None where there is none. Raises OSError."""
    try:
        return read_plain(path).decode(errors="replace")
    except FileNotFoundError:
        return None


def _digest(text: str) -> str:
    import hashlib  # Few that import this have a setting

    return hashlib.sha256(text.encode()).hexdigest() + "\n"
