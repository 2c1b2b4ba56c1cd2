from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.preflight import (
    closed_ancestor,
    port_fault,
    readable_address,
    socket_path_fault,
    split_listen,
)


@pytest.mark.parametrize(
    ("path", "right"),
    [
        ("/run/shop/app.sock", True),
        ("/" + "x" * 106, True),
        ("/" + "x" * 107, False),
        ("/" + "ü" * 53, True),
        ("/" + "ü" * 54, False),
    ],
)
def test_socket_path(path: str, right: bool) -> None:
    assert (socket_path_fault(path) is None) is right


def test_the_kernel_agrees_on_the_longest_socket_path(public_path: Path) -> None:
    longest = f"{public_path}/".ljust(107, "x")
    assert socket_path_fault(longest) is None
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(longest)
    assert socket_path_fault(f"{longest}x") == f"{longest}x has 108 bytes, and a unix socket's path may have 107"
    with socket.socket(socket.AF_UNIX) as one, pytest.raises(OSError, match="too long"):
        one.bind(f"{longest}x")


@pytest.mark.parametrize(
    ("closed", "asked", "found"),
    [
        (None, "a/b", None),
        (None, "a/not/there/yet", None),
        ("a", "a", "a"),
        ("a", "a/b", "a"),
        ("a/b", "a/b", "a/b"),
        ("a/b", "a/b/not/there/yet", "a/b"),
        ("a/b", "a", None),
        ("a/b", "link", "link"),
        ("a", "link", "a"),
        ("a", "a/link", "a"),
        (None, "a/file/below", "a/file"),
    ],
)
def test_closed_ancestor(public_path: Path, other_user: str, closed: str | None, asked: str, found: str | None) -> None:
    (public_path / "a" / "b").mkdir(parents=True)
    (public_path / "a" / "file").touch(0o755)
    (public_path / "link").symlink_to("a/b")
    (public_path / "a" / "link").symlink_to("/")
    if closed:
        (public_path / closed).chmod(0o700 if os.getuid() == 0 else 0)
    try:
        assert closed_ancestor(str(public_path / asked), other_user) == (str(public_path / found) if found else None)
    finally:
        if closed:
            (public_path / closed).chmod(0o755)


@pytest.mark.parametrize(("mode", "open_to_group"), [(0o710, True), (0o701, False), (0o755, True)])
@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory to another group")
def test_the_group_of_a_directory_counts(public_path: Path, mode: int, open_to_group: bool) -> None:
    directory = public_path / "a"
    directory.mkdir()
    os.chown(directory, 0, 65534)
    directory.chmod(mode)
    assert (closed_ancestor(str(directory), "nobody") is None) is open_to_group


def test_root_may_go_anywhere(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        assert closed_ancestor(str(tmp_path), "root") is None
    finally:
        tmp_path.chmod(0o700)


def test_a_user_who_is_not_there() -> None:
    with pytest.raises(KeyError):
        closed_ancestor("/", "no-such-user")


@pytest.mark.parametrize(
    ("listen", "address", "port"),
    [
        ("80", "*", 80),
        ("*:80", "*", 80),
        ("0.0.0.0:80", "*", 80),
        ("127.0.0.1:8081", "127.0.0.1", 8081),
        ("[::]:443 ssl", "[::]", 443),
        ("  443 ssl http2 ", "*", 443),
        ("[::1]:65535", "[::1]", 65535),
        ("localhost:8081", "localhost", 8081),
    ],
)
def test_listen(listen: str, address: str, port: int) -> None:
    assert split_listen(listen) == (address, port)


@pytest.mark.parametrize(
    "listen", ["", " ", "0", "65536", "-1", "127.0.0.1", "[::]", "http", "unix:/run/nginx.sock", "²"]
)
def test_no_listen(listen: str) -> None:
    with pytest.raises(ValueError):
        split_listen(listen)


def listening(address: str) -> socket.socket:
    """Listen on a free port, on IPv6 where the address is one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, 0), family=family, dualstack_ipv6=address == "::")


@pytest.mark.parametrize(
    ("held", "listen"),
    [
        ("127.0.0.1", "{port}"),
        ("127.0.0.1", "*:{port}"),
        ("127.0.0.1", "0.0.0.0:{port}"),
        ("127.0.0.1", "127.0.0.1:{port}"),
        ("0.0.0.0", "127.0.0.1:{port}"),
        ("0.0.0.0", "{port} default_server"),
        ("::", "[::]:{port}"),
        ("::", "{port}"),
        ("::1", "[::1]:{port}"),
        ("::1", "[::]:{port} ssl"),
        ("::", "127.0.0.1:{port}"),
    ],
)
def test_a_port_that_another_holds(held: str, listen: str) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    with listening(held) as holder:
        port = holder.getsockname()[1]
        assert port_fault(listen.format(port=port)) == f"port {port} is in use by {name} (pid {os.getpid()})"


def test_a_port_that_another_holds_on_an_ipv4_address_through_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as holder:
        holder.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        holder.bind(("::ffff:127.0.0.1", 0))
        holder.listen()
        assert port_fault(f"127.0.0.1:{holder.getsockname()[1]}") is not None


@pytest.mark.parametrize(
    ("held", "listen"),
    [("127.0.0.1", "127.0.0.2:{port}"), ("127.0.0.2", "127.0.0.1:{port}"), ("::1", "127.0.0.1:{port}")],
)
def test_the_same_port_on_another_address_is_free(held: str, listen: str) -> None:
    with listening(held) as holder:
        assert port_fault(listen.format(port=holder.getsockname()[1])) is None


def test_a_free_port() -> None:
    with listening("127.0.0.1") as holder:
        port = holder.getsockname()[1]
    assert port_fault(f"127.0.0.1:{port}") is None
    assert port_fault(f"[::]:{port}") is None


def test_a_port_of_nginx_itself_is_free() -> None:
    comm = Path("/proc/self/comm")
    former = comm.read_text()
    with listening("127.0.0.1") as holder:
        comm.write_text("nginx: master")
        try:
            assert port_fault(f"127.0.0.1:{holder.getsockname()[1]}") is None
        finally:
            comm.write_text(former)


@pytest.mark.parametrize(
    ("hexadecimal", "address"),
    [
        ("00000000", "*"),
        ("0100007F", "127.0.0.1"),
        ("00000000000000000000000000000000", "*"),
        ("00000000000000000000000001000000", "::1"),
        ("0000000000000000FFFF00000100007F", "127.0.0.1"),
    ],
)
def test_readable_address(hexadecimal: str, address: str) -> None:
    assert readable_address(hexadecimal) == address
