"""``override_maintenance``, as the tests of a project use it."""

from __future__ import annotations

import unittest

import pytest
from django.test import SimpleTestCase
from django_intermission.testing import override_maintenance

from django_layer.conftest import Host
from django_layer.visitors import Visit


def test_as_a_context_manager(visit: Visit) -> None:
    with override_maintenance(reason="Disk"):
        assert "Disk" in visit().body
        with override_maintenance(False):
            assert visit().status == 200
        assert visit().status == 503
    assert visit().status == 200


def test_as_a_decorator(visit: Visit) -> None:
    @override_maintenance(bypass_ip=["203.0.113.7"])
    def closed() -> tuple[int, int]:
        return visit().status, visit(peer="203.0.113.7").status

    assert closed() == (503, 200)


@pytest.mark.parametrize(("on", "status"), [(True, 503), (False, 200)])
def test_for_a_class(monkeypatch: pytest.MonkeyPatch, on: bool, status: int) -> None:
    monkeypatch.setenv("MAINTENANCE_MODE", "off" if on else "on")

    @override_maintenance(on)
    class Case(SimpleTestCase):
        def test_it(self) -> None:
            self.assertEqual(self.client.get("/").status_code, status)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])


def test_neither_flag_nor_environment_counts_meanwhile(
    host: Host, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.open()
    monkeypatch.setenv("MAINTENANCE_MODE", "on")
    monkeypatch.setenv("MAINTENANCE_READ_ONLY", "yes")
    with override_maintenance(False):
        assert visit().status == 200
    with override_maintenance():
        assert visit().status == 503
    assert visit().status == 503
