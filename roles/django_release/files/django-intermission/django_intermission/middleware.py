"""The middleware: ``MaintenanceModeMiddleware`` stands first, its late half only where it matters who is logged in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Optional, Union, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from django_intermission import conf
from django_intermission.answer import aanswer, answer
from django_intermission.decision import Verdict, judge, knows_user, may_be_called, user_passes
from django_intermission.state import Maintenance

Response = Union[HttpResponseBase, Awaitable[HttpResponseBase]]
GetResponse = Callable[[HttpRequest], Response]

UNDECIDED = "_django_intermission_undecided"  # What a request is given on with: why, and what is in force


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
            setattr(request, UNDECIDED, None)
            return self.get_response(request)
        return answer(request, maintenance)

    async def _aask_user(self, request: HttpRequest, maintenance: Maintenance) -> HttpResponseBase:
        if await sync_to_async(user_passes)(request, conf.current()):
            setattr(request, UNDECIDED, None)
            return await cast(Awaitable[HttpResponseBase], self.get_response(request))
        return await aanswer(request, maintenance)


class MaintenanceModeMiddleware(_Middleware):
    """Answers 503 while maintenance is on, to all but those who may pass.

    It needs neither database nor session, so it can and should stand first. While the site is open it gives the request
    on as it is: in an event loop too it adds no thread of its own.
    """

    def __init__(self, get_response: GetResponse) -> None:
        """Check the settings, so that a bad one is an error at the start. Raises ImproperlyConfigured."""
        super().__init__(get_response)
        # In an event loop, Django would call one that is not async in a thread
        self.process_view: Any = self._aview if self._is_async else self._view

    def __call__(self, request: HttpRequest) -> Response:
        """Give a request on, or answer it."""
        maintenance = (conf.loaded or conf.current()).look()
        if maintenance is None:
            return self.get_response(request)
        options = conf.current()
        verdict = judge(request, maintenance, options)
        if verdict is Verdict.ASK_USER and knows_user(request):
            return self._ask_user(request, maintenance)
        if verdict is Verdict.ASK_VIEW or (verdict is Verdict.ASK_USER and options.has_late_half):
            setattr(request, UNDECIDED, (verdict, maintenance))
            verdict = Verdict.PASS
        if verdict is Verdict.PASS:
            return self.get_response(request)
        return aanswer(request, maintenance) if self._is_async else answer(request, maintenance)

    def _view(self, request: HttpRequest, *_: Any) -> Optional[HttpResponseBase]:
        refusal = _refusal(request)
        return None if refusal is None else answer(request, refusal)

    async def _aview(self, request: HttpRequest, *_: Any) -> Optional[HttpResponseBase]:
        refusal = _refusal(request)
        return None if refusal is None else await aanswer(request, refusal)


def _refusal(request: HttpRequest) -> Optional[Maintenance]:
    """Give what keeps a view closed after all: it is another URLconf's, or no late half has decided on the request."""
    verdict, maintenance = getattr(request, UNDECIDED, None) or (None, None)
    if verdict is Verdict.ASK_VIEW and may_be_called(cast(ResolverMatch, request.resolver_match), conf.current()):
        return None
    return maintenance


class MaintenanceModeLateMiddleware(_Middleware):
    """Decides, after AuthenticationMiddleware, on the requests that depend on who is logged in, and on no other."""

    def __call__(self, request: HttpRequest) -> Response:
        """Give a request on, or answer it."""
        verdict, maintenance = getattr(request, UNDECIDED, None) or (None, None)
        if verdict is Verdict.ASK_USER:
            return self._ask_user(request, cast(Maintenance, maintenance))
        return self.get_response(request)
