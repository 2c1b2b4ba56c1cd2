"""One request and its outcome, over a new connection or a kept one."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from probe.classify import Reply, classify, classify_failure
from probe.mix import Spec
from probe.verdict import Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    ``status`` is None when no status line came; ``kept`` tells whether it really reused a connection.
    """

    status: int | None
    verdict: Verdict
    kept: bool


class _Reuse:
    """Notices, as httpx's trace hook, when a request that could reuse a connection had to open one."""

    def __init__(self, possible: bool) -> None:
        self.kept = possible

    async def __call__(self, event: str, _info: Mapping[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            self.kept = False


class Door:
    """The two ways into one node: a new connection each time, and one that is kept alive.

    These are httpx's transports rather than its clients, because everything a client adds would blur
    what a visitor saw: it follows redirects, keeps cookies and obeys proxies of the environment.
    """

    def __init__(self, timeout: float, version_header: str, clock: Callable[[], float]) -> None:
        """Give each request ``timeout`` seconds in all; ``clock`` returns epoch seconds."""
        self._timeout = timeout
        self._version_header = version_header
        self._clock = clock
        self._fresh = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_keepalive_connections=0), retries=0)
        # Only idle connections are limited to one: a busy one must not hold up the schedule.
        kept = httpx.Limits(max_keepalive_connections=1, keepalive_expiry=None)
        self._kept = httpx.AsyncHTTPTransport(limits=kept, retries=0)

    async def ask(self, spec: Spec, request: httpx.Request, may_reuse: bool) -> Outcome:
        """Send ``request``, which is as ``spec`` says, exactly once."""
        status, reuse = None, _Reuse(may_reuse)
        request.extensions = {"trace": reuse} if may_reuse else {}
        transport = self._kept if may_reuse else self._fresh
        try:
            async with asyncio.timeout(self._timeout):
                response = await transport.handle_async_request(request)
                status = response.status_code
                body = await _body(response)
        except (httpx.HTTPError, OSError) as error:
            # Once a status line came, the connection was not stale: it broke during this answer.
            verdict = classify_failure(error, reuse.kept and status is None)
        else:
            reply = Reply(status, _headers(response), body, self._clock())
            verdict = classify(spec, reply, self._version_header)
        return Outcome(status, verdict, reuse.kept)

    async def close(self) -> None:
        """Close whatever connection is still open."""
        await self._fresh.aclose()
        await self._kept.aclose()


async def _body(response: httpx.Response) -> bytes:
    try:
        return await response.aread()
    finally:
        await response.aclose()


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}
