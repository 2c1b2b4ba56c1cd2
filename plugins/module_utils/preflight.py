"""What can be known to be wrong on a host before anything is changed there."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import ssl
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

SUN_PATH_BYTES = 107
HIDDEN_DIRECTORIES = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
LISTEN_STATE = "0A"
PEM_MARKS = {"certificate": "-----BEGIN CERTIFICATE-----", "key": "PRIVATE KEY-----"}
IPV4_IN_IPV6 = bytes(10) + b"\xff\xff"


def socket_path_fault(path: str) -> Optional[str]:
    """Say why a unix socket cannot have this path (unix(7): 108 bytes with the closing zero), or None."""
    length = len(os.fsencode(path))
    if length > SUN_PATH_BYTES:
        return f"{path} has {length} bytes, and a unix socket's path may have {SUN_PATH_BYTES}"
    return None


def hidden_by_sandbox(path: str) -> Optional[str]:
    """Name the directory that systemd hides from the site's services, and ``path`` with it, or None.

    ProtectHome= and PrivateTmp= of systemd.exec(5) do so. Where the way leads through symlinks, both ways count.
    """
    for way in (os.path.normpath(path), os.path.realpath(path)):
        for hidden in HIDDEN_DIRECTORIES:
            if f"{way}/".startswith(f"{hidden}/"):
                return hidden
    return None


def groups_of(account: pwd.struct_passwd) -> set[int]:
    """List the numbers of an account's groups."""
    return {account.pw_gid} | {group.gr_gid for group in grp.getgrall() if account.pw_name in group.gr_mem}


def closed_ancestor(path: str, user: str) -> Optional[str]:
    """Name the first directory on the way to ``path`` that ``user`` may not traverse, or None.

    Where the way leads through symlinks, both ways count. Directories that are not there yet are passed over. Raises
    KeyError where there is no such user.
    """
    account = pwd.getpwnam(user)
    groups = groups_of(account)
    if account.pw_uid == 0:
        return None
    named, real = Path(path), Path(os.path.realpath(path))
    ways = [directory for way in (named, real) for directory in (*reversed(way.parents), way)]
    for directory in dict.fromkeys(ways):
        try:
            status = directory.stat()
        except FileNotFoundError:
            continue
        except (PermissionError, NotADirectoryError):
            return str(directory.parent)
        if status.st_uid == account.pw_uid:
            allowed = status.st_mode & stat.S_IXUSR
        elif status.st_gid in groups:
            allowed = status.st_mode & stat.S_IXGRP
        else:
            allowed = status.st_mode & stat.S_IXOTH
        if not allowed:
            return str(directory)
    return None


def split_listen(listen: str) -> tuple[str, int]:
    """Take address and port out of an Nginx ``listen`` value such as ``80``, ``127.0.0.1:8081`` or ``[::]:443 ssl``.

    The address is ``*`` where none is given, or any IPv4 address. Raises ValueError.
    """
    value = listen.split()[0] if listen.split() else ""
    address, _colon, port = value.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"'{listen}' has no port")
    return "*" if address in ("", "0.0.0.0") else address, int(port)


def listening_inodes(port: int, tables: tuple[str, ...] = ("/proc/net/tcp", "/proc/net/tcp6")) -> dict[str, str]:
    """Map the inode of each TCP socket that listens on a port to its address, from proc(5)'s tables."""
    found = {}
    for table in tables:
        try:
            rows = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except FileNotFoundError:
            continue
        for row in rows:
            fields = row.split()
            address, hexadecimal_port = fields[1].rsplit(":", 1)
            if fields[3] == LISTEN_STATE and int(hexadecimal_port, 16) == port:
                found[fields[9]] = readable_address(address)
    return found


def readable_address(hexadecimal: str) -> str:
    """Turn an address of /proc/net/tcp (words in host byte order) into its usual form, ``*`` for any address."""
    raw = b"".join(bytes.fromhex(hexadecimal[start : start + 8])[::-1] for start in range(0, len(hexadecimal), 8))
    if not any(raw):
        return "*"
    if raw.startswith(IPV4_IN_IPV6):
        raw = raw[len(IPV4_IN_IPV6) :]
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)


