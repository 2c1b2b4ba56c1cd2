"""The alerts that are shipped, as Prometheus's own tool understands them (Debian's package prometheus)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from ansible_collections.intermission.django.plugins.module_utils.metrics import HELP, PREFIX

RULES = Path(__file__).parents[3] / "docs" / "prometheus-rules.yml"
PLAYED = Path(__file__).parent / "prometheus-rules-test.yml"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not here: apt install prometheus"
)


@needs_promtool
@pytest.mark.parametrize("command", [("check", "rules", RULES), ("test", "rules", PLAYED)], ids=["check", "test"])
def test_promtool_takes_the_rules(command: tuple[str, str, Path]) -> None:
    ran = subprocess.run(["promtool", *map(str, command)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_rules_ask_for_metrics_that_are_there_and_each_is_played() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    asked = {name for rule in group["rules"] for name in re.findall(rf"{PREFIX}(\w+)", rule["expr"])}
    assert asked
    assert asked <= set(HELP)
    assert {rule["alert"] for rule in group["rules"]} == set(re.findall(r"alertname: (\w+)", PLAYED.read_text()))
