"""From the rename that opens a window to the first 503, seen by visitors who never stop asking."""

import multiprocessing
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ctypes import c_bool, c_ulong
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from benchmarks import BrokenRunError
from benchmarks.server import PATIENCE
from benchmarks.site import APP_REQUEST, Site
from benchmarks.visitor import Visitor

FLIPS = 40
VISITORS = 4  # more processes than most machines have cores to spare: the server is never idle
ANSWERS_BETWEEN = 50  # of each visitor
POLL = 0.001  # seconds

_spawn = multiprocessing.get_context("spawn")


class Answered(NamedTuple):
    """A request: when it began and when its answer was there whole (nanoseconds, monotonic), and the status."""

    began: int
    ended: int
    status: int


@dataclass
class Flip:
    """When the rename of one window began and returned, and when its closing began (nanoseconds, monotonic)."""

    began: int = 0
    returned: int = 0
    closing: int = 0


class RestlessVisitor:
    """Asks in a process of its own, one request after the other; leaving the ``with`` block ends it."""

    def __init__(self, port: int) -> None:
        """Start to ask."""
        self.count = _spawn.RawValue(c_ulong, 0)
        self.enough = _spawn.RawValue(c_bool, False)
        self.receiver, sender = _spawn.Pipe(duplex=False)
        self.process = _spawn.Process(target=ask_on, args=(port, self.count, self.enough, sender), daemon=True)
        self.process.start()
        sender.close()

    def __enter__(self) -> "RestlessVisitor":
        """Give the visitor."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the process, which has said all that it is asked to say."""
        self.process.kill()
        self.process.join()

    def wait(self) -> None:
        """Wait until some more requests were answered."""
        goal, deadline = self.count.value + ANSWERS_BETWEEN, time.monotonic() + PATIENCE
        while self.count.value < goal:
            if time.monotonic() > deadline or not self.process.is_alive():
                raise BrokenRunError("the visitor who never stops asking got no more answers")
            time.sleep(POLL)

    def answers(self) -> list[Answered]:
        """End the asking and give all of it."""
        self.enough.value = True
        answers: list[Answered] = self.receiver.recv()
        return answers


def ask_on(port: int, count: c_ulong, enough: c_bool, sender: Connection) -> None:
    """Ask until it is enough, counting, then send all that was answered."""
    answers = []
    with Visitor(port, APP_REQUEST.path) as visitor:
        while not enough.value:
            began = time.monotonic_ns()
            visitor.send()
            status = visitor.receive()
            answers.append(Answered(began, time.monotonic_ns(), status))
            count.value += 1
    sender.send(answers)


@contextmanager
def timed_rename(flag: Path) -> Iterator[Flip]:
    """Note when the rename onto the flag, which is the real one, begins and returns."""
    flip = Flip()
    rename = os.replace

    def replace(source: Any, destination: Any) -> None:
        began = time.monotonic_ns()
        rename(source, destination)
        if destination == flag:
            flip.began, flip.returned = began, time.monotonic_ns()

    with mock.patch.object(os, "replace", replace):
        yield flip


def flip_often(site: Site, port: int) -> tuple[list[Flip], list[Answered]]:
    """Open and close one window after the other while visitors ask."""
    flips = []
    with ExitStack() as stack:
        visitors = [stack.enter_context(RestlessVisitor(port)) for _ in range(VISITORS)]
        for number in range(FLIPS):
            for visitor in visitors:
                visitor.wait()
            with timed_rename(site.state.flag) as flip:
                site.open_window(number)
            for visitor in visitors:
                visitor.wait()
            flip.closing = time.monotonic_ns()
            site.close_window()
            flips.append(flip)
        return flips, [answer for visitor in visitors for answer in visitor.answers()]


def begun_behind(flip: Flip, answers: Sequence[Answered]) -> list[Answered]:
    """Give the requests that began after the rename returned and were answered before the window was closed."""
    return [answer for answer in answers if flip.returned < answer.began and answer.ended < flip.closing]


def until_503(flip: Flip, answers: Sequence[Answered]) -> float:
    """Give the microseconds from the beginning of the rename to the first answer 503 that was there whole."""
    closed = [answer.ended for answer in answers if answer.status == 503 and answer.ended > flip.began]
    if not closed:
        raise BrokenRunError("a window was open, and no request was answered 503")
    return (min(closed) - flip.began) / 1000
