"""Command line of the benchmark; exit 1 where a bound was missed, or something broke."""

import argparse
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks import CHECKOUT, BrokenRunError
from benchmarks.cost import Kind, compare, separated
from benchmarks.counts import instructions, system_calls
from benchmarks.deploys import measure as measure_deploys
from benchmarks.fleet import measure as measure_fleet
from benchmarks.flips import begun_behind, flip_often, until_503
from benchmarks.gunicorn import cpu_seconds, running_peer
from benchmarks.middleware import measure as measure_middleware
from benchmarks.picture import save_picture
from benchmarks.report import (
    Bound,
    Row,
    cost_row,
    count_row,
    delay_row,
    difference_row,
    machine,
    rate_row,
    ratio_row,
    table,
    write_json,
    write_markdown,
)
from benchmarks.server import Server
from benchmarks.site import (
    APP_REQUEST,
    CLOSED_REQUEST,
    ERROR_PAGE_REQUEST,
    NETWORKS,
    PATTERNS,
    PLAIN_REQUEST,
    Gate,
    Site,
)
from benchmarks.throughput import take_turns
from benchmarks.tools import need_tools
from benchmarks.visitor import ask

RESULTS = CHECKOUT / "benchmarks/RESULTS.md"
PEER_ROUNDS, PEER_ANSWERS = 20, 400
EXPLANATION = """\
Each ratio is of two measurements of one run on one machine. Instructions (user space) and system calls are those of Nginx's
single process for one request, counted as what a long run has more than a short one: they can be repeated. CPU time and answers
per second swing with the machine: they are medians of rounds that take turns, spread from quartile to quartile. The CPU time of
django-maintenance-mode is that of gunicorn's processes and of Nginx in front of them, in a project with the apps and the
middleware that `django-admin startproject` writes, and with nothing more. The Django app's middleware and that of
django-maintenance-mode are measured in one process, without a server: CPU time, medians of rounds that take turns. The hosts of a
fleet are addresses of this machine, behind one sshd and with directories of their own, and the machine is shared by the controller
and its hosts: medians of runs with connections that are there, against one run of a playbook as people write it (facts, five
tasks, Ansible's own settings). Deploys go to hosts with systemd, which share the machine too: a site is closed from the first
maintenance page that a visitor gets to the last, with a backup and its trial by ours, and neither by the playbook that people write
(window, code, pip with nothing to install, collectstatic, migrate, restart)."""
INSTRUCTIONS = "{:,.0f} against {:,.0f} instructions"
CALLS = "{:.1f} against {:.1f} system calls"


def main() -> int:
    """Run it; give the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed, as ratios measured in one run.")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the findings as one JSON document")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    try:
        need_tools()
        facts = machine()
        print("   ".join(f"{name}: {fact}" for name, fact in facts.items()) + "\n", flush=True)
        rows = measure()
    except (BrokenRunError, OSError) as error:
        print("\n".join([f"The benchmark broke: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr)
        return 1
    print(table(rows))
    write_markdown(RESULTS, facts, rows, EXPLANATION)
    save_picture(RESULTS.with_suffix(".png"), rows)
    if options.json:
        write_json(options.json, facts, rows)
    missed = [row.what.strip() for row in rows if row.verdict == "MISSED"]
    if missed:
        print("\n".join(["", "Missed:", *missed]), file=sys.stderr)
    return 1 if missed else 0


def measure() -> list[Row]:
    """Measure everything below a folder that is removed; give the findings."""
    with tempfile.TemporaryDirectory(prefix="intermission-bench-", dir="/tmp") as folder, ExitStack() as servers:
        site = Site(Path(folder))
        app = servers.enter_context(site.start_app())
        counted_open = [*counted_open_rows(site)]
        counted_closed = [*counted_closed_rows(site)]
        gated = servers.enter_context(site.start("gated", Gate.DEFAULT))
        flips = flip_rows(site, gated)
        peer = [*peer_rows(site, gated)]
        listed = servers.enter_context(site.start("listed", Gate.LISTS))
        bare, twin = (servers.enter_context(site.start(name, Gate.NONE)) for name in ("bare", "twin"))
        servers.enter_context(separated([gated, listed, bare, twin], [app]))
        swinging_open = [*swinging_open_rows(listed, bare, twin)]
        swinging_closed = [*swinging_closed_rows(site, gated)]
        middleware = measure_middleware(site.root / "middleware")
        gate = [*counted_open, *swinging_open, *counted_closed, *swinging_closed, *peer, *flips]
    with tempfile.TemporaryDirectory(prefix="im-", dir="/tmp") as folder:  # Short: SSH's sockets are below it
        fleet = measure_fleet(Path(folder) / "f")
        return [*gate, *middleware, *fleet, *measure_deploys(Path(folder) / "d")]


def counted_open_rows(site: Site) -> Iterator[Row]:
    """Compare requests to the app with and without the gate, by counts."""
    gated, bare = (instructions(site, gate, APP_REQUEST) for gate in (Gate.LISTS, Gate.NONE))
    what = "maintenance off: request to the app, with / without the gate, instructions"
    yield ratio_row(what, gated, bare, INSTRUCTIONS, Bound(1.07))
    gated, bare = (system_calls(site, gate, APP_REQUEST) for gate in (Gate.LISTS, Gate.NONE))
    yield difference_row("  system calls more", gated, bare, CALLS, Bound(1))


def swinging_open_rows(listed: Server, bare: Server, twin: Server) -> Iterator[Row]:
    """Compare the same two by what swings; and without against without, which should give 1."""
    kinds = [Kind(server, APP_REQUEST) for server in (listed, bare, twin)]
    yield cost_row("  CPU time", compare(kinds[0], kinds[1]))
    yield cost_row("  for comparison: CPU time without / without the gate", compare(kinds[2], kinds[1]))
    yield rate_row("  answers per second", take_turns((listed, APP_REQUEST), (bare, APP_REQUEST)))


def counted_closed_rows(site: Site) -> Iterator[Row]:
    """Compare a window's page with a plain file of the same content, and with that file as an error page, by counts."""
    site.open_window(0)
    size = site.copy_page().stat().st_size
    page, plain, alone = (
        instructions(site, Gate.DEFAULT, request) for request in (CLOSED_REQUEST, PLAIN_REQUEST, ERROR_PAGE_REQUEST)
    )
    listed = instructions(site, Gate.LISTS, CLOSED_REQUEST)
    page_calls, plain_calls = (system_calls(site, Gate.DEFAULT, one) for one in (CLOSED_REQUEST, PLAIN_REQUEST))
    site.close_window()
    what = f"maintenance on: the page / a plain file of its {size} bytes, instructions"
    yield ratio_row(what, page, plain, INSTRUCTIONS, Bound(1.9))
    yield ratio_row("  the page / the same file by error_page alone", page, alone, INSTRUCTIONS)
    lists = f"{len(NETWORKS)} networks and {len(PATTERNS)} patterns"
    yield ratio_row(f"  the page, with {lists} that pass / the plain file", listed, plain, INSTRUCTIONS)
    yield difference_row("  system calls more than for the plain file", page_calls, plain_calls, CALLS)


