#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_proof
short_description: Prove over HTTP that a web host is closed or open
version_added: 0.1.0
description:
  - Asks a web host as a visitor would, with each method, until the answer is the expected one or the time is over.
  - Closed means status 503 with the complete page, C(Retry-After) and C(no-store) in C(Cache-Control); or the answer of the app's
    middleware, which is known by the header C(X-Intermission). Changes nothing.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  url:
    description: What to ask for.
    type: str
    required: true
  host:
    description: The C(Host) header, and the name that the certificate has to be for where O(url) is https.
    type: str
    required: true
  validate_certs:
    description: Whether the certificate has to be trusted and for O(host).
    type: bool
    default: true
  ca:
    description: File of CA certificates in PEM that are trusted instead of the system's.
    type: path
  expected:
    description:
      - What to prove; V(any) tells what is there and never fails. V(shared) is either of V(closed) and V(open), and then it is told which.
    type: str
    choices: [closed, open, shared, any]
    required: true
  ours:
    description: Whether the maintenance answer is one of this collection's; of another's nothing but the status is known.
    type: bool
    default: true
  methods:
    description: The HTTP methods to ask with.
    type: list
    elements: str
    default: [GET, POST]
  seconds:
    description: How long to keep asking, in seconds.
    type: float
    default: 10
  timeout:
    description: How long one answer may take, in seconds.
    type: float
    default: 10
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Nobody gets in
  intermission.django.maintenance_proof:
    url: http://192.0.2.10/
    host: shop.example.com
    expected: closed
  delegate_to: localhost

- name: Nobody gets in over HTTPS, where the certificate is of a CA of one's own
  intermission.django.maintenance_proof:
    url: https://192.0.2.10:8443/
    host: shop.example.com
    ca: /etc/ssl/own-ca.pem
    expected: closed
  delegate_to: localhost
"""

RETURN = r"""
seen:
  description: With O(expected=any) and O(expected=shared), V(closed), V(closed by the app), V(open) or what is wrong; else the expected state.
  returned: always
  type: str
"""

from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.proof import (
    NOT_TRUSTED,
    observe,
    prove,
    tls_context,
)

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "url": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "validate_certs": {"type": "bool", "default": True},
        "ca": {"type": "path"},
        "expected": {"type": "str", "choices": ["closed", "open", "shared", "any"], "required": True},
        "ours": {"type": "bool", "default": True},
        "methods": {"type": "list", "elements": "str", "default": ["GET", "POST"]},
        "seconds": {"type": "float", "default": 10},
        "timeout": {"type": "float", "default": 10},
    },
    "supports_check_mode": True,
}


def answered(params: dict[str, Any]) -> dict[str, Any]:
    """Ask, with validated parameters, and give the module's result."""
    url, host, timeout = params["url"], params["host"], params["timeout"]
    try:
        needed = params["ca"] or urlsplit(url).scheme == "https"
        tls = tls_context(params["validate_certs"], params["ca"] or "") if needed else None
    except OSError as error:
        return {
            "failed": True,
            "msg": f"maintenance_window_proof_ca '{params['ca']}' cannot be taken: {error}. Name a file of CA certificates "
            "in PEM on the host that asks, for instance /etc/ssl/certs/ca-certificates.crt.",
        }
    if params["expected"] == "any":
        return {"seen": observe(url, host, timeout, tls)}
    faults = prove(params["expected"], url, host, params["methods"], params["seconds"], timeout, tls, params["ours"])
    wrong = [f"{method} {url}: {fault}" for method, fault in faults.items() if fault]
    if any(NOT_TRUSTED in fault for fault in wrong):
        wrong.append(
            "trust its CA with maintenance_window_proof_ca, or set maintenance_window_proof_validate_certs: false"
        )
    if wrong:
        said = f"not proven to be {params['expected']}: " + "; ".join(wrong)
        return {"failed": True, "msg": said, "seen": "unproven"}
    return {"seen": observe(url, host, timeout, tls) if params["expected"] == "shared" else params["expected"]}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    result = answered(module.params)
    if result.get("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
