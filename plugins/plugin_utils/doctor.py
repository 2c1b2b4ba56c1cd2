"""What the doctor looks at, and what it has found: the site's part of an Nginx configuration, and the site's state on the host."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Callable, Optional

from ansible_collections.intermission.django.plugins.plugin_utils.nginx_gate import Visit, maps_of, own_flag_tests
from ansible_collections.intermission.django.plugins.plugin_utils.nginx_tree import (
    Directive,
    Tree,
    addresses,
    answering,
    location_for,
    named_location,
)

ERROR, WARNING = "error", "warning"
PAGES = "/_intermission/"
NAMED = ("@intermission_", "$intermission_")
DECIDES = ("set", "if", "return", "rewrite", "break")
CHALLENGE = "/.well-known/acme-challenge/"
REFUSED_AT = re.compile(r"\[emerg\] (?:\d+#\d+: )?(?P<message>.*?)(?: in (?P<file>/\S+):(?P<line>\d+))?$", re.MULTILINE)
# What Nginx quotes is a value, and may be secret, unless it is a directive, a location or a path
QUOTED = re.compile(r'(?P<before>directive |location )?"(?P<value>[^"]*)"(?P<after> directive)?')
# A line of the snippet that the server may have already
DOUBLED = '"open_file_cache" directive is duplicate'


@dataclass(frozen=True)
class Finding:
    """One trap: where it is, what stands there, what a visitor would see of it, and the way out."""

    id: str
    severity: str
    file: str
    line: Optional[int]
    what: str
    why: str
    fix: str

    def told(self, host: str) -> dict[str, Any]:
        """Give the finding as the report has it."""
        told = asdict(self)
        return {"id": told.pop("id"), "severity": told.pop("severity"), "host": host, **told}


def at(id_: str, severity: str, place: Directive, what: str, why: str, fix: str) -> Finding:
    """Make a finding at a directive."""
    return Finding(id_, severity, place.file, place.line, what, why, fix)


def of_the_role(address: str) -> bool:
    """Tell whether an address, or the name of a location, is one of the role's pages."""
    return PAGES in address or address.startswith(NAMED)


@dataclass(frozen=True)
class ErrorPage:
    """An ``error_page``: ``response`` is None, or what stands behind its equals sign, which may be nothing."""

    directive: Directive

    @property
    def codes(self) -> list[int]:
        """List the statuses that it is for."""
        return [int(code) for code in self.directive.args[:-1] if code.isdigit()]

    @property
    def accidents(self) -> list[int]:
        """List those of its statuses that say that the server is at fault."""
        return [code for code in self.codes if 500 <= code <= 599]

    @property
    def response(self) -> Optional[str]:
        """Give what the status is changed to."""
        return next((word[1:] for word in self.directive.args[:-1] if word.startswith("=")), None)

    @property
    def target(self) -> str:
        """Give the address or the name that it leads to."""
        return self.directive.args[-1]

    @property
    def leads_away(self) -> bool:
        """Tell whether visitors are redirected."""
        return re.match(r"(https?|\$scheme|\$\w+):?//", self.target) is not None


@dataclass(frozen=True)
class Closing:
    """A ``return`` of the user's own that closes the site, and the error page that visitors then get."""

    directive: Directive
    server: Directive
    page: Optional[ErrorPage]


