"""Each client gets the answer that is right for it, on Debian's own Nginx: the table, and the secret of a window."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from testinfra.host import Host

from answers_table import ACCEPT, STATES, Cell, cells, faults, write_table
from driving import CHECKOUT
from fleet import Fleet

testinfra_hosts = ["ansible://shop"]

SHOP = {"Host": "shop.example.com"}
END = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)


@pytest.fixture(scope="module")
def clients() -> Iterator[dict[str, httpx.Client]]:
    """One visitor who speaks HTTP/1.1 and one who speaks HTTP/2."""
    trust = ssl.create_default_context(cafile=str(CHECKOUT / ".lab/shop.crt"))
    with (
        httpx.Client(verify=trust, timeout=30, trust_env=False) as one,
        httpx.Client(http1=False, http2=True, verify=trust, timeout=30, trust_env=False) as two,
    ):
        yield {"HTTP/1.1": one, "HTTP/2": two}


@pytest.mark.parametrize("state", STATES)
def test_the_table(
    host: Host, site: Fleet, node: str, clients: dict[str, httpx.Client], state: str, request: pytest.FixtureRequest
) -> None:
    """Every method, format and version of HTTP in each state; written to .logs/answers-<host>-*.txt."""
    if state == "app down":
        request.getfixturevalue("stopped_app")
    else:
        mode = "--read-only" if state == "read-only" else "--reason=Tea"
        host.check_output(f"intermission on shop {mode} --until {END:%Y-%m-%dT%H:%M:%SZ}")
    address = site.hosts[node]["ansible_host"]

    def ask(cell: Cell) -> httpx.Response:
        return clients[cell.version].request(
            cell.method,
            f"https://{address}/orders/",
            headers={**SHOP, "Accept": ACCEPT[cell.format]},
            content=b"a=1" if cell.method in ("POST", "PUT", "PATCH") else None,
            extensions={"sni_hostname": SHOP["Host"]},
        )

    try:
        answered = [(cell, ask(cell)) for cell in cells(state)]
    finally:
        host.check_output("intermission off shop")
    write_table(CHECKOUT / f".logs/answers-{node.partition('.')[0]}-{state.replace(' ', '-')}.txt", answered)
    assert [fault for cell, answer in answered for fault in faults(cell, answer, END, "<html")] == []


def test_the_secret_of_a_window_is_shown_once_and_passes(host: Host, site: Fleet, node: str) -> None:
    run = site.playbook("playbooks/maintenance_on.yml", "-vvv", "--diff", maintenance_window_pass=True)
    assert run.status == 0, run.output
    try:
        links = re.findall(r"https://shop\.example\.com(/_intermission/pass/(\w+))", run.output)
        assert len(links) == 1
        link, secret = links[0]
        assert run.output.count(secret) == 1
        for name in site.urls:
            answer = site.ask(name, link)
            assert (answer.status, f"={secret}; Path=/; HttpOnly" in answer.headers["set-cookie"]) == (303, True)
            assert site.ask(name, "/orders/").status == 503
            shown = httpx.get(f"{site.urls[name]}/orders/", headers={**SHOP, "X-Intermission-Pass": secret})
            assert (shown.status_code, shown.headers["x-shop-version"]) == (200, "2")
        # Written backwards, for sudo logs what it is to run
        logs = "/var/log /var/lib/intermission/shop/journal.jsonl"
        assert host.run(f"echo {secret[::-1]} | rev | grep --recursive --fixed-strings --file=- {logs}").rc == 1
        assert host.run("grep --recursive --quiet sshd /var/log/journal").rc == 0
    finally:
        assert site.playbook("playbooks/maintenance_off.yml").status == 0
    assert site.ask(node, link).status == 404
