from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.intermission.django.plugins.filter import (
    alarms,
    alike,
    database_url,
    environment_file,
    findings,
    table,
)

ALARMS = alarms.FilterModule().filters()["alarms"]
ALIKE = alike.FilterModule().filters()["alike"]
TABLE = table.FilterModule().filters()["table"]
FINDINGS = findings.FilterModule().filters()["findings"]
DATABASE_URL = database_url.FilterModule().filters()["database_url"]
ENVIRONMENT_FILE = environment_file.FilterModule().filters()["environment_file"]


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([], ""),
        ([{"host": "web1"}], "HOST\nweb1"),
        (
            [{"host": "web1", "state": "open"}, {"host": "a", "state": "closed"}],
            "HOST  STATE\nweb1  open\na     closed",
        ),
        ([{"host": "web1", "until": None}, {"host": "", "until": "now"}], "HOST  UNTIL\nweb1  -\n-     now"),
        ([{"visitors get": 0, "ok": False}], "VISITORS GET  OK\n0             False"),
        ([{"a": "1", "b": "2"}, {"b": "4", "a": "3"}], "A  B\n1  2\n3  4"),
        ([{"why": "a\x1b]0;pwned\x07\n\x9b2J\u202eb"}], "WHY\na?]0;pwned? ?2J?b"),
    ],
)
def test_table(rows: list[dict[str, Any]], text: str) -> None:
    assert TABLE(rows) == text


def finding(host: str, severity: str, line: int | None, id_: str = "N5") -> dict[str, Any]:
    about = {"id": id_, "severity": severity, "file": "/a", "line": line, "what": "This", "why": "So", "fix": "Do"}
    return {"host": host, **about}


def test_findings() -> None:
    assert FINDINGS([]) == ""
    found = [finding("web1", "warning", None, "N6"), finding("web1", "error", 3), finding("web2", "error", 3)]
    assert FINDINGS(found) == (
        "ERROR N5  /a:3  (web1, web2)\n       This\n  why  So\n  fix  Do\n\n"
        "WARNING N6  /a  (web1)\n       This\n  why  So\n  fix  Do"
    )


def host(name: str, state: str = "open", **its: Any) -> dict[str, Any]:
    proof = ("visitors_get", "problem", "setting", "read_only", "share")
    deploys = ("unfinished_deploy", "failed_deploy", "left_behind")
    unset = ("until", "overdue", *proof, *deploys)
    return {**dict.fromkeys(unset), "host": name, "state": state, "reached": state != "unreachable", **its}


STATES = ["closed", "overdue", "unreachable", "disagreeing", "unproven", "unfinished_deploy", "left_behind", "problem"]


@pytest.mark.parametrize(
    ("hosts", "said"),
    [
        ([], []),
        ([host("web1"), host("web2")], []),
        ([host("web1", "closed")], ["web1: is closed"]),
        (
            [host("web1"), host("web2"), host("web3", setting={"on": True, "applied": True})],
            ["web3: is open with MAINTENANCE_MODE on, and others say that it is open"],
        ),
        (
            [host("web1"), host("web2", "closed", until="then", overdue=True, read_only=True), host("web3")],
            [
                "web2: is closed to writes until then",
                "web2: should have been opened at then",
                "web2: is closed to writes until then, and others say that it is open",
            ],
        ),
        (
            [host("web1", "closed", share=20), host("web2", "closed", share=20), host("web3", "closed", share=0)],
            [
                "web1: is closed to 80%",
                "web2: is closed to 80%",
                "web3: is closed",
                "web3: is closed, and others say that it is closed to 80%",
            ],
        ),
        (
            [host("web1"), host("web2", "unreachable", problem="No\x1b[2J\n route", left_behind=True)],
            ["web2: cannot be asked: No?[2J route", "web2: was left behind by the last deploy"],
        ),
        ([host("web1", "unreachable")], ["web1: cannot be asked: nothing is known of it"]),
        (
            [host("web1", unfinished_deploy={"holder": {"user": "ada"}, "since": "then", "phase": "migrate"})],
            ["web1: the deploy of ada since then is not finished, phase migrate"],
        ),
        (
            [
                host(
                    "web1",
                    "closed",
                    visitors_get="closed",
                    failed_deploy={"version": "v2", "outcome": "failed in the phase migrate"},
                )
            ],
            ["web1: is closed", "web1: the deploy of v2 has failed in the phase migrate, and keeps the site closed"],
        ),
        (
            [host("web1", "closed", failed_deploy={"version": None, "outcome": None})],
            ["web1: is closed", "web1: the deploy has failed, and keeps the site closed"],
        ),
        (
            [host("web1", visitors_get="the app cannot be reached (502)"), host("web2", visitors_get="open")],
            ["web1: is open, and a visitor gets: the app cannot be reached (502)"],
        ),
        (
            [host("web1", "closed", visitors_get="open"), host("web2", "closed", visitors_get="closed by the app")],
            ["web1: is closed", "web1: is closed, and a visitor gets: open", "web2: is closed"],
        ),
        (
            [
                host("web1", "closed", visitors_get="open", share=20),
                host("web2", "closed", visitors_get="closed", share=20),
            ],
            ["web1: is closed to 80%", "web2: is closed to 80%"],
        ),
        ([host("web1", visitors_get="closed")], ["web1: is open, and a visitor gets: closed"]),
        ([host("web1", problem="the window is gone")], ["web1: the window is gone"]),
    ],
)
def test_alarms(hosts: list[dict[str, Any]], said: list[str]) -> None:
    assert ALARMS(hosts, STATES) == said
    assert ALARMS(hosts, []) == []


