"""Write what `make bench` has found into the README, between the lines that say so."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
BEGIN, END = "<!-- From here on `make docs` writes, from benchmarks/RESULTS.md -->\n", "<!-- Up to here -->\n"
# How a finding's name begins there, and what it is for a reader
FIGURES = {
    "maintenance off: request to the app, with / without the gate, instructions": (
        "Nginx's instructions for a request to the app: with the gate, as a multiple of without it"
    ),
    "maintenance on: the page / a plain file": (
        "Nginx's instructions for the page: as a multiple of those for a file of the same size that nothing decides about"
    ),
    "maintenance on: the 503 of django-maintenance-mode / the page": (
        "CPU time of a 503 by django-maintenance-mode, behind gunicorn and Nginx: as a multiple of ours by Nginx"
    ),
    "from the rename to the first 503": "From the one rename that closes a host to the first 503",
    "requests begun after the rename": "Requests begun after that rename and not answered 503",
    "100 hosts are closed: the playbook that people write": (
        "Time to close 100 hosts by the playbook that people write: as a multiple of `maintenance_on.yml`'s"
    ),
    "a deploy with a migration closes the site": (
        "How long a deploy with a migration closes two hosts, beside the migration's own time"
    ),
    "a deploy without a migration closes the site": "How long a deploy without one does",
}


def table() -> str:
    """Give the README's figures. Raises ValueError where one is not among the findings, or not once."""
    lines = (CHECKOUT / "benchmarks/RESULTS.md").read_text(encoding="utf-8").splitlines()
    findings = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]
    rows = ["| What | Found | For orientation |", "| --- | --- | --- |"]
    for begin, words in FIGURES.items():
        ((_, found, *_, context),) = [cells for cells in findings if cells[0].startswith(begin)]
        rows.append(f"| {words} | {found} | {context} |")
    return "\n".join(rows) + "\n"


def readme() -> str:
    """Give the README that there should be: what people have written, with what has been measured."""
    before, begin, rest = (CHECKOUT / "README.md").read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    return before + begin + table() + end + after


if __name__ == "__main__":
    (CHECKOUT / "README.md").write_text(readme(), encoding="utf-8")
