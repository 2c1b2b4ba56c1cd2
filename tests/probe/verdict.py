"""The classes an answer can fall into, and which of them a visitor may see."""

from dataclasses import dataclass

APP_ERROR = "app error"
MAINTENANCE = "maintenance"
FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The one class of an answer.

    ``kind`` is the class, ``version`` the app version that answered ("" when none said so) and
    ``detail`` one line for people ("" when the class says everything).
    """

    kind: str
    version: str = ""
    detail: str = ""


def app_kind(version: str) -> str:
    """Return the class of a correct answer from the app at ``version``."""
    return f"app {version}"


def is_app(kind: str) -> bool:
    """Tell whether ``kind`` is the app's own correct answer."""
    return kind.startswith("app ") and kind != APP_ERROR


def is_unexpected(kind: str, allow_fallback: bool = False) -> bool:
    """Tell whether a visitor must not see ``kind``; the fallback page is unexpected by default."""
    allowed = is_app(kind) or kind == MAINTENANCE or (allow_fallback and kind == FALLBACK)
    return not allowed
