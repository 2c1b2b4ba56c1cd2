"""Nginx configuration files that are only kept when Nginx accepts them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Callable, Optional

from ansible_collections.intermission.django.plugins.module_utils.files import (
    LARGE_LIMIT,
    NotPlainError,
    pinned,
    read_plain,
    sync_directory,
    write_file,
)
from ansible_collections.intermission.django.plugins.module_utils.service import Service, run


class NginxError(Exception):
    """Nginx refused the new files, and the former ones are back; the message names file and line."""


def read(path: Path) -> Optional[str]:
    """Read a file; None where it is not there."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def read_page(path: Path) -> Optional[str]:
    """Read a page, where others than root may write: None also where something else is in its place."""
    try:
        with pinned(path.parent) as directory:
            return read_plain(directory / path.name, LARGE_LIMIT).decode(errors="replace")
    except (FileNotFoundError, NotPlainError):
        return None


def changes(
    files: dict[str, Optional[str]], reader: Callable[[Path], Optional[str]] = read
) -> dict[Path, tuple[Optional[str], Optional[str]]]:
    """Find what differs: path to (content before, content after); None stands for a file that is not there."""
    found = {Path(name): (reader(Path(name)), content) for name, content in files.items()}
    return {path: pair for path, pair in found.items() if pair[0] != pair[1]}


def write_all(contents: dict[Path, Optional[str]]) -> None:
    """Write or remove each file."""
    for path, content in contents.items():
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, content.encode(), 0o644)
        elif path.exists():
            path.unlink()
            sync_directory(path.parent)


def write_pages(pages: dict[str, str]) -> bool:
    """Bring the files that Nginx serves to their content, which needs no reload; gives whether any differed."""
    different = changes(dict(pages), read_page)
    for path in different:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pinned(path.parent) as directory:
            write_file(directory / path.name, pages[str(path)].encode(), 0o644)
    return bool(different)


def rests(files: dict[str, Optional[str]], service: Service) -> bool:
    """Tell whether Nginx may stay as it is: it runs, or none of the files is for it to serve."""
    return not any(content is not None for content in files.values()) or service.running()


def apply(
    files: dict[str, Optional[str]],
    pending: Path,
    test: str,
    service: Service,
    tried: Optional[dict[str, Optional[str]]] = None,
) -> bool:
    """Bring the configuration to its content, test it, then start or reload Nginx; gives whether anything was done.

    Where all files are removed, an Nginx that does not run is not started. Files in ``tried`` are tested together with
    the others, and are as before when Nginx takes those up.

    ``pending`` holds the former contents from before the first write until Nginx has taken up the new ones: an
    apply that was cut short is finished, or put back, by the next. It says what is written into Nginx's configuration,
    so it has to lie where only its writer may write. Raises NginxError, ServiceError and OSError.
    """
    before = {path: old for path, (old, _new) in changes(files).items()}
    borrowed = {path: old for path, (old, _new) in changes(tried or {}).items()}
    if pending.exists():
        former = json.loads(pending.read_text(encoding="utf-8"))
        before.update({Path(name): old for name, old in former.items()})
    settled = not before and rests(files, service)
    if settled and not borrowed:
        return False
    former = {**before, **borrowed}
    write_file(pending, json.dumps({str(path): old for path, old in former.items()}).encode(), 0o600)
    try:
        write_all({Path(name): content for name, content in {**files, **(tried or {})}.items()})
        tested = run(test, service.seconds)
        if tested.returncode != 0:
            raise NginxError(f"Nginx refuses the new configuration:\n{(tested.stdout + tested.stderr).strip()}")
    except BaseException:
        write_all(former)
        pending.unlink()
        raise
    write_all(borrowed)
    if service.running() and not settled:
        service.reload()
    elif not rests(files, service):
        service.start()
    pending.unlink()
    return not settled
