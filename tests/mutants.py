"""Change the Django app's code in small ways, one at a time, and see whether its tests notice: mutation testing, by mutmut.

It works on a copy below .venv/, where it goes on with what was not tried yet. Lists what no test has noticed, by function; with names
of these as arguments, shows the changes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "roles/django_release/files/django-intermission/django_intermission"
PLACE = CHECKOUT / ".venv/mutants"
CONFIGURATION = f"""\
[tool.mutmut]
source_paths = ["{PACKAGE.name}"]
pytest_add_cli_args_test_selection = ["tests/django_layer"]
pytest_add_cli_args = ["-p", "no:cacheprovider", "--ignore=tests/django_layer/test_docs.py"]
also_copy = ["tests"]

[tool.pytest.ini_options]
pythonpath = [".", "{CHECKOUT}/collections", "tests"]
addopts = ["--import-mode=importlib"]
"""


def mutmut(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run mutmut on the copy; its progress is seen, its results are given."""
    output = None if arguments[0] == "run" else subprocess.PIPE
    return subprocess.run(["mutmut", *arguments], cwd=PLACE, stdout=output, text=True, check=True)


def main() -> None:
    """Bring the copy up to date and try what is new in it."""
    for source, name in ((PACKAGE, PACKAGE.name), (CHECKOUT / "tests/django_layer", "tests/django_layer")):
        shutil.rmtree(PLACE / name, ignore_errors=True)
        shutil.copytree(source, PLACE / name, ignore=shutil.ignore_patterns("__pycache__"))
    (PLACE / "pyproject.toml").write_text(CONFIGURATION, encoding="utf-8")
    for name in sys.argv[1:]:
        print(mutmut("show", name).stdout)
    if sys.argv[1:]:
        return
    mutmut("run", "--max-children", "2")
    results = re.findall(r"(\S+): (\S.*)", mutmut("results", "--all", "true").stdout)
    kinds = Counter(kind for _, kind in results)
    unnoticed = Counter(name.partition("__mutmut_")[0] for name, kind in results if kind == "survived")
    print("\n".join(f"{count:5} {function}" for function, count in unnoticed.most_common()))
    print(", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))


if __name__ == "__main__":
    main()
