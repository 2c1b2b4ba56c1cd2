"""A share of a site's visitors, in tenths of all by their address, who pass the closed gate: a site is reopened in waves.

Nginx puts each address into one of ten parts, and a window's directory ``passes`` has an empty file for each part that passes. A
larger share has the files of a smaller one and some more, so that nobody who was let in is turned away by it.
"""

from __future__ import annotations

from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.files import pinned
from ansible_collections.intermission.django.plugins.module_utils.schedule import Schedule
from ansible_collections.intermission.django.plugins.module_utils.state import (
    PARTS,
    StateDirectory,
    StateError,
    Window,
    let_pass,
)
from ansible_collections.intermission.django.plugins.module_utils.window_job import RUNS, WAITS

ALL = 100
SHARES = tuple(range(0, ALL + 1, ALL // len(PARTS)))


def let_in(directory: StateDirectory, share: int, by: str, source: str) -> bool:
    """Let so many visitors in a hundred pass the window that is open, and no others by that; gives whether that changes anything.

    Raises StateError and OSError.
    """
    with directory.locked():
        window, changes = _examined(directory, share)
        if changes:
            try:
                with pinned(directory.windows) as windows, pinned(windows / window.id) as held:
                    let_pass(held, _parts_of(share))
            except PermissionError as error:
                raise StateError(
                    f"{directory.site} has a window with a secret link ({window.id}), and only who made that, and root, can say who "
                    f"else passes: {error.filename}: {error.strerror}"
                ) from error
            directory.record("let in", by, source, window=window.id, share=share)
        return changes


def would_let_in(directory: StateDirectory, share: int) -> bool:
    """Tell whether that would change anything. Raises StateError."""
    return _examined(directory, share)[1]


def _parts_of(share: int) -> tuple[str, ...]:
    return PARTS[: SHARES.index(share)]


def _examined(directory: StateDirectory, share: int) -> tuple[Window, bool]:
    """Give the window that is open, and whether another share passes it. Raises StateError where it is to have none."""
    if share not in SHARES[:-1]:
        raise StateError(f"the share is {share}: it is one of {', '.join(map(str, SHARES[:-1]))}")
    site, window = directory.site, directory.current_window()
    if not directory.flag.exists():
        raise StateError(f"{site} is open to all visitors: there is no window that a share of them could pass")
    if window is None:
        raise StateError(
            f"{site} was closed by hand, or its window cannot be read, and only a window can let a share of the visitors pass. Close "
            "it with maintenance_on.yml or intermission on, which is no gap, and then let them in"
        )
    if window.deploys:
        raise StateError(
            f"{site} is closed by a deploy that is under way or has failed ({window.id}): the app may be stopped, or the database "
            "half migrated, and no share of the visitors is let in. Deploy again, and the site opens when that succeeds"
        )
    if window.layer == "django" or window.read_only:
        who = "the app answers all visitors" if window.layer == "django" else "all visitors read"
        raise StateError(f"{site} has a window in which {who} ({window.id}), so there is no share of them to let in")
    present = directory.parts_that_pass()
    if len(_parts_of(share)) > len(present):
        _check_idle(directory)
    return window, present != _parts_of(share)


def _check_idle(directory: StateDirectory) -> None:
    """Raise StateError where those who are let in would meet what is being changed behind the window."""
    if DeployRecord(directory).read() is not None:
        raise StateError(
            f"a deploy of {directory.site} is under way or has died, and counts on the window to keep all visitors out. Let it end, "
            "or deploy again, and then let a share of them in"
        )
    job = Schedule(directory).told_job()
    if job is not None and job["state"] in (WAITS, RUNS):
        raise StateError(
            f"the job of a window of {directory.site} {job['state']}, and visitors would meet what it is changing. Wait for it, or "
            f"see to it on the host with systemctl status intermission-{directory.site}-job.service"
        )
