"""Runs of the tiny model that are kept in a folder, interrupted, and gone on with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Literal

import pytest
import torch

from executor.errors import RankError
from executor.keeping.run_folder import Keep
from executor.keeping.saved import Saved
from executor.keeping.store import Store
from executor.launch import Clip, execute
from executor.rank.bind import Rank
from models.loaded import LoadedModel
from planner.cluster import Cluster
from planner.patterns import Pattern
from planner.plan import Plan
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import cascade, costed, plan_of
from tests.tiny import TINY_SPEC, tiny_model

PROMPT = "anything"
BLOCKS = 5
Ranks = Literal["threads", "processes"]
Case = tuple[Problem, Plan]


@cache
def model() -> LoadedModel:
    return tiny_model()


def problem(ranks: int, *, decode: bool = True, **asked: object) -> Problem:
    workload = Workload.model_validate({"blocks": BLOCKS, "decode": decode} | asked)
    return Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", ranks), workload=workload)


def case(
    pattern: Pattern, placement: str, ranks: int, *, decode: bool = True, ticks: tuple[int, ...] = (), **asked: object
) -> Case:
    given_problem = problem(ranks, decode=decode, **asked)
    return given_problem, plan_of(costed(given_problem, pattern, placement, ticks))


def run(
    one: Case, keep: Keep | None = None, ranks: Ranks = "threads", *, prompts: str | list[str] = PROMPT, seed: int = 0
) -> Clip:
    clip = execute(one[1], one[0], model(), prompts=prompts, seed=seed, ranks=ranks, keep=keep)
    assert clip is not None
    return clip


def same(found: Clip, expected: Clip) -> bool:
    if expected.frames is not None:
        return found.frames is not None and torch.equal(found.frames, expected.frames)
    return len(found.latents) == len(expected.latents) and all(map(torch.equal, found.latents, expected.latents))


@contextmanager
def struck(at: int, strike: Callable[[], None]) -> Iterator[None]:
    """Within, ranks of this process strike in their `at`-th compute action, counted over all of them."""
    compute, counted = Rank.compute, count(1)

    def computes(self: Rank, *given: object) -> None:
        if next(counted) >= at:
            strike()
        compute(self, *given)  # type: ignore[arg-type]

    Rank.compute = computes  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Rank.compute = compute  # type: ignore[method-assign]


def fail() -> None:
    raise ValueError("out of luck")


def interrupted(one: Case, keep: Keep, at: int) -> None:
    with struck(at, fail), pytest.raises(RankError, match="out of luck"):
        run(one, keep)


def computes(one: Case) -> int:
    return sum(row.action.is_compute for rows in one[1].ranks for row in rows)


def tear(folder: Path, saved: Saved) -> None:
    path = folder / str(saved)
    path.write_bytes(path.read_bytes()[:-1])


def state_of(folder: Path) -> set[Saved]:
    return set(Store(folder).state())


PLACEMENTS = {"layers": ["ring"], "joint": ["block", "step", "batched"], "live": ["free", "step"]}


def placements(pattern: Pattern, ranks: int, *, decode: bool) -> list[str]:
    key = "joint" if pattern.is_joint else "live" if pattern.is_live else pattern.name
    usual = ["free", "block", "step", "batched"] if pattern.name == "cascade" else ["free"]
    found = PLACEMENTS.get(key, usual)
    if pattern.name == "layers" and ranks > TINY_SPEC.layers:
        return [f"ring@{TINY_SPEC.layers}"]
    return found + [f"{name}+decoder" for name in found if decode and ranks > 1]


@cache
def uninterrupted(pattern: Pattern, decode: bool) -> Clip:
    return run(case(pattern, placements(pattern, 1, decode=decode)[0], 1, decode=decode))


ONE = case(cascade(2), "free", 1)


def nearly_done(folder: Path) -> Keep:
    """A run interrupted near its end, with a cut before each block."""
    keep = Keep(folder, 1)
    one = case(cascade(2), "block", 2)
    interrupted(one, keep, computes(one) - 2)
    return keep._replace(resume="yes")
