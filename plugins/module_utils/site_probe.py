"""A visitor of each web host while a run works on a site, whose answers are counted.

A process of its own asks each host for a page, one request after the other and so many a second at most, until it is told to stop,
the run that began it is gone, or an hour is over: only where it runs on the run's own machine does it know that this is gone. A file
below a directory of the account's own tells of it, which is named by the run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.controller import is_dead
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.proof import observe, tls_context

MOST_SECONDS = 3600.0
PATIENCE_SECONDS = 65.0  # An Nginx that waits for the app gives up after 60
END_SECONDS = 10.0
POLL_SECONDS = 0.1
SLOW_SECONDS = 1.0  # What has waited for longer when all is over is told
NO_ANSWER = "no answer yet"


@dataclass(frozen=True)
class Target:
    """A web host: what to ask it for, as whom, and which certificates are trusted. Another file of CAs than the system's, or none."""

    name: str
    url: str
    host: str
    validate_certs: bool = True
    ca: str = ""

    def tls(self) -> Optional[ssl.SSLContext]:
        """Read the certificates that are trusted, None where none are needed. Raises OSError."""
        return tls_context(self.validate_certs, self.ca) if self.url.startswith("https:") else None

    def observe(self, tls: Optional[ssl.SSLContext]) -> str:
        """Ask once, and give in a word or two what a visitor gets."""
        return observe(self.url, self.host, PATIENCE_SECONDS, tls)


class Probe:
    """The probe of a run."""

    def __init__(self, directory: Path, holder: Mapping[str, Any]) -> None:
        """Name the directory, and the run as ``controller.identity`` does; nothing is begun yet."""
        self.directory = directory
        self.holder = dict(holder)
        run = hashlib.sha256(json.dumps(self.holder, sort_keys=True).encode()).hexdigest()[:12]
        self.job = Job(directory / f"{run}.json")

    def begin(self, targets: Sequence[Target], rate: float) -> None:
        """Ask each target, ``rate`` times a second at most. What runs before have left is removed. Raises OSError."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.directory.glob("*.json"):
            with contextlib.suppress(OSError, ValueError, KeyError):
                if not (Job(path).record() or {"running": True})["running"]:
                    path.unlink()
        told = threading.Event()
        # The process that asks has this from its beginning, whenever it is told
        former = signal.signal(signal.SIGTERM, lambda *_: told.set())
        try:
            self.job.begin("probe", lambda _tell: self._work(targets, rate, told))
        finally:
            signal.signal(signal.SIGTERM, former)

    def end(self) -> Optional[dict[str, Any]]:
        """Let it stop, and give what was counted; None where nothing was, or it has died.

        ``answers`` counts them by what they were, ``hosts`` likewise for each host, ``longest_seconds`` is the longest that one took.
        Raises OSError.
        """
        record = self.job.record()
        if record is None:
            return None
        if record["running"]:
            os.kill(record["process"]["pid"], signal.SIGTERM)
            record = self.job.follow(record["news"], END_SECONDS)
        self.job.forget()
        result: Optional[dict[str, Any]] = record["result"]
        return result

    def _work(self, targets: Sequence[Target], rate: float, told: threading.Event) -> dict[str, Any]:
        counted = count(targets, rate, lambda: told.is_set() or is_dead(self.holder))
        if is_dead(self.holder):  # Nobody will ask for it
            with contextlib.suppress(OSError):
                self.job.forget()
            os._exit(0)
        return counted


def count(
    targets: Sequence[Target], rate: float, is_over: Callable[[], bool], seconds: float = MOST_SECONDS
) -> dict[str, Any]:
    """Ask until it is over, or the seconds are, and give what ``Probe.end`` does.

    What has not been answered by then is told where it has waited for longer than SLOW_SECONDS.
    """
    hosts: dict[str, Counter[str]] = {target.name: Counter() for target in targets}
    asked: dict[str, float] = {}
    longest = 0.0
    lock, stopped = threading.Lock(), threading.Event()

    def visit(target: Target) -> None:
        nonlocal longest
        try:
            tls = target.tls()
        except OSError as error:
            hosts[target.name][f"not asked: {target.ca or 'the certificates'}: {error}"] = 1
            return
        while not stopped.is_set():
            began = asked[target.name] = time.monotonic()
            seen = target.observe(tls)
            took = time.monotonic() - began
            with lock:
                if not stopped.is_set():
                    del asked[target.name]
                    hosts[target.name][seen] += 1
                    longest = max(longest, took)
            stopped.wait(max(0.0, 1 / rate - took))

    for target in targets:
        try:
            threading.Thread(target=visit, args=(target,), daemon=True).start()
        except RuntimeError as error:
            hosts[target.name][f"not asked: {error}"] = 1
    deadline = time.monotonic() + seconds
    while not is_over() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    with lock:
        stopped.set()
        now = time.monotonic()
        for name, began in asked.items():
            if now - began > SLOW_SECONDS:
                hosts[name][NO_ANSWER] += 1
                longest = max(longest, now - began)
    total = sum(hosts.values(), Counter())
    return {
        "answers": dict(total.most_common()),
        "hosts": {name: dict(seen.most_common()) for name, seen in hosts.items()},
        "longest_seconds": round(longest, 3),
    }
