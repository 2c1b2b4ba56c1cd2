"""The benchmark's reading of callgrind, strace and wrk, and its judgement."""

import math
from pathlib import Path

import pytest
from benchmarks import BrokenRunError
from benchmarks.counts import LONG, SHORT, callgrind_total, per_request, strace_total
from benchmarks.deploys import Deploy, closed_seconds
from benchmarks.deploys import rows as deploy_rows
from benchmarks.fleet import FEW, MANY, MOST, Run, address, rows
from benchmarks.picture import LEFT, LINE, MISSED, OK, TOP, save_picture
from benchmarks.report import (
    Bound,
    cost_row,
    count_row,
    delay_row,
    difference_row,
    ratio_row,
    table,
    write_markdown,
)
from benchmarks.site import without_gate
from benchmarks.throughput import answers_per_second
from PIL import Image, ImageColor

CALLGRIND = "events: Ir\nfn=(12) main\n16 400\ntotals: 38105220\n"
STRACE = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 23.25    0.044030          18      2400           writev
  3.51    0.006654           5      1205      1200 stat
------ ----------- ----------- --------- --------- ------------------
100.00    0.189363           9     19859{errors} total
"""
WRK = """\
Running 1s test @ http://127.0.0.1:40001/orders/
  1 threads and 8 connections
  12104 requests in 1.01s, 104.33MB read
{complaint}Requests/sec:  11984.15
Transfer/sec:    103.30MB
"""
REFUSED = "  Non-2xx or 3xx responses: {}\n"


def test_totals_of_the_counters() -> None:
    assert callgrind_total(CALLGRIND) == 38105220
    assert strace_total(STRACE.format(errors="      1205")) == 19859
    assert strace_total(STRACE.format(errors="          ")) == 19859


@pytest.mark.parametrize("total_of", [callgrind_total, strace_total])
def test_a_counter_that_was_cut_off(total_of: type) -> None:
    with pytest.raises(BrokenRunError, match="wrote no total"):
        total_of(CALLGRIND.replace("totals", "part") + STRACE.partition("100.00")[0])


def test_start_and_end_cancel_out() -> None:
    start_and_end, each = 5_000_000, 30_000
    assert per_request(start_and_end + SHORT * each, start_and_end + LONG * each) == each


def test_answers_per_second() -> None:
    assert answers_per_second(WRK.format(complaint=""), failing=False) == 11984.15
    assert answers_per_second(WRK.format(complaint=REFUSED.format(12104)), failing=True) == 11984.15


@pytest.mark.parametrize(
    ("complaint", "failing"),
    [
        ("", True),
        (REFUSED.format(1), False),
        (REFUSED.format(12103), True),
        ("  Socket errors: connect 0, read 1, write 0, timeout 0\n", False),
    ],
)
def test_other_answers_than_expected(complaint: str, failing: bool) -> None:
    with pytest.raises(BrokenRunError, match="wrk"):
        answers_per_second(WRK.format(complaint=complaint), failing)


@pytest.mark.parametrize(
    ("bound", "found", "verdict"),
    [
        (Bound(1.07), 1.07, "ok"),
        (Bound(1.07), 1.0701, "MISSED"),
        (Bound(20, least=True), 20, "ok"),
        (Bound(20, least=True), 19.9, "MISSED"),
    ],
)
def test_verdict(bound: Bound, found: float, verdict: str) -> None:
    assert bound.verdict(found) == verdict


def test_rows_are_judged_by_the_number_and_not_by_its_words() -> None:
    row = ratio_row("the page", 1.9004, 1, "{:.1f} against {:.1f}", Bound(1.9))
    assert (row.found, row.bound, row.verdict, row.context) == ("1.900", "at most 1.9", "MISSED", "1.9 against 1.0")
    assert ratio_row("the page", 3, 2, "").cells() == ("the page", "1.500", "", "", "", "")
    assert difference_row("calls", 17.04, 16.0, "", Bound(1)).cells()[1:4] == ("+1.0", "at most 1", "ok")
    assert difference_row("calls", 17.15, 16.0, "", Bound(1)).verdict == "MISSED"
    assert count_row("let through", 1, 9, Bound(0)).verdict == "MISSED"


@pytest.mark.parametrize(
    ("bound", "found", "used"),
    [(Bound(2), 1, 0.5), (Bound(2, least=True), 4, 0.5), (Bound(0), 0, 0), (Bound(0), 1, math.inf)],
)
def test_how_much_of_its_bound_a_finding_uses(bound: Bound, found: float, used: float) -> None:
    assert bound.used(found) == used


def test_the_picture_has_a_bar_for_each_bound(tmp_path: Path) -> None:
    rows = [ratio_row("a" * 99, 3, 2, "", Bound(1.2)), ratio_row("b", 1, 2, ""), count_row("c", 0, 9, Bound(0))]
    save_picture(tmp_path / "of.png", rows)
    with Image.open(tmp_path / "of.png") as image:
        colours = {image.getpixel((LEFT + 4, TOP + LINE * number + LINE // 2)) for number in range(2)}
    assert colours == {ImageColor.getrgb(MISSED), ImageColor.getrgb(OK)}


def test_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """A slow moment that meets both kinds of request changes nothing."""
    row = cost_row("CPU time", [(2, 1), (20, 10), (4, 2), (30, 10)])
    assert (row.found, row.numbers["ratio"]) == ("2.000", 2)
    delays = delay_row("flips", [100, 300, 9000])
    assert (delays.found, delays.spread) == ("300 µs", "100 to 9000 µs")


def test_both_forms_of_the_report(tmp_path: Path) -> None:
    rows = [ratio_row("the page", 3, 2, "{} against {}", Bound(1.2)), count_row("let through", 0, 9, Bound(0))]
    assert "the page     1.500  at most 1.2  MISSED          3 against 2" in table(rows)
    write_markdown(tmp_path / "RESULTS.md", {"Nginx": "1.22"}, rows, "Each ratio.")
    page = (tmp_path / "RESULTS.md").read_text()
    assert "| let through | 0 | at most 0 | ok |  | of 9 requests |\n" in page
    assert page.endswith("- Nginx: 1.22\n")


def test_the_vhost_without_the_gate_keeps_its_other_lines() -> None:
    vhost = "location @proxy {\n    set $im_shop_recursive 1;\n    proxy_redirect off;\n}\n"
    assert without_gate(vhost) == "location @proxy {\n    proxy_redirect off;\n}\n"


def test_closing_a_fleet_is_judged_by_the_median_for_each_host() -> None:
    ours = {
        FEW: [Run(1.0, 0.4, 1.0, 1024)],
        MANY: [Run(9.0, 4.0, 10.0, 2048), Run(10.0, 4.5, 11.0, 2048), Run(99.0, 9.0, 12.0, 2048)],
        MOST: [Run(60.0, 20.0, 50.0, 4096)],
    }
    found = rows(Run(110.0, 60.0, 200.0, 1024), Run(8.0, 3.5, 9.0, 1024), ours)
    assert [(row.found, row.verdict) for row in found] == [
        ("11.000", "MISSED"),
        ("45.0 ms", "ok"),
        ("35.0 ms", ""),
        ("110.0 ms", ""),
        ("1.000", ""),
        ("1.200", "MISSED"),
        ("2.000", ""),
    ]


def test_a_site_is_closed_from_the_first_page_that_any_host_gives_to_the_last() -> None:
    answers = [
        {"class": "app 1", "started": 1.0, "ended": 1.5},
        {"class": "maintenance", "started": 2.0, "ended": 2.5},
        {"class": "maintenance", "started": 6.0, "ended": 6.25},
        {"class": "app 2", "started": 6.0, "ended": 7.0},
    ]
    assert (closed_seconds(answers), closed_seconds(answers[:1])) == (4.25, 0.0)


def test_a_deploy_is_judged_by_its_median_without_the_time_of_the_migrations() -> None:
    ours = [Deploy(closed, 0, 100) for closed in (2.5, 2.75, 9.0)]
    found = deploy_rows(ours, 1.0, Deploy(15.0, 3, 100), Deploy(0.25, 1, 500))
    assert [(row.found, row.verdict) for row in found] == [
        ("1.8 s", "ok"),
        ("8.000", ""),
        ("0.2 s", "MISSED"),
        ("1", "MISSED"),
    ]


def test_each_host_of_a_fleet_has_an_address_of_its_own() -> None:
    assert len({address(number) for number in range(MOST)}) == MOST