def swinging_closed_rows(site: Site, gated: Server) -> Iterator[Row]:
    """Compare the page and the plain file by what swings."""
    site.open_window(0)
    site.copy_page()
    yield cost_row("  CPU time, to the plain file", compare(Kind(gated, CLOSED_REQUEST), Kind(gated, PLAIN_REQUEST)))
    yield rate_row(
        "  answers per second, to the plain file", take_turns((gated, CLOSED_REQUEST), (gated, PLAIN_REQUEST))
    )
    site.close_window()


def peer_rows(site: Site, gated: Server) -> Iterator[Row]:
    """Compare the page with the 503 of django-maintenance-mode behind the same Nginx without the gate."""
    site.open_window(0)
    with (
        running_peer(site.root / "peer", site.copy_page()) as (app_socket, master),
        site.start("front", Gate.NONE, app_socket=app_socket) as front,
    ):
        rounds = [
            (answering_seconds(front, [front.process.pid, master]), answering_seconds(gated, [gated.process.pid]))
            for _ in range(PEER_ROUNDS)
        ]
        rates = take_turns((gated, CLOSED_REQUEST), (front, CLOSED_REQUEST))
    site.close_window()
    what = "maintenance on: the 503 of django-maintenance-mode / the page, CPU time"
    context = "{:.3f} against {:.4f} CPU seconds per 1,000 answers"
    theirs, ours = (statistics.median(each) for each in zip(*rounds, strict=True))
    yield ratio_row(what, theirs, ours, context, Bound(20, least=True))
    yield rate_row("  answers per second, the page / django-maintenance-mode", rates)


def answering_seconds(server: Server, pids: Sequence[int]) -> float:
    """Give the seconds of CPU time of processes and their children for 1,000 answers 503."""
    before = cpu_seconds(pids)
    ask(server, CLOSED_REQUEST, PEER_ANSWERS)
    return (cpu_seconds(pids) - before) / PEER_ANSWERS * 1000


def flip_rows(site: Site, gated: Server) -> list[Row]:
    """Open windows before visitors' eyes; the last row counts the requests that were let through."""
    flips, answers = flip_often(site, gated.ports[0])
    behind = [answer for flip in flips for answer in begun_behind(flip, answers)]
    let_through = sum(answer.status != 503 for answer in behind)
    what = "requests begun after the rename and not answered 503"
    return [
        delay_row("from the rename to the first 503 at a visitor", [until_503(flip, answers) for flip in flips]),
        count_row(what, let_through, len(behind), Bound(0)),
    ]


if __name__ == "__main__":
    sys.exit(main())
