"""Command line of the probe: ``run`` makes a record, ``report`` reads one."""

import argparse
import json
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from probe.chart import Chart
from probe.facts import gather
from probe.mix import MIXES
from probe.picture import save_picture
from probe.record import RecordError, read_answers, read_phases, read_run
from probe.report import document, words
from probe.run import DEFAULT_TIMEOUT, MAX_DURATION, Settings, run

_SMALLEST_WIDTH = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    options = _parser().parse_args(arguments)
    return _run(options) if options.command == "run" else _report(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="probe", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_run(commands.add_parser("run", help="ask every node at a steady rate and record the answers"))
    _add_report(commands.add_parser("report", help="tell what a record says; exit 1 for the unexpected"))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--node", action="append", required=True, type=_node, metavar="NAME=URL")
    parser.add_argument("--rate", type=float, default=20.0, help="requests per second and node (20)")
    parser.add_argument("--host", required=True, help="the Host header to send")
    parser.add_argument("--mix", choices=MIXES, default="shop", help="whose pages are asked for (shop)")
    parser.add_argument("--out", type=Path, required=True, help="directory of the record, replaces one")
    parser.add_argument("--duration", type=float, default=MAX_DURATION, help="seconds (3600, the maximum)")
    parser.add_argument("--timeout", type=float, default=DEFAULT_TIMEOUT, help="seconds per request (40)")


def _add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", type=Path, metavar="DIR")
    parser.add_argument("--phases", type=Path, help='JSON list of {"name", "start", "end"}, epoch seconds')
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of words")
    parser.add_argument("--png", type=Path, help="also draw the picture into this file")
    parser.add_argument("--width", type=_width, help="columns of the text (the terminal's)")
    parser.add_argument("--allow-fallback", action="store_true", help="accept Nginx's fallback page")


def _node(text: str) -> tuple[str, str]:
    name, _, url = text.partition("=")
    # The name becomes part of an order's reference, which the shop takes as a slug of 64 characters.
    if not re.fullmatch("[A-Za-z0-9_-]{1,32}", name):
        raise argparse.ArgumentTypeError(f"{name!r} is not a name of 1 to 32 letters, digits, - or _")
    if not _is_origin(url):
        raise argparse.ArgumentTypeError(f"{url!r} is not like http://127.0.0.1:8081")
    return name, url.rstrip("/")


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    return parts.scheme == "http" and bool(parts.hostname) and port != 0 and not rest


def _width(text: str) -> int:
    width = int(text)
    if width < _SMALLEST_WIDTH:
        raise argparse.ArgumentTypeError(f"must be at least {_SMALLEST_WIDTH}")
    return width


def _run(options: argparse.Namespace) -> int:
    nodes = dict(options.node)
    if len(nodes) < len(options.node):
        return _fail("two nodes have the same name", 1)
    try:
        settings = Settings(
            nodes, options.rate, options.host, options.out, options.duration, options.timeout, MIXES[options.mix]
        )
    except ValueError as error:
        return _fail(str(error), 1)
    return _record(settings)


def _record(settings: Settings) -> int:
    failures: Sequence[BaseException] = ()
    try:
        run(settings)
    except* OSError as group:
        failures = group.exceptions
    return _fail("; ".join(str(failure) for failure in failures), 1) if failures else 0


def _report(options: argparse.Namespace) -> int:
    try:
        record, answers = read_run(options.record), read_answers(options.record)
        phases = read_phases(options.phases) if options.phases else []
        facts = gather(record, answers, options.allow_fallback)
        if options.png:
            save_picture(options.png, record, answers, facts, phases)
    except (RecordError, OSError) as error:
        return _fail(str(error), 2)
    if options.json:
        print(json.dumps(document(record, facts, phases), indent=2))
    else:
        width = options.width or shutil.get_terminal_size((100, 24)).columns
        chart = Chart(record, answers, facts, width, _has_colour())
        print("\n".join(words(record, facts, chart.lines(phases))))
    return 1 if facts.unexpected else 0


def _has_colour() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _fail(message: str, status: int) -> int:
    print(f"probe: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
