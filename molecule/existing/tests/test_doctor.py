"""The doctor looks at the vhosts as they are, with the snippet in them."""

from __future__ import annotations

import json

from fleet import Fleet


def test_no_error_is_found(site: Fleet) -> None:
    run = site.playbook("playbooks/doctor.yml", maintenance_page_doctor_format="json")
    assert run.status == 0, run.output
    document = json.loads(run.stdout)
    assert {one["host"]: one["reached"] for one in document["hosts"]} == dict.fromkeys(site.urls, True)
    assert [one for one in document["findings"] if one["severity"] == "error"] == []
    files = {(one["id"], one["host"], one["file"]) for one in document["findings"]}
    assert ("N6", "other.example.com", "/etc/nginx/conf.d/10-shop.conf") in files
