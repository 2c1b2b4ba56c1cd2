"""Environment files: ``NAME="value"`` lines that systemd's EnvironmentFile= and sh(1) read alike."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LINE = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\.)*)"')


def dump(variables: Mapping[str, object]) -> str:
    """Write variables, sorted by name. Raises ValueError for a name or value that an environment cannot have."""
    lines = []
    for name, value in sorted(variables.items()):
        text = str(value)
        if NAME.fullmatch(name) is None:
            raise ValueError(f"'{name}' is no name of an environment variable: letters, digits and '_' only")
        if re.search(r"[\r\n\0]", text):
            raise ValueError(f"the value of {name} has a line break or a zero byte")
        lines.append(f'{name}="' + re.sub(r'(["\\$`])', r"\\\1", text) + '"\n')
    return "".join(lines)


def load(text: str) -> dict[str, str]:
    """Read what ``dump`` wrote; lines of any other form are passed over."""
    matches = (LINE.fullmatch(line.strip()) for line in text.split("\n"))
    return {match.group(1): re.sub(r"\\(.)", r"\1", match.group(2)) for match in matches if match}


def load_file(path: str) -> dict[str, str]:
    """Read an environment file; an absent one is empty. Raises OSError where it may not be read."""
    try:
        return load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
