"""A rank of a real plan killed, stopped or failing at each kind of action: `execute` says which, and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

import pytest

from executor.errors import RankError
from executor.launch import execute
from executor.pulse import Pulse
from models.loaded import LoadedModel
from planner.action import Action, Kind
from planner.cluster import Cluster
from planner.patterns import Pattern
from planner.plan import Plan
from planner.problem import Problem
from planner.workload import Workload
from tests.executor.processes import children
from tests.planner.clips import costed, plan_of
from tests.tiny import TINY_SPEC, tiny_model

pytestmark = pytest.mark.dist

PROBLEM = Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 2), workload=Workload(blocks=3))
PLANS = [plan_of(costed(PROBLEM, Pattern.sequential(TINY_SPEC), placement)) for placement in ("step", "free+decoder")]
# Of each kind the last, so that much is under way, and on either rank by turns.
PLACES = [
    (chosen, rank, max(actions, key=actions.index))
    for chosen in PLANS
    for rank, rows in enumerate(chosen.ranks)
    for kind in (Kind.DENOISE, Kind.COMMIT, Kind.DECODE, Kind.SEND, Kind.RECV, Kind.FREE)
    if (actions := [row.action for row in rows if row.action.kind is kind])
]


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return tiny_model()


def struck(monkeypatch: pytest.MonkeyPatch, victim: int, where: Action, strike: Callable[[], None]) -> None:
    """Has the victim do itself harm when it tells that the action begins."""
    told = Pulse.told

    def tells(pulse: Pulse, action: object, computes: bool) -> None:
        told(pulse, action, computes)
        if pulse.rank == victim and action == where:
            strike()

    monkeypatch.setattr(Pulse, "told", tells)


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail() -> None:
    raise ValueError("out of luck")


@pytest.mark.parametrize(("strike", "cause"), [(kill, "killed by SIGKILL"), (fail, "ValueError: out of luck")])
@pytest.mark.parametrize(("chosen", "victim", "where"), PLACES, ids=[f"r{rank} {at}" for _, rank, at in PLACES])
def test_a_fault_is_told(
    model: LoadedModel,
    monkeypatch: pytest.MonkeyPatch,
    chosen: Plan,
    victim: int,
    where: Action,
    strike: Callable[[], None],
    cause: str,
) -> None:
    before = children(os.getpid())
    struck(monkeypatch, victim, where, strike)
    with pytest.raises(RankError, match=f"^rank {victim} at {re.escape(str(where))}: {cause}"):
        execute(chosen, PROBLEM, model, prompt="anything")
    assert children(os.getpid()) <= before


def test_a_stopped_rank_is_told(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, victim, where = PLACES[0]
    monkeypatch.setenv("BLOCKCASCADE_STALL_S", "1")
    monkeypatch.setenv("BLOCKCASCADE_BEAT_S", "0.1")
    struck(monkeypatch, victim, where, lambda: os.kill(os.getpid(), signal.SIGSTOP))
    with pytest.raises(RankError, match=f"^rank {victim} at {re.escape(str(where))}: no sign of life"):
        execute(chosen, PROBLEM, model, prompt="anything")


def test_lack_of_memory_is_told_with_what_was_planned(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def fill() -> None:
        raise MemoryError("no room")

    chosen, victim, where = PLACES[0]
    struck(monkeypatch, victim, where, fill)
    with pytest.raises(RankError, match=rf"^rank {victim} at .*no room; out of memory: the plan needs 0\.0\d GB here"):
        execute(chosen, PROBLEM, model, prompt="anything")
