"""What a server does to a request before it chooses a location: ``set``, ``if``, ``return`` and ``rewrite``, in their order.

They are followed for an ordinary visitor, who has no cookie, header or address that a gate makes an exception for, while every
flag that is tested for is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Optional

from ansible_collections.intermission.django.plugins.plugin_utils.nginx_tree import Directive

FILE_TESTS = ("-f", "-e", "-d", "-x")
OF_THE_REQUEST = re.compile(r"\$\{?(request_filename|uri|document_uri|request_uri|1|2)\b")
VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
# What an ordinary visitor sends, so that what keeps others out does not end the way
ORDINARY = {
    "request_method": "GET",
    "scheme": "https",
    "https": "on",
    "ssl_protocol": "TLSv1.3",
    "server_port": "443",
    "http_x_forwarded_proto": "https",
    "http_user_agent": "Mozilla/5.0",
}
ADDRESS = ("uri", "document_uri")
ENDS = ("last", "break")
REDIRECTS = ("redirect", "permanent")
DEPTH = 10


def is_file_test(condition: list[str]) -> bool:
    """Tell whether a condition looks for a file."""
    return len(condition) == 2 and condition[0].lstrip("!") in FILE_TESTS


def is_flag_test(condition: list[str]) -> bool:
    """Tell whether a condition looks for one certain file, not for that of the request."""
    return is_file_test(condition) and OF_THE_REQUEST.search(condition[1]) is None


def own_flag_tests(block: Directive) -> list[Directive]:
    """List the tests of flags below a block."""
    return [test for test in block.within("if") if is_flag_test(test.args)]


def variables(text: str) -> list[str]:
    """List the variables that a text names."""
    return [one or other for one, other in VARIABLE.findall(text)]


@dataclass
class Visit:
    """One pass of a request through a server: its address, and the variables that have been set.

    ``absent`` is the one flag that is not there.
    ``remembered`` is the address at which the maps without ``volatile`` were computed: the first one of the request.
    """

    server: Directive
    maps: dict[str, Directive]
    uri: str
    remembered: str
    host: str = ""
    absent: str = ""
    values: dict[str, str] = field(default_factory=dict)

    def outcome(self) -> Optional[Directive]:
        """Give the ``return`` or ``rewrite`` that ends the pass; None where a location is chosen."""
        return self._run(self.server)

    def _run(self, block: Directive) -> Optional[Directive]:
        for directive in block.children:
            if directive.name == "set":
                self.values[directive.args[0].lstrip("$")] = self.text(directive.args[1])
            elif directive.name in ("return", "break"):
                return directive
            elif directive.name == "rewrite":
                if (leads_away(directive) or directive.args[-1] in ENDS) and directive.fits(
                    directive.args[0], self.uri
                ):
                    return directive
            elif directive.name == "if" and self.holds(directive):
                ended = self._run(directive)
                if ended is not None:
                    return ended
        return None

    def holds(self, test: Directive) -> bool:
        """Decide the condition of an ``if``."""
        condition = test.args
        if is_file_test(condition):
            there = is_flag_test(condition) and condition[1] != self.absent
            return there != condition[0].startswith("!")
        value = self.text(condition[0]) if condition else ""
        if len(condition) == 1:
            return value not in ("", "0")
        operator, wanted = condition[1], " ".join(condition[2:])
        is_equality = operator.lstrip("!") == "="
        found = value == self.text(wanted) if is_equality else test.fits(wanted, value, operator.endswith("*"))
        return found != operator.startswith("!")

    def text(self, written: str, depth: int = 0) -> str:
        """Put the variables' values into a text; unknown ones are empty."""
        return VARIABLE.sub(lambda found: self.variable(found[1] or found[2], depth), written)

    def variable(self, name: str, depth: int = 0) -> str:
        """Give a variable's value."""
        if name in self.values:
            return self.values[name]
        if name in self.maps and depth < DEPTH:
            return self._mapped(self.maps[name], depth)
        known = {"request_uri": self.remembered, "host": self.host, "http_host": self.host, "server_name": self.host}
        known.update(ORDINARY)
        return self.uri if name in ADDRESS else known.get(name, "")

    def _mapped(self, directive: Directive, depth: int) -> str:
        seen = self
        if not is_volatile(directive):
            seen = replace(self, uri=self.remembered)
        value = seen.text(directive.args[0], depth + 1)
        default, pattern_fits = "", None
        for entry in directive.children:
            result = entry.args[0] if entry.args else ""
            if entry.name == "default":
                default = result
            elif entry.name.startswith("~"):
                pattern, ignore_case = entry.name.lstrip("~*"), entry.name.startswith("~*")
                if pattern_fits is None and entry.fits(pattern, value, ignore_case):
                    pattern_fits = result
            elif entry.name.lstrip("\\").lower() == value.lower():
                return seen.text(result, depth + 1)
        return seen.text(default if pattern_fits is None else pattern_fits, depth + 1)


def leads_away(rewrite: Directive) -> bool:
    """Tell whether this is a ``rewrite`` that sends visitors to another address."""
    if rewrite.name != "rewrite":
        return False
    return rewrite.args[-1] in REDIRECTS or rewrite.args[1].startswith(("http://", "https://", "$scheme"))


def is_volatile(directive: Directive) -> bool:
    """Tell whether a map is computed anew each time."""
    return directive.has("volatile")


def maps_of(http: Directive) -> dict[str, Directive]:
    """Find the maps and geos of a configuration by the variable that they make."""
    return {one.args[-1].lstrip("$"): one for one in http.own("map", "geo") if one.args}


def used_maps(maps: dict[str, Directive], names: list[str]) -> list[Directive]:
    """List the maps behind these variables, those behind other maps included."""
    found: dict[str, Directive] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop(0)
        if name in maps and name not in found:
            found[name] = one = maps[name]
            texts = [one.args[0], *(entry.args[0] for entry in one.children if entry.args)]
            waiting += [inner for text in texts for inner in variables(text)]
    return list(found.values())


def gate_variables(server: Directive) -> list[str]:
    """List the variables on which a server's ``if`` and ``set`` depend."""
    texts = [text for test in server.own("if") for text in test.args]
    texts += [text for one in server.within("set") for text in one.args[1:]]
    return list(dict.fromkeys(name for text in texts for name in variables(text)))
