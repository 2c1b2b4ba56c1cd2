"""Runs the collection's modules from a copy that stays on the host, so that a task is its arguments and nothing else.

Ansible sends a module and all that it imports anew for each task, and Python compiles it anew: most of what a short task costs a
host. The copy is sent once, to ``remote_tmp``, where Ansible has its own temporary files: a directory that is named by the digest of
its content and that nobody but the account that runs it can write to. Python keeps what it has compiled there. Arguments are
validated here, by Ansible's own code. Where there can be no copy (no pipelining, no home directory, a full disk, an interpreter that
is not known yet) a module goes Ansible's own way.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import json
import shlex
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ansible import constants
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

COLLECTION = "ansible_collections.intermission.django.plugins"
PLUGINS = Path(__file__).resolve().parents[1]
KEPT_COPIES = 5
KEPT_SECONDS = 24 * 60 * 60
NO_COPY = 97
# Arguments of both: the directory that Ansible keeps its own temporary files in, the copy's digest; of RUN, the module too
PLACE = """
import os, pwd, sys
base = sys.argv[1]
if base.startswith('~/'):
    base = pwd.getpwuid(os.geteuid()).pw_dir + base[1:]
copies = os.path.join(base, 'intermission')
copy = os.path.join(copies, sys.argv[2])
"""
RUN = f"""{PLACE}
for directory in (copies, copy):
    try:
        status = os.lstat(directory)
    except OSError:
        sys.exit({NO_COPY})
    if status.st_uid != os.geteuid() or status.st_mode & 0o170022 != 0o040000:
        sys.exit({NO_COPY})
os.utime(copy)
sys.path.insert(0, copy)
from importlib import import_module
import_module('{COLLECTION}.modules.' + sys.argv[3]).main()
"""
KEEP = f"""{PLACE}
import shutil, tarfile, tempfile, time
os.makedirs(copies, mode=0o700, exist_ok=True)
made = tempfile.mkdtemp(dir=copies)
try:
    with tarfile.open(fileobj=sys.stdin.buffer, mode='r|gz') as archive:
        archive.extractall(made)
    os.rename(made, copy)
finally:
    shutil.rmtree(made, ignore_errors=True)
former = sorted((entry.stat().st_mtime, entry.path) for entry in os.scandir(copies))
for used, path in former[:-{KEPT_COPIES}]:
    if used < time.time() - {KEPT_SECONDS}:
        shutil.rmtree(path, ignore_errors=True)
"""


def content() -> dict[str, bytes]:
    """Give the files of a copy: the modules, their logic, and a stand-in for the part of Ansible that they use.

    Each directory is a package, which a host's own Ansible cannot get before.
    """
    prefix = Path(*COLLECTION.split("."))
    sources = {Path("ansible/module_utils/basic.py"): Path(__file__).with_name("resident_basic.py")}
    for part in ("modules", "module_utils"):
        sources.update((prefix / part / path.name, path) for path in sorted((PLUGINS / part).glob("*.py")))
    packages = {parent / "__init__.py" for name in sources for parent in name.parents if parent.name}
    return {
        **{str(name): b"" for name in sorted(packages)},
        **{str(name): path.read_bytes() for name, path in sources.items()},
    }


def digest(files: Mapping[str, bytes]) -> str:
    """Name a copy by its content."""
    named = hashlib.sha256()
    for name, body in sorted(files.items()):
        named.update(f"{name}\0{len(body)}\0".encode() + body)
    return named.hexdigest()[:32]


def archive(files: Mapping[str, bytes]) -> bytes:
    """Pack a copy."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, body in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            tar.addfile(entry, io.BytesIO(body))
    return packed.getvalue()


# The strategy imports the action in Ansible's main process, of which each task's process is a fork. So an action imports its module
# too: Ansible's loader compiles what it imports, which each of these processes would do for itself
DIGEST = digest(content())


class ActionModule(ActionBase):  # type: ignore[misc]
    """The action of a module that needs nothing else of the controller."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the module."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        return {**result, **execute(self, task_vars or {}, self._task.args)}


def execute(action: ActionBase, task_vars: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
    """Run the module that the task names, with these arguments, as ``ActionBase._execute_module`` does."""
    name = action._task.action.rpartition(".")[2]
    known = validated(importlib.import_module(f"{COLLECTION}.modules.{name}").ARGUMENTS, arguments)
    if known.error_messages:
        return {"failed": True, "msg": "; ".join(known.error_messages)}
    python = _interpreter(action, task_vars)
    if python and action._is_pipelining_enabled("new"):
        request = {"params": known.validated_parameters, "check_mode": bool(action._task.check_mode)}
        ran = _run_copy(action, python, name, json.dumps(request).encode())
        if ran["rc"] != NO_COPY:
            return dict(remove_values(answer(ran), known._no_log_values))
    return dict(action._execute_module(module_args=arguments, task_vars=task_vars))


def _run_copy(action: ActionBase, python: str, name: str, request: bytes) -> dict[str, Any]:
    """Run a module from the copy, which is sent where it is not there; the status is NO_COPY where that did not help."""
    base = str(action.get_shell_option("remote_tmp", default="~/.ansible/tmp"))

    def run(data: bytes, program: str, *words: str) -> dict[str, Any]:
        command = [
            action._compute_environment_string(),
            python,
            "-IS",
            "-c",
            shlex.join([program, base, DIGEST, *words]),
        ]
        return dict(action._low_level_execute_command(" ".join(command).strip(), in_data=data))

    ran = run(request, RUN, name)
    if ran["rc"] == NO_COPY:
        kept = run(archive(content()), KEEP)
        Display().vvv(f"A copy of the modules was sent, which ended with {kept['rc']}: {kept['stderr']}")
        ran = run(request, RUN, name)
    return ran


def validated(specification: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """Validate arguments as the module itself would; paths are expanded on the host, so that they are texts here."""
    rules = {name: rule for name, rule in specification.items() if name not in ("argument_spec", "supports_check_mode")}
    return ArgumentSpecValidator(_with_texts(specification["argument_spec"]), **rules).validate(dict(arguments))


def answer(ran: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a module said; one that has said nothing, or something else, has crashed."""
    try:
        said: dict[str, Any] = json.loads(ran["stdout"])
        return said
    except ValueError:
        lines = ran["stderr"].strip().splitlines() or ["no output"]
        return {"failed": True, "msg": f"the module crashed: {lines[-1]}", "exception": ran["stderr"], "rc": ran["rc"]}


def _with_texts(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give an argument specification with the type str in place of path."""
    texts = {}
    for name, option in options.items():
        changed = {
            part: "str" if value == "path" else value for part, value in option.items() if part in ("type", "elements")
        }
        if option.get("options"):
            changed["options"] = _with_texts(option["options"])
        texts[name] = {**option, **changed}
    return texts


def _interpreter(action: ActionBase, task_vars: Mapping[str, Any]) -> Optional[str]:
    """Give the host's Python, None where it is still to be discovered."""
    delegate = action._task.delegate_to
    known = task_vars.get("ansible_delegated_vars", {}).get(delegate, {}) if delegate else task_vars
    python = known.get("ansible_python_interpreter") or constants.config.get_config_value(
        "INTERPRETER_PYTHON", variables=dict(known)
    )
    python = str(action._templar.template(python))
    if python.startswith("auto"):
        return (known.get("ansible_facts") or {}).get("discovered_interpreter_python")
    return python
