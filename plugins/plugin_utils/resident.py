"""Runs the collection's modules from a copy that stays on the host, so that a task is its arguments and nothing else.

Ansible sends a module and all that it imports anew for each task, and Python compiles it anew: most of what a short task costs a
host. The copy is sent once, to ``remote_tmp``, where Ansible has its own temporary files: a directory that is named by the digest of
its content and that nobody but the account that runs it can write to. Python keeps what it has compiled there. Arguments are
validated here, by Ansible's own code. Where there can be no copy (no pipelining, no home directory, a full disk, an interpreter that
is not known yet) a module goes Ansible's own way.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import io
import json
import shlex
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ansible import constants
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.intermission.django.plugins.plugin_utils import session

NAME = "intermission.django"
COLLECTION = f"ansible_collections.{NAME}.plugins"
PLUGINS = Path(__file__).resolve().parents[1]
KEPT_COPIES = 5
KEPT_SECONDS = 24 * 60 * 60
NO_COPY = 97
# Arguments of all: the directory that Ansible keeps its own temporary files in, the copy's digest; of RUN, the modules too, of which
# each has a line of the input and writes one, until one fails; of SERVE, those that it may be asked for
PLACE = """
import os, pwd, sys
base = sys.argv[1]
if base.startswith('~/'):
    base = pwd.getpwuid(os.geteuid()).pw_dir + base[1:]
copies = os.path.join(base, 'intermission')
copy = os.path.join(copies, sys.argv[2])
"""
COPY = f"""{PLACE}
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
prefix = '{COLLECTION}.modules.'
"""
RUN = f"""{COPY}
for name in sys.argv[3:]:
    try:
        import_module(prefix + name).main()
    except SystemExit as ended:
        if ended.code:
            raise
"""
SERVE = f"{COPY}{session.SERVE}"
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
    return execute_all(action, task_vars, [(action._task.action.rpartition(".")[2], arguments)])[-1]


Step = tuple[str, dict[str, Any]]


def execute_all(
    action: ActionBase, task_vars: dict[str, Any], steps: Sequence[Step], kept: Optional[session.Session] = None
) -> list[dict[str, Any]]:
    """Run modules one after the other until one fails, in one process on the host; give what each has said.

    None is run where the arguments of any are wrong. That process is the one of the session, where there is one.
    """
    known = known_of(steps)
    wrong = [message for each in known for message in each.error_messages]
    if wrong:
        return [{"failed": True, "msg": "; ".join(wrong)}]
    python = _interpreter(action, task_vars)
    if python and action._is_pipelining_enabled("new"):
        check_mode = bool(action._task.check_mode)
        names = [name for name, _ in steps]
        requests = [json.dumps({"params": each.validated_parameters, "check_mode": check_mode}) for each in known]
        ran = kept.run(list(zip(names, requests, strict=True))) if kept else None
        ran = ran or _run_copy(action, python, names, "\n".join(requests).encode())
        if ran["rc"] != NO_COPY:
            hidden = set().union(*(each._no_log_values for each in known))
            return [dict(remove_values(said, hidden)) for said in answers(ran, len(steps))]
    said = []
    for name, given in steps:
        said.append(dict(action._execute_module(f"{NAME}.{name}", given, task_vars=task_vars)))
        if said[-1].get("failed"):
            break
    return said


def known_of(steps: Sequence[Step]) -> list[Any]:
    """Validate the arguments of modules, see ``validated``."""
    return [
        validated(importlib.import_module(f"{COLLECTION}.modules.{name}").ARGUMENTS, given) for name, given in steps
    ]


def begin(action: ActionBase, task_vars: Mapping[str, Any], names: Sequence[str]) -> Optional[session.Session]:
    """Begin a session in which these modules can be run; None where there can be none."""
    python = _interpreter(action, task_vars)
    if not python or not action._is_pipelining_enabled("new"):
        return None
    return session.begin(action, _command(action, python, SERVE, names))


def _run_copy(action: ActionBase, python: str, names: Sequence[str], request: bytes) -> dict[str, Any]:
    """Run modules from the copy, which is sent where it is not there; the status is NO_COPY where that did not help."""

    def run(data: bytes, program: str, words: Sequence[str] = ()) -> dict[str, Any]:
        return dict(action._low_level_execute_command(_command(action, python, program, words), in_data=data))

    ran = run(request, RUN, names)
    if ran["rc"] == NO_COPY:
        kept = run(archive(content()), KEEP)
        Display().vvv(f"A copy of the modules was sent, which ended with {kept['rc']}: {kept['stderr']}")
        ran = run(request, RUN, names)
    return ran


def _command(action: ActionBase, python: str, program: str, words: Sequence[str]) -> str:
    base = str(action.get_shell_option("remote_tmp", default="~/.ansible/tmp"))
    parts = [action._compute_environment_string(), python, "-IS", "-c", shlex.join([program, base, DIGEST, *words])]
    return " ".join(parts).strip()


def validated(specification: Mapping[str, Any], arguments: Mapping[str, Any]) -> Any:
    """Validate arguments as the module itself would; paths are expanded on the host, so that they are texts here.

    Those that a host could read are what it will read: Ansible's code copies them deeply, and of its own strings that is most of
    the work.
    """
    rules = {name: rule for name, rule in specification.items() if name not in ("argument_spec", "supports_check_mode")}
    plain = dict(arguments)
    with contextlib.suppress(TypeError):
        plain = json.loads(json.dumps(plain))
    return ArgumentSpecValidator(_with_texts(specification["argument_spec"]), **rules).validate(plain)


def answers(ran: Mapping[str, Any], number: int) -> list[dict[str, Any]]:
    """Read what so many modules said, or less where one failed; one that has said nothing, or something else, has crashed."""
    said: list[dict[str, Any]] = []
    for line in ran["stdout"].splitlines():
        try:
            said.append(json.loads(line))
        except ValueError:
            break
    if len(said) < number and not (said and said[-1].get("failed")):
        lines = ran["stderr"].strip().splitlines() or ["no output"]
        msg = f"the module crashed: {lines[-1]}"
        said.append({"failed": True, "msg": msg, "exception": ran["stderr"], "rc": ran["rc"]})
    return said


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
