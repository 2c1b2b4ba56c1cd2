"""Write what each role's meta/argument_specs.yml says into its README.md, below the line that says so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).parents[1]
LINE = "<!-- From here on `make docs` writes, from meta/argument_specs.yml -->\n"
MARKUP = re.compile(r"(?<![\w.])([COV])\(([^()]*(?:\([^()]*\)[^()]*)*)\)")


def roles() -> list[Path]:
    """Give the directories of all roles."""
    return sorted(path.parents[1] for path in (CHECKOUT / "roles").glob("*/meta/argument_specs.yml"))


def code(text: str) -> str:
    """Give text as code in a cell of a table."""
    return f"`{text}`".replace("|", "\\|")


def prose(text: str | list[str]) -> str:
    """Give a description in Ansible's markup as Markdown; O(option=value) becomes what one writes into an inventory."""
    joined = text if isinstance(text, str) else " ".join(text)
    return MARKUP.sub(lambda it: code(it[2].replace("=", ": ") if it[1] == "O" else it[2]), joined)


def kind(option: dict[str, Any]) -> str:
    """Give an option's type, and that of its elements."""
    return f"{option['type']} of {option['elements']}" if "elements" in option else str(option["type"])


def default(option: dict[str, Any]) -> str:
    """Give an option's default as it could be written into an inventory."""
    if "default" not in option:
        return "required" if option.get("required") else ""
    value = option["default"]
    plain = isinstance(value, str) and value and value.isprintable()
    return code(value if plain else json.dumps(value, ensure_ascii=False))


def rows(options: dict[str, Any], above: str = "") -> Iterator[tuple[str, ...]]:
    """Give a row for each option, and for each option of a dictionary below its own."""
    for name, option in options.items():
        what = prose(option["description"])
        if "choices" in option:
            what += f" One of {', '.join(map(code, option['choices']))}."
        yield code(above + name), kind(option), default(option), what
        yield from rows(option.get("options", {}), f"{above}{name}{'[]' if option['type'] == 'list' else ''}.")


def table(*lines: tuple[str, ...]) -> str:
    """Give a table, the first line its heading."""
    heading, *rest = lines
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (heading, ["---"] * len(heading), *rest))


def generated(role: Path) -> str:
    """Give the part of a role's README that its specification makes: entry points, and the variables that all of them take."""
    points = yaml.safe_load((role / "meta/argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    told = [
        (code(name), f"{point['short_description']}. {prose(point['description'])}") for name, point in points.items()
    ]
    options = next(iter(points.values()))["options"]
    return (
        f"\n## Entry points\n\n{table(('`tasks_from`', 'What it does'), *told)}"
        f"\n## Variables\n\n{table(('Name', 'Type', 'Default', 'What it is'), *rows(options))}"
    )


def readme(role: Path) -> str:
    """Give the README that a role should have: what people have written into it, then what its specification makes."""
    written, line, _ = (role / "README.md").read_text(encoding="utf-8").partition(LINE)
    return written + line + generated(role)


if __name__ == "__main__":
    for each in roles():
        (each / "README.md").write_text(readme(each), encoding="utf-8")
