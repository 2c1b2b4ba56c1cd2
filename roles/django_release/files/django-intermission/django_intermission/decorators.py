"""Views that differ from the site: ``maintenance_exempt`` stays open, ``maintenance_required`` is closed by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Optional, TypeVar

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from django_intermission import conf
from django_intermission.answer import aanswer, answer
from django_intermission.decision import EXEMPT, by_address, user_passes
from django_intermission.state import Maintenance

View = TypeVar("View", bound=Callable[..., Any])
CLOSED = Maintenance(source="view")


def maintenance_exempt(view: View) -> View:
    """Keep a view open while the site is closed. For functions, class-based views and what ``as_view()`` gives, async ones too."""
    if isinstance(view, type):
        setattr(view, EXEMPT, True)
        return view

    async def later(*args: Any, **kwargs: Any) -> Any:
        return await view(*args, **kwargs)

    def now(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    wrapped: Any = wraps(view)(later if iscoroutinefunction(view) else now)
    setattr(wrapped, EXEMPT, True)
    return wrapped  # type: ignore[no-any-return]


def maintenance_required(view: View) -> View:
    """Close a view by itself, whether the site is closed or not. Who may pass by address or by being logged in passes.

    For functions, class-based views and what ``as_view()`` gives, async ones too. ``DEBUG`` opens it like the site.
    """
    if isinstance(view, type):
        _close_class(view)
        return view

    async def later(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refusal = await _arefusal(request)
        return await view(request, *args, **kwargs) if refusal is None else refusal

    def now(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        refusal = _refusal(request)
        return view(request, *args, **kwargs) if refusal is None else refusal

    return wraps(view)(later if iscoroutinefunction(view) else now)  # type: ignore[return-value]


def _close_class(view: Any) -> None:
    dispatch = view.dispatch

    @wraps(dispatch)
    def wrapper(self: Any, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not self.view_is_async:
            refusal = _refusal(request)
            return dispatch(self, request, *args, **kwargs) if refusal is None else refusal

        async def later() -> Any:
            arefusal = await _arefusal(request)
            return await dispatch(self, request, *args, **kwargs) if arefusal is None else arefusal

        return later()

    view.dispatch = wrapper


def _in_force(request: HttpRequest, options: conf.Options) -> Optional[Maintenance]:
    """Give what closes the view: the site's own maintenance, which has a text and an end, else the decorator's."""
    return None if options.debug or by_address(request, options) else options.look() or CLOSED


def _refusal(request: HttpRequest) -> Optional[HttpResponseBase]:
    options = conf.current()
    maintenance = _in_force(request, options)
    if maintenance is None or (options.asks_user and user_passes(request, options)):
        return None
    return answer(request, maintenance)


async def _arefusal(request: HttpRequest) -> Optional[HttpResponseBase]:
    options = conf.current()
    maintenance = _in_force(request, options)
    if maintenance is None or (options.asks_user and await sync_to_async(user_passes)(request, options)):
        return None
    return await aanswer(request, maintenance)
