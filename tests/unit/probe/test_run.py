"""The real runner against a server that misbehaves."""

import asyncio
import os
import signal
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import httpx
import pytest

from probe.__main__ import main
from probe.exchange import Door, Outcome
from probe.mix import SHOP, Mix, Spec, empty_problem
from probe.record import Answer, read_answers, read_run
from probe.run import Settings, run

MAINTENANCE = b'<html data-intermission="maintenance">back soon</html>'
FALLBACK = b'<html data-intermission="fallback">sorry</html>'
NGINX = b"<html><center>nginx/1.24.0</center></html>"
GATE = "Cache-Control: no-store\r\nRetry-After: 60\r\n"
PAST = "Cache-Control: no-store\r\nRetry-After: Tue, 14 Nov 2023 22:13:20 GMT\r\n"
APP = "X-Shop-Version: 1.2\r\nContent-Type: text/html\r\n"
CHUNKED = b"HTTP/1.1 200 X\r\nX-Shop-Version: 1.2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<html\r\n"
PAGE = Spec("GET", "/")
HEAD = Spec("HEAD", "/", body_problem=empty_problem)


class Node(Protocol):
    """What the tests use of the misbehaving server."""

    url: str
    requests: list[str]


Part = bytes | Callable[[socket.socket], None]
Serve = Callable[[Callable[[socket.socket, int], None]], Node]


def http(status: int, headers: str, body: bytes, missing: int = 0) -> bytes:
    """Return a response that announces ``missing`` bytes more than it has."""
    length = f"Content-Length: {len(body) + missing}\r\n"
    return f"HTTP/1.1 {status} X\r\n{headers}{length}\r\n".encode() + body


def reset(connection: socket.socket) -> None:
    """Close with a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # The request handler's files would keep the connection open after its own close().
    socket.socket(fileno=connection.detach()).close()


def hang_up(connection: socket.socket) -> None:
    """Close in an orderly way, without a word."""
    connection.shutdown(socket.SHUT_RDWR)


def stop_probe(_connection: socket.socket) -> None:
    """Send the probe, which is this process, the signal that ends it."""
    os.kill(os.getpid(), signal.SIGTERM)


def do(connection: socket.socket, parts: tuple[Part, ...]) -> None:
    """Send the bytes and call the functions among ``parts``, in order."""
    for part in parts:
        if isinstance(part, bytes):
            connection.sendall(part)
        else:
            part(connection)


def ask_once(url: str, out: Path, spec: Spec = PAGE, timeout: float = 40) -> Answer:
    """Let the runner make one request and return its answer."""
    run(Settings({"web1": url}, 1, "shop.example", out, 0.5, timeout, Mix("x-shop-version", (spec,))))
    (answer,) = read_answers(out)
    return answer


@pytest.mark.parametrize(
    ("spec", "parts", "status", "kind"),
    [
        (PAGE, (http(200, APP, b"<html></html>"),), 200, "app 1.2"),
        (HEAD, (b"HTTP/1.1 200 X\r\n" + APP.encode() + b"Content-Length: 13\r\n\r\n",), 200, "app 1.2"),
        (PAGE, (http(500, APP, b"<html></html>"),), 500, "app error"),
        (PAGE, (http(200, APP, b"<html>"),), 200, "incomplete app answer"),
        (PAGE, (http(503, GATE, MAINTENANCE),), 503, "maintenance"),
        (
            PAGE,
            (http(503, PAST, MAINTENANCE),),
            503,
            "incomplete maintenance answer: Retry-After in the past",
        ),
        (PAGE, (http(502, "Cache-Control: no-store\r\n", FALLBACK),), 502, "fallback"),
        (PAGE, (http(502, "Server: nginx\r\n", NGINX),), 502, "nginx error 502"),
        (
            PAGE,
            (http(301, "Location: /elsewhere/\r\n", b""),),
            301,
            "other: status 301 without x-shop-version",
        ),
        (PAGE, (reset,), None, "reset"),
        (PAGE, (http(200, APP, b"<html>", missing=9), reset), 200, "reset"),
        (PAGE, (hang_up,), None, "empty reply"),
        (PAGE, (http(200, APP, b"<html>", missing=9), hang_up), 200, "truncated"),
        (PAGE, (CHUNKED, hang_up), 200, "truncated"),
        (PAGE, (b"what?\r\n\r\n",), None, "other: RemoteProtocolError"),
    ],
)
def test_each_misbehaviour_has_its_class(
    serve: Serve, tmp_path: Path, spec: Spec, parts: tuple[Part, ...], status: int | None, kind: str
) -> None:
    """The class is right, whatever came over the wire, and nothing is asked twice."""
    server = serve(lambda connection, _number: do(connection, parts))
    answer = ask_once(server.url, tmp_path, spec)
    assert (answer.status, answer.kind, answer.connection) == (status, kind, "new")
    assert len(server.requests) == 1


def test_nobody_listens(tmp_path: Path) -> None:
    """A port that was free a moment ago refuses."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask_once(f"http://127.0.0.1:{port}", tmp_path).kind == "refused"


def test_no_answer_in_time(serve: Serve, tmp_path: Path) -> None:
    """The timeout bounds the whole request, also one whose answer has begun."""
    server = serve(lambda connection, _number: connection.sendall(b"HTTP/1.1 200 X\r\n"))
    assert ask_once(server.url, tmp_path, timeout=0.05).kind == "timeout"