def test_alarms_for_some_states_only() -> None:
    hosts = [host("web1", "closed", overdue=True, until="then"), host("web2", "unreachable", problem="gone")]
    assert ALARMS(hosts, ["unreachable"]) == ["web2: cannot be asked: gone"]
    assert ALARMS(hosts, ["overdue"]) == ["web1: should have been opened at then"]


def test_environment_file() -> None:
    assert ENVIRONMENT_FILE({"SHOP_B": "a $b", "SHOP_A": 1}) == 'SHOP_A="1"\nSHOP_B="a \\$b"\n'
    assert ENVIRONMENT_FILE({}) == ""


@pytest.mark.parametrize("variables", [{"A B": "1"}, {"A": "two\nlines"}, {1: "x"}, ["A=1"], "A=1", None])
def test_an_environment_that_is_none_says_what_to_set(variables: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="django_release_environment: .*Give names and values"):
        ENVIRONMENT_FILE(variables)


@pytest.mark.parametrize(
    ("database", "url"),
    [
        ({"engine": "sqlite", "path": "/srv/my shop/db.sqlite3"}, "sqlite:////srv/my%20shop/db.sqlite3"),
        ({"engine": "postgresql", "host": "db1", "port": 5432}, "postgres://shop:p%40ss%2F%3A%20%25@db1:5432/shop"),
        ({"engine": "mariadb", "host": "10.0.0.5", "port": 3306}, "mysql://shop:p%40ss%2F%3A%20%25@10.0.0.5:3306/shop"),
        ({"engine": "postgresql", "host": "fd00::5", "port": 1}, "postgres://shop:p%40ss%2F%3A%20%25@[fd00::5]:1/shop"),
    ],
)
def test_database_url(database: dict[str, Any], url: str) -> None:
    known = {"user": "shop", "password": "p@ss/: %", "name": "shop", **database}
    assert DATABASE_URL(known) == url


@pytest.mark.parametrize(
    ("hosts", "is_so"),
    [
        ({}, True),
        ({"web1": {"reason": "new"}}, True),
        ({"web1": {"reason": "new", "url": "a"}, "web2": {"reason": "new", "url": "b"}}, True),
        ({"web1": {}, "web2": {}}, True),
        ({"web1": {"reason": "new"}, "web2": {"reason": "old"}}, False),
        ({"web1": {"reason": "new"}, "web2": {"reason": "new"}, "web3": {}}, False),
        ({"web1": {}, "web2": {"title": ""}}, False),
    ],
)
def test_alike(hosts: dict[str, dict[str, str]], is_so: bool) -> None:
    assert ALIKE([*hosts], hosts, ["reason", "ti", "url"], own=["url"]) is is_so
