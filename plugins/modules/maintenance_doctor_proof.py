#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_doctor_proof
short_description: Prove over HTTP what the doctor can prove
version_added: 0.1.0
description:
  - Asks a web host as a visitor would, without closing its site, and names what is wrong. It does not fail where something is.
attributes:
  check_mode:
    support: full
    description: Asks in check mode too.
  diff_mode:
    support: none
    description: Nothing changes.
options:
  url:
    description: What to ask for.
    type: str
    required: true
  host:
    description: The C(Host) header, and the name that the certificate has to be for where O(url) is https.
    type: str
    required: true
  of:
    description: The web host's name in the findings.
    type: str
    required: true
  closed:
    description: Whether the site is closed. If so, it is asked with C(HEAD), C(POST) and C(OPTIONS) too.
    type: bool
    required: true
  read_only:
    description: Whether the window lets GET and HEAD go on to the app.
    type: bool
    default: false
  uris:
    description: Paths that no visitor may be given.
    type: list
    elements: str
    default: []
  validate_certs:
    description: Whether the certificate has to be trusted and for O(host).
    type: bool
    default: true
  ca:
    description: File of CA certificates in PEM that are trusted instead of the system's.
    type: path
  timeout:
    description: How long one answer may take, in seconds.
    type: float
    default: 10
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: See what visitors see
  intermission.django.maintenance_doctor_proof:
    url: http://192.0.2.10/
    host: shop.example.com
    of: web1
    closed: false
    uris: [/_intermission/window]
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: What was found, as M(intermission.django.maintenance_doctor) tells it; C(file) is the address that was asked.
  returned: success
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.doctor_proof import prove
from ansible_collections.intermission.django.plugins.module_utils.proof import tls_context

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "url": {"type": "str", "required": True},
        "host": {"type": "str", "required": True},
        "of": {"type": "str", "required": True},
        "closed": {"type": "bool", "required": True},
        "read_only": {"type": "bool", "default": False},
        "uris": {"type": "list", "elements": "str", "default": []},
        "validate_certs": {"type": "bool", "default": True},
        "ca": {"type": "path"},
        "timeout": {"type": "float", "default": 10},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    try:
        tls = tls_context(params["validate_certs"], params["ca"] or "")
    except OSError as error:
        module.fail_json(
            msg=f"maintenance_window_proof_ca '{params['ca']}' cannot be taken: {error}. Name a file of CA certificates "
            "in PEM on the host that asks, for instance /etc/ssl/certs/ca-certificates.crt."
        )
    found = prove(
        params["url"], params["host"], params["closed"], params["uris"], params["timeout"], tls, params["read_only"]
    )
    told = [{"id": one["id"], "severity": one["severity"], "host": params["of"], **one} for one in found]
    module.exit_json(findings=told)


if __name__ == "__main__":
    main()