def ask_twice(url: str, may_reuse: bool) -> list[Outcome]:
    """Ask two times, one after the other, through one door."""

    async def ask() -> list[Outcome]:
        door = Door(40, "x-shop-version", lambda: 0.0)
        outcomes = [await door.ask(PAGE, httpx.Request("GET", url), may_reuse) for _ in range(2)]
        await door.close()
        return outcomes

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("end", "kind"), [(reset, "reset on kept connection"), (hang_up, "empty reply on kept connection")]
)
def test_end_of_a_kept_connection_has_its_own_class(serve: Serve, end: Part, kind: str) -> None:
    """A server that closes just as the connection is used again is told apart, and not asked again."""
    good = http(200, APP, b"<html></html>")
    server = serve(lambda connection, number: do(connection, (end if number else good,)))
    first, second = ask_twice(server.url, may_reuse=True)
    assert (first.kept, first.verdict.kind) == (False, "app 1.2")
    assert (second.kept, second.verdict.kind) == (True, kind)
    assert len(server.requests) == 2


def test_other_requests_use_new_connections(serve: Serve) -> None:
    """A server that would keep the connection open is not taken up on it."""
    numbers: list[int] = []

    def respond(connection: socket.socket, number: int) -> None:
        numbers.append(number)
        connection.sendall(http(200, APP, b"<html></html>"))

    outcomes = ask_twice(serve(respond).url, may_reuse=False)
    assert [outcome.kept for outcome in outcomes] == [False, False]
    assert numbers == [0, 0]


def test_the_mix_of_the_shop_over_two_nodes(serve: Serve, tmp_path: Path) -> None:
    """Both nodes get one round on schedule, and each order has its own reference."""
    servers = [serve(lambda connection, _: connection.sendall(http(503, GATE, b""))) for _ in range(2)]
    nodes = {f"web{i}": server.url for i, server in enumerate(servers)}
    run(Settings(nodes, 500, "shop.example", tmp_path, duration=6 / 500))
    answers, description = read_answers(tmp_path), read_run(tmp_path)
    assert sorted((one.node, one.k) for one in answers) == [(node, k) for node in nodes for k in range(6)]
    assert description.asked == 12
    assert description.ended is not None
    orders = [one for one in answers if one.method == "POST"]
    assert {one.reference for one in orders} == {f"probe-{description.run_id}-{node}-3" for node in nodes}
    (sent,) = [request for request in servers[0].requests if request.startswith("POST /orders/new/ ")]
    assert "Host: shop.example" in sent
    assert f"reference=probe-{description.run_id}-web0-3" in sent
    token = dict(SHOP.turns[3].headers)["X-CSRFToken"]
    assert f"X-CSRFToken: {token}" in sent
    assert f"Cookie: csrftoken={token}" in sent


def test_a_signal_ends_the_schedule_but_not_the_request_under_way(serve: Serve, tmp_path: Path) -> None:
    """The answer that comes after the signal is still in the record."""
    parts = (stop_probe, http(503, GATE, MAINTENANCE))
    server = serve(lambda connection, _number: do(connection, parts))
    run(Settings({"web1": server.url}, 0.01, "shop.example", tmp_path))
    (answer,) = read_answers(tmp_path)
    assert answer.kind == "maintenance"
    assert read_run(tmp_path).ended is not None


@pytest.mark.parametrize(
    "wrong",
    [
        ["--node", "web1=https://127.0.0.1"],
        ["--node", "web1=http://127.0.0.1/path"],
        ["--node", "web1=http://127.0.0.1:http"],
        ["--node", "web 1=http://127.0.0.1"],
        ["--node", "http://127.0.0.1"],
    ],
)
def test_wrong_nodes_are_refused(wrong: list[str], tmp_path: Path) -> None:
    """Nothing is asked when the command line is wrong."""
    with pytest.raises(SystemExit):
        main(["run", "--host", "shop.example", "--out", str(tmp_path / "out"), *wrong])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["--rate", "501"],
        ["--rate", "0"],
        ["--rate", "nan"],
        ["--duration", "3601"],
        ["--timeout", "-1"],
        ["--node", "web1=http://127.0.0.1:2"],
    ],
)
def test_what_is_out_of_bounds_is_refused(wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The probe says what is wrong and exits with 1."""
    node = ["--node", "web1=http://127.0.0.1:1"]
    assert main(["run", *node, "--host", "shop.example", "--out", str(tmp_path / "out"), *wrong]) == 1
    assert capsys.readouterr().err.startswith("probe: ")
    assert not (tmp_path / "out").exists()


def test_a_record_that_cannot_be_written_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 1 and the reason is on the error output."""
    (tmp_path / "out").touch()
    out = str(tmp_path / "out")
    assert main(["run", "--node", "web1=http://127.0.0.1:1", "--host", "shop.example", "--out", out]) == 1
    assert "out" in capsys.readouterr().err


def test_run_exits_with_0_whatever_was_answered(serve: Serve, tmp_path: Path) -> None:
    """Judging is the report's part."""
    server = serve(lambda connection, _number: connection.sendall(http(502, "", NGINX)))
    common = ["--host", "shop.example", "--out", str(tmp_path), "--rate", "1", "--duration", "0.5"]
    assert main(["run", "--node", f"web1={server.url}/", *common]) == 0
    assert main(["report", str(tmp_path)]) == 1
