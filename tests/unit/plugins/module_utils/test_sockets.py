from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.sockets import connections, wait_until_drained


@pytest.fixture
def listener(public_path: Path) -> Iterator[socket.socket]:
    """A listening unix socket whose path has a space."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(public_path / "the app.sock"))
        listening.listen(5)
        yield listening


def connect(listener: socket.socket) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.connect(listener.getsockname())
    return client


def test_accepted_and_waiting_connections_are_counted(listener: socket.socket) -> None:
    path = listener.getsockname()
    assert connections(path) == 0
    with connect(listener):
        accepted, _ = listener.accept()
        assert connections(path) == 1
        with connect(listener):
            assert connections(path) == 2
            accepted.close()
            assert connections(path) == 1
            listener.accept()[0].close()
    assert connections(path) == 0


def test_a_socket_that_is_not_there_has_no_connections(public_path: Path) -> None:
    assert connections(str(public_path / "none.sock")) == 0


def test_other_sockets_are_not_counted(listener: socket.socket, public_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(public_path / "app.sock"))
        other.listen()
        with connect(other):
            assert connections(listener.getsockname()) == 0


def test_nobody_connected_is_drained_at_once(listener: socket.socket) -> None:
    assert wait_until_drained(listener.getsockname(), 0) == 0


def test_who_is_left_when_the_time_is_over(listener: socket.socket) -> None:
    with connect(listener), connect(listener):
        assert wait_until_drained(listener.getsockname(), 0) == 2


def test_waiting_ends_with_the_last_connection(listener: socket.socket) -> None:
    with connect(listener), ThreadPoolExecutor() as pool:
        accepted, _ = listener.accept()
        waiting = pool.submit(wait_until_drained, listener.getsockname(), 30)
        accepted.close()
        assert waiting.result() == 0
