"""The effective configuration of an Nginx as a tree, with Nginx's own rules of inheritance, of servers and of locations.

Runs on the controller and needs crossplane, which splits the text of ``nginx -T`` into directives.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
import signal
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

try:
    import crossplane
except ImportError:
    crossplane = None

FILE_MARK = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
COMMENT = re.compile(r"(?m)(?:^|(?<=[\s;{}]))#.*$")
INCLUDE = re.compile(r"""(?:^|[\s;{}])include\s+("[^"]*"|'[^']*'|[^\s;]+)\s*;""")
POSIX_CLASS = re.compile(r"\[:\^?\w+:\]")  # which Python takes for a list of letters
UNFINISHED = "unexpected end of file"
LEVELS = ("http", "server", "location", "if", "limit_except")
PASSES = ("proxy_pass", "uwsgi_pass", "fastcgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
UNKNOWN_DIRECTORY = "."
PATIENCE = 0.5  # seconds of computing for one pattern and one text


class DoctorError(Exception):
    """The configuration cannot be looked at; the message says why and what to do."""


@dataclass(eq=False)
class Directive:
    """One directive where it takes effect: a file that is included twice gives two of each.

    ``block`` is None for a directive that ends with a semicolon; ``include`` is the line that took its file in.
    ``undecided`` are those of its patterns of which it is not known whether they fit a text that was asked about.
    """

    name: str
    args: list[str]
    file: str
    line: int
    parent: Optional[Directive]
    include: Optional[Directive] = None
    block: Optional[list[Directive]] = None
    undecided: set[str] = field(default_factory=set)

    def fits(self, pattern: str, text: str, ignore_case: bool = False) -> bool:
        """Tell whether a pattern of this directive's fits a text; False, and a note of it, where that cannot be decided."""
        found = None if pattern in self.undecided else fits(pattern, text, ignore_case)
        if found is None:
            self.undecided.add(pattern)
        return bool(found)

    @property
    def children(self) -> list[Directive]:
        """Give the directives in its braces."""
        return self.block or []

    def own(self, *names: str) -> list[Directive]:
        """Give the directives of these names that stand directly in its braces."""
        return [child for child in self.children if child.name in names]

    def within(self, *names: str) -> Iterator[Directive]:
        """Walk through all that is below, in the order of the text; only these names where some are given."""
        for child in self.children:
            if not names or child.name in names:
                yield child
            yield from child.within(*names)

    def levels(self) -> Iterator[Directive]:
        """Walk from here up to ``http`` over the blocks that Nginx merges."""
        node: Optional[Directive] = self
        while node is not None:
            if node.block is not None and node.name in LEVELS:
                yield node
            node = node.parent

    def above(self, *names: str) -> Optional[Directive]:
        """Give the nearest block of these names that this stands in."""
        return next((node for node in self.levels() if node is not self and node.name in names), None)

    def has(self, *names: str) -> bool:
        """Tell whether one of these stands directly in its braces."""
        return bool(self.own(*names))

    def value(self, *names: str) -> Optional[Directive]:
        """Give the one directive that holds here, where a lower level overrides a higher one."""
        return next((level.own(*names)[-1] for level in self.levels() if level.has(*names)), None)

    def values(self, *names: str) -> list[Directive]:
        """Give the directives that hold here, where those of a lower level replace all of a higher one."""
        return next((level.own(*names) for level in self.levels() if level.has(*names)), [])

    def headers(self) -> list[Directive]:
        """Give the ``add_header`` directives that hold here, with ``add_header_inherit`` (Nginx 1.29.3)."""
        found: list[Directive] = []
        for level in self.levels():
            found += level.own("add_header")
            inherit = level.value("add_header_inherit")
            way = inherit.args[0] if inherit else "on"
            if way == "off" or (way == "on" and found):
                break
        return found

    def passes(self) -> Optional[Directive]:
        """Give the directive that hands requests of this location to another server."""
        handed = [child for level in (self, *self.own("if")) for child in level.own(*PASSES)]
        return handed[0] if handed else None

    @property
    def path(self) -> str:
        """Give what a location is for: a prefix, an address, a pattern or a name."""
        return self.args[-1] if self.args else ""

    @property
    def kind(self) -> str:
        """Tell how a location compares: ``=``, ``^~``, ``~``, ``~*``, ``@`` or, for a plain prefix, nothing."""
        if self.path.startswith("@"):
            return "@"
        return self.args[0] if len(self.args) > 1 else ""


@dataclass
class Tree:
    """All directives, below ``root``, and the files that could not be read as such, with the reason."""

    root: Directive
    unread: dict[str, str] = field(default_factory=dict)

    def http(self) -> Optional[Directive]:
        """Give the block for HTTP."""
        return next(iter(self.root.own("http")), None)

    def servers(self) -> list[Directive]:
        """Give the servers for HTTP in their order, which decides between equals."""
        http = self.http()
        return http.own("server") if http else []

    def all(self, *names: str) -> Iterator[Directive]:
        """Walk through everything."""
        return self.root.within(*names)


def split_dump(text: str) -> dict[str, str]:
    """Take the files out of what ``nginx -T`` has printed, the main file first.

    A mark of a file that is there already, or that nothing before it includes, is a comment that somebody has pasted.
    """
    parts = FILE_MARK.split(text)
    files: dict[str, str] = {}
    patterns: list[str] = []
    last = ""
    for path, content in zip(parts[1::2], parts[2::2]):
        name = posixpath.normpath(path)
        if not files or (name not in files and any(_takes_in(pattern, name) for pattern in patterns)):
            last = name
            files[name] = content.removeprefix("\n")
        else:
            files[last] += f"# configuration file {path}:{content}"
        folder = posixpath.dirname(next(iter(files)))
        found = INCLUDE.findall(COMMENT.sub("", content))
        patterns += [posixpath.normpath(posixpath.join(folder, one.strip("\"'"))) for one in found]
    return files


def _takes_in(pattern: str, name: str) -> bool:
    return pattern == name or _globs(name, pattern)


def available() -> bool:
    """Tell whether crossplane is there."""
    return crossplane is not None


def parse(text: str) -> Tree:
    """Read what ``nginx -T`` has printed. Raises DoctorError where that is not a configuration."""
    files = split_dump(text)
    if not files:
        raise DoctorError("the command has printed no configuration, which nginx -T does")
    tree = Tree(Directive("main", [], next(iter(files)), 0, None, block=[]))
    statements: dict[str, list[dict[str, Any]]] = {}
    waiting = list(files)
    while waiting:
        name = waiting.pop(0)
        statements[name], error = _read(files[name])
        if UNFINISHED in error:
            # A pasted mark may stand within a block, which then ends in what looks like the next file
            whole = files[name]
            for number, other in enumerate(waiting, 1):
                whole += f"# configuration file {other}:\n{files[other]}"
                together, still = _read(whole)
                if not still:
                    statements[name], error, waiting = together, "", waiting[number:]
                    break
        if error:
            tree.unread[name] = error
    main = tree.root.file
    tree.root.block = _grown(statements, main, statements[main], tree.root, None)
    return tree


def _read(text: str) -> tuple[list[dict[str, Any]], str]:
    """Split a file's text into directives; and say what is not understood, if anything."""
    with tempfile.TemporaryDirectory() as directory:
        part = Path(directory) / "part.conf"
        part.write_text(text, encoding="utf-8")
        parsed = crossplane.parse(str(part), single=True, check_ctx=False, check_args=False)
    errors = parsed["errors"]
    return parsed["config"][0]["parsed"], str(errors[0]["error"]).partition(" in ")[0] if errors else ""


def _grown(
    statements: dict[str, list[dict[str, Any]]],
    file: str,
    parsed: Iterable[dict[str, Any]],
    parent: Directive,
    include: Optional[Directive],
) -> list[Directive]:
    found = []
    for statement in parsed:
        directive = Directive(statement["directive"], list(statement["args"]), file, statement["line"], parent, include)
        if "block" in statement:
            directive.block = _grown(statements, file, statement["block"], directive, include)
        if directive.name == "include" and directive.args:
            for name in _included(statements, directive.args[0]):
                found += _grown(statements, name, statements[name], parent, directive)
        else:
            found.append(directive)
    return found


def _included(statements: dict[str, Any], pattern: str) -> list[str]:
    """Find the files that an ``include`` takes in, in Nginx's order: relative to the main file, sorted by byte."""
    main = next(iter(statements))
    wanted = posixpath.normpath(posixpath.join(posixpath.dirname(main), pattern))
    if wanted in statements:
        return [wanted]
    return sorted(name for name in statements if _globs(name, wanted))


def _globs(name: str, pattern: str) -> bool:
    """Match as glob(3) does, where ``*`` ends at a slash."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(
        fnmatch.fnmatchcase(part, wanted) and not (part.startswith(".") and wanted.startswith("*"))
        for part, wanted in zip(parts, patterns)
    )


def addresses(server: Directive) -> list[str]:
    """List where a server listens, as ``address:port``; ``*:80`` for any address, where it says nothing too."""
    found = []
    for listen in server.own("listen"):
        where = listen.args[0] if listen.args else "80"
        if where.isdigit():
            where = f"*:{where}"
        elif not where.startswith("unix:") and not re.search(r":\d+$", where):
            where = f"{where}:80"
        where = re.sub(r"^0\.0\.0\.0:", "*:", where)
        found.append(f"{where} quic" if "quic" in listen.args else where)
    return list(dict.fromkeys(found)) or ["*:80"]


def server_names(server: Directive) -> list[str]:
    """List the names of a server, in small letters but for patterns."""
    return [
        name if name.startswith("~") else name.lower()
        for directive in server.own("server_name")
        for name in directive.args
    ]


class _TooLong(Exception):
    """A match has taken longer than PATIENCE."""


def fits(pattern: str, text: str, ignore_case: bool = False) -> Optional[bool]:
    """Tell whether a pattern of PCRE fits somewhere in a text; None where Python has no such pattern, or takes too long.

    Unlike PCRE, Python has no limit of its own. The time is that of this process, so that a busy machine makes no difference.
    Has to be called in the main thread, as Ansible calls actions.
    """
    if POSIX_CLASS.search(pattern):
        return None
    try:
        compiled = re.compile(re.sub(r"\(\?<(?=\w)", "(?P<", pattern), re.IGNORECASE if ignore_case else 0)
    except re.error:
        return None
    former = signal.signal(signal.SIGVTALRM, _give_up)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
        return compiled.search(text) is not None
    except _TooLong:
        return None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)


def _give_up(_number: int, _frame: object) -> None:
    raise _TooLong


def _rank(server: Directive, name: str) -> int:
    """Tell how well a server's names fit, as Nginx prefers them: 0 not at all; exactly most."""
    best = 0
    for directive, written in [(one, word) for one in server.own("server_name") for word in one.args]:
        pattern = written if written.startswith("~") else written.lower()
        rank = 0
        if pattern == name or (pattern.startswith(".") and pattern[1:] == name):
            rank = 100_000
        elif pattern.startswith(("*.", ".")) and name.endswith("." + pattern.lstrip("*.")):
            rank = 50_000 + len(pattern)
        elif pattern.endswith(".*") and name.startswith(pattern[:-1]):
            rank = 20_000 + len(pattern)
        elif pattern.startswith("~") and directive.fits(pattern[1:], name, True):
            rank = 10_000
        best = max(best, rank)
    return best


def answering(servers: list[Directive], address: str, name: str) -> tuple[Optional[Directive], bool]:
    """Find the server that answers for a name at an address, and tell whether by its name or as the default."""
    there = [server for server in servers if address in addresses(server)]
    ranked = [(_rank(server, name.lower()), server) for server in there]
    best = max((rank for rank, _location in ranked), default=0)
    if best:
        return next(server for rank, server in ranked if rank == best), True
    return next((server for server in there if _is_default(server, address)), there[0] if there else None), False


def _is_default(server: Directive, address: str) -> bool:
    port = address.partition(" ")[0].rpartition(":")[2]
    return any(
        {"default_server", "default"} & set(listen.args) and listen.args[0].rpartition(":")[2] == port
        for listen in server.own("listen")
    )


def location_for(block: Directive, uri: str) -> Optional[Directive]:
    """Find the location that Nginx takes for an address, in a server or in an outer location; None for the server itself."""
    locations = block.own("location")
    for location in locations:
        if location.kind == "=" and location.path == uri:
            return location
    prefixes = [one for one in locations if one.kind in ("", "^~") and uri.startswith(one.path)]
    longest = max(prefixes, key=lambda one: len(one.path), default=None)
    inner = location_for(longest, uri) if longest else None
    if inner is not None and inner.kind in ("=", "~", "~*"):
        return inner
    if longest is None or longest.kind != "^~":
        for location in locations:
            if location.kind in ("~", "~*") and location.fits(location.path, uri, location.kind == "~*"):
                return location_for(location, uri) or location
    return inner or longest


def named_location(server: Directive, name: str) -> Optional[Directive]:
    """Find the location ``@name`` of a server."""
    return next((one for one in server.own("location") if one.path == name), None)
