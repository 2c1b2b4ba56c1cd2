"""Who passes, who is asked, and what a request touches on its way."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, Optional

import asgiref.sync
import pytest
from asgiref.sync import iscoroutinefunction
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Permission
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from django_intermission import conf
from django_intermission.middleware import MaintenanceModeMiddleware

from django_layer.conftest import Configure, Host
from django_layer.project import AUTHENTICATION, EARLY, LATE, SESSIONS
from django_layer.visitors import Visit

STAFF = {"MAINTENANCE_MODE": True, "MAINTENANCE_ALLOW_STAFF": True}


@pytest.fixture
def cookie(database: None) -> Any:
    """Log somebody in, and give the header that says so."""

    def log_in(permission: Optional[str] = None, **fields: Any) -> str:
        user: Any = get_user_model().objects.create(username=f"user{get_user_model().objects.count()}", **fields)
        if permission:
            user.user_permissions.add(Permission.objects.get(codename=permission))
        client = Client()
        client.force_login(user)
        return f"sessionid={client.cookies['sessionid'].value}"

    return log_in


@pytest.mark.parametrize(
    ("setting", "fields", "status"),
    [
        ({"MAINTENANCE_ALLOW_STAFF": True}, {"is_staff": True}, 200),
        ({"MAINTENANCE_ALLOW_STAFF": True}, {"is_superuser": True}, 503),
        ({"MAINTENANCE_ALLOW_STAFF": True}, {"is_staff": True, "is_active": False}, 503),
        ({"MAINTENANCE_ALLOW_SUPERUSERS": True}, {"is_superuser": True}, 200),
        ({"MAINTENANCE_ALLOW_SUPERUSERS": True}, {"is_staff": True}, 503),
        ({"MAINTENANCE_ALLOW_PERMISSION": "auth.view_user"}, {"permission": "view_user"}, 200),
        ({"MAINTENANCE_ALLOW_PERMISSION": "auth.view_user"}, {"permission": "view_group"}, 503),
        ({}, {"is_superuser": True, "is_staff": True}, 503),
    ],
)
@pytest.mark.parametrize(
    "middleware", [[EARLY, SESSIONS, AUTHENTICATION, LATE], [SESSIONS, AUTHENTICATION, EARLY]], ids=["first", "last"]
)
def test_who_is_logged_in(
    configure: Configure, visit: Visit, cookie: Any, setting: Any, fields: Any, status: int, middleware: list[str]
) -> None:
    header = cookie(**fields)
    configure(MAINTENANCE_MODE=True, MIDDLEWARE=middleware, **setting)
    assert visit(Cookie=header).status == status
    assert visit().status == 503
    assert visit("/nowhere/").status == 503


def test_nobody_passes_where_nothing_decides(configure: Configure, visit: Visit, cookie: Any) -> None:
    header = cookie(is_staff=True)
    configure(MIDDLEWARE=[EARLY, SESSIONS, AUTHENTICATION], **STAFF)
    assert visit(Cookie=header).status == 503
    configure(MIDDLEWARE=[EARLY, LATE, SESSIONS, AUTHENTICATION])
    assert visit(Cookie=header).status == 503


def test_the_late_half_leaves_an_open_site_alone(configure: Configure, visit: Visit) -> None:
    configure(MIDDLEWARE=[LATE], MAINTENANCE_ALLOW_STAFF=True)
    assert visit().status == 200


class BrokenUser:
    @property
    def is_active(self) -> bool:
        raise RuntimeError("the database is being migrated")


def test_nobody_passes_while_the_database_is_away(configure: Configure, caplog: pytest.LogCaptureFixture) -> None:
    configure(**STAFF)
    middleware = MaintenanceModeMiddleware(lambda request: HttpResponse())
    for _ in range(2):
        request = RequestFactory().get("/")
        request.user = BrokenUser()  # type: ignore[assignment]
        response: Any = middleware(request)
        assert response.status_code == 503
    assert caplog.text.count("cannot be found out") == 1


class FormerStaff:
    is_active = False
    is_staff = True


def test_who_is_no_longer_active_does_not_pass(configure: Configure) -> None:
    configure(**STAFF)
    request = RequestFactory().get("/")
    request.user = FormerStaff()  # type: ignore[assignment]
    response: Any = MaintenanceModeMiddleware(lambda request: HttpResponse())(request)
    assert response.status_code == 503


def test_a_late_half_without_users_is_no_error(
    configure: Configure, visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    configure(MIDDLEWARE=[EARLY, LATE], **STAFF)
    assert visit().status == 503
    assert "cannot be found out" not in caplog.text


def test_a_secret_that_is_not_ascii(host: Host, visit: Visit) -> None:
    host.state.open(window(), by="ada", source="test", secret="A" * 43)
    assert visit(X_Intermission_Pass="\xe9").status == 503


def test_a_visitor_without_account(configure: Configure) -> None:
    configure(**STAFF)
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    response: Any = MaintenanceModeMiddleware(lambda request: HttpResponse())(request)
    assert response.status_code == 503


def test_a_closed_site_asks_no_database(configure: Configure, visit: Visit, cookie: Any) -> None:
    header = cookie(is_staff=True)
    configure(MAINTENANCE_MODE=True)

    def refuse(*_: Any) -> Any:
        raise AssertionError("the database was asked")

    with connection.execute_wrapper(refuse):
        assert visit(Cookie=header).status == 503


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 200), ("HEAD", 200), ("OPTIONS", 503), ("POST", 503), ("DELETE", 503)]
)
def test_read_only(configure: Configure, host: Host, visit: Visit, method: str, status: int) -> None:
    host.open(read_only=True)
    assert visit(method=method).status == status
    host.close()
    configure(MAINTENANCE_MODE=True, MAINTENANCE_READ_ONLY=True)
    assert visit(method=method).status == status


def test_the_secret_of_a_window(host: Host, visit: Visit) -> None:
    secret = "A" * 43
    host.state.open(window(), by="ada", source="test", secret=secret)
    assert visit(X_Intermission_Pass=secret).status == 200
    assert visit(X_Intermission_Pass="B" * 43).status == 503
    assert visit(X_Intermission_Pass=hashlib.sha256(secret.encode()).hexdigest()).status == 503
    assert visit(X_Intermission_Pass="").status == 503
    assert visit(Cookie=f"intermission_shop={secret}").status == 200
    for cookie in (f"intermission_shop={'B' * 43}", f"intermission_other={secret}", "intermission_shop="):
        assert visit(Cookie=cookie).status == 503
    host.close()
    (host.path / "on").touch()
    assert visit(X_Intermission_Pass=secret).status == 503


def window() -> Any:
    from ansible_collections.intermission.django.plugins.module_utils.state import Window

    return Window(id="manual-1", site="shop", start="2026-01-01T00:00:00Z")


def test_the_settings_of_origin(configure: Configure, visit: Visit) -> None:
    configure(
        MAINTENANCE_MODE=True,
        MAINTENANCE_BYPASS_IP=["127.0.0.1", "::1"],
        MAINTENANCE_ALLOWED_URLS=["^/admin/"],
        MIDDLEWARE=[SESSIONS, AUTHENTICATION, EARLY],
    )
    assert visit().status == 503
    assert visit(peer="127.0.0.1").status == 200
    assert visit(peer="::1").status == 200
    assert visit("/admin/").status == 200


async def aview(request: HttpRequest) -> HttpResponse:
    return HttpResponse("app")


def test_an_event_loop_is_never_left(configure: Configure, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a thread was taken")

    middleware = MaintenanceModeMiddleware(aview)
    assert iscoroutinefunction(middleware)
    monkeypatch.setattr(asgiref.sync.SyncToAsync, "__call__", refuse)
    request = RequestFactory().get("/")

    async def ask() -> Any:
        response: Any = middleware(request)
        return await response

    assert asyncio.run(ask()).status_code == 200
    host.open()
    assert asyncio.run(ask()).status_code == 503


def test_an_open_site_adds_no_coroutine() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    made: Any = MaintenanceModeMiddleware(view)(RequestFactory().get("/"))
    assert made.cr_code is view.__code__
    made.close()


def test_a_sync_stack_stays_sync() -> None:
    middleware = MaintenanceModeMiddleware(lambda request: HttpResponse())
    assert not iscoroutinefunction(middleware)
    assert (middleware.sync_capable, middleware.async_capable) == (True, True)


def test_a_request_may_have_urls_of_its_own(configure: Configure) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_ALLOWED_URL_NAMES=["status"])
    request = RequestFactory().get("/status/")
    request.urlconf = "django_layer.other_urls"
    response: Any = MaintenanceModeMiddleware(lambda request: HttpResponse())(request)
    assert response.status_code == 200


def test_nothing_is_done_before_the_settings_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    middleware = MaintenanceModeMiddleware(lambda request: HttpResponse())
    conf.forget()
    assert conf.loaded is None
    middleware(RequestFactory().get("/"))
    assert conf.loaded is not None