@dataclass
class Case:
    """One host: the configuration of its Nginx, what is known of the site, and what has been seen on the host.

    ``reading`` is what the module maintenance_doctor returns, and ``looks`` what it says of certain paths.
    """

    tree: Tree
    reading: dict[str, Any]
    looks: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def site(self) -> str:
        """Give the site's name."""
        return str(self.reading["site"])

    @property
    def names(self) -> list[str]:
        """Give the site's host names."""
        return list(self.reading["names"])

    @property
    def state(self) -> str:
        """Give the site's state directory."""
        return str(self.reading["state"])

    @cached_property
    def servers(self) -> list[Directive]:
        """Find the servers that answer for the site: by its names, or as a default that has the gate."""
        every = self.tree.servers()
        found = []
        for address in {address for server in every for address in addresses(server)}:
            for name in self.names:
                server, by_name = answering(every, address, name)
                if server is not None and (by_name or self.gates(server)):
                    found.append(server)
        return [server for server in every if server in found]

    @cached_property
    def gated(self) -> list[Directive]:
        """Find the site's servers that have the gate."""
        return [server for server in self.servers if self.gate(server)]

    @cached_property
    def maps(self) -> dict[str, Directive]:
        """Find all maps by their variable."""
        http = self.tree.http()
        return maps_of(http) if http else {}

    def gates(self, block: Directive) -> list[Directive]:
        """List the places at or below a block at which the role's gate starts."""
        mark = f"$im_{self.site}_gate"
        return [one for one in own_flag_tests(block) if any(inner.args[0] == mark for inner in one.own("set"))]

    def gate(self, server: Directive) -> Optional[Directive]:
        """Give the start of the gate that covers a whole server."""
        return next((one for one in self.gates(server) if one.parent is server), None)

    def around_the_gate(self, server: Directive) -> tuple[list[Directive], list[Directive]]:
        """Give what a server of its own has the visitors pass before a location is chosen: above the gate, and below it."""
        gate = self.gate(server)
        if gate is None:
            return [], []
        where = server.children.index(gate)
        above, below = (
            [one for one in part if one.name in DECIDES and not self._of_the_gate(one)]
            for part in (server.children[:where], server.children[where:])
        )
        return above, below

    def _of_the_gate(self, directive: Directive) -> bool:
        """Tell whether a directive is the gate's, also where somebody has copied the gate instead of including it."""
        mark = f"$im_{self.site}_"
        return self.installed(directive) or any(
            mark in word for one in (directive, *directive.children) for word in one.args
        )

    def installed(self, directive: Directive) -> bool:
        """Tell whether a directive stands in a file of the role's."""
        return posixpath.basename(directive.file) == f"intermission-{self.site}.conf"

    def locations(self, server: Directive) -> list[Directive]:
        """List the locations of a server at all depths, without the role's pages."""
        return [one for one in server.within("location") if not of_the_role(one.path)]

    def pages(self, server: Directive) -> list[Directive]:
        """List the locations of the role's pages."""
        return [one for one in server.within("location") if of_the_role(one.path)]

    def error_pages(self, server: Directive) -> list[ErrorPage]:
        """List the user's own error pages that hold somewhere in a server."""
        found = [*([] if server.has("error_page") else server.values("error_page")), *server.within("error_page")]
        return [ErrorPage(one) for one in found if one.args and not of_the_role(one.args[-1])]

    def error_page(self, place: Directive, code: int) -> Optional[ErrorPage]:
        """Give the error page that holds at a place for a status; of two, Nginx takes the first."""
        pages = map(ErrorPage, place.values("error_page"))
        return next((page for page in pages if code in page.codes), None)

    def location(self, server: Directive, target: str) -> Optional[Directive]:
        """Give the location that an error page is served from."""
        if target.startswith("@"):
            return named_location(server, target)
        return location_for(server, target.partition("?")[0])

    @cached_property
    def closings(self) -> list[Closing]:
        """List what the user has to close the site with, beside the role's gate."""
        found = []
        for server in self.servers:
            for one in server.within("return"):
                level = one.above("location", "server")
                if one.args[0] in ("500", "502", "503", "504") and not (level and of_the_role(level.path)):
                    if level and level.kind == "@":
                        continue
                    found.append(Closing(one, server, self.error_page(one, int(one.args[0]))))
        return found

    def visit(self, server: Directive, uri: str, first: Optional[str] = None) -> Optional[Directive]:
        """Follow an ordinary visitor through a server while all flags but the role's are there.

        ``first`` is the address that was asked for, where that was another one.
        """
        return Visit(server, self.maps, uri, first or uri, self.names[0], f"{self.state}/on").outcome()

    def closed_by(self, server: Directive, uri: str, first: Optional[str] = None) -> Optional[Directive]:
        """Give the ``return`` with which a server of its own closes an address."""
        ended = self.visit(server, uri, first)
        if ended is not None and ended.name == "return" and re.fullmatch("5[0-9][0-9]", ended.args[0]):
            return ended
        return None

    def file_of(self, server: Directive, target: str) -> Optional[str]:
        """Give the file that an error page is, where the configuration says it without variables."""
        location = self.location(server, target)
        place = location or server
        if target.startswith("@") or place.passes() or place.has("return", "rewrite", "try_files"):
            return None
        holding = place.value("root", "alias")
        if holding is None or "$" in holding.args[0] or not holding.args[0].startswith("/"):
            return None
        if holding.name == "root":
            return posixpath.normpath(holding.args[0] + target)
        if location is None or location.kind.startswith("~"):
            return None
        return posixpath.normpath(holding.args[0] + target[len(location.path) :])


Rule = Callable[[Case], Iterator[Finding]]
RULES: list[Rule] = []


def rule(function: Rule) -> Rule:
    """Add a rule; rules run in the order in which they stand."""
    RULES.append(function)
    return function


def refusal(said: str, site: str) -> Finding:
    """Make a finding of Nginx's own refusal of its configuration."""
    found = REFUSED_AT.search(said)
    message = found["message"] if found else (said.strip().splitlines() or ["the command failed and said nothing"])[-1]
    file = (found["file"] or "") if found else ""
    line = int(found["line"]) if found and found["line"] else None
    message = QUOTED.sub(
        lambda one: one[0] if one["before"] or one["after"] or one["value"][:1] == "/" else '"..."', message
    )
    fix = "Repair the line, and run `nginx -t` until it is content."
    if DOUBLED in message:
        fix = (
            f"Include snippets/intermission-{site}.conf once in each server, and write no open_file_cache of the server's own "
            "beside it, but into the locations that need it: the snippet says off, or a flag might not be seen."
        )
    elif f'named location "{NAMED[0]}{site}' in message:
        fix = f"Include snippets/intermission-{site}.conf in the server, once, and not in a location, for it closes the whole server."
    elif f'duplicate location "{PAGES}' in message or (
        "duplicate" in message and file.endswith(f"intermission-{site}.conf")
    ):
        fix = f"Include snippets/intermission-{site}.conf once in each server."
    return Finding(
        "refused",
        ERROR,
        file,
        line,
        f"Nginx refuses its configuration: {message}",
        "The running Nginx goes on with what it read before; it will not start again, and no change can be taken up.",
        fix,
    )
