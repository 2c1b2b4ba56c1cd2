"""Ansible's programs, as forks of one process that has Ansible loaded.

To load Ansible takes as long as a short play does, to pack a module for a host nearly so, and all tasks' processes together compile
templates for a sixth of a deploy: each run finds loaded, packed and compiled what was before it. The process ends with the tests
that use it. Where nothing else is said, programs run with this checkout's collection, its settings, and nothing of the user's.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import marshal
import os
import pkgutil
import shutil
import subprocess
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
PROGRAMS = {"ansible-playbook": "ansible.cli.playbook", "ansible-doc": "ansible.cli.doc"}
PLUGINS = ("action", "become", "connection", "lookup", "shell", "strategy")
SETTINGS = {
    "LC_ALL": "C.UTF-8",
    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
    "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_LOCALHOST_WARNING": "false",
    "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
}


def run(
    *command: str, cwd: Path, environment: Mapping[str, str] | None = None, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program in a directory and an environment; ``variables`` are added, too late for Ansible's own but its plugins'."""
    if environment is None:
        environment, variables = _own_environment(), {"PATH": os.environ["PATH"], **(variables or {})}
    process = _process(cwd, tuple(sorted(environment.items())))
    assert process.stdin and process.stdout
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        wanted = {
            "command": command,
            "cwd": str(cwd),
            "out": str(out),
            "err": str(err),
            "variables": {**(variables or {})},
        }
        print(json.dumps(wanted), file=process.stdin, flush=True)
        status = int(process.stdout.readline())
        return subprocess.CompletedProcess(command, status, out.read_text(), err.read_text())


@cache
def _own_environment() -> dict[str, str]:
    home = tempfile.mkdtemp(prefix="im-ansible-")
    atexit.register(shutil.rmtree, home)
    measured = {name: os.environ[name] for name in ("COVERAGE_PROCESS_CONFIG",) if name in os.environ}
    return {"HOME": home, "ANSIBLE_REMOTE_TMP": f"{home}/remote", **SETTINGS, **measured}


@cache
def _process(cwd: Path, environment: tuple[tuple[str, str], ...]) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", __file__]
    return subprocess.Popen(
        command, cwd=cwd, env=dict(environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _serve() -> None:
    """Fork for each line that asks for a run, and tell how the run ended."""
    for module in PROGRAMS.values():
        importlib.import_module(module)
    for kind in PLUGINS:
        package = importlib.import_module(f"ansible.plugins.{kind}")
        for plugin in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(plugin.name)
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar, trust_as_template

    init_plugin_loader()
    warnings.filterwarnings("ignore", "AnsibleCollectionFinder has already been configured")
    importlib.import_module("ansible_collections.ansible.builtin")
    for kind in ("filter", "modules"):
        for path in sorted((CHECKOUT / "plugins" / kind).glob("*.py")):
            importlib.import_module(f"ansible_collections.intermission.django.plugins.{kind}.{path.stem}")
    Templar(loader=DataLoader()).template(
        trust_as_template("{{ '' | string }}")
    )  # Finds all filters, as each task would
    learn = _compile_templates_once()
    for line in sys.stdin:
        learn()
        child = os.fork()
        if child == 0:
            _run_here(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _compile_templates_once() -> Callable[[], None]:
    """Keep what a run's processes compile for the runs after it; the function reads what was added."""
    from ansible._internal._templating import _jinja_bits

    known: dict[tuple[object, ...], Any] = {}
    kept = Path(tempfile.mkdtemp(prefix="im-templates-"), "compiled")
    atexit.register(shutil.rmtree, kept.parent)
    added, read = kept.open("ab", buffering=0), kept.open("rb")
    compile_anew = _jinja_bits.AnsibleEnvironment.compile

    def compile_once(environment: Any, source: Any, *arguments: Any) -> Any:
        if not isinstance(source, str):
            return compile_anew(environment, source, *arguments)
        context = _jinja_bits._TemplateCompileContext.current(optional=True)
        settings = [getattr(environment, name) for name in _jinja_bits._TEMPLATE_OVERRIDE_FIELD_NAMES]
        key = (str(source), bool(context and context.escape_backslashes), *settings)
        if key not in known:
            known[key] = compile_anew(environment, source, *arguments)
            added.write(marshal.dumps((key, known[key])))
        return known[key]

    def learn() -> None:
        with contextlib.suppress(EOFError):
            while True:
                known.update([marshal.load(read)])

    _jinja_bits.AnsibleEnvironment.compile = compile_once
    return learn


def _run_here(command: list[str], cwd: str, out: str, err: str, variables: dict[str, str]) -> None:
    """Become the run, which ends without its clean-up: that would remove what is packed.

    Nor is its garbage collected, which would copy what memory it shares with the others, and takes a tenth of its time.
    """
    gc.disable()
    os.chdir(cwd)
    os.environ.update(variables)
    if "PYTHONPATH" in variables:
        sys.path[:0] = variables["PYTHONPATH"].split(os.pathsep)
    for number, path in enumerate((os.devnull, out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC), number)
    status: Any = 1
    try:
        importlib.import_module(PROGRAMS[command[0]]).main(command)
    except SystemExit as ended:
        status = ended.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(status or 0))


if __name__ == "__main__":
    _serve()
