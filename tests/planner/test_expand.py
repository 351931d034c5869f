"""A flow in plain numbers: by hand, and the bounds of those numbers against what really comes out."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.action import Kind
from planner.bounds.makespan import makespan_bound
from planner.bounds.tight import tight_bound
from planner.cost import Costs
from planner.expand import Tasks, expand
from planner.instance import ANY, ORDER, Live
from planner.patterns import Pattern
from planner.problem import Problem
from planner.rows import makespan_us
from planner.schedulers.list_schedule import RULES, Rule
from planner.searching.case import passes_of
from planner.workload import PromptSwitch
from tests.planner.clips import KV_BYTES, LATENT_BYTES, cascade, clip, costed, model, timed
from tests.strategies import costings

TWO = model(2, clean=True)


def tasks_of(problem: Problem, pattern: str, placement: str = "free", lookahead: int | None = None) -> Tasks:
    return expand(costed(problem, Pattern.parse(pattern, problem.model), placement), lookahead)


def told(tasks: Tasks) -> list[str]:
    """Each task with what it reads, by name: `maker:payload`, or the maker alone where nothing travels."""
    lines = []
    for action, read in zip(tasks.actions, tasks.instance.inputs, strict=True):
        names = [
            f"<{tasks.actions[maker]}>" if payload == ORDER else str(tasks.payloads[payload]) for maker, payload in read
        ]
        lines.append(" | ".join([str(action), *names]))
    return lines


def test_a_cascade_by_hand() -> None:
    tasks = tasks_of(clip(TWO, 2, 2), "cascade:1")
    assert told(tasks) == [
        "denoise b0.s0",
        "denoise b0.s1 | latents b0.s0",
        "commit b0 | latents b0.s1",
        "decode b0 | latents b0.s1",
        "denoise b1.s0 | kv b0.s0",
        "denoise b1.s1 | latents b1.s0 | kv b0.s1",
        "decode b1 | latents b1.s1 | <decode b0>",
    ]
    instance = tasks.instance
    # Alone a denoise step takes 100 us and a clean pass 80, beside one block 150; decodes take 40, then 60.
    assert instance.durations == [(us, us) for us in (100, 100, 80, 40, 150, 150, 60)]
    assert instance.stays == [ANY] * 6 + [3]
    assert instance.blocks == [0, 0, 0, 0, 1, 1, 1]
    sizes = {str(p): size for p, size in zip(tasks.payloads, instance.payload_bytes, strict=True)}
    assert sizes["kv b0.s1"] == KV_BYTES
    assert sizes["latents b1.s0"] == LATENT_BYTES
    assert set(instance.wires or {}) == {(0, 1), (1, 0)}
    assert (instance.gangs, instance.live, instance.release_us, instance.layers) == ({}, {}, {}, 6)


@pytest.mark.parametrize(
    ("placement", "homes"),
    [
        ("free", [{0, 1, 2}] * 7),
        # s0 s1 c decode of block 0, then s0 s1 decode of block 1.
        ("block", [{0}, {0}, {0}, {0, 1, 2}, {1}, {1}, {0, 1, 2}]),
        ("step", [{0}, {1}, {2}, {0, 1, 2}, {0}, {1}, {0, 1, 2}]),
        ("free+decoder", [{0, 1}, {0, 1}, {0, 1}, {2}, {0, 1}, {0, 1}, {2}]),
        ("free@1", [{0}] * 7),
    ],
)
def test_where_tasks_may_run(placement: str, homes: list[set[int]]) -> None:
    tasks = tasks_of(clip(TWO, 2, 3), "cascade:1", placement)
    assert [{unit for unit, us in enumerate(row) if us} for row in tasks.instance.durations] == homes


def test_live_inputs_by_hand() -> None:
    tasks = tasks_of(clip(TWO, 2, 2), "cascade:1:live-causal")
    numbers = {str(action): task for task, action in enumerate(tasks.actions)}
    payloads = {str(payload): number for number, payload in enumerate(tasks.payloads)}
    # Six layers: 100 us make layers of 17 us, 80 us of 14, 150 of 25; what runs beside is not among the inputs.
    assert tasks.instance.live == {
        numbers["denoise b1.s0"]: (Live(numbers["denoise b0.s1"], payloads["kv b0.s1"], 17, 25),),
        numbers["denoise b1.s1"]: (Live(numbers["commit b0"], payloads["kv b0.c"], 14, 25),),
    }
    assert told(tasks)[4:6] == ["denoise b1.s0", "denoise b1.s1 | latents b1.s0"]


def test_a_joint_cascade_is_a_chain_of_gangs() -> None:
    tasks = tasks_of(clip(TWO, 2, 3), "cascade:1:live-joint", "block+decoder")
    assert told(tasks) == [
        "tick 0",
        "tick 1 | <tick 0>",
        "decode b0 | latents b0.s1",
        "tick 2 | <tick 1>",
        "decode b1 | latents b1.s1 | <decode b0>",
    ]
    assert tasks.instance.gangs == {0: (0, 1), 1: (0, 1), 3: (0, 1)}
    assert tasks.instance.blocks == [0, 0, 0, 0, 1]
    assert all(len(set(tasks.instance.durations[task][:2])) == 1 for task in tasks.instance.gangs)


def test_a_ring_is_tied_by_order_and_hidden_states() -> None:
    tasks = tasks_of(clip(model(1), 2, 2), "layers", "ring")
    assert told(tasks) == [
        "slice 0.0 b0.s0",
        "slice 0.1 b0.s0 | hidden w0.l0",
        "decode b0 | latents b0.s0",
        "slice 1.0 b1.s0 | <slice 0.0 b0.s0>",
        "slice 1.1 b1.s0 | hidden w1.l0 | <slice 0.1 b0.s0>",
        "decode b1 | latents b1.s0 | <decode b0>",
    ]


def test_a_decoder_in_parts_is_a_chain_on_each_part() -> None:
    tasks = tasks_of(
        Problem.model_validate(clip(model(1), 2, 4).model_copy(update={"profile": None})), "cascade:1", "free+decoder:3"
    )
    numbers = {str(action): task for task, action in enumerate(tasks.actions)}
    for part in range(3):
        later, before = numbers[f"decode b1.d{part}"], numbers[f"decode b0.d{part}"]
        assert tasks.instance.stays[later] == before
        assert (before, ORDER) in tasks.instance.inputs[later]
        assert [unit for unit, us in enumerate(tasks.instance.durations[later]) if us] == [1 + part]


def test_encoding_goes_where_the_decoder_is() -> None:
    tasks = tasks_of(clip(TWO, 3, 2), "sequential-recompute")
    numbers = {str(action): task for task, action in enumerate(tasks.actions)}
    assert tasks.instance.stays[numbers["encode b1"]] == numbers["decode b1"]
    assert told(tasks)[numbers["recache b2"]] == "recache b2 | encoded b0 | encoded b1"
    assert "encode b2" not in numbers


@pytest.mark.parametrize(
    ("pattern", "placement"),
    [("cascade:1", "free"), ("cascade:1", "batched"), ("cascade:1:live-joint", "batched"), ("sequential", "free")],
)
def test_a_lookahead_holds_blocks_back(pattern: str, placement: str) -> None:
    problem = clip(TWO, 5, 2)
    free, held = tasks_of(problem, pattern, placement), tasks_of(problem, pattern, placement, lookahead=3)
    assert held.actions == free.actions
    assert all(set(one) <= set(other) for one, other in zip(free.instance.inputs, held.instance.inputs, strict=True))
    flow = costed(problem, Pattern.parse(pattern, TWO), placement).flow
    before: list[set[int]] = []
    for read in held.instance.inputs:
        before.append({task for maker, _ in read for task in (maker, *before[maker])})
    done_for: dict[int, set[int]] = defaultdict(set)  # its passes, the clean one among them, and its decode
    for task, action in enumerate(held.actions):
        owners = [block for block, _ in passes_of(action, flow)] or [action.block]
        for block in owners:
            done_for[block].add(task)
    for task, action in enumerate(held.actions):
        for block in [block for block, stage in passes_of(action, flow) if stage == 0 and block >= 3]:
            assert done_for[block - 3] <= before[task], f"{action} runs ahead"


@settings(max_examples=200)
@given(costings())
def test_tasks_come_after_all_they_read(costs: Costs) -> None:
    tasks = expand(costs)
    instance = tasks.instance
    assert len(set(tasks.actions)) == instance.size == len(tasks.actions)
    for task in range(instance.size):
        assert all(maker < task for maker, _ in instance.inputs[task])
        assert all(live.source < task for live in instance.live.get(task, ()))
        assert instance.stays[task] < task
        assert any(instance.durations[task])
        if instance.stays[task] != ANY:
            first = instance.durations[instance.stays[task]]  # wherever that runs, this one must be able to
            assert all(own for own, its in zip(instance.durations[task], first, strict=True) if its)
    for task, us in instance.release_us.items():
        assert us in {switch.at_us for switch in costs.problem.workload.switches}
        assert tasks.actions[task].kind not in (Kind.DECODE, Kind.ENCODE)


@settings(max_examples=200)
@given(costings(), st.sampled_from(RULES))
def test_no_rows_beat_the_bound_of_the_numbers(costs: Costs, rule: Rule) -> None:
    """Rows are timed anew, without what the numbers simplify: a bound has to hold for them too."""
    instance = expand(costs).instance
    assert makespan_bound(instance).value_us <= tight_bound(instance).value_us <= makespan_us(timed(costs, rule))


def test_a_gangs_hops_are_not_work() -> None:
    """Between ticks latents travel, and a unit may decode meanwhile."""
    problem = clip(model(2, clean=True), 6, 3, latency_us=400, decode_us=(300, 300))
    for pattern in (cascade(3, "live-joint"), cascade(2, "live-joint")):
        costs = costed(problem, pattern, "step")
        assert makespan_bound(expand(costs).instance).value_us <= makespan_us(timed(costs))


def test_a_switch_releases_what_reads_its_prompt() -> None:
    problem = clip(TWO, 2, 1, asked={"encode_text": True, "switches": [PromptSwitch(at_us=700).model_dump()]})
    costs = costed(problem, cascade(1), "free", (2,))
    tasks = expand(costs)
    assert {str(tasks.actions[task]): us for task, us in tasks.instance.release_us.items()} == {
        "text p1": 700,
        "commit b0": 700,
        "denoise b1.s1": 700,
    }
