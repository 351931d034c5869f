"""Runs a function on local ranks: forked processes that end together, whatever happens to one of them.

The parent judges. It knows at once when a rank dies, and from a page of shared memory what each rank is at. Times, of
`limits.Limits`: a rank that dies or raises is told within 1 s; one that is silent (stopped, or its interpreter stuck)
after `stall_s`, that computes one action too long after `action_s`, and ranks that all wait after `wait_s`, each
within 1 s more. The others are killed by then.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import tempfile
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkContext, ForkProcess
from typing import IO, Any, NamedTuple, TypeVar

import torch

from executor.errors import RankError
from executor.world.causes import ending, lost_connection
from executor.world.guard import Family
from executor.world.judge import Finding, Judge
from executor.world.limits import Limits
from executor.world.process_group import World, limits_from_environment, local_world
from executor.world.pulse import Page, Pulse, State
from executor.world.signals import unwinds_on_sigterm
from models.errors import BlockcascadeError

T = TypeVar("T")
GRACE_S = 5.0  # ranks with a result may take this long to end by themselves
SETTLE_S = 0.5  # after a failure, so long for the one that caused it to show
TICK_S = 0.1


class _Failure(NamedTuple):
    """A rank's failure; sorts first what is likeliest the cause of the others."""

    follows: bool  # only a lost connection: another rank's failure, seen from here
    at_ns: int
    text: str


class _Rank(NamedTuple):
    """A rank as its parent sees it. What it leaves is in a file without a name: no pipe that it could half fill."""

    process: ForkProcess
    left: IO[bytes]


def on_local_ranks(size: int, function: Callable[[World], T], limits: Limits | None = None) -> list[T]:
    """The function's result on each rank, in rank order; each rank computes on one thread.

    Results must pickle. Raises RankError naming the rank that failed first, its action and why, within the times
    above; the others, and what they started, are killed. On SIGTERM raises SystemExit(143) after the same.
    """
    limits = limits_from_environment() if limits is None else limits
    context, page = multiprocessing.get_context("fork"), Page(size)
    with tempfile.TemporaryDirectory(prefix="blockcascade-") as folder, unwinds_on_sigterm():
        family, ranks = Family(context), list[_Rank]()
        try:
            for rank in range(size):
                world = local_world(rank, size, folder, Pulse(page, rank))
                ranks.append(_start(context, family, function, world, limits))
            results = _collect(ranks, page, limits)
            _wait([rank.process for rank in ranks], GRACE_S)
            return results
        finally:
            family.end([rank.process for rank in ranks])
            for started in ranks:
                started.left.close()


def _start(
    context: ForkContext, family: Family, function: Callable[[World], Any], world: World, limits: Limits
) -> _Rank:
    left = open(os.memfd_create(f"rank {world.rank}"), "w+b")  # noqa: SIM115, PTH123  # closed with its process
    process = context.Process(target=_rank_main, args=(family, function, world, left, limits), daemon=True)
    process.start()
    family.adopt(process)
    return _Rank(process, left)


def _rank_main(family: Family, function: Callable[[World], Any], world: World, left: IO[bytes], limits: Limits) -> None:
    family.join()
    torch.set_num_threads(1)
    pulse = world.pulse
    assert pulse is not None
    pulse.start(limits.beat_s)
    try:
        result = function(world)
        pulse.enter(State.GATHERS)
        _leave(left, True, result)
    except BaseException as error:
        at_ns, ours = time.monotonic_ns(), isinstance(error, BlockcascadeError)
        text = str(error) if ours else f"rank {world.rank}: {traceback.format_exc()}"
        _leave(left, False, _Failure(lost_connection(error), at_ns, text))
    pulse.enter(State.DONE)


def _leave(left: IO[bytes], fine: bool, outcome: Any) -> None:
    left.seek(0)
    left.truncate()
    pickle.dump((fine, outcome), left)
    left.flush()


def _collect(ranks: list[_Rank], page: Page, limits: Limits) -> list[Any]:
    """Every rank's result; raises RankError for the failure that caused the others."""
    judge, deadline = Judge(range(len(ranks)), limits, time.monotonic()), float("inf")
    results, failures, at_work = dict[int, Any](), list[_Failure](), set(range(len(ranks)))
    while at_work or failures:
        for number in sorted(at_work):
            fine, outcome = _outcome(ranks[number], number, page, judge)
            if fine:
                results[number] = outcome
            elif outcome is not None:
                failures.append(outcome)
            at_work -= {number} if fine or outcome is not None else set()
        finding = judge.verdict(time.monotonic())
        if finding is not None:
            failures.append(_Failure(False, time.monotonic_ns(), str(finding)))
        if failures and deadline == float("inf"):
            deadline = time.monotonic() + SETTLE_S
        if failures and (time.monotonic() > deadline or not at_work or not min(failures).follows):
            raise RankError(min(failures).text)
        _wait([ranks[number].process for number in at_work], TICK_S, some=True)
    return [results[number] for number in range(len(ranks))]


def _outcome(rank: _Rank, number: int, page: Page, judge: Judge) -> tuple[bool, Any]:
    """Whether the rank has a result, and that; else its failure, or None while it works."""
    exit_code = rank.process.exitcode  # before its page, which is then the last word
    beat = page.read(number)
    judge.hear(number, beat, time.monotonic())
    if beat.state is State.DONE:
        rank.left.seek(0)
        fine, outcome = pickle.load(rank.left)
        return fine, outcome
    if exit_code is not None:
        return False, _Failure(False, time.monotonic_ns(), str(Finding(number, beat.action, ending(exit_code))))
    return False, None


def _wait(processes: list[ForkProcess], seconds: float, *, some: bool = False) -> None:
    """Returns when all have ended, or some one has, or after so long."""
    deadline, left = time.monotonic() + seconds, list(processes)
    while left and time.monotonic() < deadline:
        ended = wait([process.sentinel for process in left], max(0.0, deadline - time.monotonic()))
        if some:
            return
        left = [process for process in left if process.sentinel not in ended]
