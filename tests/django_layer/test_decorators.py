"""Views that stay open, and views that are closed by themselves."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django_intermission.decorators import maintenance_exempt, maintenance_required

from django_layer.conftest import Configure, Host
from django_layer.visitors import Visit

OPEN = ["/open/function/", "/open/async/", "/open/class/", "/open/as-view/", "/open/async-as-view/"]
CLOSED = [path.replace("open", "closed") for path in OPEN] + ["/closed/async-class/"]


@pytest.mark.parametrize("path", OPEN)
def test_exempt(configure: Configure, visit: Visit, path: str) -> None:
    configure(MAINTENANCE_MODE=True)
    answer = visit(path)
    assert (answer.status, answer.body) == (200, "app")
    assert visit("/").status == 503


@pytest.mark.parametrize("path", CLOSED)
def test_required(configure: Configure, visit: Visit, path: str) -> None:
    assert (visit(path).status, visit("/").status) == (503, 200)
    configure(MAINTENANCE_BYPASS_IP=["203.0.113.7"])
    answer = visit(path, peer="203.0.113.7")
    assert (answer.status, answer.body) == (200, "app")


@pytest.mark.parametrize("path", CLOSED)
def test_required_opens_with_debug(configure: Configure, visit: Visit, path: str) -> None:
    configure(DEBUG=True)
    assert visit(path).status == 200
    configure(MAINTENANCE_IN_DEBUG=True)
    assert visit(path).status == 503


@pytest.mark.parametrize("path", CLOSED)
def test_required_says_what_the_site_says(configure: Configure, host: Host, visit: Visit, path: str) -> None:
    host.open(reason="Disk")
    configure(MAINTENANCE_ALLOWED_URLS=["^/closed/"])
    answer = visit(path)
    assert answer.status == 503 and "Disk" in answer.body


@pytest.mark.parametrize("path", CLOSED)
@pytest.mark.parametrize(("is_staff", "status"), [(True, 200), (False, 503)])
def test_required_and_who_is_logged_in(
    configure: Configure, visit: Visit, database: None, path: str, is_staff: bool, status: int
) -> None:
    from django.contrib.auth import get_user_model
    from django.test import Client

    user, _ = get_user_model().objects.get_or_create(username=f"staff-{is_staff}", is_staff=is_staff)
    client = Client()
    client.force_login(user)
    configure(MAINTENANCE_ALLOW_STAFF=True)
    assert visit(path, Cookie=f"sessionid={client.cookies['sessionid'].value}").status == status


def test_a_decorated_view_keeps_its_name_and_is_not_changed_itself() -> None:
    def view(request: Any) -> HttpResponse:
        """Doc."""
        return HttpResponse("app")

    for decorated in (maintenance_exempt(view), maintenance_required(view)):
        assert (decorated.__name__, decorated.__doc__) == ("view", "Doc.")
    assert not hasattr(view, "maintenance_exempt")


def test_a_method_can_be_exempt() -> None:
    class Site:
        def view(self, request: Any) -> HttpResponse:
            return HttpResponse("app")

    assert maintenance_exempt(Site().view)(RequestFactory().get("/")).content == b"app"
