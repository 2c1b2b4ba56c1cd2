"""What the probe asks for, as data: another site needs another ``Mix`` and nothing else."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

HTML = "text/html"
JSON = "application/json"
TEXT = "text/plain"

BodyCheck = Callable[[bytes], str]


def html_problem(body: bytes) -> str:
    """Return what is wrong with an HTML page, "" when it is complete."""
    return "" if body.rstrip().endswith(b"</html>") else "HTML without its closing </html>"


def json_problem(body: bytes) -> str:
    """Return what is wrong with a JSON document, "" when it parses."""
    try:
        json.loads(body)
    except ValueError as error:
        return f"not JSON: {error}"
    return ""


def text_problem(body: bytes) -> str:
    """Return what is wrong with lines of plain text, "" when they are complete."""
    return "" if body.endswith(b"\n") else "text without its final newline"


def empty_problem(body: bytes) -> str:
    """Return what is wrong with a body that must be empty, "" when it is."""
    return f"{len(body)} bytes where none belong" if body else ""


def no_problem(_body: bytes) -> str:
    """Accept any body: the answer to a form is its redirect, not its text."""
    return ""


@dataclass(frozen=True, slots=True)
class Spec:
    """One kind of request, and what the app's correct answer to it looks like.

    ``path`` includes the query. A ``form`` is sent urlencoded; ``{reference}`` in a value becomes the
    request's unique reference. ``every`` is in seconds: 0 means the spec takes its turn in the
    round, a positive number means it displaces another spec's turn that often. ``content_type`` is
    compared without parameters such as the charset.
    """

    method: str
    path: str
    accept: str = HTML
    status: int = 200
    content_type: str = HTML
    body_problem: BodyCheck = html_problem
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    every: float = 0.0


@dataclass(frozen=True, slots=True)
class Mix:
    """The requests of one site, and the (lower-case) header in which its app states its version."""

    version_header: str
    specs: tuple[Spec, ...]

    @property
    def turns(self) -> tuple[Spec, ...]:
        """The specs asked round-robin."""
        return tuple(spec for spec in self.specs if not spec.every)

    @property
    def timed(self) -> tuple[Spec, ...]:
        """The specs asked every so many seconds."""
        return tuple(spec for spec in self.specs if spec.every)

    def spec_for(self, k: int, rate: float) -> Spec:
        """Return what a node's ``k``-th request (from 0) asks at ``rate`` requests per second."""
        for spec in self.timed:
            # At a very low rate the timed request would otherwise displace every other one.
            period = max(round(spec.every * rate), len(self.turns) + 1)
            if k and k % period == 0:
                return spec
        return self.turns[k % len(self.turns)]

    def is_kept(self, k: int) -> bool:
        """Tell whether a node's ``k``-th request uses the kept-alive connection: one in four does.

        The share moves by one spec each round, so that every spec is asked on both kinds of
        connection whatever the number of specs.
        """
        turn, position = divmod(k, len(self.turns))
        return (turn + position) % 4 == 0


# Django takes a bare 32-character secret as both cookie and header, so no page need be fetched first.
_CSRF_TOKEN = "IntermissionProbe000000000000000"

SHOP = Mix(
    version_header="x-shop-version",
    specs=(
        Spec("GET", "/"),
        Spec("GET", "/orders/"),
        Spec("HEAD", "/", body_problem=empty_problem),
        Spec(
            "POST",
            "/orders/new/",
            status=302,
            body_problem=no_problem,
            headers={"Cookie": f"csrftoken={_CSRF_TOKEN}", "X-CSRFToken": _CSRF_TOKEN},
            form={
                "email": "probe@shop.example",
                "product": "Teapot",
                "quantity": "1",
                "reference": "{reference}",
            },
        ),
        Spec("GET", "/api/summary/", accept=JSON, content_type=JSON, body_problem=json_problem),
        Spec("GET", "/api/orders/", accept=JSON, content_type=JSON, body_problem=json_problem),
        Spec("GET", "/slow/?seconds=2", content_type=TEXT, body_problem=text_problem, every=5.0),
    ),
)

# Wagtail does not tell its version. This header comes with every answer of Django's, and with none of Nginx's.
WAGTAIL = Mix(
    version_header="x-frame-options",
    specs=(
        Spec("GET", "/"),
        Spec("HEAD", "/", body_problem=empty_problem),
        Spec("GET", "/admin/login/"),
        # Without a password nothing is hashed, which would take the app half a second each time.
        Spec(
            "POST",
            "/admin/login/",
            headers={"Cookie": f"csrftoken={_CSRF_TOKEN}", "X-CSRFToken": _CSRF_TOKEN},
            form={"username": "probe"},
        ),
        Spec("GET", "/search/?query=oven"),
    ),
)

# An app that has one answer to everything.
TINY = Mix(
    version_header="x-shop-version",
    specs=(
        Spec("GET", "/"),
        Spec("HEAD", "/", body_problem=empty_problem),
        Spec("POST", "/orders/", form={"reference": "{reference}"}),
    ),
)

MIXES = {"shop": SHOP, "tiny": TINY, "wagtail": WAGTAIL}
