"""What no rank can run yet is refused before any starts, each with its name; the rest is not."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from executor.errors import WorldError
from executor.executable import EXECUTED, require_executable
from models.spec import ModelSpec
from planner.cluster import Cluster
from planner.patterns import Pattern, all_patterns
from planner.plan import Plan, Repeat
from planner.problem import Problem
from planner.workload import Workload
from tests.planner.clips import cascade, costed, plan_of
from tests.tiny import TINY_SPEC


def problem(spec: ModelSpec = TINY_SPEC, asked: Mapping[str, object] | None = None) -> Problem:
    workload = Workload.model_validate({"blocks": 3, **(asked or {})})
    return Problem(model=spec, cluster=Cluster.of("cpu-core", 4), workload=workload)


def plan(given: Problem, pattern: Pattern, placement: str = "free", *ticks: int) -> Plan:
    return plan_of(costed(given, pattern, placement, ticks))


SEQUENTIAL = Pattern.sequential(TINY_SPEC)


@pytest.mark.parametrize("placement", EXECUTED, ids=str)
def test_what_can_be_executed(placement: object) -> None:
    for pattern in all_patterns(TINY_SPEC):
        if pattern.name in ("sequential", "cascade") and pattern.exchange == "after":
            require_executable(plan(problem(), pattern, str(placement)), problem())


def test_the_longest_offset_is_sequential_whatever_the_exchange() -> None:
    require_executable(plan(problem(), cascade(TINY_SPEC.passes, "live-causal")), problem())


@pytest.mark.parametrize(
    ("pattern", "placement", "message"),
    [
        (cascade(1, "live-causal"), "free", "pattern cascade:1:live-causal"),
        (cascade(1, "live-joint"), "block", "pattern cascade:1:live-joint, action 'tick 0 b0.s0'"),
        (cascade(4, "live-joint"), "batched", "action 'tick 0 b0.s0'"),
        (Pattern(name="sequential-recompute", offset=4), "free", "pattern sequential-recompute, action 'encode b0'"),
        (Pattern(name="layers", offset=1), "ring@2", "pattern layers, action 'slice 0.0 b0.s0'"),
        (cascade(1), "batched", "action 'batch 0.0 b0.s0'"),
        (SEQUENTIAL, "free*ulysses:2", "passes on groups of 2 devices"),
        (SEQUENTIAL, "free+decoder:2*tensor:2", "passes on groups of 2 devices, a decoder in 2 parts"),
        (SEQUENTIAL, "free+decoder:3", "a decoder in 3 parts"),
    ],
)
def test_patterns_and_placements_to_come(pattern: Pattern, placement: str, message: str) -> None:
    with pytest.raises(WorldError, match=rf"^{message}.*: can be planned and simulated, not executed yet; ask for "):
        require_executable(plan(problem(), pattern, placement), problem())


@pytest.mark.parametrize(
    ("asked", "ticks", "message"),
    [
        ({"encode_text": True}, (), "encoding the prompt, action 'text p0'"),
        ({"switches": [{"at_us": 9}]}, (3,), "prompt switches"),
    ],
)
def test_workloads_to_come(asked: dict[str, object], ticks: tuple[int, ...], message: str) -> None:
    given = problem(asked=asked)
    with pytest.raises(WorldError, match=rf"^{message}: can be planned"):
        require_executable(plan(given, SEQUENTIAL, "free", *ticks), given)


@pytest.mark.parametrize("changes", [{"first_block_steps": 5}, {"first_block_frames": 1}])
def test_models_to_come(changes: dict[str, int]) -> None:
    given = problem(TINY_SPEC.model_copy(update=changes))
    with pytest.raises(WorldError, match=r"^tiny's first block, which is unlike the others: can be planned"):
        require_executable(plan(given, SEQUENTIAL), given)
    alike = problem(TINY_SPEC.model_copy(update={"first_block_steps": 3, "first_block_frames": 2}))
    require_executable(plan(alike, SEQUENTIAL), alike)


def test_streams_to_come() -> None:
    made = plan(problem(), SEQUENTIAL)
    repeat = Repeat(first_block=1, kernel_blocks=1, kernel_us=1, copies=2, places=((0, 0),) * 4)
    with pytest.raises(WorldError, match=r"^a kernel that repeats: can be planned"):
        require_executable(made.model_copy(update={"repeat": repeat}), problem())
