"""Stands for ``ansible.module_utils.basic`` in the copy of the modules on a host, see ``resident``. Standard library only.

The request is a line of standard input and has been validated by the controller; what only the host can know is done here.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any, NoReturn


class AnsibleModule:
    """What a module of this collection uses of Ansible's class of this name."""

    def __init__(self, argument_spec: Mapping[str, Any], **_: Any) -> None:
        """Read the request."""
        request = json.loads(sys.stdin.readline())
        self.check_mode: bool = request["check_mode"]
        self.params: dict[str, Any] = _expanded(request["params"], argument_spec)

    def exit_json(self, **result: Any) -> NoReturn:
        """Answer, and end well."""
        print(json.dumps({"changed": False, **result}), flush=True)
        sys.exit(0)

    def fail_json(self, msg: str, **result: Any) -> NoReturn:
        """Answer, and end as a failure."""
        print(json.dumps({"failed": True, "msg": msg, **result}), flush=True)
        sys.exit(1)


def _expanded(params: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    """Give the parameters with ``~`` and variables replaced in paths, as Ansible does for options of the type path."""
    return {name: _expand(value, spec[name]) for name, value in params.items()}


def _expand(value: Any, option: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_expand(each, {**option, "type": option.get("elements")}) for each in value]
    if option.get("type") == "path" and isinstance(value, str):
        return os.path.expanduser(os.path.expandvars(value))
    if isinstance(value, dict) and option.get("options"):
        return _expanded(value, option["options"])
    return value
