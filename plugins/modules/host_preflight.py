#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: host_preflight
short_description: Find what would make an installation fail, before anything changes
version_added: 0.1.0
description:
  - Checks the ports that Nginx is to listen on, the way of the Nginx worker to the state directory, the length of the app's socket path,
    and the certificate with its key.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  listen:
    description: Values of Nginx's C(listen) directive.
    type: list
    elements: str
    default: []
  readable:
    description: Directories that the Nginx worker has to traverse.
    type: list
    elements: path
    default: []
  worker_user:
    description: The user that Nginx's workers run as.
    type: str
    default: www-data
  socket:
    description: Path of the app's unix socket.
    type: path
  tls:
    description:
      - The certificate and its key on the host, where Nginx is to serve TLS.
      - Files that this user may not read are left to Nginx's own test, and whether the certificate has expired is looked at where the host has C(openssl).
    type: dict
    suboptions:
      listen:
        description: Values of Nginx's C(listen) directive for TLS.
        type: list
        elements: str
        required: true
      certificate:
        description: File of the certificate and its chain.
        type: path
        default: ""
      key:
        description: File of the certificate's key.
        type: path
        default: ""
  systemd:
    description: Whether the host has to be Debian with systemd, and this user root.
    type: bool
    default: false
  account:
    description: The account that the site's code is to run as, and its home directory. Where it is there with another home, it is somebody else's.
    type: dict
    suboptions:
      name:
        description: The account's name.
        type: str
        required: true
      home:
        description: The home directory that it is given where it is made.
        type: path
        required: true
  root:
    description: The site's directory, which its services have to see in their sandbox.
    type: path
  units:
    description: The units of a site, by their names with their content, as the module M(intermission.django.systemd_units) is going to install them.
    type: dict
  site:
    description: The site that O(units) belong to.
    type: str
  packages:
    description: Debian packages that have to be there; those that are not are given back.
    type: list
    elements: str
    default: []
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Look before installing
  intermission.django.host_preflight:
    listen: ["80"]
    readable: [/var/lib/intermission]
    worker_user: www-data
"""

RETURN = r"""
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: success
  type: list
  elements: str
changed_units:
  description: Those of O(units) that the site has with another content.
  returned: success
  type: list
  elements: str
"""

import contextlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.preflight import (
    account_fault,
    certificate_fault,
    closed_ancestor,
    hidden_by_sandbox,
    missing_packages,
    port_fault,
    socket_path_fault,
    split_listen,
    systemd_fault,
)
from ansible_collections.intermission.django.plugins.module_utils.units import (
    UnitError,
    Units,
)

TLS_SPEC = {
    "listen": {"type": "list", "elements": "str", "required": True},
    "certificate": {"type": "path", "default": ""},
    "key": {"type": "path", "default": "", "no_log": False},
}
ACCOUNT_SPEC = {"name": {"type": "str", "required": True}, "home": {"type": "path", "required": True}}
ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "listen": {"type": "list", "elements": "str", "default": []},
        "readable": {"type": "list", "elements": "path", "default": []},
        "worker_user": {"type": "str", "default": "www-data"},
        "socket": {"type": "path"},
        "tls": {"type": "dict", "options": TLS_SPEC},
        "systemd": {"type": "bool", "default": False},
        "account": {"type": "dict", "options": ACCOUNT_SPEC},
        "root": {"type": "path"},
        "units": {"type": "dict"},
        "site": {"type": "str"},
        "packages": {"type": "list", "elements": "str", "default": []},
    },
    "required_by": {"units": ("site",)},
    "supports_check_mode": True,
}

EXAMPLES_OF_FILES = {
    "certificate": "the certificate and its chain, for instance /etc/letsencrypt/live/shop.example.com/fullchain.pem",
    "key": "the certificate's key, for instance /etc/letsencrypt/live/shop.example.com/privkey.pem",
}


def listen_faults(variable: str, values: list[str], example: str) -> list[str]:
    """Say which of the ports Nginx cannot have."""
    found = []
    for listen in values:
        try:
            fault = port_fault(listen)
        except ValueError as error:
            fault = f"{error}, as in 80, 127.0.0.1:8081 or [::]:443"
        if fault:
            found.append(f"{variable} '{listen}': {fault}. Name a free port, for instance {example}.")
    return found


def sockets(values: list[str]) -> set[tuple[str, int]]:
    """Give address and port of each value that has them."""
    found = set()
    for listen in values:
        with contextlib.suppress(ValueError):
            found.add(split_listen(listen))
    return found


def tls_faults(tls: dict[str, Any], plain: list[str]) -> list[str]:
    """Say why Nginx could not serve TLS."""
    found = listen_faults("maintenance_page_tls.listen", tls["listen"], "8443")
    if not tls["listen"]:
        found.append(
            "maintenance_page_tls.listen is empty. Name a port for TLS, for instance ['443'], or leave it out."
        )
    if twice := sockets(tls["listen"]) & sockets(plain):
        ports = ", ".join(str(port) for _address, port in sorted(twice))
        found.append(
            f"maintenance_page_tls.listen: port {ports} is in maintenance_page_listen too, which is for plain HTTP. "
            "Take it out there; maintenance_page_listen: ['80'] is usual."
        )
    missing = [option for option in EXAMPLES_OF_FILES if not tls[option]]
    found += [
        f"maintenance_page_tls.{option} is not set. Name the file on the host that has {EXAMPLES_OF_FILES[option]}."
        for option in missing
    ]
    if not missing and (fault := certificate_fault(tls["certificate"], tls["key"])):
        found.append(
            f"maintenance_page_tls: {fault}. Set certificate and key to files on the host that belong together, in PEM; "
            "or leave maintenance_page_tls empty until there is a certificate."
        )
    return found


def faults(params: dict[str, Any]) -> list[str]:
    """Say what is wrong, each with the variable to set."""
    if params["systemd"] and (fault := systemd_fault()):
        return [fault]
    found = listen_faults("maintenance_page_listen", params["listen"], "127.0.0.1:8081")
    if params["tls"]:
        found += tls_faults(params["tls"], params["listen"])
    for directory in params["readable"]:
        try:
            closed = closed_ancestor(directory, params["worker_user"])
        except KeyError:
            found.append(
                f"maintenance_page_worker_user '{params['worker_user']}': there is no such user. "
                "Name the user of Nginx's workers, for instance www-data."
            )
            continue
        if closed:
            found.append(
                f"intermission_state_root: Nginx's worker ({params['worker_user']}) may not traverse {closed}, so it "
                f"would never see the flag below {directory}. Choose another place, for instance /var/lib/intermission, "
                f"or allow it: chmod o+x {closed}"
            )
    if params["socket"] and (fault := socket_path_fault(params["socket"])):
        found.append(f"django_release_socket: {fault}. Choose a shorter one, for instance /run/shop/app.sock.")
    if params["root"] and (hidden := hidden_by_sandbox(params["root"])):
        found.append(
            f"django_release_root: {params['root']} is below {hidden}, which systemd hides from the site's services "
            "(ProtectHome=, PrivateTmp=): they could not start. Choose another place, for instance /srv/shop."
        )
    if params["account"] and (fault := account_fault(**params["account"])):
        found.append(f"django_release_user: {fault}")
    return found


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    found = faults(params)
    changed: list[str] = []
    try:
        if params["units"] and not found:
            changed = Units(params["site"]).changed(params["units"])
    except UnitError as error:
        found.append(str(error))
    if found:
        module.fail_json(msg="\n".join(found))
    module.exit_json(missing_packages=missing_packages(params["packages"]), changed_units=changed)


if __name__ == "__main__":
    main()
