"""Paths that pass. One that merely looks allowed does not: whoever reads it after this might understand it another way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Optional
from urllib.parse import unquote

DECODINGS = 4


def settled(path: str) -> Optional[str]:
    """Give a path with nothing left to decode, merge or resolve; None where that cannot be done, or where nobody honest sends it."""
    for _layer in range(DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    else:
        return None
    if (
        not path.startswith("/")
        or "\\" in path
        or any(ord(character) < 32 or ord(character) == 127 for character in path)
    ):
        return None
    names: list[str] = []
    name = ""
    for name in path[1:].split("/"):
        plain = name.partition(";")[0]
        if plain != name and plain in ("", ".", ".."):
            return None
        if name == "..":
            del names[-1:]
        elif name not in ("", "."):
            names.append(name)
    is_directory = name in ("", ".", "..") and names
    return "/" + "/".join(names) + ("/" if is_directory else "")


def is_allowed(path: str, patterns: Iterable[re.Pattern[str]]) -> bool:
    """Tell whether one pattern fits the start of the path, both as it is and as it is when settled."""
    fitting = [pattern for pattern in patterns if pattern.match(path)]
    plain = settled(path) if fitting else None
    return plain is not None and any(pattern.match(plain) for pattern in fitting)