def process_of_inode(inode: str) -> Optional[tuple[int, str]]:
    """Find the process that holds a socket: its pid and name, None where it may not be seen."""
    wanted = f"socket:[{inode}]"
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if any(os.readlink(entry) == wanted for entry in (process / "fd").iterdir()):
                return int(process.name), (process / "comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue
    return None


def port_fault(listen: str) -> Optional[str]:
    """Say who else holds the port that Nginx is to listen on, or None where it is free or Nginx's own.

    Raises ValueError where the value has no port.
    """
    address, port = split_listen(listen)
    for inode, held in listening_inodes(port).items():
        if "*" not in (address, held) and address.strip("[]") not in (held, "::"):
            continue
        owner = process_of_inode(inode)
        if owner is None:
            return f"port {port} is in use by a process of another user"
        if not owner[1].startswith("nginx"):
            return f"port {port} is in use by {owner[1]} (pid {owner[0]})"
    return None


def certificate_fault(certificate: str, key: str) -> Optional[str]:
    """Say why Nginx could not serve TLS with a certificate and its key, or None.

    Files that this user may not read are left to Nginx's own test. Whether a certificate has expired is not known on
    a host without openssl(1).
    """
    try:
        for kind, path in (("certificate", certificate), ("key", key)):
            if fault := _pem_fault(kind, path):
                return f"the {kind} {path} {fault}"
        # Without a passphrase of ours, OpenSSL would ask for one at the terminal
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
    except PermissionError:
        return None
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH"):
            return f"the key {key} does not belong to the certificate {certificate}"
        return f"{certificate} and {key} cannot be loaded: {error}"
    return _expiry_fault(certificate)


def _pem_fault(kind: str, path: str) -> Optional[str]:
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return "is not there"
    except IsADirectoryError:
        return "is a directory"
    if PEM_MARKS[kind] not in text:
        return f"is not PEM: it has no line '{PEM_MARKS[kind]}'"
    if kind == "key" and "ENCRYPTED" in text:
        return "is locked with a passphrase, which Nginx does not have"
    return None


def _expiry_fault(certificate: str) -> Optional[str]:
    command = ["openssl", "x509", "-noout", "-enddate", "-checkend", "0", "-in", certificate]
    try:
        checked = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    if checked.returncode == 0:
        return None
    end = checked.stdout.partition("notAfter=")[2].partition("\n")[0]
    return f"the certificate {certificate} has expired on {end}"


def systemd_fault(system: str = "/run/systemd/system", debian: str = "/etc/debian_version") -> Optional[str]:
    """Say why the platform ``systemd`` is not for this host or this user, or None (sd_booted(3))."""
    otherwise = "or set intermission_platform: command, and say how services are started and stopped there."
    if not os.path.isdir(system):
        return (
            f"intermission_platform is 'systemd', and systemd does not run here. Take a host where it does, {otherwise}"
        )
    if not os.path.exists(debian):
        return (
            f"intermission_platform is 'systemd', which is made for Debian, and this is not. Take Debian, {otherwise}"
        )
    if os.geteuid() != 0:
        return f"intermission_platform is 'systemd', which needs root. Set ansible_become: true, {otherwise}"
    return None


def account_fault(name: str, home: str) -> Optional[str]:
    """Say whose an account is that the site's code must not run as, or None where it is free or the site's."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return None
    if account.pw_uid == 0:
        return "the site's code must not run as root. Name an account of its own, for instance shop."
    if account.pw_dir.rstrip("/") != home.rstrip("/"):
        return (
            f"there is an account '{name}' already, with the home {account.pw_dir}, so it is somebody else's. Name another "
            f"one; or, to run the site's code as this one, give it its home: usermod --home {home} {name}"
        )
    return None


def missing_packages(names: Sequence[str]) -> list[str]:
    """List the Debian packages that are not installed (dpkg-query(1)); all of them where there is no dpkg.

    It takes a fiftieth of the time that opening apt's cache takes, which is then only opened where something is missing.
    """
    if not names:
        return []
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n", *names]
    try:
        said = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout
    except FileNotFoundError:
        return list(names)
    installed = {line.split()[1] for line in said.splitlines() if line.startswith("installed ")}
    return [name for name in names if name not in installed]
