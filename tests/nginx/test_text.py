"""What can only be seen in the text of the configuration."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nginx.site import NGINX, Site

MakeSite = Callable[..., Site]

TOKEN = re.compile(r'"[^"]*"|[{};]|[^\s{};"]+')
SAFE_IN_IF = {"set", "return", "rewrite"}


@dataclass
class Directive:
    """One directive: its words, and for a block what is in it."""

    words: list[str]
    block: list["Directive"] = field(default_factory=list)

    def all(self) -> Iterator["Directive"]:
        """Give this directive and all below it."""
        yield self
        for inner in self.block:
            yield from inner.all()


def parse(tokens: Iterator[str]) -> list[Directive]:
    """Read directives up to the end of a block."""
    found: list[Directive] = []
    words: list[str] = []
    for token in tokens:
        if token == "}":
            break
        if token in "{;":
            found.append(Directive(words, parse(tokens) if token == "{" else []))
            words = []
        else:
            words.append(token)
    return found


def directives(site: Site) -> list[Directive]:
    """Give every directive of the files that the role wrote."""
    text = "\n".join(site.role.files.values())
    without_comments = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    top = parse(iter(TOKEN.findall(without_comments)))
    return [directive for entry in top for directive in entry.all()]


def test_n27_nothing_but_set_return_and_rewrite_inside_if(site: Site) -> None:
    conditions = [directive for directive in directives(site) if directive.words[0] == "if"]
    assert len(conditions) > 5
    assert {inner.words[0] for condition in conditions for inner in condition.block} <= SAFE_IN_IF


def test_n28_every_map_of_what_changes_within_a_request_is_volatile(site: Site) -> None:
    sources: dict[str, set[str]] = {}
    volatile = set()
    for entry in directives(site):
        if entry.words[0] in ("map", "geo") and entry.words[1] != '""':
            words = [*entry.words[1:-1], *(word for inner in entry.block for word in inner.words)]
            sources[entry.words[-1]] = set(re.findall(r"\$[a-z]\w*", " ".join(words)))
            volatile |= {entry.words[-1]} if ["volatile"] in [inner.words for inner in entry.block] else set()
    set_on_the_way = {f"$im_shop_{name}" for name in ("recursive", "wanted", "gate", "outside")}
    changes = {"$uri", "$sent_http_last_modified", "$date_gmt", "$time_local", *set_on_the_way}
    while added := {name for name, its in sources.items() if its & changes} - changes:
        changes |= added
    assert len(sources) > 15
    assert {"$im_shop_found", "$im_shop_retry_after", "$im_shop_open_path"} <= changes
    assert changes & sources.keys() == volatile


def test_no_variable_of_a_site_is_one_of_another_sites(site: Site) -> None:
    """With the name shop_open another site would have the variable of this one's whose name goes on with it."""
    named = re.findall(r"\$im_shop_(\w+)", "".join(site.role.files.values()))
    assert not [(one, other) for one in named for other in named if one.endswith(f"_{other}")]


@pytest.mark.parametrize("table", ["retry_after", "later_or_passed"])
def test_an_end_and_a_clock_are_compared_rightly_as_text(site: Site, table: str) -> None:
    name = f"$im_shop_{table}"
    block = next(one.block for one in directives(site) if (one.words[0], one.words[-1]) == ("map", name))
    ways = [(inner.words[0].strip('"~'), inner.words[1]) for inner in block if "~" in inner.words[0]]
    assert len(ways) == 5
    now = datetime(2030, 1, 28, 19, 38, 47, tzinfo=UTC)
    times = [(day, hour, minute) for day in (1, 9, 28) for hour in (0, 9, 19) for minute in (0, 38)]
    clocks = [now.replace(day=day, hour=hour, minute=minute) for day, hour, minute in times]
    apart = [timedelta(**{unit: count}) for unit in ("minutes", "hours", "days") for count in range(-70, 71)]
    for clock, end in ((clock, clock + difference) for clock in clocks for difference in apart):
        text = f"{clock:%d/%b/%Y:%H:%M:%S} %s{end:%a, %d %b %Y %H:%M:%S} GMT"
        assert not [way for way, _ in ways if re.search(way, text % "+0100")]
        found = next((said for way, said in ways if re.search(way, text % "+0000")), None)
        assert found in (None, "$sent_http_last_modified" if end > clock else "300"), text
        assert (found is not None) == (f"{end:%Y-%m}" == f"{clock:%Y-%m}" and end != clock), text


def test_the_http_file_is_accepted_without_a_warning_before_a_server_includes_the_snippet(
    make_site: MakeSite, tmp_path: Path
) -> None:
    site = make_site(
        "snippet", maintenance_page_bypass_networks=["10.0.0.0/8"], maintenance_page_cors_origins=["https://a.example"]
    )
    http = next(text for text in site.role.files.values() if "map $uri" in text)
    (tmp_path / "nginx.conf").write_text(f"pid {tmp_path}/pid; events {{ }} http {{ {http} }}")
    command = [
        NGINX,
        "-t",
        "-p",
        f"{tmp_path}/",
        "-c",
        f"{tmp_path}/nginx.conf",
    ]
    tested = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (tested.returncode, "warn" in tested.stderr) == (0, False), tested.stderr


def test_n30_lists_are_looked_at_only_while_the_flag_is_there(site: Site) -> None:
    lists = {"blocked", "passes", "open_path", "own_answer", "pass", "share", "suffix", "language"}
    at_server_level = [
        entry
        for text in site.role.files.values()
        if "map $uri" not in text
        for entry in parse(iter(TOKEN.findall(re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE))))
        if entry.words[0] in ("set", "if", "rewrite")
    ]
    always = [word for entry in at_server_level for word in entry.words]
    assert not [word for word in always for name in lists if f"$im_shop_{name}" in word]
    begun, flag, gate, judged = at_server_level
    assert begun.words == ["set", "$im_shop_gate", "0"]
    assert flag.words == ["if", "(-e", f"{site.state.flag})"]
    assert [inner.words for inner in flag.block] == [["set", "$im_shop_gate", "$im_shop_outside"]]
    assert judged.words == ["set", "$im_shop_outside", "0"]
    assert gate.words == ["if", "($im_shop_gate)"]
