from __future__ import annotations

import os
import pwd
import shutil
import socket
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.preflight import (
    account_fault,
    certificate_fault,
    closed_ancestor,
    missing_packages,
    port_fault,
    readable_address,
    socket_path_fault,
    split_listen,
    systemd_fault,
)

from certificates import Authority


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


def test_a_certificate_and_its_key(authority: Authority) -> None:
    certificate, key = authority.issue("shop.example")
    certificate.write_bytes(certificate.read_bytes() + authority.bundle.read_bytes())
    assert certificate_fault(str(certificate), str(key)) is None


def test_a_key_of_another_certificate(authority: Authority) -> None:
    (certificate, _), (_, key) = authority.issue("shop.example"), authority.issue("shop.example")
    fault = certificate_fault(str(certificate), str(key))
    assert fault == f"the key {key} does not belong to the certificate {certificate}"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="this machine has no openssl")
def test_a_certificate_that_has_expired(authority: Authority) -> None:
    certificate, key = authority.issue("shop.example", days=-1)
    fault = certificate_fault(str(certificate), str(key))
    assert fault is not None
    assert fault.startswith(f"the certificate {certificate} has expired on ")
    assert fault.endswith(" GMT")


def test_a_host_without_openssl(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = authority.issue("shop.example", days=-1)
    monkeypatch.setenv("PATH", "/nonexistent")
    assert certificate_fault(str(certificate), str(key)) is None


@pytest.mark.parametrize(
    ("kind", "content", "fault"),
    [
        ("certificate", None, "is not there"),
        ("key", None, "is not there"),
        ("certificate", "", "is not PEM: it has no line '-----BEGIN CERTIFICATE-----'"),
        ("certificate", "\0\1", "is not PEM"),
        ("key", "-----BEGIN CERTIFICATE-----", "is not PEM: it has no line 'PRIVATE KEY-----'"),
    ],
)
def test_a_file_that_is_not_what_it_should_be(authority: Authority, kind: str, content: str | None, fault: str) -> None:
    files = dict(zip(("certificate", "key"), authority.issue("shop.example"), strict=True))
    files[kind].unlink()
    if content is not None:
        files[kind].write_text(content)
    found = certificate_fault(str(files["certificate"]), str(files["key"]))
    assert found is not None
    assert found.startswith(f"the {kind} {files[kind]} {fault}")


def test_a_directory_is_no_certificate(authority: Authority) -> None:
    certificate, key = authority.issue("shop.example")
    assert (
        certificate_fault(str(certificate.parent), str(key)) == f"the certificate {certificate.parent} is a directory"
    )
    assert certificate_fault(str(certificate / "x"), str(key)) == f"the certificate {certificate}/x is not there"


def test_a_key_behind_a_passphrase(authority: Authority) -> None:
    certificate, key = authority.issue("shop.example", passphrase="tea")
    fault = certificate_fault(str(certificate), str(key))
    assert fault == f"the key {key} is locked with a passphrase, which Nginx does not have"


def test_a_damaged_certificate(authority: Authority) -> None:
    certificate, key = authority.issue("shop.example")
    certificate.write_text(certificate.read_text().replace("MII", "MIA", 1))
    fault = certificate_fault(str(certificate), str(key))
    assert fault is not None
    assert fault.startswith(f"{certificate} and {key} cannot be loaded: ")


def test_a_key_that_this_user_may_not_read_is_left_to_nginx(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = authority.issue("shop.example", days=-1)

    def refuse(path: Path, **_: str) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)
    assert certificate_fault(str(certificate), str(key)) is None


@pytest.mark.parametrize(
    ("system", "debian", "uid", "fault"),
    [
        (True, True, 0, None),
        (False, True, 0, "systemd does not run here"),
        (True, False, 0, "this is not. Take Debian"),
        (True, True, 1000, "Set ansible_become: true"),
    ],
)
def test_the_platform_systemd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: bool, debian: bool, uid: int, fault: str | None
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    directory, file = tmp_path / "system", tmp_path / "debian_version"
    if system:
        directory.mkdir()
    if debian:
        file.touch()
    said = systemd_fault(str(directory), str(file))
    assert (fault is None and said is None) or (fault and fault in (said or ""))


def test_the_account_of_the_site() -> None:
    assert account_fault("no-such-account", "/srv/shop/shared") is None
    assert "must not run as root" in (account_fault("root", "/root") or "")
    daemon = pwd.getpwnam("daemon")
    assert account_fault("daemon", daemon.pw_dir + "/") is None
    assert "already, with the home" in (account_fault("daemon", "/srv/shop/shared") or "")


def test_packages_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dpkg = tmp_path / "dpkg-query"
    dpkg.write_text("#!/bin/sh\necho 'installed nginx'\necho 'config-files postgresql'\necho missing >&2\nexit 1\n")
    dpkg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert missing_packages(["nginx", "postgresql", "python3-venv"]) == ["postgresql", "python3-venv"]
    assert missing_packages([]) == []
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert missing_packages(["nginx"]) == ["nginx"]
