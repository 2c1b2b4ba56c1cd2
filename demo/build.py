"""Build one version of the demo shop as a complete Django project.

Version 1 is kept whole in ``shop/``; every other version is version 1 with one or
more overlays from ``versions/`` copied over it::

    python demo/build.py v2 /tmp/shop-v2
"""

import argparse
import shutil
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent

#: What can be built: each version's overlays, in the order they are copied over version 1.
VERSIONS: dict[str, tuple[str, ...]] = {
    "v1": (),
    "v1_1": ("v1_1",),
    "v1_2": ("v1_2",),
    "v2": ("v2",),
    "v2_1": ("v2", "v2_1"),
    "fails_halfway": ("v2", "fails_halfway"),
    "fails_later": ("v2", "fails_later"),
    "irreversible": ("irreversible",),
    "does_not_start": ("does_not_start",),
}

#: Left behind by running the site or a linter in place; no part of any version.
_LEFTOVERS = shutil.ignore_patterns("__pycache__", ".*", "db.sqlite3*", "collected_static")


def build(version: str, destination: Path) -> Path:
    """Write the project tree of ``version`` to ``destination`` and return that path.

    An earlier build there is replaced only once the new tree is complete. A destination
    that holds anything else is refused, so that a mistyped path costs nothing.
    """
    if version not in VERSIONS:
        raise ValueError(f"unknown version {version!r}: choose from {', '.join(VERSIONS)}")
    destination = Path(destination).absolute()
    if destination.is_symlink() or (destination.exists() and not _is_replaceable(destination)):
        raise FileExistsError(f"{destination} is not an earlier build of the shop: not replaced")

    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shop-build-", dir=destination.parent) as workspace:
        tree = Path(workspace, "new")
        for source in (HERE / "shop", *(HERE / "versions" / overlay for overlay in VERSIONS[version])):
            # Modification times are not kept: two versions of a file can agree in size and in
            # checkout time, and Python would then trust the bytecode of the wrong one.
            shutil.copytree(source, tree, ignore=_LEFTOVERS, copy_function=shutil.copy, dirs_exist_ok=True)
        if destination.exists():
            destination.rename(Path(workspace, "old"))
        tree.rename(destination)
    return destination


def _is_replaceable(path: Path) -> bool:
    """Tell whether ``path`` is an empty directory or an earlier build."""
    return path.is_dir() and (not any(path.iterdir()) or (path / "shop" / "version.py").is_file())


def main() -> None:
    """Build the version named on the command line."""
    parser = argparse.ArgumentParser(description="Build one version of the demo shop.")
    parser.add_argument("version", choices=VERSIONS)
    parser.add_argument("destination", type=Path)
    arguments = parser.parse_args()
    try:
        print(build(arguments.version, arguments.destination))
    except OSError as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()
