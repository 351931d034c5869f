"""A rank of a real plan killed, stopped or failing at each kind of action: `execute` says which, and leaves nothing."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator

import pytest

from executor.errors import RankError
from executor.launch import execute
from executor.world.pulse import Pulse
from planner.action import Action, Kind
from planner.cluster import Cluster
from planner.problem import Problem
from planner.workload import Workload
from tests.executor.equal import Case, case
from tests.executor.processes import children
from tests.tiny import TINY_SPEC

pytestmark = pytest.mark.dist

WAYS: list[tuple[str, str, dict[str, object]]] = [
    ("sequential", "step", {}),
    ("sequential", "free+decoder", {}),
    ("cascade:1:live-joint", "block", {}),
    ("cascade:1:live-causal", "step", {}),
    ("cascade:1", "batched", {}),
    ("layers", "ring", {}),
    ("sequential-recompute", "free", {"encode_text": True}),
]


def _case(pattern: str, placement: str, asked: dict[str, object]) -> Case:
    workload = Workload.model_validate({"blocks": 3, **asked})
    return case(Problem(model=TINY_SPEC, cluster=Cluster.of("cpu-core", 2), workload=workload), pattern, placement)


def _places() -> Iterator[tuple[Case, int, Action]]:
    """Every kind of action on either rank, where some way has it there; of a program's actions of a kind the last."""
    seen: set[tuple[int, Kind]] = set()
    for way in WAYS:
        chosen = _case(*way)
        for rank, rows in enumerate(chosen.plan.ranks):
            last = {row.action.kind: row.action for row in rows}
            yield from ((chosen, rank, action) for kind, action in last.items() if (rank, kind) not in seen)
            seen |= {(rank, kind) for kind in last}


PLACES = list(_places())
STOPPED = [place for place in PLACES if place[1] == 0]


def named(place: tuple[Case, int, Action]) -> str:
    chosen, rank, action = place
    return f"{chosen.plan.pattern} {chosen.plan.placement} r{rank} {action}"


def run(chosen: Case) -> None:
    execute(chosen.plan, chosen.problem, chosen.model, prompts=chosen.prompts)


def test_every_kind_of_action_is_struck() -> None:
    assert {action.kind for _, _, action in PLACES} == set(Kind)


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
@pytest.mark.parametrize("place", PLACES, ids=named)
def test_a_fault_is_told(
    monkeypatch: pytest.MonkeyPatch, place: tuple[Case, int, Action], strike: Callable[[], None], cause: str
) -> None:
    chosen, victim, where = place
    before = children(os.getpid())
    struck(monkeypatch, victim, where, strike)
    with pytest.raises(RankError, match=f"^rank {victim} at {re.escape(str(where))}: {cause}"):
        run(chosen)
    assert children(os.getpid()) <= before


@pytest.mark.parametrize("place", STOPPED, ids=named)
def test_a_stopped_rank_is_told(monkeypatch: pytest.MonkeyPatch, place: tuple[Case, int, Action]) -> None:
    chosen, victim, where = place
    monkeypatch.setenv("BLOCKCASCADE_STALL_S", "1")
    monkeypatch.setenv("BLOCKCASCADE_BEAT_S", "0.1")
    struck(monkeypatch, victim, where, lambda: os.kill(os.getpid(), signal.SIGSTOP))
    with pytest.raises(RankError, match=f"^rank {victim} at {re.escape(str(where))}: no sign of life"):
        run(chosen)


def test_lack_of_memory_is_told_with_what_was_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    def fill() -> None:
        raise MemoryError("no room")

    chosen, victim, where = PLACES[0]
    struck(monkeypatch, victim, where, fill)
    with pytest.raises(RankError, match=rf"^rank {victim} at .*no room; out of memory: the plan needs 0\.0\d GB here"):
        run(chosen)
