"""Ask every node on schedule and record what came back."""

import asyncio
import itertools
import math
import resource
import secrets
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import httpx

from probe.exchange import Door
from probe.mix import SHOP, Mix, Spec
from probe.record import Answer, Run, open_answers, write_answer, write_run

MAX_RATE = 500.0
MAX_DURATION = 3600.0
MAX_TIMEOUT = 300.0
DEFAULT_TIMEOUT = 40.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What to ask, how fast and for how long.

    ``nodes`` maps a name to a base URL without a trailing slash; ``host`` is the Host header; ``rate``
    is requests per second and node (at most 500); ``duration`` is in seconds (default and maximum
    3600); ``timeout`` is the whole seconds-long life of one request (default 40, maximum 300);
    ``out`` is the directory of the record.
    """

    nodes: Mapping[str, str]
    rate: float
    host: str
    out: Path
    duration: float = MAX_DURATION
    timeout: float = DEFAULT_TIMEOUT
    mix: Mix = SHOP

    def __post_init__(self) -> None:
        """Raise ValueError for anything out of bounds."""
        for name, value, limit in (
            ("rate", self.rate, MAX_RATE),
            ("duration", self.duration, MAX_DURATION),
            ("timeout", self.timeout, MAX_TIMEOUT),
        ):
            if not 0 < value <= limit:
                raise ValueError(f"{name} must be above 0 and at most {limit:g}, not {value:g}")
        if not self.nodes:
            raise ValueError("at least one node is needed")


def run(settings: Settings) -> None:
    """Probe until the duration is over or SIGINT or SIGTERM arrives, and leave the record in ``out``.

    Requests under way at the end are still waited for, each at most its timeout. Raises OSError (in an
    ExceptionGroup when it happens along the way) if the record cannot be written.
    """
    settings.out.mkdir(parents=True, exist_ok=True)
    _allow_open_files(settings)
    with open_answers(settings.out) as answers:
        asyncio.run(_Probe(settings, answers).run())


def _allow_open_files(settings: Settings) -> None:
    """Raise the soft limit: when a node hangs, every request of a whole timeout is open at once."""
    wanted = math.ceil(settings.rate * settings.timeout * len(settings.nodes)) + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


class _Probe:
    """One run. Times inside are the event loop's; the record has epoch seconds made from them."""

    def __init__(self, settings: Settings, answers: TextIO) -> None:
        self._settings = settings
        self._answers = answers
        self._run_id = secrets.token_hex(4)
        self._doors = {node: self._door() for node in settings.nodes}
        self._asked = 0
        self._late = 0.0
        self._begin = 0.0
        self._epoch = 0.0

    async def run(self) -> None:
        self._begin, self._epoch = asyncio.get_running_loop().time(), time.time()
        description = self._describe()
        try:
            await self._ask_all(description)
        finally:
            for door in self._doors.values():
                await door.close()
        write_run(
            self._settings.out,
            description.finished(self._now(), self._asked, round(self._late, 6), time.process_time()),
        )

    def _door(self) -> Door:
        return Door(self._settings.timeout, self._settings.mix.version_header, self._now)

    def _describe(self) -> Run:
        settings = self._settings
        return Run(
            run_id=self._run_id,
            started=self._epoch,
            nodes=dict(settings.nodes),
            host=settings.host,
            rate=settings.rate,
            duration=settings.duration,
            timeout=settings.timeout,
            mix=[f"{spec.method} {spec.path}" for spec in settings.mix.specs],
        )

    def _now(self) -> float:
        """Return epoch seconds that never step: a clock adjustment must not bend a latency."""
        return self._epoch + asyncio.get_running_loop().time() - self._begin

    async def _ask_all(self, description: Run) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            drivers = [group.create_task(self._drive(node, group)) for node in self._settings.nodes]
            for number in (signal.SIGINT, signal.SIGTERM):
                # Only the schedules end: the group still waits for the requests under way.
                loop.add_signal_handler(number, lambda: [driver.cancel() for driver in drivers])
            # Only now, because whoever sees probe.json may already want to stop the probe.
            write_run(self._settings.out, description)

    async def _drive(self, node: str, group: asyncio.TaskGroup) -> None:
        """Start ``node``'s requests on schedule, whatever became of the earlier ones."""
        loop = asyncio.get_running_loop()
        for k in itertools.count():
            due = k / self._settings.rate
            if due >= self._settings.duration:
                return
            await asyncio.sleep(self._begin + due - loop.time())
            self._late = max(self._late, loop.time() - self._begin - due)
            self._asked += 1
            group.create_task(self._ask(node, k))

    async def _ask(self, node: str, k: int) -> None:
        spec = self._settings.mix.spec_for(k, self._settings.rate)
        reference = f"probe-{self._run_id}-{node}-{k}" if spec.form else ""
        request = self._request(spec, node, reference)
        started = self._now()
        outcome = await self._doors[node].ask(spec, request, self._settings.mix.is_kept(k))
        answer = Answer(
            k=k,
            node=node,
            method=spec.method,
            path=spec.path,
            started=round(started, 6),
            ended=round(self._now(), 6),
            status=outcome.status,
            kind=outcome.verdict.kind,
            version=outcome.verdict.version,
            connection="kept" if outcome.kept else "new",
            detail=outcome.verdict.detail,
            reference=reference,
        )
        write_answer(self._answers, answer)

    def _request(self, spec: Spec, node: str, reference: str) -> httpx.Request:
        headers = {"Host": self._settings.host, "User-Agent": "intermission-probe", "Accept": spec.accept}
        form = {key: value.replace("{reference}", reference) for key, value in spec.form.items()}
        url = self._settings.nodes[node] + spec.path
        return httpx.Request(spec.method, url, headers=headers | dict(spec.headers), data=form or None)
