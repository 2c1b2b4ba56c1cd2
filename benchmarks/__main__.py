"""Command line of the benchmark; exit 1 where an open window let a visitor through, or something broke."""

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks import BrokenRunError
from benchmarks.cost import Kind, compare, separate
from benchmarks.flips import begun_behind, flip_often, until_503
from benchmarks.instructions import per_request
from benchmarks.report import Row, cost_row, count_row, delay_row, instructions_row, machine, table, write_json
from benchmarks.server import Server
from benchmarks.site import APP_PATH, PLAIN_PATH, Site


def main() -> int:
    """Run it; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed, as ratios measured in one run.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the findings as one JSON document")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    facts = machine()
    print("   ".join(f"{name}: {fact}" for name, fact in facts.items()) + "\n", flush=True)
    try:
        rows, let_through = measure()
    except (BrokenRunError, OSError) as error:
        print("\n".join([f"The benchmark broke: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    print(table(rows))
    print("\nRatios are of CPU time of Nginx's process for a request; their spread is from quartile to quartile.")
    if not shutil.which("valgrind"):
        print("valgrind is not installed: instructions were not counted.")
    if options.json:
        write_json(options.json, facts, rows)
    if let_through:
        print(f"{let_through} requests that began after a window was open were not answered 503", file=sys.stderr)
    return 1 if let_through else 0


def measure() -> tuple[list[Row], int]:
    """Measure everything below a folder that is removed; give the findings, and how many requests were let through."""
    with tempfile.TemporaryDirectory(prefix="intermission-bench-", dir="/tmp") as folder, ExitStack() as servers:
        site = Site(Path(folder))
        app = servers.enter_context(site.start_app())
        gated = servers.enter_context(site.start("gated", gate=True))
        bare, twin = (servers.enter_context(site.start(name, gate=False)) for name in ("bare", "twin"))
        flips = flip_rows(site, gated)
        counted = [*instruction_rows(site)]
        separate([gated, bare, twin], [app])
        gate, control = gate_rows(gated, bare, twin)
        rows = [gate, *counted, control, page_row(site, gated), *flips]
        return rows, int(flips[-1].numbers["count"])


def gate_rows(gated: Server, bare: Server, twin: Server) -> Iterator[Row]:
    """Compare requests to the app with and without the gate; and without against without, which should give 1."""
    kinds = [Kind(server, server.ports[0], APP_PATH, 200) for server in (gated, bare, twin)]
    yield cost_row("maintenance off: request to the app, with / without the gate", compare(kinds[0], kinds[1]))
    yield cost_row("  for comparison: without / without the gate", compare(kinds[2], kinds[1]))


def instruction_rows(site: Site) -> Iterator[Row]:
    """Compare the same two in instructions, where valgrind is installed."""
    if shutil.which("valgrind"):
        with_gate, without = (per_request(site, gate) for gate in (True, False))
        yield instructions_row("  the same in instructions, without the kernel's", with_gate, without)


def page_row(site: Site, gated: Server) -> Row:
    """Compare a window's page with a plain file of the same content, from the same Nginx."""
    page = site.open_window(0)
    shutil.copyfile(page, site.www / PLAIN_PATH.lstrip("/"))
    port, plain_port = gated.ports
    rounds = compare(Kind(gated, port, APP_PATH, 503), Kind(gated, plain_port, PLAIN_PATH, 200))
    site.close_window()
    return cost_row(f"maintenance on: the page / a plain file of its {page.stat().st_size} bytes", rounds)


def flip_rows(site: Site, gated: Server) -> list[Row]:
    """Open windows before a visitor's eyes; the last row counts the requests that were let through."""
    flips, answers = flip_often(site, gated.ports[0])
    behind = [answer for flip in flips for answer in begun_behind(flip, answers)]
    let_through = sum(answer.status != 503 for answer in behind)
    return [
        delay_row("from the rename to the first 503 at a visitor", [until_503(flip, answers) for flip in flips]),
        count_row("requests begun after the rename and not answered 503", let_through, len(behind)),
    ]


if __name__ == "__main__":
    sys.exit(main())
