"""The middleware: ``MaintenanceModeMiddleware`` stands first, its late half only where it matters who is logged in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Union, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_intermission import conf
from django_intermission.answer import aanswer, answer
from django_intermission.decision import Verdict, judge, knows_user, user_passes
from django_intermission.state import Maintenance

Response = Union[HttpResponseBase, Awaitable[HttpResponseBase]]
GetResponse = Callable[[HttpRequest], Response]

UNDECIDED = "_django_intermission_undecided"


class _Middleware:
    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        """Check the settings, so that a bad one is an error at the start. Raises ImproperlyConfigured."""
        conf.current()
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)  # type: ignore[type-var]

    def _ask_user(self, request: HttpRequest, maintenance: Maintenance) -> Response:
        """Let pass who may by being logged in, and refuse the others."""
        if self._is_async:
            return self._aask_user(request, maintenance)
        if user_passes(request, conf.current()):
            return self.get_response(request)
        return answer(request, maintenance)

    async def _aask_user(self, request: HttpRequest, maintenance: Maintenance) -> HttpResponseBase:
        if await sync_to_async(user_passes)(request, conf.current()):
            return await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return await aanswer(request, maintenance)


class MaintenanceModeMiddleware(_Middleware):
    """Answers 503 while maintenance is on, to all but those who may pass.

    It needs neither database nor session, so it can and should stand first. While the site is open it gives the request
    on as it is: in an event loop too it adds no coroutine and no thread of its own.
    """

    def __call__(self, request: HttpRequest) -> Response:
        """Give a request on, or answer it."""
        maintenance = (conf.loaded or conf.current()).look()
        if maintenance is None:
            return self.get_response(request)
        options = conf.current()
        verdict = judge(request, maintenance, options)
        if verdict is Verdict.ASK_USER:
            if knows_user(request):
                return self._ask_user(request, maintenance)
            if options.has_late_half:
                setattr(request, UNDECIDED, maintenance)
                verdict = Verdict.PASS
        if verdict is Verdict.PASS:
            return self.get_response(request)
        return aanswer(request, maintenance) if self._is_async else answer(request, maintenance)


class MaintenanceModeLateMiddleware(_Middleware):
    """Decides, after AuthenticationMiddleware, on the requests that depend on who is logged in, and on no other."""

    def __call__(self, request: HttpRequest) -> Response:
        """Give a request on, or answer it."""
        maintenance: Any = getattr(request, UNDECIDED, None)
        return self.get_response(request) if maintenance is None else self._ask_user(request, maintenance)
